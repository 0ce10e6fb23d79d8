"""Encoding of filled templates as request bodies: JSON, forms, multipart, bytes and text."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

from mcpgw.capabilities.bodies import UNSAFE_NAME, FilePart
from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.serialization import (
    QueryPair,
    content_text,
    flattened,
    is_json,
    query_pairs,
)
from mcpgw.capabilities.styles import NOTHING, Serialization
from mcpgw.capabilities.templating import Missing, as_text

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
BINARY: Final = "application/octet-stream"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


@attrs.frozen
class Body:
    """The bytes of a body and its media type; None without a body."""

    content: bytes | None = None
    type: str = ""


@attrs.frozen
class Field:
    """The form in which a field is sent, and the filled headers of its part."""

    how: Serialization
    headers: Mapping[str, str] = NOTHING


Fields = Mapping[str, Field]


def encode_body(
    value: Any, content_type: str, fields: Fields = NOTHING, *, required: bool = False
) -> Body:
    """Encode a filled template of a body by its media type, which is JSON if not given.

    Args:
      value: the filled template.
      content_type: the media type.
      fields: fields of a form or multipart body whose form is declared, by name.
      required: whether a body without a value is sent empty, `{}` for JSON.

    Raises:
      CallProblem: the body contains a value that its media type cannot hold.
    """
    kind = content_type.partition(";")[0].strip().lower() or JSON
    json_body = is_json(kind)
    if isinstance(value, Missing) or (value is None and not json_body):
        if not required:
            return Body()
        value = {} if json_body or kind in (FORM, MULTIPART) else b""
    if kind == FORM:
        if isinstance(value, str):
            return Body(value.encode(), content_type or FORM)
        pairs = [
            pair
            for name, inner in _mapping(value, kind).items()
            for pair in _form_pairs(name, inner, fields.get(name))
        ]
        text = "&".join(pair.text for pair in pairs).replace("%20", "+")
        return Body(text.encode(), content_type or FORM)
    if kind == MULTIPART:
        return _multipart(_mapping(value, kind), fields)
    if isinstance(value, bytes):
        return Body(value, content_type)
    if json_body:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_as_base64)
        return Body(text.encode(), content_type or JSON)
    return Body(as_text(value).encode(), content_type)


def _mapping(value: Any, kind: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise CallProblem(f"the body must be an object of fields, as {kind} requires.")
    return value


def _form_pairs(name: str, value: Any, field: Field | None) -> list[QueryPair]:
    """Return the pairs of a field; without a declared form, lists are repeated keys."""
    if field is not None:
        kind = field.how.content_type
        if kind and isinstance(value, (list, tuple)):
            return [pair for each in value for pair in query_pairs(name, each, field.how)]
        return query_pairs(name, value, field.how)
    flat = isinstance(value, (list, tuple)) and not any(
        isinstance(each, (Mapping, list, tuple)) for each in value
    )
    if isinstance(value, Mapping) or not flat:
        return [QueryPair.of(key, text) for key, text in flattened(name, value)]
    return query_pairs(name, value)


def _as_base64(value: Any) -> str:
    """Return bytes, which JSON cannot hold, as base64."""
    data = value.data if isinstance(value, FilePart) else value
    if not isinstance(data, bytes):
        raise CallProblem("a file is only supported in multipart/form-data.")
    return base64.b64encode(data).decode()


def _multipart(value: Mapping[str, Any], fields: Fields) -> Body:
    """Encode multipart/form-data (RFC 7578); each item of a list is a part."""
    boundary = f"mcpgw-{os.urandom(12).hex()}"
    pieces: list[bytes] = []
    for name, inner in value.items():
        field = fields.get(name)
        if field is not None and field.how.style and not field.how.content_type:
            for pair in query_pairs(name, inner, field.how):
                pieces += _part(boundary, pair.name, pair.value, field)
            continue
        for each in inner if isinstance(inner, (list, tuple)) else [inner]:
            if each is not None:
                pieces += _part(boundary, name, each, field)
    pieces.append(f"--{boundary}--\r\n".encode())
    return Body(b"".join(pieces), f"{MULTIPART}; boundary={boundary}")


def _part(boundary: str, name: str, value: Any, field: Field | None) -> list[bytes]:
    declared = field.how.content_type if field is not None else ""
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{UNSAFE_NAME.sub("_", name)}"'
    kind = declared
    if isinstance(value, FilePart):
        head += f'; filename="{value.name}"'
        kind = value.type if value.type != BINARY or not declared else declared
        content = value.data or b""
    elif isinstance(value, bytes):
        head += '; filename="file"'
        kind = declared or BINARY
        content = value
    elif isinstance(value, (Mapping, list, tuple)):
        kind = declared or JSON
        content = content_text(value, JSON).encode()
    else:
        content = content_text(value, declared).encode()
    if kind:
        head += f"\r\nContent-Type: {_CONTROL.sub('', kind)}"
    for header, text in (field.headers if field is not None else NOTHING).items():
        head += f"\r\n{header}: {text}"
    return [head.encode(), b"\r\n\r\n", content, b"\r\n"]
