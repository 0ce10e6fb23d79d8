"""Requests of operations: parameters as templates, inputs and styles."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import attrs

from mcpgw.openapi_import.parameter_styles import declared_style
from mcpgw.openapi_import.references import References
from mcpgw.openapi_import.schemas import Schemas, types_of
from mcpgw.openapi_import.texts import sentence

_INPUT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*")
_PLACE: Final = re.compile(r"\{([^{}]+)\}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~\-]+")
"""Names of headers (RFC 9110, 5.6.2)."""
_NOT_PARAMETERS: Final = ("accept", "content-type", "authorization")
"""Headers that must be ignored as parameters (OpenAPI 3.1, parameter object)."""
_TAKEN: Final = ("env", "keychain", "item")
"""Names that templates use for themselves."""
_PRINTED: Final = "".join(map(chr, range(0x21, 0x7F)))
LONGEST_KEY: Final = 52
"""Characters of an input's key before its location; some clients allow at most 64."""
PLACES: Final = ("path", "query", "querystring", "header", "cookie")


@attrs.define(eq=False)
class Request:
    """The request of an operation while it is being built."""

    schemas: Schemas
    references: References
    sent: frozenset[tuple[str, str]] = frozenset()
    """Locations and names of parameters that carry credentials; headers in lower case."""
    swagger: bool = False
    properties: dict[str, Any] = attrs.field(factory=dict)
    required: list[str] = attrs.field(factory=list)
    params: dict[str, Any] = attrs.field(factory=dict)
    headers: dict[str, str] = attrs.field(factory=dict)
    cookies: dict[str, str] = attrs.field(factory=dict)
    paths: dict[str, str] = attrs.field(factory=dict)
    """Placeholders of the path to the inputs that fill them."""
    styles: dict[str, dict[str, dict[str, Any]]] = attrs.field(factory=dict)
    """Serialization by location and name."""
    body: Any = None
    content_type: str = ""
    body_required: bool = False
    notes: list[str] = attrs.field(factory=list)
    """Parts that were left out or assumed, for the person who imports."""
    examples: dict[str, Any] = attrs.field(factory=dict)

    def parameter(self, node: Mapping[str, Any]) -> None:
        """Add a parameter in the path, query, headers or cookies."""
        name, place = node.get("name"), str(node.get("in"))
        if not isinstance(name, str) or not name:
            self.notes.append("a parameter without a name is left out")
            return
        if place not in PLACES:
            self.notes.append(f"the parameter {name[:60]!r} in {place[:20]!r} is left out")
            return
        if self._is_sent(place, name):
            return
        schema, content = self._schema_of(node)
        if text := sentence(node.get("description")):
            extra = schema.get("description", "")
            at = extra.find("Default: ")
            schema["description"] = f"{text} {extra[at:]}" if at >= 0 else text
        if node.get("allowEmptyValue") is True and place == "query":
            schema = self._or_empty(schema)
        location = "query" if place == "querystring" else place
        key = self.input(name, schema, node.get("required") is True or place == "path", location)
        if (example := example_of(node)) is not None:
            self.examples[key] = example
        template = f"{{{key}}}"
        if place == "path":
            self.paths[name] = key
        elif place == "header":
            self.headers[name] = template
        elif place == "cookie":
            self.cookies[name] = template
        else:
            self.params[name] = template
        if place == "querystring":
            self.style("query", name, {"style": "querystring", "content_type": content})
        else:
            self._style(name, key, node, location, content)

    def _schema_of(self, node: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """Return the schema of a parameter, and its media type if it has one."""
        content = node.get("content")
        if isinstance(content, Mapping) and content and "schema" not in node:
            kind, inner = next(iter(content.items()))
            media = self.references.follow(inner)
            schema = media.get("schema") if isinstance(media, Mapping) else None
            return self.schemas.schema(schema), str(kind)
        found = self.schemas.schema(node.get("schema", node if self.swagger else None))
        return found or {"type": "string"}, ""

    def _is_sent(self, place: str, name: str) -> bool:
        """Return whether a parameter is not an input, since the gateway sends it or must not."""
        if place != "header":
            return (place, name) in self.sent
        if not _TOKEN.fullmatch(name):
            self.notes.append(f"the header {name[:60]!r} has no valid name and is left out")
            return True
        return name.lower() in _NOT_PARAMETERS or (place, name.lower()) in self.sent

    def _or_empty(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return a schema that also allows an empty string, which is sent as `name=`."""
        plain = self.schemas.lookup(schema)
        if plain.get("type") == "string" and not plain.keys() & {"enum", "minLength", "pattern"}:
            return schema
        about = {"description": schema["description"]} if "description" in schema else {}
        return {**about, "anyOf": [schema, {"const": ""}]}

    def _style(
        self, name: str, key: str, node: Mapping[str, Any], location: str, content: str
    ) -> None:
        made: dict[str, Any]
        if content:
            made = {"content_type": content}
        else:
            types = types_of(self.properties[key], self.schemas)
            swagger = self.swagger and "schema" not in node
            made, note = declared_style(node, location, types, swagger=swagger)
            if note:
                self.notes.append(f"{name[:60]}: {note}")
        if made.get("style") == "matrix" and key != name:
            made["name"] = name
        self.style(location, key if location == "path" else name, made)

    def style(self, location: str, name: str, made: Mapping[str, Any]) -> None:
        """Set the serialization of a parameter; {} for the default."""
        if made:
            self.styles.setdefault(location, {})[name] = dict(made)

    def input(self, name: str, schema: dict[str, Any], required: bool, place: str) -> str:
        """Add an input and return its key: the name, with the location if it is taken.

        Args:
          name: name of the parameter or field.
          schema: its schema.
          required: whether it is required.
          place: its location, for the key.
        """
        base = name if _INPUT.fullmatch(name) else re.sub(r"[^A-Za-z0-9_]", "_", name)
        base = (base if re.match(r"[A-Za-z_]", base) else f"p_{base}")[:LONGEST_KEY]
        key = base
        if key in self.properties or key in _TAKEN:
            key = base = f"{base}_{place}"
        number = 2
        while key in self.properties:
            key, number = f"{base}_{number}", number + 1
        self.properties[key] = schema
        if required:
            self.required.append(key)
        return key

    def path(self, path: str) -> str:
        """Return the path as a template; undeclared placeholders become inputs."""

        def place(found: re.Match[str]) -> str:
            name = found[1]
            key = self.paths.get(name)
            if key is None:
                key = self.paths[name] = self.input(name, {"type": "string"}, True, "path")
                self.notes.append(
                    f"the path parameter {name[:60]!r} is not declared; it becomes a string"
                )
            return f"\0{key}\1"

        filled = _PLACE.sub(place, path.partition("#")[0])
        encoded = quote(filled, safe=f"{_PRINTED}\0\1")
        return encoded.replace("\0", "{").replace("\1", "}")

    def input_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the inputs, without its `$defs`."""
        schema: dict[str, Any] = {"type": "object", "properties": self.properties}
        if self.required:
            schema["required"] = list(dict.fromkeys(self.required))
        return schema

    def example(self) -> dict[str, Any] | None:
        """Return example arguments, None unless there are some for all required inputs."""
        known = {key: value for key, value in self.examples.items() if key in self.properties}
        return known if known and set(self.required) <= known.keys() else None


def example_of(node: Mapping[str, Any]) -> Any:
    """Return the example of a parameter or media type, None without one."""
    if "example" in node:
        return node["example"]
    examples = node.get("examples")
    if isinstance(examples, Mapping) and examples:
        first = next(iter(examples.values()))
        return first.get("value") if isinstance(first, Mapping) else None
    schema = node.get("schema")
    return schema.get("example") if isinstance(schema, Mapping) else None
