"""Decoding of disguised text: character references, escapes, base64, hex, rot13, spaced letters."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from mcpgw.trust.poisoning.concepts import BITS
from mcpgw.trust.poisoning.lexicon import WORD, lexicon

_REFERENCE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,31});")
_PERCENT = re.compile(r"(?:%[0-9a-fA-F]{2})+")
_ESCAPE = re.compile(
    r"\\u\{([0-9a-fA-F]{1,6})\}|\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})|\\U([0-9a-fA-F]{8})"
)
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{20,65536}={0,2}")
_HEX = re.compile(r"(?<![0-9a-fA-F])(?:[0-9a-fA-F]{2}){10,32768}(?![0-9a-fA-F])")
_SPACED = re.compile(r"(?<!\w)\w(?:[ ._*-]{1,3}\w(?!\w)){4,2000}")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ROT13 = str.maketrans(_LETTERS, _LETTERS[13:] + _LETTERS[:13])
MIN_COMPOUND = 16
"""Letters from which a word may be several words written without spaces."""
MIN_BLOB = 20
"""Characters from which a run without spaces may be encoded text."""
MAX_BLOBS = 20
"""Encoded blobs of one text that are decoded."""


def decoded(text: str) -> str:
    """Return the text with character references, percent codes and escapes resolved."""
    for _ in range(3):
        before = text
        if "&" in text and _REFERENCE.search(text):
            # Imported here because its table of names is large and rarely needed.
            import html

            text = html.unescape(text)
        if "%" in text:
            text = _PERCENT.sub(_from_percent, text)
        if "\\" in text:
            text = _ESCAPE.sub(_from_escape, text)
        if text == before:
            break
    return text


def blobs(text: str) -> Iterator[str]:
    """Yield the texts that base64 or hex runs decode to, if they are readable text."""
    found = 0
    for word in text.split():
        if len(word) < MIN_BLOB:
            continue
        for pattern, decode in ((_HEX, bytes.fromhex), (_BASE64, _from_base64)):
            for match in pattern.finditer(word):
                text_of_blob = _readable(decode(match[0]))
                if text_of_blob:
                    found += 1
                    yield text_of_blob
                if found >= MAX_BLOBS:
                    return


def disguised(folded: str, words: set[str], meanings: int) -> Iterator[str]:
    """Yield the readings of a folded text in rot13, backwards, letter by letter or unspaced.

    `words` and `meanings` are those of the text.
    """
    if meanings & BITS["ROT"]:
        yield folded.translate(_ROT13)
    if meanings & BITS["REV"]:
        yield folded[::-1]
    if len([word for word in words if len(word) == 1]) >= 4 and _SPACED.search(folded):
        closed = _SPACED.sub(_closed, folded)
        yield closed
        words = words | set(WORD.findall(closed))
    for word in [word for word in words if len(word) >= MIN_COMPOUND and not word.isdigit()]:
        parts = lexicon().pieces.findall(word)
        if len(parts) >= 3 and 2 * sum(map(len, parts)) > len(word):
            yield " ".join(parts)


def _closed(match: re.Match[str]) -> str:
    run = match[0]
    letters = re.sub(r"(?<=\w)[._*-](?=\w)|(?<=\w) (?=\w)", "", run)
    return letters if letters != run else "".join(run.split())


def _from_percent(match: re.Match[str]) -> str:
    return bytes.fromhex(match[0].replace("%", "")).decode("utf-8", "replace")


def _from_escape(match: re.Match[str]) -> str:
    code = int(next(filter(None, match.groups())), 16)
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else match[0]


def _from_base64(run: str) -> bytes:
    plain = run.rstrip("=").replace("-", "+").replace("_", "/")
    plain = plain[: len(plain) - 1] if len(plain) % 4 == 1 else plain
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4))
    except binascii.Error:
        return b""


def _readable(data: bytes) -> str:
    """Return the bytes as text, or "" if they are not readable text."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    odd = sum(not (c.isprintable() or c in "\n\r\t\x1b") for c in text)
    return text if len(text) >= 8 and odd * 20 <= len(text) else ""
