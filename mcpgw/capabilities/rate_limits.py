"""Rate limits that APIs report: by status, headers, or a reason in the body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from mcpgw.capabilities.responses import load_json, pick

if TYPE_CHECKING:
    from mcpgw.capabilities.http_sender import HttpResponse

LIMITED: Final = 429
_REMAINING: Final = ("x-ratelimit-remaining", "ratelimit-remaining", "x-rate-limit-remaining")
_RESET: Final = ("x-ratelimit-reset", "ratelimit-reset", "x-rate-limit-reset")
_REASONS: Final = frozenset(
    {"ratelimitexceeded", "userratelimitexceeded", "dailylimitexceeded", "quotaexceeded"}
    | {"rate_limit_exceeded", "rate_limited", "ratelimited", "resource_exhausted"}
)
"""Reasons in a body, in lower case: Google's, and common ones."""
_EPOCH: Final = 1_000_000_000
"""Resets from here on are Unix times, smaller ones are seconds from now."""


def is_rate_limit(response: HttpResponse) -> bool:
    """Return whether a response refuses a request because there were too many.

    Some APIs use 403 for it: GitHub with `x-ratelimit-remaining: 0` or `Retry-After`, Google with
    a reason in the body. 503 counts if it says when to try again.
    """
    if response.status == LIMITED:
        return True
    if response.status == 503:
        return "retry-after" in response.headers
    if response.status != 403:
        return False
    if "retry-after" in response.headers:
        return True
    if any(response.headers.get(name, "").strip() == "0" for name in _REMAINING):
        return True
    # `RateLimit: "default";r=0;t=30` (draft-ietf-httpapi-ratelimit-headers)
    if re.search(r";\s*r=0\b", response.headers.get("ratelimit", "")):
        return True
    return any(reason in _REASONS for reason in _reasons(response))


def wait_of(response: HttpResponse, now: float) -> float | None:
    """Return the seconds after which a response asks to try again, None if it does not say.

    Args:
      response: a response with `Retry-After`, or one that reports a rate limit.
      now: Unix time.
    """
    wait = retry_after(response.headers, now)
    if wait is not None or not is_rate_limit(response):
        return wait
    for name in _RESET:
        text = response.headers.get(name, "").strip()
        if re.fullmatch(r"[0-9]{1,12}(?:\.[0-9]+)?", text):
            value = float(text)
            return max(0.0, value - now) if value >= _EPOCH else value
    found = re.search(r";\s*t=([0-9]{1,9})\b", response.headers.get("ratelimit", ""))
    return float(found[1]) if found else None


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the delay of a Retry-After header in seconds, None without one.

    Args:
      headers: the headers by their names in lower case.
      now: Unix time, for a header with a date (RFC 9110, section 10.2.3).
    """
    value = headers.get("retry-after", "").strip()
    if value.isdecimal() and value.isascii() and len(value) < 10:
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _reasons(response: HttpResponse) -> set[str]:
    try:
        data: Any = load_json(response.content[: 64 * 1024])
    except (ValueError, RecursionError):
        return set()
    found: set[str] = set()
    for path in ("error.errors[].reason", "error.details[].reason", "error.status", "error.code"):
        value = pick(data, path)
        found |= {str(each).lower() for each in (value if isinstance(value, list) else [value])}
    return found
