"""Requests and responses of operations, as templates and JSON Schemas."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

from mcpgw.openapi_import.schemas import References, Schemas
from mcpgw.openapi_import.texts import sentence

_INPUT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*")
_PLACE: Final = re.compile(r"\{([^{}]+)\}")
_NOT_PARAMETERS: Final = ("accept", "content-type", "authorization")
"""Headers that must be ignored as parameters (OpenAPI 3.1, parameter object)."""
FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
BINARY: Final = "application/octet-stream"


@attrs.define(eq=False)
class Request:
    """The request of an operation while it is being built."""

    schemas: Schemas
    sent: frozenset[str] = frozenset()
    """Headers and query parameters that carry credentials."""
    properties: dict[str, Any] = attrs.field(factory=dict)
    required: list[str] = attrs.field(factory=list)
    params: dict[str, Any] = attrs.field(factory=dict)
    headers: dict[str, str] = attrs.field(factory=dict)
    cookies: list[str] = attrs.field(factory=list)
    paths: dict[str, str] = attrs.field(factory=dict)
    """Placeholders of the path to the inputs that fill them."""
    body: Any = None
    content_type: str = ""
    array_style: str = ""
    notes: list[str] = attrs.field(factory=list)
    """Parts that were left out or assumed, for the person who imports."""
    examples: dict[str, Any] = attrs.field(factory=dict)

    # -- parameters ---------------------------------------------------------------------------

    def parameter(self, node: Mapping[str, Any]) -> None:
        """Add a parameter in the path, query, headers or cookies."""
        name, place = node.get("name"), node.get("in")
        if not isinstance(name, str) or not name:
            self.notes.append("a parameter without a name is left out")
            return
        if place == "header" and (name.lower() in (*_NOT_PARAMETERS, *self.sent)):
            return
        if place == "query" and name in self.sent:
            return
        if place not in ("path", "query", "header", "cookie"):
            self.notes.append(f"the parameter {name[:60]!r} in {str(place)[:20]!r} is left out")
            return
        schema, as_json = self._schema_of(node)
        if text := sentence(node.get("description")):
            schema["description"] = text
        key = self._input(name, schema, node.get("required") is True or place == "path")
        if (example := _example(node)) is not None:
            self.examples[key] = example
        if place == "path":
            self.paths[name] = key
        elif place == "header":
            self.headers[name] = f"{{{key}}}"
        elif place == "cookie":
            self.cookies.append(f"{name}={{{key}}}")
        else:
            self.params[name] = {"$json": f"{{{key}}}"} if as_json else f"{{{key}}}"
            self._style(name, node, schema)

    def _schema_of(self, node: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
        if "schema" in node:
            return self.schemas.plain(node["schema"]) or {"type": "string"}, False
        content = node.get("content")
        if isinstance(content, Mapping) and content:
            inner = next(iter(content.values()))
            schema = inner.get("schema") if isinstance(inner, Mapping) else None
            return self.schemas.plain(schema), True
        return self.schemas.plain(node) or {"type": "string"}, False  # Swagger 2.0

    def _style(self, name: str, node: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
        if schema.get("type") != "array":
            return
        style, old = str(node.get("style", "form")), node.get("collectionFormat")
        explode = node.get("explode", style == "form")
        if old is not None:
            wanted = {"multi": "repeat", "csv": "comma"}.get(str(old), "")
        elif "schema" not in node and "content" not in node:
            wanted = "comma"  # the default of Swagger 2.0 is csv
        elif style == "form":
            wanted = "repeat" if explode else "comma"
        else:
            wanted = "brackets" if style == "deepObject" else ""
        if not wanted:
            self.notes.append(
                f"the list {name[:60]!r} has an unsupported style; it is sent comma-separated"
            )
            wanted = "comma"
        if self.array_style and self.array_style != wanted:
            self.notes.append(f"the list {name[:60]!r} is sent in the style of the first list")
            return
        self.array_style = wanted

    def _input(self, name: str, schema: dict[str, Any], required: bool, start: str = "") -> str:
        key = name if _INPUT.fullmatch(name) else re.sub(r"[^A-Za-z0-9_]", "_", name)
        key = key if re.match(r"[A-Za-z_]", key) else f"p_{key}"
        if start and key in self.properties:
            key = f"{start}_{key}"
        number = 2
        base = key
        while key in self.properties or key in ("env", "keychain", "item"):
            key, number = f"{base}_{number}", number + 1
        self.properties[key] = schema
        if required:
            self.required.append(key)
        return key

    # -- bodies -------------------------------------------------------------------------------

    def content(self, content: Mapping[str, Any], *, required: bool, about: Any = None) -> None:
        """Add a body in the best of its media types.

        Args:
          content: media types to their media type objects.
          required: whether the body is required.
          about: its description.
        """
        chosen = _preferred(content)
        if chosen is None:
            return
        kind, media = chosen
        if isinstance(media, Mapping) and (example := _example(media)) is not None:
            self.examples["body"] = example
        schema = media.get("schema") if isinstance(media, Mapping) else None
        self.payload(kind, schema, required=required, about=about)

    def payload(self, kind: str, node: Any, *, required: bool, about: Any = None) -> None:
        """Add a body of one media type.

        Args:
          kind: the media type.
          node: its schema.
          required: whether the body is required.
          about: its description.
        """
        schema = self.schemas.plain(node, hide="readOnly")
        plain = kind.partition(";")[0].strip().lower()
        self.content_type = "" if plain == "application/json" else kind
        properties = schema.get("properties")
        simple = not any(key in schema for key in ("oneOf", "anyOf", "additionalProperties"))
        mapped = isinstance(properties, Mapping) and properties and simple
        if (plain in (FORM, MULTIPART) or plain.endswith("json")) and mapped:
            self._fields(schema, plain, required)
            return
        if plain == MULTIPART:
            self.notes.append("the parts of the form are not declared; they are left out")
            self.content_type = ""
            return
        text = sentence(about) or schema.get("description", "")
        if not (plain.endswith("json") or plain == FORM):
            schema = {"type": "string"}
            if plain == BINARY or not plain.startswith(("text/", "application/xml")):
                schema["contentEncoding"] = "base64"
                text = f"{text} The content, base64-encoded.".strip()
        if text:
            schema["description"] = text
        key = self._input("body", schema, required)
        binary = schema.get("contentEncoding") == "base64"
        self.body = {"$base64": f"{{{key}}}"} if binary else f"{{{key}}}"

    def _fields(self, schema: Mapping[str, Any], kind: str, required: bool) -> None:
        needed = schema.get("required", ())
        whole = self.examples.pop("body", None)
        template: dict[str, Any] = {}
        for name, each in schema["properties"].items():
            each = dict(each)
            binary = kind == MULTIPART and _is_binary(each)
            if binary:
                about = each.get("description", "")
                each = {"type": "string", "contentEncoding": "base64"}
                each["description"] = f"{about} The content of the file, base64-encoded.".strip()
            key = self._input(name, each, required and name in needed, "body")
            template[name] = (
                {"$file": {"data": f"{{{key}}}", "name": name}} if binary else f"{{{key}}}"
            )
            if isinstance(whole, Mapping) and name in whole:
                self.examples[key] = whole[name]
        self.body = template

    # -- the whole ----------------------------------------------------------------------------

    def path(self, path: str) -> str:
        """Return the path as a template; undeclared placeholders become inputs."""

        def place(found: re.Match[str]) -> str:
            name = found[1]
            key = self.paths.get(name)
            if key is None:
                key = self.paths[name] = self._input(name, {"type": "string"}, True)
                self.notes.append(
                    f"the path parameter {name[:60]!r} is not declared; it becomes a string"
                )
            return f"{{{key}}}"

        return _PLACE.sub(place, path)

    def input_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the inputs."""
        schema: dict[str, Any] = {"type": "object", "properties": self.properties}
        if self.required:
            schema["required"] = list(dict.fromkeys(self.required))
        return schema

    def example(self) -> dict[str, Any] | None:
        """Return example arguments, None unless there are some for all required inputs."""
        known = {key: value for key, value in self.examples.items() if key in self.properties}
        return known if known and set(self.required) <= known.keys() else None


def _preferred(content: Mapping[str, Any]) -> tuple[str, Any] | None:
    kinds = {str(kind): media for kind, media in content.items()}

    def rank(kind: str) -> int:
        plain = kind.partition(";")[0].strip().lower()
        if plain == "application/json":
            return 0
        if plain.endswith("+json"):
            return 1
        order = (FORM, MULTIPART, BINARY)
        return 2 + order.index(plain) if plain in order else 9

    best = min(kinds, key=rank, default=None)
    return None if best is None else (best if "*" not in best else "application/json", kinds[best])


def _is_binary(schema: Mapping[str, Any]) -> bool:
    return schema.get("format") in ("binary", "byte") or not schema.keys() - {"description"}


def _example(node: Mapping[str, Any]) -> Any:
    if "example" in node:
        return node["example"]
    examples = node.get("examples")
    if isinstance(examples, Mapping) and examples:
        first = next(iter(examples.values()))
        return first.get("value") if isinstance(first, Mapping) else None
    schema = node.get("schema")
    return schema.get("example") if isinstance(schema, Mapping) else None


@attrs.frozen
class Response:
    """The response of an operation: its schema, and the `response_format` to read it with."""

    schema: dict[str, Any] | None = None
    form: str = ""


def response_of(operation: Mapping[str, Any], schemas: Schemas, references: References) -> Response:
    """Return the response of an operation to a successful request."""
    responses = operation.get("responses")
    if not isinstance(responses, Mapping):
        return Response()
    named = {str(code).upper(): node for code, node in responses.items()}
    for code in ("200", "201", "202", "203", "2XX", "DEFAULT"):
        if code not in named:
            continue
        response = references.follow(named[code])
        if not isinstance(response, Mapping):
            continue
        content = response.get("content")
        if isinstance(content, Mapping):
            return _of_content(content, schemas)
        if "schema" in response:  # Swagger 2.0
            schema = references.follow(response["schema"])
            if isinstance(schema, Mapping) and schema.get("type") == "file":
                return Response(None, "binary")
            return Response(lenient(schemas.plain(schema, hide="writeOnly")) or None)
        if code != "DEFAULT":
            return Response()
    return Response()


def _of_content(content: Mapping[str, Any], schemas: Schemas) -> Response:
    kinds = {str(kind).partition(";")[0].strip().lower(): node for kind, node in content.items()}
    for kind, media in kinds.items():
        if kind == "application/json" or kind.endswith("+json") or kind == "*/*":
            schema = media.get("schema") if isinstance(media, Mapping) else None
            return Response(lenient(schemas.plain(schema, hide="writeOnly")) or None)
    if any(kind.startswith("text/") for kind in kinds):
        return Response(None, "text")
    if any("xml" in kind for kind in kinds):
        return Response(None, "xml")
    return Response(None, "binary") if kinds else Response()


_STRICT: Final = (
    *("required", "enum", "const", "format", "pattern", "minimum", "maximum", "multipleOf"),
    *("exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems"),
    *("uniqueItems", "minProperties", "maxProperties", "default", "oneOf", "anyOf", "deprecated"),
)


def lenient(schema: Any, *, top: bool = True) -> Any:
    """Return a schema without the constraints that APIs tend to break in their own responses.

    Clients reject structured content that does not match the output schema of a tool.
    """
    if not isinstance(schema, Mapping):
        return schema
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _STRICT:
            continue
        if key == "properties":
            value = {name: lenient(each, top=False) for name, each in value.items()}
        elif key in ("items", "additionalProperties"):
            value = lenient(value, top=False)
        elif key == "type" and not top:
            kinds = value if isinstance(value, list) else [value]
            value = list(dict.fromkeys([*kinds, "null"]))
        made[key] = value
    return made
