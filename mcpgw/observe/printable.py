"""Foreign text for terminals and logs, without characters that control them.

A name or an error of a server may hold escape sequences that clear the screen, set the window's
title, write a link, or turn the direction of the text (CWE-150). They are shown as escapes.
"""

from __future__ import annotations

import re
from typing import Final

_UNSAFE: Final = (
    "\x00-\x1f\x7f-\x9f"  # C0, DEL and C1, which include ESC, CSI and OSC
    "\xad\u061c\u180e\u200b\u200e\u200f"  # invisible, and marks of direction
    "\u2028-\u202e\u2060-\u206f"  # separators of lines, bidirectional embeddings and isolates
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f"  # surrogates and tag characters
)
_CONTROL: Final = re.compile(f"[{_UNSAFE}]")
_BUT_LAYOUT: Final = re.compile(f"(?![\n\t])[{_UNSAFE}]")
_SHORT: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def printable(text: str) -> str:
    r"""Return a text on one line, unsafe characters as `\n`, `\x1b` or `\u202e`."""
    return text if text.isprintable() else _CONTROL.sub(_escaped, text)


def printable_lines(text: str) -> str:
    """Return a text like `printable`, but keep its line breaks and tabs."""
    return text if text.isprintable() else _BUT_LAYOUT.sub(_escaped, text)


def printable_json(text: str) -> str:
    r"""Return JSON text with all unsafe characters as `\uXXXX`, which means the same value.

    Args:
      text: valid JSON; it may be indented.
    """
    return text if text.isprintable() else _BUT_LAYOUT.sub(_escaped_json, text)


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    number = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _escaped_json(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
