"""Error messages of APIs: everything that a response says about a failure, bounded and in one line.

An API explains an error in its own form: a message, a list of fields, `details` (Google),
`invalid-params` (RFC 9457), XML or a web page. The message comes first, the rest follows as
compact JSON.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.responses import compact, load_json, pick, read_xml

if TYPE_CHECKING:
    from mcpgw.capabilities.http_sender import HttpResponse

LONGEST: Final = 1000
"""Characters of an error message."""
LONGEST_VALUE: Final = 300
"""Characters of one string in it."""
MOST_ITEMS: Final = 20
"""Items of a list, or keys of an object, in it."""
DEEPEST: Final = 6
READ: Final = 64 * 1024
"""Characters of a body that are read."""
MESSAGE_PATHS: Final = (
    *("error.message", "message", "error_description", "error.msg", "errormessage", "msg"),
    *("detail", "title", "fault.faultstring", "error.error", "error", "reason", "description"),
)
"""Paths of messages, in lower case, most specific first."""
_FIRST: Final = ("errors", "error", "details", "detail", "invalid-params", "fields", "violations")
"""Keys that explain an error; they come first, so that cutting a long text keeps them."""
_NOISE: Final = ("trace", "stack", "stacktrace", "stack_trace", "exception", "backtrace")
_HTML: Final = re.compile(
    r"(?i)<!doctype html|</?(?:html|head|body|title|div|span|p|a|br|hr|h[1-6]|ul|ol|li|table|tr|td"
    r"|center|pre|code|b|i|em|strong|script|style|img|font)(?:\s[^<>]*)?/?>"
)
_ANY_TAG: Final = re.compile(r"<[A-Za-z/!?][^<>]*(?:>|\Z)")
_UNSEEN: Final = re.compile(
    r"(?is)<(script|style|svg|noscript)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)"
)

Redact = Callable[[Any], Any]
"""Returns a JSON value without secrets."""


def explanation(response: HttpResponse, redact: Redact = lambda value: value) -> str:
    """Return what an error response says, in one line, "" if it says nothing.

    Args:
      response: the response.
      redact: removes secrets; it is applied before the text is cut, which could cut a secret.
    """
    text = response.text()[: 16 * READ]
    try:
        data = load_json(text)
    except (ValueError, RecursionError):
        data = _xml(response, text)
    if isinstance(data, (Mapping, list)):
        return explained(redact(data))
    return _clipped(_plain(redact(text[:READ])), LONGEST)


def explained(data: Any, path: str = "") -> str:
    """Return the error message in JSON data, with the rest of the data as compact JSON.

    Args:
      data: the data, without secrets.
      path: path of the message; by default it is looked for at the usual places.
    """
    if isinstance(data, str):
        return _clipped(_plain(data), LONGEST)
    if isinstance(data, list) and len(data) == 1 and not path:
        data = data[0]
    place, message = _message(data, path)
    rest = _trimmed(_without(data, place) if place else data)
    text = _clipped(message, LONGEST)
    if rest not in (None, "", {}, []):
        more = compact(rest)
        room = LONGEST - len(text) - 1
        text = f"{text} {_clipped(more, room)}".strip() if room > 40 else text
    return text


def _message(data: Any, path: str) -> tuple[tuple[str, ...], str]:
    """Return the keys of the message and the message; both empty without one."""
    if path:
        found = pick(data, path)
        if found not in (None, "", [], {}):
            text = found if isinstance(found, str) else compact(_trimmed(found))
            keys = tuple(path.removeprefix("$").removeprefix(".").split("."))
            return keys, _plain(text)
    for each in MESSAGE_PATHS:
        keys, found = _look_up(data, tuple(each.split(".")))
        if isinstance(found, str) and found.strip():
            return keys, _plain(found)
    return (), ""


def _look_up(data: Any, keys: tuple[str, ...]) -> tuple[tuple[str, ...], Any]:
    """Follow keys, ignoring case; return the keys as they are written, and the value."""
    written: list[str] = []
    for key in keys:
        if not isinstance(data, Mapping):
            return (), None
        own = next((each for each in data if isinstance(each, str) and each.lower() == key), None)
        if own is None:
            return (), None
        written.append(own)
        data = data[own]
    return tuple(written), data


def _without(data: Any, keys: tuple[str, ...]) -> Any:
    if not keys or not isinstance(data, Mapping):
        return data
    first, rest = keys[0], keys[1:]
    if not rest:
        return {key: value for key, value in data.items() if key != first}
    return {k: _without(v, rest) if k == first else v for k, v in data.items()}


def _trimmed(value: Any, depth: int = 0) -> Any:
    """Return data without empty parts and stack traces, with bounded strings and lists."""
    if isinstance(value, str):
        return _clipped(_plain(value), LONGEST_VALUE)
    if depth >= DEEPEST and isinstance(value, (Mapping, list)):
        return "…"
    if isinstance(value, Mapping):
        return {
            str(key): inner
            for key, each in sorted(value.items(), key=_rank)[:MOST_ITEMS]
            if str(key).lower() not in _NOISE
            and (inner := _trimmed(each, depth + 1)) not in (None, "", {}, [])
        }
    if isinstance(value, list):
        items = [_trimmed(each, depth + 1) for each in value[:MOST_ITEMS]]
        return [each for each in items if each not in (None, "", {}, [])]
    return value


def _rank(item: tuple[Any, Any]) -> int:
    return 0 if str(item[0]).lower() in _FIRST else 1


def _plain(text: str) -> str:
    """Return a text in one line, without markup and control characters."""
    if _HTML.search(text):
        text = "".join(_visible(text[:READ]))
    text = "".join(sign if sign.isprintable() or sign.isspace() else " " for sign in text[:READ])
    return " ".join(text.split())


def _visible(text: str) -> Iterator[str]:
    """Yield the visible text of a web page, its title first."""
    title = re.search(r"(?is)<title[^>]*>(.*?)</title\s*>", text)
    head = html.unescape(_ANY_TAG.sub(" ", title[1])).strip() if title else ""
    body = re.sub(r"(?is)<head\b.*?</head\s*>", " ", text)
    body = html.unescape(_ANY_TAG.sub(" ", _UNSEEN.sub(" ", body)))
    if head and head not in body:
        yield f"{head}: "
    yield body


def _clipped(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def _xml(response: HttpResponse, text: str) -> Any:
    head = text.lstrip()[:200].lower()
    if "html" in response.kind or "<html" in head or not head.startswith("<"):
        return None
    if not head.startswith("<?xml") and "xml" not in response.kind:
        return None
    try:
        return read_xml(response.content[:READ])
    except (CallProblem, ValueError):
        return None
