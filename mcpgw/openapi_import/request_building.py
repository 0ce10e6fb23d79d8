"""Building the request of an operation from its parameters and its body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from mcpgw.openapi_import.operations import PLACES, Request
from mcpgw.openapi_import.references import References
from mcpgw.openapi_import.request_bodies import (
    FORM,
    MULTIPART,
    BodyBuilder,
    body_example,
    preferred,
)
from mcpgw.openapi_import.schemas import Schemas
from mcpgw.openapi_import.values import as_list


@attrs.frozen
class RequestBuilder:
    """Builds the requests of a document's operations.

    Args:
      document: the whole document.
      references: follows `$ref`.
      schemas: converts schemas.
    """

    document: Mapping[str, Any]
    references: References
    schemas: Schemas

    @property
    def swagger(self) -> bool:
        """True if the document is Swagger 2.0."""
        return "swagger" in self.document

    def build(
        self,
        item: Mapping[str, Any],
        method: str,
        operation: Mapping[str, Any],
        sent: frozenset[tuple[str, str]],
    ) -> Request:
        """Return the request of an operation; its path is not filled in yet.

        Args:
          item: the path item of the operation.
          method: its HTTP method, in lower case.
          operation: the operation.
          sent: locations and names of parameters that carry credentials.
        """
        request = Request(self.schemas, self.references, sent, self.swagger)
        self._parameters(request, item, operation)
        self._body(request, method, operation)
        return request

    def _parameters(
        self, request: Request, item: Mapping[str, Any], operation: Mapping[str, Any]
    ) -> None:
        """Add the parameters of the path item and the operation; those of the operation win."""
        found: dict[tuple[str, str], Mapping[str, Any]] = {}
        for node in (*as_list(item.get("parameters")), *as_list(operation.get("parameters"))):
            parameter = self.references.follow(node)
            if isinstance(parameter, Mapping) and parameter:
                found[str(parameter.get("in")), str(parameter.get("name"))] = parameter
        form: dict[str, Mapping[str, Any]] = {}
        body: Mapping[str, Any] | None = None
        # Those of the path come first, so that they keep their names if others are the same.
        order = {place: number for number, place in enumerate(PLACES)}
        for place, name in sorted(found, key=lambda each: order.get(each[0], len(order))):
            parameter = found[place, name]
            if place == "body":
                body = parameter
            elif place == "formData":
                form[name] = parameter
            else:
                request.parameter(parameter)
        if body is not None:
            kind = self._consumes(operation, ("application/json",))
            BodyBuilder(request, kind).add(
                body.get("schema"),
                required=body.get("required") is True,
                about=body.get("description"),
            )
        if form:
            self._form(request, operation, form)

    def _form(
        self, request: Request, operation: Mapping[str, Any], form: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Add the form of a Swagger 2.0 operation."""
        files = any(each.get("type") == "file" for each in form.values())
        usual = MULTIPART if files else FORM
        kind = usual if files else self._consumes(operation, (usual, MULTIPART))
        properties = {
            name: {key: value for key, value in each.items() if key != "required"}
            for name, each in form.items()
        }
        needed = [name for name, each in form.items() if each.get("required") is True]
        schema = {"type": "object", "properties": properties, "required": needed}
        BodyBuilder(request, kind, form, swagger=True).add(schema, required=True)

    def _consumes(self, operation: Mapping[str, Any], known: tuple[str, ...]) -> str:
        declared = as_list(operation.get("consumes", self.document.get("consumes")))
        kinds = [str(kind) for kind in declared]
        if len(known) == 1 and kinds and not any("json" in kind for kind in kinds):
            return kinds[0]  # a body that is not JSON
        return next((kind for kind in kinds if kind in known), known[0])

    def _body(self, request: Request, method: str, operation: Mapping[str, Any]) -> None:
        node = self.references.follow(operation.get("requestBody"))
        if not isinstance(node, Mapping) or not isinstance(node.get("content"), Mapping):
            return
        chosen = preferred(node["content"])
        if chosen is None:
            return
        kind, media = chosen
        media = self.references.follow(media)
        media = media if isinstance(media, Mapping) else {}
        if method in ("get", "head"):
            if self.schemas.resolved(media.get("schema")).get("properties", True):
                request.notes.append(f"the body of a {method.upper()} request is left out")
            return
        encoding = media.get("encoding")
        BodyBuilder(request, kind, encoding if isinstance(encoding, Mapping) else {}).add(
            media.get("schema"),
            required=node.get("required") is True,
            about=node.get("description"),
            example=body_example(media),
        )
