"""From the bytes of an answer to the result of a tool."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from mcpgw.capabilities.errors import CallProblem
from mcpgw.config.json_path import is_digit_key, parse_path, resolve

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from mcpgw.capabilities.http_sender import HttpAnswer

SHOWN_OF_ERROR: Final = 500
"""Characters of an error answer that are shown."""
DEEPEST: Final = 200


@attrs.frozen
class Blob:
    """Bytes, and what they are."""

    data: bytes = attrs.field(repr=False)
    type: str
    as_json: bool = False
    """Given as base64 within JSON, for scripts, rather than as a resource."""


def read_answer(answer: HttpAnswer, form: str) -> Any:
    """Return an answer as a JSON value, as text, or as bytes.

    Args:
      answer: what came.
      form: `json`, `xml`, `text`, `binary`, `resource`, or `auto` for what its media type says.

    Raises:
      CallProblem: it cannot be read in this form.
    """
    kind = answer.kind
    asked, form = form, _form_of(kind, answer.content) if form == "auto" else form
    if form in ("binary", "resource"):
        return Blob(answer.content, kind or "application/octet-stream", asked == "binary")
    if form == "text":
        return answer.text()
    if form == "xml":
        return read_xml(answer.content)
    if not answer.content.strip():
        return None
    try:
        return json.loads(answer.content)
    except (ValueError, RecursionError):
        start = answer.text().strip()[:120]
        raise CallProblem(
            f"The answer is not JSON ({kind or 'no media type'}); it begins: {start}", sent=True
        ) from None


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
    """Return XML as a tree of objects: local names, attributes as `@name`, text as `#text`,
    repeated children as lists; a single root element is unwrapped.

    Raises:
      CallProblem: it is not XML, or declares entities, which could grow without end.
    """
    from xml.etree import ElementTree

    if b"<!ENTITY" in content or b"<!entity" in content:
        raise CallProblem("The answer is XML with entities of its own, which is refused.")
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 - entities are refused above
    except ElementTree.ParseError as error:
        raise CallProblem(f"The answer is not XML: {error}.", sent=True) from None
    return _element(root, 0)


def _element(element: Element, depth: int) -> Any:
    if depth > DEEPEST:
        raise CallProblem("The answer is XML that is nested too deep.")
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
    """Return the part of an answer that a path leads to; None where there is nothing.

    `$` is the whole; `a.0.b` is the same as `a[0].b`.
    """
    path = path.removeprefix("$").removeprefix(".")
    if not path:
        return value
    parsed = parse_path(path)
    if any(is_digit_key(step) for step in parsed.steps):
        return resolve(value, parsed.steps, digit_keys=True)
    return parsed.pick(value)


def error_text(answer: HttpAnswer) -> str:
    """Return what an error answer says, in one line."""
    text = answer.text()
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    if isinstance(data, Mapping):
        for path in ("error.message", "message", "error_description", "detail", "title", "error"):
            said = pick(data, path)
            if isinstance(said, str) and said.strip():
                return said.strip()[:SHOWN_OF_ERROR]
    if answer.kind == "text/html":
        return ""
    return " ".join(text.split())[:SHOWN_OF_ERROR]


def content_blocks(value: Any, uri: str) -> list[dict[str, Any]]:
    """Return a value as MCP content (2025-11-25, tools, tool results): bytes as image, audio, an
    embedded resource or base64 in JSON, text as it is, all else as compact JSON."""
    if isinstance(value, Blob):
        data = base64.b64encode(value.data).decode()
        for kind in ("image", "audio"):
            if value.type.startswith(f"{kind}/"):
                return [{"type": kind, "data": data, "mimeType": value.type}]
        if value.as_json:
            text = compact({"data": data, "mime_type": value.type, "size": len(value.data)})
            # No model can read it, so it is whole: pages of base64 are of use to nobody.
            return [{"type": "text", "text": text, "annotations": {"audience": ["user"]}}]
        resource = {"uri": uri, "mimeType": value.type, "blob": data}
        return [{"type": "resource", "resource": resource}]
    text = value if isinstance(value, str) else compact(value)
    return [{"type": "text", "text": text}]


def compact(value: Any) -> str:
    """Write a JSON value in one line, without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
