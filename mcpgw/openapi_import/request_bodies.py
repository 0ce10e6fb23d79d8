"""Bodies of requests: JSON and forms as fields, other media types as one input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from mcpgw.capabilities.bodies import FILLER
from mcpgw.capabilities.serialization import is_json
from mcpgw.openapi_import.operations import Request, example_of
from mcpgw.openapi_import.parameter_styles import declared_style
from mcpgw.openapi_import.schemas import types_of
from mcpgw.openapi_import.texts import sentence

FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
BINARY: Final = "application/octet-stream"
JSON: Final = "application/json"
_WHOLE: Final = (
    *("anyOf", "allOf", "patternProperties", "not", "if", "then", "else", "dependentSchemas"),
    *("dependentRequired", "propertyNames"),
)
"""Keywords with which the fields of an object are not independent inputs."""
_TEXT: Final = ("xml", "yaml", "csv", "graphql", "javascript", "jsonl", "ndjson", "json-seq")
_ANY_FIELDS: Final = {"type": "object", "additionalProperties": True}
_BASE64: Final = "base64-encoded."


def preferred(content: Mapping[str, Any]) -> tuple[str, Any] | None:
    """Return the media type in which a body is sent, and its media type object."""

    def rank(kind: str) -> int:
        plain = plain_type(kind)
        if plain == "application/json":
            return 0
        if plain.endswith("+json"):
            return 1
        order = (FORM, MULTIPART, BINARY)
        return 2 + order.index(plain) if plain in order else 9

    kinds = {str(kind): media for kind, media in content.items()}
    best = min(kinds, key=rank, default=None)
    return None if best is None else (best, kinds[best])


def plain_type(kind: str) -> str:
    """Return a media type without its parameters, in lower case."""
    return kind.partition(";")[0].strip().lower()


@attrs.frozen
class BodyBuilder:
    """Adds the body of an operation to its request.

    Args:
      request: the request.
      kind: the media type.
      encoding: encoding objects by the name of the field; in Swagger 2.0 the parameters.
      swagger: whether the document is Swagger 2.0.
    """

    request: Request
    kind: str
    encoding: Mapping[str, Any] = attrs.field(factory=dict)
    swagger: bool = False

    def add(self, node: Any, *, required: bool, about: Any = None, example: Any = None) -> None:
        """Add the body.

        Args:
          node: its schema in the document.
          required: whether it is required.
          about: its description.
          example: an example of it.
        """
        request = self.request
        schema = request.schemas.resolved(node)
        kind = self._sent_as(schema)
        request.content_type = "" if kind == JSON and ";" not in self.kind else self.kind
        if "*" in self.kind:
            request.content_type = "" if kind == JSON else kind
        if (kind in (FORM, MULTIPART) or is_json(kind)) and self._is_plain_object(schema, node):
            self._fields(schema, kind, required, example)
        else:
            self._whole(schema, node, kind, required, about)
            if example is not None:
                request.examples[next(reversed(request.properties))] = example

    def _sent_as(self, schema: Mapping[str, Any]) -> str:
        """Return the media type without its parameters; a range becomes one of its types."""
        kind = plain_type(self.kind)
        if "*" in kind:
            return BINARY if _is_binary(schema) or not kind.startswith("*") else JSON
        if kind.startswith("multipart/") and kind != MULTIPART:
            self.request.notes.append(f"{kind} is not supported: the body is given as a whole")
        return kind

    def _whole(
        self, schema: dict[str, Any], node: Any, kind: str, required: bool, about: Any
    ) -> None:
        """Add the body as one input."""
        request = self.request
        text = sentence(about) or schema.get("description", "")
        base64 = False
        if kind == MULTIPART and "object" not in types_of(schema, request.schemas):
            request.notes.append("the parts of the form are not declared; any fields are sent")
            whole = dict(_ANY_FIELDS)
        elif kind in (FORM, MULTIPART):
            whole = schema or dict(_ANY_FIELDS)
        elif is_json(kind):
            whole = request.schemas.schema(node)
        else:
            base64 = not _is_text(kind, schema)
            whole = {"type": "string"}
            if base64:
                whole["contentEncoding"] = "base64"
                text = f"{text} The content, {_BASE64}".strip()
        if text:
            whole = {**whole, "description": text}
        name = "request_body" if "body" in request.properties else "body"
        key = request.input(name, whole, required, "body")
        request.body = {"$base64": f"{{{key}}}"} if base64 else f"{{{key}}}"
        if kind in (FORM, MULTIPART):
            for field, each in schema.get("properties", {}).items():
                self._style(field, each, kind)

    def _is_plain_object(self, schema: Mapping[str, Any], node: Any) -> bool:
        """Return whether each property of a body may be an input of its own."""
        properties = schema.get("properties")
        if not isinstance(properties, Mapping) or not properties:
            return False
        if any(key in schema for key in _WHOLE) or schema.get("additionalProperties"):
            return False
        followed = self.request.references.follow(node)
        if isinstance(followed, Mapping) and "discriminator" in followed:
            return False
        kinds = schema.get("type", "object")
        if "null" in (kinds if isinstance(kinds, list) else [kinds]):
            return False
        return len(properties) > 1 or not FILLER.functions.keys() & properties.keys()

    def _fields(self, schema: Mapping[str, Any], kind: str, required: bool, example: Any) -> None:
        request = self.request
        needed = schema.get("required", ())
        template: dict[str, Any] = {}
        for name, each in schema["properties"].items():
            each, filled = self._field(name, each, kind)
            key = request.input(name, each, required and name in needed, "body")
            template[name] = _with_key(filled, key)
            self._style(name, each, kind)
            if isinstance(example, Mapping) and name in example:
                request.examples[key] = example[name]
        request.body = template
        request.body_required = required and not needed

    def _field(self, name: str, node: Mapping[str, Any], kind: str) -> tuple[dict[str, Any], Any]:
        """Return the schema of a field and its template, in which `{}` is its input."""
        if kind != MULTIPART:
            return dict(node), "{}"
        schema = _not_null(self.request.schemas.lookup(node))
        if _is_binary(schema) or _is_encoded(schema):
            return self._file(name, schema, "{}")
        items = schema.get("items")
        if isinstance(items, Mapping):
            inner = _not_null(self.request.schemas.lookup(items))
            if _is_binary(inner, certain=True) or _is_encoded(inner):
                each, part = self._file(name, inner, "{item}")
                made = {"type": "array", "items": each}
                if "description" in schema:
                    made["description"] = schema["description"]
                return made, {"$each": {"in": "{}", "as": part}}
        return dict(node), "{}"

    def _file(
        self, name: str, schema: Mapping[str, Any], value: str
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        about = schema.get("description", "")
        text = f"{about} The content of the file, {_BASE64}".strip()
        made = {"type": "string", "contentEncoding": "base64", "description": text}
        kind = str(schema.get("contentMediaType", ""))
        part: dict[str, Any] = {"data": value, "name": name}
        if _is_encoded(schema):
            # The text of the field is the base64 text itself (JSON Schema, content vocabulary).
            part = {"text": value, "name": name}
            if "contentEncoding" in schema:
                headers = {"Content-Transfer-Encoding": str(schema["contentEncoding"])}
                self.request.style("body", name, {"headers": headers})
        if kind and kind != BINARY and "*" not in kind:
            part["type"] = kind
        return made, {"$file": part}

    def _style(self, name: str, schema: Mapping[str, Any], kind: str) -> None:
        """Set the serialization of a field by its encoding object."""
        if kind not in (FORM, MULTIPART):
            return
        request = self.request
        encoding = request.references.follow(self.encoding.get(name))
        encoding = encoding if isinstance(encoding, Mapping) else {}
        types = types_of(schema, request.schemas)
        made: dict[str, Any] = {}
        version = str(request.references.document.get("openapi", ""))
        styled = encoding.keys() & {"style", "explode", "allowReserved"}
        if kind == MULTIPART and version.startswith("3.0"):
            styled = set()  # only forms have styles there (OpenAPI 3.0.4, 4.7.15)
        if self.swagger or styled:
            made, note = declared_style(encoding, "body", types, swagger=self.swagger)
            if note:
                request.notes.append(f"{name[:60]}: {note}")
            if kind == MULTIPART and not made.get("style") and made.get("explode") is not False:
                made = {}
            elif kind == MULTIPART:
                made.setdefault("style", "form")
        else:
            media = _first_type(encoding.get("contentType"))
            if not media and kind == FORM and _is_object(types, schema, request):
                media = "application/json"
            if media and not (kind == FORM and not is_json(media)):
                made["content_type"] = media
        headers = encoding.get("headers")
        if kind == MULTIPART and isinstance(headers, Mapping):
            made["headers"] = {
                str(header): template
                for header, each in headers.items()
                if (template := self._header(name, str(header), each))
            }
        known = request.styles.get("body", {}).get(name, {})
        if "headers" in known:
            made["headers"] = {**known["headers"], **made.get("headers", {})}
        request.style("body", name, {key: value for key, value in made.items() if value != {}})

    def _header(self, field: str, header: str, node: Any) -> str:
        """Return the template of a header of a part, which becomes an input."""
        node = self.request.references.follow(node)
        if header.lower() == "content-type" or not isinstance(node, Mapping):
            return ""
        schema = self.request.schemas.schema(node.get("schema")) or {"type": "string"}
        about = sentence(node.get("description")) or f"The header {header} of the part {field}."
        key = self.request.input(
            f"{field}_{header}",
            {**schema, "description": about},
            node.get("required") is True,
            "part",
        )
        return f"{{{key}}}"


def _with_key(filled: Any, key: str) -> Any:
    if filled == "{}":
        return f"{{{key}}}"
    if isinstance(filled, dict):
        return {name: _with_key(each, key) for name, each in filled.items()}
    return filled


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the only alternative of a schema that is not null, or the schema itself."""
    parts = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(parts) != 1 or "type" in schema:
        return schema
    about = {key: schema[key] for key in ("description", "title") if key in schema}
    return {**parts[0], **about}


def _is_binary(schema: Mapping[str, Any], *, certain: bool = False) -> bool:
    """Return whether a schema is that of raw bytes, in the form of OpenAPI 3.0 or 3.1.

    Args:
      schema: a converted schema.
      certain: whether it must say so; by default a schema without constraints counts too.
    """
    if not certain and not schema.keys() - {"description", "title"}:
        return True
    if schema.get("format") == "binary":
        return True
    return "contentMediaType" in schema and "contentEncoding" not in schema


def _is_encoded(schema: Mapping[str, Any]) -> bool:
    """Return whether a schema is that of bytes as base64 text."""
    encoding = str(schema.get("contentEncoding", "")).lower()
    return schema.get("format") == "byte" or encoding in ("base64", "base64url")


def _is_text(kind: str, schema: Mapping[str, Any]) -> bool:
    if schema.get("format") == "binary" or "contentMediaType" in schema:
        return False
    if kind.startswith("text/") or kind.endswith(_TEXT):
        return True
    return (
        schema.get("type") == "string"
        and kind != BINARY
        and not kind.startswith(
            ("image/", "audio/", "video/", "application/zip", "application/pdf")
        )
    )


def _is_object(types: frozenset[str], schema: Mapping[str, Any], request: Request) -> bool:
    """Return whether a field is an object, or a list of objects."""
    if types == {"object"}:
        return True
    items = request.schemas.lookup(schema).get("items")
    if types != {"array"} or not isinstance(items, Mapping):
        return False
    return types_of(items, request.schemas) == {"object"}


def _first_type(value: Any) -> str:
    """Return the first media type of a list such as `image/png, image/*`, "" for ranges."""
    kinds = [each.strip() for each in str(value or "").split(",")]
    return next((each for each in kinds if each and "*" not in each), "")


def body_example(media: Any) -> Any:
    """Return the example of a media type object, None without one."""
    return example_of(media) if isinstance(media, Mapping) else None
