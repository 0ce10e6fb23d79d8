"""Building the request of an operation from its parameters and its body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from mcpgw.openapi_import.operations import FORM, MULTIPART, Request
from mcpgw.openapi_import.schemas import References, Schemas
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

    def build(
        self,
        item: Mapping[str, Any],
        method: str,
        operation: Mapping[str, Any],
        sent: frozenset[str],
    ) -> Request:
        """Return the request of an operation; its path is not filled in yet.

        Args:
          item: the path item of the operation.
          method: its HTTP method, in lower case.
          operation: the operation.
          sent: headers and query parameters that carry credentials.
        """
        request = Request(self.schemas, sent)
        self._parameters(request, item, operation)
        self._body(request, method, operation)
        return request

    def _parameters(
        self, request: Request, item: Mapping[str, Any], operation: Mapping[str, Any]
    ) -> None:
        """Add the parameters of the path item and the operation; those of the operation win."""
        found: dict[tuple[Any, Any], Mapping[str, Any]] = {}
        for node in (*as_list(item.get("parameters")), *as_list(operation.get("parameters"))):
            parameter = self.references.follow(node)
            if isinstance(parameter, Mapping) and parameter:
                found[str(parameter.get("in")), str(parameter.get("name"))] = parameter
        form: dict[str, Mapping[str, Any]] = {}
        for (place, name), parameter in found.items():
            if place == "body":
                kind = self._consumes(operation, ("application/json",))
                request.payload(
                    kind,
                    parameter.get("schema"),
                    required=parameter.get("required") is True,
                    about=parameter.get("description"),
                )
            elif place == "formData":
                form[name] = parameter
            else:
                request.parameter(parameter)
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
            name: {**each, "format": "binary"} if each.get("type") == "file" else dict(each)
            for name, each in form.items()
        }
        for each in properties.values():
            each.pop("required", None)
        needed = [name for name, each in form.items() if each.get("required") is True]
        schema = {"type": "object", "properties": properties, "required": needed}
        request.payload(kind, schema, required=True)

    def _consumes(self, operation: Mapping[str, Any], known: tuple[str, ...]) -> str:
        declared = operation.get("consumes", self.document.get("consumes"))
        return next((kind for kind in map(str, as_list(declared)) if kind in known), known[0])

    def _body(self, request: Request, method: str, operation: Mapping[str, Any]) -> None:
        node = self.references.follow(operation.get("requestBody"))
        if not isinstance(node, Mapping) or not isinstance(node.get("content"), Mapping):
            return
        if method in ("get", "head"):
            request.notes.append(f"the body of a {method.upper()} request is left out")
            return
        required = node.get("required") is True
        request.content(node["content"], required=required, about=node.get("description"))
