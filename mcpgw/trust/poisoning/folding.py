"""Folding of a text to its skeleton, so that look-alike and invisible characters do not matter."""

from __future__ import annotations

import re
import unicodedata

_LOOKALIKES = {
    # Cyrillic
    "а": "a", "в": "b", "е": "e", "з": "3", "к": "k", "м": "m", "н": "h", "о": "o", "р": "p",
    "с": "c", "т": "t", "у": "y", "х": "x", "і": "i", "ј": "j", "ѕ": "s", "һ": "h", "ԁ": "d",
    "ԛ": "q", "ԝ": "w", "ѵ": "v", "ӏ": "l", "г": "r", "ԍ": "g", "ь": "b",
    # Greek
    "α": "a", "β": "b", "ε": "e", "ζ": "z", "η": "h", "ι": "i", "κ": "k", "μ": "m", "ν": "v",
    "ο": "o", "ρ": "p", "τ": "t", "υ": "u", "χ": "x", "γ": "y", "ω": "w", "ϲ": "c", "ϳ": "j",
    # Armenian, and letters of the Latin script itself
    "օ": "o", "ո": "n", "ս": "u", "հ": "h", "ց": "g", "զ": "q", "յ": "j",
    "ı": "i", "ɑ": "a", "ɡ": "g", "ɩ": "i", "ł": "l", "ø": "o", "đ": "d", "ħ": "h", "ŧ": "t",
    "ɪ": "i", "ʀ": "r", "ʏ": "y", "ɴ": "n", "ʟ": "l", "ʜ": "h", "ɢ": "g", "ʙ": "b",
    "ᴀ": "a", "ᴄ": "c", "ᴅ": "d", "ᴇ": "e", "ꜰ": "f", "ᴊ": "j", "ᴋ": "k", "ᴍ": "m", "ᴏ": "o",
    "ᴘ": "p", "ꜱ": "s", "ᴛ": "t", "ᴜ": "u", "ᴠ": "v", "ᴡ": "w", "ᴢ": "z", "ɾ": "r", "ʋ": "v",
    "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "−": "-", "’": "'", "‘": "'", "“": '"',
    "”": '"', "⁄": "/", "∕": "/", "․": ".", "∼": "~", "˜": "~",
}  # fmt: skip
_BOXED = {
    start + place: letter
    for start in (0x1F150, 0x1F170, 0x1F1E6)
    for place, letter in enumerate("abcdefghijklmnopqrstuvwxyz")
}
_FOLD = {ord(character): shown for character, shown in _LOOKALIKES.items()} | _BOXED
LOOKALIKES = frozenset(character for character in _LOOKALIKES if "\u0370" <= character <= "\u052f")
"""Greek and Cyrillic letters that look like Latin ones."""

INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Invisible characters, written as the inside of a character class."""
_INVISIBLE = re.compile(f"[{INVISIBLE}]+")
_MARKS = re.compile(
    "[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u064b-\u065f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20f0"
    "\u3099\u309a\ufe20-\ufe2f]+"
)
ESCAPE_SEQUENCE = re.compile(
    "\x1b\\[[0-?]*[ -/]*[@-~]|\x9b[0-?]*[ -/]*[@-~]|"
    "\x1b\\][^\x07\x1b\x9c]{0,2000}(?:\x07|\x1b\\\\|\x9c)?|\x1b[@-Z\\\\^_]?|\x9b"
)
"""Terminal commands (ECMA-48): colours, cursor movements, links."""
SEGMENT = "\x1e"
"""Separator of strings that are matched together; folding removes it from the strings."""
_CAMEL = re.compile("(?<![A-Za-z])[a-z]{2,30}(?:[A-Z][a-z0-9]{1,30})+(?![A-Za-z])")
_HUMP = re.compile("(?<=[a-z0-9])(?=[A-Z])")
EXPANSION = 3
"""Times its length that a text may grow when it is folded."""
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")
"""Control characters other than tabs and line ends."""


def skeleton(text: str) -> str:
    """Return the text as a reader sees it: lower case, one alphabet, nothing invisible.

    Names such as `readFile` become `read_file`. Compatibility forms (full width, bold, circled),
    marks on letters, and Cyrillic and Greek look-alikes fold into plain letters. A text in one of
    those scripts matches only words folded in the same way.
    """
    if text.isascii():
        if "\x1b" in text:
            text = ESCAPE_SEQUENCE.sub("", text)
        text = text if text.isprintable() else CONTROL.sub("", text)
        return (text if text.islower() else _CAMEL.sub(_split_name, text)).lower()
    text = text.replace("\ufdfa", "").replace("\ufdfb", "")
    visible = CONTROL.sub("", ESCAPE_SEQUENCE.sub("", _INVISIBLE.sub("", text)))
    folded = unicodedata.normalize("NFKD", _CAMEL.sub(_split_name, visible)).casefold()
    if not folded.isascii():
        folded = unicodedata.normalize("NFKD", folded)
        folded = _MARKS.sub("", folded)
        folded = unicodedata.normalize("NFC", folded).translate(_FOLD)
    return folded


def _split_name(match: re.Match[str]) -> str:
    return _HUMP.sub("_", match[0])
