"""Decoding of text: character references, percent codes, escapes, base64, base32, hex."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator

_REFERENCE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,31});")
_PERCENT = re.compile(r"(?:%[0-9a-fA-F]{2})+")
_ESCAPE = re.compile(
    r"\\u\{([0-9a-fA-F]{1,6})\}|\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})|\\U([0-9a-fA-F]{8})"
)
_RUN = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{8,65536}={0,6}")
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\ufffd]")
MIN_BLOB = 20
"""Characters from which a run without spaces may be encoded text."""
MIN_TEXT = 8
"""Characters from which decoded bytes are a text."""


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
    """Yield the texts that base64, base32 or hex runs decode to, if they are readable text."""
    for match in _RUN.finditer(text):
        run = match[0]
        if len(run) < MIN_BLOB:
            continue
        for decode in (_from_hex, _from_base32, _from_base64):
            if readable := _readable(decode(run)):
                yield readable
                break


def spliced(texts: Iterable[str]) -> str:
    """Return the text that all base64 runs decode to if they are joined, "" if none."""
    runs = [
        match[0].rstrip("=")
        for text in texts
        for match in _RUN.finditer(text)
        if not (match[0].isalpha() and (match[0].islower() or match[0].istitle()))
    ]
    return _readable(_from_base64("".join(runs))) if len(runs) > 1 else ""


def _from_percent(match: re.Match[str]) -> str:
    return bytes.fromhex(match[0].replace("%", "")).decode("utf-8", "replace")


def _from_escape(match: re.Match[str]) -> str:
    code = int(next(filter(None, match.groups())), 16)
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else match[0]


def _from_hex(run: str) -> bytes:
    try:
        return bytes.fromhex(run)
    except ValueError:
        return b""


def _from_base32(run: str) -> bytes:
    plain = run.rstrip("=")
    if not plain.isupper():
        return b""
    try:
        return base64.b32decode(plain + "=" * (-len(plain) % 8))
    except binascii.Error:
        return b""


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
    if len(text) < MIN_TEXT or len(_UNREADABLE.findall(text)) * 20 > len(text):
        return ""
    return text
