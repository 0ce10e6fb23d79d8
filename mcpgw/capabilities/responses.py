"""Responses of APIs: parsing, selecting parts, and conversion to the content of a tool result."""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING, Any, Final

import attrs

from mcpgw.capabilities.errors import CallProblem
from mcpgw.config.json_path import is_digit_key, parse_path, resolve

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from mcpgw.capabilities.http_sender import HttpResponse

DEEPEST: Final = 200
"""Levels of nested XML elements."""


@attrs.frozen
class Blob:
    """Bytes and their media type."""

    data: bytes = attrs.field(repr=False)
    type: str
    as_json: bool = False
    """Return them as base64 in JSON, for scripts, instead of as a resource."""


def parse_response(response: HttpResponse, form: str) -> Any:
    """Parse a response as a JSON value, text or bytes.

    Args:
      response: the response.
      form: `json`, `xml`, `text`, `binary`, `resource`, or `auto` to decide by the media type.

    Raises:
      CallProblem: the response does not have this form.
    """
    kind = response.kind
    asked, form = form, _form_of(kind, response.content) if form == "auto" else form
    if form in ("binary", "resource"):
        return Blob(response.content, kind or "application/octet-stream", asked == "binary")
    if form == "text":
        return response.text()
    if form == "xml":
        return read_xml(response.content)
    if not response.content.strip():
        return None
    try:
        try:
            return load_json(response.content)
        except UnicodeDecodeError:
            return load_json(response.text())
    except (ValueError, RecursionError):
        start = response.text().strip()[:120]
        raise CallProblem(
            f"The response is not valid JSON ({kind or 'no media type'}); it begins: {start}",
            sent=True,
        ) from None


def load_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Some APIs write NaN, Infinity and numbers out of range, which JSON cannot represent. They are
    read as null, as `JSON.stringify` writes them (ECMA-262).

    Raises:
      ValueError: it is not JSON.
      RecursionError: it is nested too deeply.
    """
    return json.loads(text, parse_constant=lambda _word: None, parse_float=_finite)


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _form_of(kind: str, content: bytes) -> str:
    if kind == "application/json" or kind.endswith("+json"):
        return "json"
    if kind in ("application/xml", "text/xml") or kind.endswith("+xml"):
        return "binary" if kind.startswith("image/") else "xml"
    if kind.startswith(("image/", "audio/", "video/")) or kind in (
        *("application/octet-stream", "application/pdf", "application/zip"),
    ):
        return "binary"
    if content.lstrip()[:1] in (b"{", b"["):
        try:
            json.loads(content)
        except (ValueError, RecursionError):
            return "text"
        return "json"
    if not content.strip():
        return "text" if kind else "json"
    if b"\0" in content[:1024] or not (kind.startswith("text/") or _is_utf8(content)):
        return "binary"
    return "text"


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def read_xml(content: bytes) -> Any:
    """Parse XML as nested objects, without the root element.

    Names are without namespaces, attributes are `@name`, text beside other content is `#text`,
    and repeated elements are lists.

    Raises:
      CallProblem: it is not XML, is nested too deeply, or declares entities, which may expand
        without limit.
    """
    from xml.etree import ElementTree

    if b"<!ENTITY" in content or b"<!entity" in content:
        raise CallProblem("XML with entity declarations is refused.")
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 - entities are refused above
    except ElementTree.ParseError as error:
        raise CallProblem(f"The response is not valid XML: {error}.", sent=True) from None
    return _element(root, 0)


def _element(element: Element, depth: int) -> Any:
    if depth > DEEPEST:
        raise CallProblem("The response is XML that is nested too deeply.")
    found: dict[str, Any] = {f"@{_local(k)}": v for k, v in element.attrib.items()}
    for child in element:
        name, value = _local(child.tag), _element(child, depth + 1)
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    text = (element.text or "").strip()
    if not found:
        return text
    if text:
        found["#text"] = text
    return found


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def pick(value: Any, path: str) -> Any:
    """Return the part of a response at a path, None if it is missing.

    `$` is the whole response; `a.0.b` is the same as `a[0].b`.
    """
    path = path.removeprefix("$").removeprefix(".")
    if not path:
        return value
    parsed = parse_path(path)
    if any(is_digit_key(step) for step in parsed.steps):
        return resolve(value, parsed.steps, digit_keys=True)
    return parsed.pick(value)


def content_blocks(value: Any, uri: str) -> list[dict[str, Any]]:
    """Return a value as content blocks of a tool result (MCP 2025-11-25, tools).

    Bytes become an image, audio, an embedded resource or base64 in JSON; text stays as it is;
    anything else becomes compact JSON.
    """
    if isinstance(value, Blob):
        data = base64.b64encode(value.data).decode()
        for kind in ("image", "audio"):
            if value.type.startswith(f"{kind}/"):
                return [{"type": kind, "data": data, "mimeType": value.type}]
        if value.as_json:
            text = compact({"data": data, "mime_type": value.type, "size": len(value.data)})
            # Not for a model, so that it is not split into pages: base64 is useless in parts.
            return [{"type": "text", "text": text, "annotations": {"audience": ["user"]}}]
        resource = {"uri": uri, "mimeType": value.type, "blob": data}
        return [{"type": "resource", "resource": resource}]
    text = value if isinstance(value, str) else compact(value)
    return [{"type": "text", "text": text}]


def compact(value: Any) -> str:
    """Return a value as JSON in one line, without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
