"""A large OpenAPI document, with the shape of those of payment and code hosting services."""

from __future__ import annotations

from typing import Any

COMPONENTS = 160
"""Object schemas, each of which refers to several others."""


def large_document(operations: int) -> dict[str, Any]:
    """Return a document whose responses are deep: most properties are an id or a whole object.

    Args:
      operations: number of operations, half of which read and half of which write.
    """
    paths: dict[str, Any] = {}
    for number in range(operations // 2):
        name = f"Object{number % COMPONENTS}"
        paths[f"/v1/things{number}/{{id}}"] = {
            "parameters": [
                {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
            ],
            "get": {
                "operationId": f"getThing{number}",
                "summary": f"Retrieve thing {number}.",
                "parameters": [
                    {
                        "name": "expand",
                        "in": "query",
                        "style": "deepObject",
                        "explode": True,
                        "schema": {"type": "array", "items": {"type": "string"}},
                    },
                    {"name": "limit", "in": "query", "schema": {"type": "integer"}},
                ],
                "responses": _response(name),
            },
            "post": {
                "operationId": f"updateThing{number}",
                "summary": f"Update thing {number}.",
                "requestBody": {
                    "content": {
                        "application/json": {"schema": _update(number)},
                    }
                },
                "responses": _response(name),
            },
        }
    return {
        "openapi": "3.0.3",
        "info": {"title": "Large", "version": "1"},
        "servers": [{"url": "https://large.example.com"}],
        "paths": paths,
        "components": {
            "schemas": {f"Object{number}": _component(number) for number in range(COMPONENTS)}
        },
    }


def _response(name: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"200": {"description": "Done.", "content": {"application/json": {"schema": schema}}}}


def _reference(number: int) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/Object{number % COMPONENTS}"}


def _update(number: int) -> dict[str, Any]:
    """Return the body of an update: fields, and objects with fields."""
    fields = {
        f"field_{place}": {"type": "string", "maxLength": 5000, "description": f"Field {place}."}
        for place in range(10 + number % 10)
    }
    objects = {
        f"part_{place}": {"type": "object", "properties": fields, "description": f"Part {place}."}
        for place in range(number % 4)
    }
    return {"type": "object", "properties": {**fields, **objects}}


def _component(number: int) -> dict[str, Any]:
    plain = {
        f"field_{place}": {
            "type": "string",
            "nullable": place % 3 == 0,
            "maxLength": 5000,
            "description": f"Field {place} of object {number}, as the service describes it.",
        }
        for place in range(8)
    }
    linked = {
        f"link_{place}": {
            "anyOf": [
                {"type": "string", "maxLength": 5000},
                _reference(number * 3 + place * 7 + 1),
            ],
            "nullable": True,
            "description": "The id of the object, or the object if it was expanded.",
        }
        for place in range(6)
    }
    lists = {
        f"list_{place}": {
            "type": "array",
            "items": {
                "oneOf": [
                    _reference(number + place * 11 + 5),
                    {"type": "object", "properties": {"deleted": {"type": "boolean"}}},
                ]
            },
        }
        for place in range(2)
    }
    return {
        "type": "object",
        "description": f"Object {number}.",
        "required": ["field_0", "link_1"],
        "properties": {**plain, **linked, **lists},
    }
