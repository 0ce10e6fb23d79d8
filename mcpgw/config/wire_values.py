"""Checks of values that are sent over the network: headers and URLs.

A secret that was read from a file often ends in a line break, and one that was pasted may hold
a typographic character. Both are found here, not at the first request. No message has the value.
"""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A header name (RFC 9110, section 5.6.2)."""
_BLANKS: Final = " \t\r\n"


def without_line_end(value: str) -> str:
    """Return a value without blanks and line breaks at its ends, which belong to its file."""
    return value.strip(_BLANKS)


def header_name_fault(name: str) -> str:
    """Return what is wrong with the name of a header; "" if it is valid."""
    if _NAME.fullmatch(name):
        return ""
    return "is not a valid name of a header"


def header_fault(value: str) -> str:
    """Return what is wrong with the value of a header (RFC 9110, section 5.5), or ""."""
    return _fault(value, "a header", allowed=_BLANKS[:2])


def url_fault(url: str) -> str:
    """Return what is wrong with the characters of a URL (RFC 3986, section 2); "" if nothing is.

    Letters of other alphabets are allowed: they are encoded.
    """
    if any(map(str.isspace, url)) and not any(letter in url for letter in "\r\n"):
        return "has a blank, which no URL may have"
    return _fault(url, "a URL", allowed="", ascii_only=False)


def _fault(value: str, what: str, *, allowed: str, ascii_only: bool = True) -> str:
    if "\r" in value or "\n" in value:
        return f"has a line break within it, which {what} must not have"
    if any(
        (ord(letter) < 0x20 and letter not in allowed) or ord(letter) == 0x7F for letter in value
    ):
        return f"has a control character, which {what} must not have"
    if ascii_only and not value.isascii():
        return f"has a character that is not ASCII, which {what} must not have"
    if any(0x80 <= ord(letter) < 0xA0 or 0xD800 <= ord(letter) < 0xE000 for letter in value):
        return f"has a control character, which {what} must not have"
    return ""
