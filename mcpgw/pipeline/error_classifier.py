"""Classification of error results by HTTP status codes, then by common words."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from mcpgw.pipeline.call import Recovery

LONGEST_READ: Final = 2_000
"""Characters of an error's text that are read."""

Verdict = tuple[Recovery, int | None]

_STATUS_KEYS: Final = (
    "status",
    "statusCode",
    "status_code",
    "httpStatus",
    "http_status",
    "code",
)
_NESTED: Final = ("error", "response")

_BY_STATUS: Final = {
    **dict.fromkeys((400, 404, 410, 413, 414, 416, 422), Recovery.INVALID_PARAM),
    **dict.fromkeys((401, 403), Recovery.NOT_AUTHORIZED),
    429: Recovery.RATE_LIMITED,
    # 522 and 524: a proxy reports that the server did not respond in time.
    **dict.fromkeys((408, 504, 522, 524), Recovery.BACKEND_TIMEOUT),
}
_SERVER_ERRORS: Final = range(500, 600)
_GONE: Final = (404, 410)

_REASONS: Final = (
    r"bad request|unauthori[sz]ed|forbidden|not found|request time-?out|gone"
    r"|(?:content|payload) too large|unprocessable|too many requests"
    r"|internal server error|not implemented|bad gateway|service (?:temporarily )?unavailable"
    r"|gateway time-?out"
)
# The number must end there: "HTTP 4290", "HTTP 429.5" and "status: 500ms" are not statuses.
_NUMBER: Final = r"([45]\d\d)(?![\w-]|[.,]\d)"
_STATUS_IN_TEXT: Final = (
    # "HTTP 503", "HTTP/1.1 503", "status code: 503", "statusCode":503
    r"(?<![\w.-])(?:"
    r"http(?:/\d(?:\.\d)?|s)?(?:[ _-]?(?:error|status|response))?(?:[ _-]?code)?"
    r"|(?:response[ _-]?)?status(?:[ _-]?code)?|(?:error|response)[ _-]?code"
    rf")[\"']?(?:\s{{0,3}}[:=]\s{{0,3}}|\s{{1,3}}(?:(?:is|was|of)\s{{1,3}})?)[\"'(\[]?{_NUMBER}"
    # "429: slow down" at the very start
    r"|\A\W{0,3}(?:error\s{1,3})?([45]\d\d)(?=\s{0,3}(?:[:—–]|-\s))"
    # "502 Bad Gateway"
    rf"|(?<![\w.])([45]\d\d)[\s:,()\"'-]{{1,3}}(?:{_REASONS})\b"
)
_IS_SETTING: Final = r"(?! (?:must|should|has to|needs|cannot|value|parameter|option|is not|of 0))"
"""Excludes texts about a time-out as an argument."""
_RATE_WORDS: Final = (
    r"rate[ _-]?limit(?:s|ing)?(?: (?:has been|have been|is|was|were))?"
    r" (?:exceeded|reached|hit)"
    r"|(?:exceed(?:ed|s|ing)?|reached|hit) (?:(?:the|your|our|its) )?(?:api )?rate[ _-]?limit"
    r"|rate[ _-]?limited|rate_?limit_?(?:error|exceeded)|too many requests"
    r"|(?:requests?|calls?|you|being|been|was|were|is|are) throttled|throttling_?exception"
)
_TIME_WORDS: Final = (
    r"timed[ -]out|(?:connect|read|request|gateway|socket)?timeout_?error"
    r"|(?:read|connect|write|pool)timeout|etimedout|deadline[ _-]?exceeded"
    rf"|(?:request|connection|connect|read|gateway|operation|socket) time-?out{_IS_SETTING}"
    r"|time-?out (?:exceeded|expired|reached|after|while|waiting)"
)
_FAULT_WORDS: Final = (
    r"bad gateway|service (?:is )?(?:temporarily |currently )?unavailable"
    r"|internal server error|connection (?:was )?(?:refused|reset)"
    r"|econnrefused|econnreset"
)


@functools.cache
def _status_pattern() -> re.Pattern[str]:
    """Return the pattern, compiled at the first error to keep startup fast."""
    return re.compile(_STATUS_IN_TEXT, re.ASCII | re.IGNORECASE)


@functools.cache
def _word_patterns() -> tuple[tuple[Recovery, re.Pattern[str]], ...]:
    return tuple(
        (recovery, re.compile(rf"(?<![\w-])(?:{words})(?![\w-])", re.ASCII | re.IGNORECASE))
        for recovery, words in (
            (Recovery.RATE_LIMITED, _RATE_WORDS),
            (Recovery.BACKEND_TIMEOUT, _TIME_WORDS),
            (Recovery.BACKEND_ERROR, _FAULT_WORDS),
        )
    )


def classify(result: Mapping[str, Any]) -> Verdict | None:
    """Return the kind of failure in an error result, and its HTTP status if it has one.

    Looks for an HTTP status in the structured content, in a JSON text, in `_meta`, and in the
    first `LONGEST_READ` characters of the first text; then for common words. Other numbers ("500
    items", "port 5008") are ignored. None means that no cause was recognised.
    """
    text = _text(result)
    for source in (result.get("structuredContent"), _json(text), result.get("_meta")):
        for status in _statuses(source):
            recovery = of_status(status)
            if recovery is not None:
                return recovery, status
    for match in _status_pattern().finditer(text):
        status = int(match[match.lastindex or 0])
        recovery = of_status(status)
        if recovery is not None:
            return recovery, status
    for recovery, pattern in _word_patterns():
        if pattern.search(text):
            return recovery, None
    return None


def of_status(status: int) -> Recovery | None:
    """Return the kind of failure for an HTTP status, or None if it is not specific."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return Recovery.BACKEND_ERROR if status in _SERVER_ERRORS else None


def is_backend_fault(recovery: Recovery | None) -> bool:
    """Return whether a failure counts against the backend's error budget.

    Only the backend's own errors and timeouts count. Mistakes of the caller, rate limits, rejected
    credentials and refusals by this gateway do not, nor does a server that cannot be started,
    which its supervisor handles.
    """
    return recovery in (Recovery.BACKEND_ERROR, Recovery.BACKEND_TIMEOUT)


def recovery_object(
    recovery: Recovery,
    message: str,
    suggest: str = "",
    *,
    related: Sequence[str] = (),
    status: int | None = None,
) -> dict[str, Any]:
    """Return the `recovery` object of an error result.

    Args:
      recovery: the kind of failure.
      message: what happened.
      suggest: what to do next; by default advice for the kind of failure or the status.
      related: names that may have been meant.
      status: the HTTP status reported by the backend.
    """
    if not suggest and status in _GONE:
        suggest = "the item in the arguments does not exist; look up its name or id first"
    found: dict[str, Any] = {
        "error_code": recovery.code,
        "message": message,
        "suggest": suggest or recovery.meaning,
        "retry": recovery.retry,
    }
    if related:
        found["related_tools"] = list(related)
    return found


def _text(result: Mapping[str, Any]) -> str:
    content = result.get("content")
    for block in content if isinstance(content, list) else ():
        if isinstance(block, Mapping) and isinstance(text := block.get("text"), str):
            return text[: LONGEST_READ + 1]
    return ""


def _json(text: str) -> object:
    """Return a text parsed as JSON, or None if it is not JSON or too long."""
    if len(text) > LONGEST_READ or not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _statuses(source: object, levels: int = 3) -> Iterator[int]:
    """Yield the statuses of an object, then those of the errors nested in it."""
    if isinstance(source, list):
        source = source[0] if len(source) == 1 else None
    if not isinstance(source, Mapping) or levels == 0:
        return
    for key in _STATUS_KEYS:
        value = source.get(key)
        if isinstance(value, str) and len(value) == 3 and value.isdecimal() and value.isascii():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
            yield value
    for key in _NESTED:
        inner = source.get(key)
        if isinstance(inner, Mapping):
            yield from _statuses(inner, levels - 1)
