"""Freshness of responses: the time for which their headers allow caching (RFC 9111)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

_DIRECTIVE: Final = re.compile(r'([A-Za-z0-9_-]+)(?:\s*=\s*(?:"([^"]*)"|([^\s,;]*)))?')


def cacheable_seconds(headers: Mapping[str, str]) -> float:
    """Return the seconds for which a response may be reused; infinity if it sets no limit.

    `no-store`, `no-cache` and `Vary: *` forbid reuse, since responses are never revalidated.
    `max-age` (else `Expires`) is a limit, less the `Age` that the response already has. `private`
    sets no limit: all requests of a capability are sent with the same credential.

    Args:
      headers: the headers by their names in lower case.
    """
    if "*" in [each.strip() for each in headers.get("vary", "").split(",")]:
        return 0.0
    directives = {
        found[1].lower(): found[2] if found[2] is not None else found[3]
        for found in _DIRECTIVE.finditer(headers.get("cache-control", ""))
    }
    if "no-store" in directives or ("no-cache" in directives and not directives["no-cache"]):
        return 0.0
    if not directives and "no-cache" in headers.get("pragma", "").lower():
        return 0.0
    limit = math.inf
    if "max-age" in directives:
        # An unreadable age means a stale response (RFC 9111, section 4.2.1).
        limit = float(_seconds(directives["max-age"]))
    elif "expires" in headers:
        limit = _until(headers["expires"], headers.get("date", ""))
    return max(0.0, limit - _seconds(headers.get("age")))


def _seconds(text: str | None) -> int:
    text = (text or "").strip()
    return int(text[:10]) if text.isascii() and text.isdecimal() else 0


def _until(expires: str, date: str) -> float:
    import time

    try:
        end = parsedate_to_datetime(expires).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0  # such as `Expires: 0` (RFC 9111, section 5.3)
    try:
        begin = parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        begin = time.time()
    return max(0.0, end - begin)
