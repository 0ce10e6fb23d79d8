"""Bodies of requests: functions of templates such as `$each`, and encoding by media type."""

from __future__ import annotations

import base64
import binascii
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import attrs

from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.templating import (
    MISSING,
    Filler,
    Inputs,
    Missing,
    Placeholder,
    Values,
    as_text,
)

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
_UNSAFE_NAME: Final = re.compile(r'[\x00-\x1f\x7f"\\]')


@attrs.frozen
class FilePart:
    """A file in a body: its bytes, or the URL to fetch them from."""

    data: bytes | None
    url: str
    name: str
    type: str


@attrs.frozen
class Body:
    """The bytes of a body and its media type; None without a body."""

    content: bytes | None = None
    type: str = ""


@attrs.frozen
class _ItemValues:
    """The values of an outer template, with one more input named `item`."""

    outer: Values
    item: Any

    def input(self, placeholder: Placeholder) -> Any:
        if placeholder.root == "item":
            return Inputs({"item": self.item}, self.outer.secret).input(placeholder)
        return self.outer.input(placeholder)

    def secret(self, reference: str) -> str | Missing:
        return self.outer.secret(reference)


def _each(template: Any, values: Values) -> Any:
    items = FILLER.fill(template.get("in"), values)
    if isinstance(items, Missing):
        return MISSING
    if not isinstance(items, list):
        items = [items]
    made = [FILLER.fill(template.get("as"), _ItemValues(values, item)) for item in items]
    return [each for each in made if not isinstance(each, Missing)]


def _email(template: Any, values: Values) -> Any:
    from email.message import EmailMessage
    from email.policy import SMTP

    filled = FILLER.fill(template, values)
    if isinstance(filled, Missing):
        return MISSING
    message = EmailMessage(policy=SMTP)
    for name in ("to", "cc", "bcc", "subject", "from", "reply_to"):
        value = filled.get(name)
        if value in (None, "", []):
            continue
        text = ", ".join(map(as_text, value)) if isinstance(value, list) else as_text(value)
        if "\r" in text or "\n" in text:
            raise CallProblem(f"'{name}' of an e-mail must not contain a line break.")
        try:
            message[name.replace("_", "-").title()] = text
        except (ValueError, LookupError, AttributeError):  # raised by the parser of addresses
            raise CallProblem(f"'{name}' of an e-mail cannot be parsed: {text[:80]!r}.") from None
    body, html = as_text(filled.get("body", "")), filled.get("html")
    message.set_content(body, subtype="html" if html is True or html == "true" else "plain")
    if isinstance(html, str) and html not in ("true", "false"):
        message.add_alternative(html, subtype="html")
    return base64.urlsafe_b64encode(message.as_bytes()).decode().rstrip("=")


def _decode(text: str) -> bytes:
    try:
        plain = text.strip()
        plain += "=" * (-len(plain) % 4)
        return base64.b64decode(plain.replace("-", "+").replace("_", "/"), validate=True)
    except (ValueError, binascii.Error):
        raise CallProblem("the value of `$base64` or `$file` must be base64.") from None


def _base64(template: Any, values: Values) -> Any:
    text = FILLER.fill(template, values)
    return text if isinstance(text, Missing) else _decode(as_text(text))


def _json(template: Any, values: Values) -> Any:
    value = FILLER.fill(template, values)
    return value if isinstance(value, Missing) else json.dumps(value, ensure_ascii=False)


def _number(template: Any, values: Values) -> Any:
    value = FILLER.fill(template, values)
    if isinstance(value, (Missing, int, float)):
        return value
    try:
        found = json.loads(as_text(value))
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not math.isfinite(found):
        raise CallProblem(f"{as_text(value)!r:.60} must be a number.")
    return found


def _file(template: Any, values: Values) -> Any:
    filled = FILLER.fill(template, values)
    if isinstance(filled, Missing) or not ("url" in filled or "data" in filled):
        return MISSING
    url = as_text(filled.get("url", ""))
    data = filled.get("data")
    content = data if isinstance(data, bytes) or data is None else _decode(as_text(data))
    name = as_text(filled.get("name") or url.partition("?")[0].rpartition("/")[2] or "file")
    return FilePart(
        None if url and content is None else content,
        url,
        _UNSAFE_NAME.sub("_", name)[:200],
        as_text(filled.get("type", "application/octet-stream")),
    )


FILLER: Final = Filler(
    {
        "$each": _each,
        "$email": _email,
        "$base64": _base64,
        "$json": _json,
        "$number": _number,
        "$file": _file,
    }
)


def encode_query(pairs: Mapping[str, Any], style: str) -> list[tuple[str, str]]:
    """Return query parameters as pairs; maps are written as `a[b]=c`.

    Args:
      pairs: the parameters by name.
      style: how lists are written: `repeat`, `comma`, `brackets` or `json`.
    """
    found: list[tuple[str, str]] = []
    for name, value in pairs.items():
        if isinstance(value, list) and style != "json":
            texts = [as_text(item) for item in value]
            if style == "comma":
                found.append((name, ",".join(texts)))
            else:
                key = f"{name}[]" if style == "brackets" else name
                found += [(key, text) for text in texts]
        elif isinstance(value, Mapping) and style != "json":
            found += flattened(name, value)
        else:
            found.append((name, as_text(value)))
    return found


def flattened(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield the fields of a form: maps as `a[b]`, lists as `a[]`, lists of maps as `a[0][b]`."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flattened(f"{name}[{key}]", inner)
    elif isinstance(value, (list, tuple)):
        plain = not any(isinstance(inner, (Mapping, list, tuple)) for inner in value)
        for index, inner in enumerate(value):
            yield from flattened(f"{name}[{'' if plain else index}]", inner)
    else:
        yield name, as_text(value)


def encode_pairs(pairs: list[tuple[str, str]]) -> str:
    """Return pairs as a query, with spaces as `%20`, which all servers understand."""
    return urlencode(pairs, quote_via=quote, safe="")


def encode_body(value: Any, content_type: str) -> Body:
    """Encode a filled template of a body by its media type, which is JSON if not given.

    Raises:
      CallProblem: the body contains a value that its media type cannot hold.
    """
    kind = content_type.partition(";")[0].strip().lower() or JSON
    if isinstance(value, Missing):
        return Body()
    if kind == FORM:
        if isinstance(value, str):
            return Body(value.encode(), content_type or FORM)
        pairs = [pair for name, inner in dict(value).items() for pair in flattened(name, inner)]
        return Body(urlencode(pairs).encode(), content_type or FORM)
    if kind == MULTIPART:
        return _multipart(value)
    if isinstance(value, bytes):
        return Body(value, content_type)
    if kind == JSON or kind.endswith("+json"):
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_as_base64)
        return Body(text.encode(), content_type or JSON)
    return Body(as_text(value).encode(), content_type)


def _as_base64(value: Any) -> str:
    """Return bytes, which JSON cannot hold, as base64."""
    data = value.data if isinstance(value, FilePart) else value
    if not isinstance(data, bytes):
        raise CallProblem("a file is only supported in multipart/form-data.")
    return base64.b64encode(data).decode()


def files_of(value: Any) -> Iterator[FilePart]:
    """Yield the files of a filled template whose bytes must still be fetched."""
    if isinstance(value, FilePart):
        if value.data is None:
            yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from files_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from files_of(inner)


def with_files(value: Any, fetched: Mapping[str, tuple[bytes, str]]) -> Any:
    """Return a filled template with the fetched files, given as bytes and media type by URL."""
    if isinstance(value, FilePart) and value.data is None:
        data, kind = fetched[value.url]
        generic = value.type == "application/octet-stream"
        return attrs.evolve(value, data=data, type=kind if generic and kind else value.type)
    if isinstance(value, Mapping):
        return {key: with_files(inner, fetched) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_files(inner, fetched) for inner in value]
    return value


def _multipart(value: Any) -> Body:
    """Encode multipart/form-data (RFC 7578)."""
    boundary = f"mcpgw-{os.urandom(12).hex()}"
    pieces: list[bytes] = []
    for name, inner in dict(value).items():
        for each in inner if isinstance(inner, list) else [inner]:
            label = _UNSAFE_NAME.sub("_", name)
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="{label}"'
            if isinstance(each, FilePart):
                kind = re.sub(r"[\x00-\x1f\x7f]", "", each.type)
                head += f'; filename="{each.name}"\r\nContent-Type: {kind}'
                content = each.data or b""
            elif isinstance(each, bytes):
                head += '; filename="file"\r\nContent-Type: application/octet-stream'
                content = each
            else:
                content = as_text(each).encode()
            pieces += [head.encode(), b"\r\n\r\n", content, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    return Body(b"".join(pieces), f"{MULTIPART}; boundary={boundary}")
