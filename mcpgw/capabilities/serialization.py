"""Serialization of parameters by style: path, query, header and cookie.

The styles are those of the OpenAPI parameter object (OpenAPI 3.1.1, 4.8.12.3), which follow the
expansions of RFC 6570. Members of lists and objects that are null are left out, as undefined
values are there (RFC 6570, 2.3).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import attrs

from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.styles import Serialization
from mcpgw.capabilities.templating import as_text

PLAIN: Final = Serialization()
DELIMITERS: Final[Mapping[str, str]] = {
    "spaceDelimited": " ",
    "pipeDelimited": "|",
    "tabDelimited": "\t",
}
_TRIPLE: Final = re.compile(r"(%[0-9A-Fa-f]{2})")
_RESERVED_IN_PATH: Final = ":@!$&'()*+,;="
_RESERVED_IN_QUERY: Final = ":/?@!$'()*,;="
"""Reserved characters (RFC 3986, 2.2) that cannot end a value; `[`, `]` and `#` are invalid."""
_COOKIE: Final = "!#$&'()*+-./:<=>?@[]^_`{|}~"
"""Characters of a cookie's value beside letters and digits (RFC 6265, 4.1.1), without `%`."""
_COOKIE_NAME: Final = "!#$&'*+-.^_`|~"

Encode = Callable[[str], str]


@attrs.frozen
class QueryPair:
    """A query parameter: its name, its value, and both as they are sent."""

    name: str
    value: str
    text: str

    @classmethod
    def of(cls, name: str, value: str, encode: Encode | None = None) -> QueryPair:
        """Return a pair whose name and value are percent-encoded."""
        encoded = quote(value, safe="") if encode is None else encode(value)
        return cls(name, value, f"{quote(name, safe='')}={encoded}")


def is_json(media_type: str) -> bool:
    """Return whether a media type is JSON, or has the suffix `+json`."""
    kind = media_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def content_text(value: Any, media_type: str) -> str:
    """Return a value as text of a media type: JSON text, or the text of the value."""
    if is_json(media_type):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return as_text(value)


def is_empty(value: Any) -> bool:
    """Return whether nothing is sent for a value: null, or a list or object without members."""
    if value is None:
        return True
    if isinstance(value, Mapping):
        return all(each is None for each in value.values())
    return isinstance(value, (list, tuple)) and all(each is None for each in value)


def path_text(name: str, value: Any, how: Serialization = PLAIN) -> str:
    """Return the text of a path parameter, percent-encoded.

    Args:
      name: name of the parameter, which the style `matrix` writes.
      value: its value.
      how: its style: `simple` by default, `label` or `matrix`.

    Raises:
      CallProblem: the value has no members.
    """
    if is_empty(value):
        raise CallProblem(f"{name} is part of the URL and must not be empty.")

    def encode(text: str) -> str:
        return _reserved(text, _RESERVED_IN_PATH) if how.allow_reserved else quote(text, safe="")

    if how.content_type:
        return encode(content_text(value, how.content_type))
    if delimiter := DELIMITERS.get(how.style):
        return encode(delimiter.join(_checked(_flat(value), delimiter)))
    if how.style == "label":
        return "." + _joined(value, how, encode, "." if how.explode else ",")
    if how.style == "matrix":
        return _matrix(how.name or name, value, how, encode)
    return _joined(value, how, encode, ",")


def header_text(value: Any, how: Serialization = PLAIN) -> str:
    """Return the text of a header, in the style `simple`.

    A comma within a member of a list or object is percent-encoded, since it would add a member.
    """
    if how.content_type:
        return content_text(value, how.content_type)
    if not isinstance(value, (Mapping, list, tuple)):
        return as_text(value)
    if delimiter := DELIMITERS.get(how.style):
        return delimiter.join(_checked(_flat(value), delimiter))
    return _joined(value, how, lambda text: text.replace(",", "%2C"), ",")


def query_pairs(name: str, value: Any, how: Serialization = PLAIN) -> list[QueryPair]:
    """Return the pairs of a query parameter, or of a field of a form.

    Args:
      name: its name.
      value: its value.
      how: its style: `form` by default, which is exploded unless `explode` is false.

    Raises:
      CallProblem: a member contains the delimiter of its style.
    """
    if is_empty(value):
        return []

    def encode(text: str) -> str:
        return _reserved(text, _RESERVED_IN_QUERY) if how.allow_reserved else quote(text, safe="")

    if how.style == "querystring":
        return _query_string(name, value, how)
    if how.content_type:
        return [QueryPair.of(name, content_text(value, how.content_type), encode)]
    if not isinstance(value, (Mapping, list, tuple)):
        return [QueryPair.of(name, as_text(value), encode)]
    if how.style in ("deepObject", "brackets"):
        return [QueryPair.of(key, text, encode) for key, text in flattened(name, value)]
    style = how.style or "form"
    exploded = style == "form" if how.explode is None else how.explode
    if exploded:
        return [QueryPair.of(key, text, encode) for key, text in _members(name, value)]
    if delimiter := DELIMITERS.get(style):
        # The delimiter is percent-encoded as well, since it is not allowed in a URL.
        text = delimiter.join(_checked(_flat(value), delimiter))
        return [QueryPair.of(name, text, encode)]
    texts = list(_flat(value))
    joined = ",".join(encode(each).replace(",", "%2C") for each in texts)
    return [QueryPair(name, ",".join(texts), f"{quote(name, safe='')}={joined}")]


def cookie_pairs(name: str, value: Any, how: Serialization = PLAIN) -> list[str]:
    """Return the `name=value` pairs of a cookie parameter.

    Exploded lists and objects become a cookie for each member, since `&` does not separate
    cookies (OpenAPI 3.2.0, appendix D). Characters that a cookie cannot hold (RFC 6265, 4.1.1)
    are percent-encoded; the style `cookie` encodes nothing and refuses them.

    Raises:
      CallProblem: a value in the style `cookie` contains a character that a cookie cannot hold.
    """
    if is_empty(value):
        return []

    def encode(text: str) -> str:
        encoded = quote(text, safe=_COOKIE)
        if how.style == "cookie":
            if quote(text, safe=f"{_COOKIE}%,") != text:
                raise CallProblem(f"the cookie {name} must not contain {text!r:.60}.")
            return text
        return encoded

    label = quote(name, safe=_COOKIE_NAME)
    if how.content_type:
        return [f"{label}={encode(content_text(value, how.content_type))}"]
    if not isinstance(value, (Mapping, list, tuple)):
        return [f"{label}={encode(as_text(value))}"]
    if how.explode is not False:
        return [
            f"{quote(key, safe=_COOKIE_NAME)}={encode(text)}" for key, text in _members(name, value)
        ]
    return [f"{label}={','.join(map(encode, _flat(value)))}"]


def flattened(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield the fields of a form: maps as `a[b]`, lists as `a[]`, lists of maps as `a[0][b]`."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flattened(f"{name}[{key}]", inner)
    elif isinstance(value, (list, tuple)):
        plain = not any(isinstance(inner, (Mapping, list, tuple)) for inner in value)
        for index, inner in enumerate(value):
            yield from flattened(f"{name}[{'' if plain else index}]", inner)
    elif value is not None:
        yield name, as_text(value)


def _members(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield the members of an exploded value: items by its name, properties by their own."""
    if isinstance(value, Mapping):
        found = ((str(key), each) for key, each in value.items())
    else:
        found = ((name, each) for each in value)
    return ((key, as_text(each)) for key, each in found if each is not None)


def _flat(value: Any) -> Iterator[str]:
    """Yield the members of a value that is not exploded: items, or keys and values in turn."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            if each is not None:
                yield str(key)
                yield as_text(each)
    elif isinstance(value, (list, tuple)):
        yield from (as_text(each) for each in value if each is not None)
    else:
        yield as_text(value)


def _joined(value: Any, how: Serialization, encode: Encode, separator: str) -> str:
    if isinstance(value, Mapping) and how.explode:
        pairs = _members("", value)
        return separator.join(f"{encode(key)}={encode(text)}" for key, text in pairs)
    return separator.join(map(encode, _flat(value)))


def _matrix(name: str, value: Any, how: Serialization, encode: Encode) -> str:
    label = quote(name, safe="")
    if how.explode and isinstance(value, (Mapping, list, tuple)):
        pairs = [(quote(key, safe=""), encode(text)) for key, text in _members(name, value)]
        return "".join(f";{key}={text}" if text else f";{key}" for key, text in pairs)
    text = ",".join(map(encode, _flat(value)))
    return f";{label}={text}" if text else f";{label}"


def _query_string(name: str, value: Any, how: Serialization) -> list[QueryPair]:
    """Return a value that is the whole query (OpenAPI 3.2.0, `in: querystring`)."""
    kind = how.content_type.partition(";")[0].strip().lower()
    if isinstance(value, Mapping) and kind == "application/x-www-form-urlencoded":
        return [pair for key, each in value.items() for pair in query_pairs(str(key), each)]
    if kind == "application/x-www-form-urlencoded":
        text = as_text(value)
        return [QueryPair(name, text, _reserved(text, f"{_RESERVED_IN_QUERY}&+"))]
    text = content_text(value, how.content_type)
    return [QueryPair(name, text, quote(text, safe=""))]


def _checked(texts: Iterator[str], delimiter: str) -> Iterator[str]:
    for text in texts:
        if delimiter in text:
            raise CallProblem(
                f"{text!r:.60} must not contain {delimiter!r}, which separates the items of a list."
            )
        yield text


def _reserved(text: str, safe: str) -> str:
    """Percent-encode a text except for reserved characters and triples (RFC 6570, 3.2.3)."""
    parts = _TRIPLE.split(text)
    return "".join(
        part if place % 2 else quote(part, safe=safe) for place, part in enumerate(parts)
    )
