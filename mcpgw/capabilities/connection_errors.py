"""Causes of failed connections, for people; HTTP libraries often give none."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

LONGEST: Final = 200
"""Characters of a cause."""
_PLAIN_HTTP: Final = (
    *("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"),
    *("UNEXPECTED_EOF_WHILE_READING", "PACKET_LENGTH_TOO_LONG"),
)
"""Reasons of OpenSSL if the other side does not speak TLS."""


def cause_of(error: BaseException, url: str) -> str:
    """Return why a connection failed, as a clause without a full stop.

    Args:
      error: the exception of the HTTP library.
      url: the URL of the request.
    """
    chain = list(_chain(error))
    for each in chain:
        if isinstance(each, ssl.SSLCertVerificationError):
            return f"its TLS certificate is not valid: {each.verify_message or _text(each)}"
    for each in chain:
        if isinstance(each, ssl.SSLError):
            return _tls(each.reason or _text(each))
    for each in chain:
        if isinstance(each, OSError) and each.strerror:
            return each.strerror[0].lower() + each.strerror[1:]
    for each in chain:
        if text := _text(each):
            return text
    if urlsplit(url).scheme == "https" and "Connect" in type(error).__name__:
        return _tls("the connection was closed during the handshake")
    return "the connection was closed before the response was complete"


def _tls(reason: str) -> str:
    shown = reason.replace("_", " ").lower() if reason.isupper() else reason
    hint = ""
    if reason in _PLAIN_HTTP or "handshake" in reason:
        hint = "; the server may speak plain http on this port"
    return f"the TLS handshake failed: {shown}{hint}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    left = [error]
    while left:
        each = left.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if isinstance(each, BaseExceptionGroup):
            left += reversed(each.exceptions)
        left += [c for c in (each.__context__, each.__cause__) if c is not None]


def _text(error: BaseException) -> str:
    """Return the message of an exception in one line, "" if it has none."""
    text = " ".join(str(error).split())
    text = re.sub(r"^\[[^\]]*\]\s*", "", text).rstrip(".")
    return text[:LONGEST]
