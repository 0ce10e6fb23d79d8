"""Responses of operations: the output schema, and the format in which they are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from mcpgw.openapi_import.definitions import Definitions
from mcpgw.openapi_import.references import References
from mcpgw.openapi_import.schemas import Schemas

MOST_COMPONENTS: Final = 40
"""Components in an output schema; further ones allow any value."""
_KEPT: Final = ("type", "properties", "items", "additionalProperties", "description", "$ref")
"""Keywords that APIs rarely break in their own responses.

Clients reject structured content that does not match the output schema of a tool.
"""


@attrs.frozen
class Response:
    """The response of an operation: its schema, and the `response_format` to read it with."""

    schema: dict[str, Any] | None = None
    form: str = ""


@attrs.define(eq=False)
class Responses:
    """Converts the responses of a document's operations.

    Args:
      references: resolves `$ref`.
    """

    references: References
    _schemas: Schemas = attrs.field(init=False)
    _definitions: Definitions = attrs.field(init=False)
    _lenient: dict[str, dict[str, Any]] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self._schemas = Schemas(self.references, "writeOnly", defaults=False)
        self._definitions = Definitions(self._component, MOST_COMPONENTS)

    def of(self, operation: Mapping[str, Any]) -> Response:
        """Return the response of an operation to a successful request."""
        responses = operation.get("responses")
        if not isinstance(responses, Mapping):
            return Response()
        named = {str(code).upper(): node for code, node in responses.items()}
        for code in ("200", "201", "202", "203", "2XX", "DEFAULT"):
            if code not in named:
                continue
            response = self.references.follow(named[code])
            if not isinstance(response, Mapping):
                continue
            content = response.get("content")
            if isinstance(content, Mapping):
                return self._of_content(content)
            if "schema" in response:  # Swagger 2.0
                schema = self.references.follow(response["schema"])
                if isinstance(schema, Mapping) and schema.get("type") == "file":
                    return Response(None, "binary")
                return Response(self._output(response["schema"]))
            if code != "DEFAULT":
                return Response()
        return Response()

    def _of_content(self, content: Mapping[str, Any]) -> Response:
        kinds = {
            str(kind).partition(";")[0].strip().lower(): node for kind, node in content.items()
        }
        for kind, node in kinds.items():
            if kind == "application/json" or kind.endswith("+json") or kind == "*/*":
                media = self.references.follow(node)
                return Response(
                    self._output(media.get("schema")) if isinstance(media, Mapping) else None
                )
        if any(kind.startswith("text/") or _is_lines(kind) for kind in kinds):
            return Response(None, "text")
        if any("xml" in kind for kind in kinds):
            return Response(None, "xml")
        return Response(None, "binary") if kinds else Response()

    def _output(self, node: Any) -> dict[str, Any] | None:
        schema = lenient(self._schemas.resolved(node), top=True)
        return self._definitions.assembled(schema) or None

    def _component(self, key: str) -> dict[str, Any]:
        found = self._lenient.get(key)
        if found is None:
            found = self._lenient[key] = lenient(self._schemas.definition(key))
        return found


def _is_lines(kind: str) -> bool:
    """Return whether a media type is a sequence of JSON texts (OpenAPI 3.2.0, 4.14.2)."""
    return kind.endswith(("+json-seq", "/json-seq", "/jsonl", "/x-ndjson", "/x-jsonlines"))


def lenient(schema: Any, *, top: bool = False) -> Any:
    """Return a schema without the constraints that APIs tend to break, and with null allowed.

    Args:
      schema: a converted schema.
      top: whether it is the whole output, which is not null.
    """
    if not isinstance(schema, Mapping):
        return schema
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            made[key] = {name: lenient(each) for name, each in value.items()}
        elif key == "items":
            made[key] = {} if value is False else lenient(value)
        elif key == "additionalProperties":
            if value is not False:
                made[key] = lenient(value)
        elif key == "type":
            made |= _type(value if isinstance(value, list) else [value], top=top)
        elif key in _KEPT:
            made[key] = value
    if "prefixItems" in schema:
        made.pop("items", None)
    return made


def _type(kinds: list[str], *, top: bool) -> dict[str, Any]:
    """Return the types of a value, with null unless it is the whole output.

    Structured content is an object; only an output of a single type can be distinguished.
    """
    if not top:
        return {"type": list(dict.fromkeys([*kinds, "null"]))}
    kinds = [each for each in kinds if each != "null"]
    return {"type": kinds[0]} if len(kinds) == 1 else {}
