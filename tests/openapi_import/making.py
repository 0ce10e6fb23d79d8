"""OpenAPI documents of the tests' own making: sound ones, and damaged ones."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

WORDS = st.sampled_from(
    ["pet", "petId", "user-name", "X-Trace", "a.b", "größe", "env", "item", "1st"]
)
TEXTS = st.text(max_size=30) | st.sampled_from(
    ["<b>bold</b>", "a: b", "- x", "{name}", "true", "x\u0000y"]
)
REFERENCES = st.sampled_from(
    [
        "#/components/schemas/Node",
        "#/components/schemas/Gone",
        "#/definitions/Node",
        "#/components/parameters/Id",
        "other.yaml#/x",
        "https://example.com/x.json",
        "#/paths/~1pets/get",
        "#",
        "#here",
        "https://s.example/a#/properties/pet",
    ]
)
SCHEMAS: Any = st.deferred(
    lambda: st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(
                [
                    "string",
                    "integer",
                    "number",
                    "boolean",
                    "object",
                    "array",
                    "file",
                    ["string", "null"],
                    5,
                ]
            ),
            "format": st.sampled_from(["binary", "byte", "int64", "date", 3]),
            "properties": st.dictionaries(WORDS, SCHEMAS, max_size=3),
            "required": st.lists(WORDS, max_size=2) | st.booleans(),
            "items": SCHEMAS,
            "allOf": st.lists(SCHEMAS, max_size=2),
            "oneOf": st.lists(SCHEMAS, max_size=2),
            "enum": st.lists(st.integers() | TEXTS, max_size=3),
            "nullable": st.booleans(),
            "not": SCHEMAS,
            "prefixItems": st.lists(SCHEMAS, max_size=2),
            "patternProperties": st.dictionaries(st.sampled_from(["^x", "("]), SCHEMAS, max_size=1),
            "if": SCHEMAS,
            "$id": st.sampled_from(["https://s.example/a", "a", 5]),
            "$anchor": st.sampled_from(["here", 5]),
            "contentMediaType": st.sampled_from(["image/png", "application/json"]),
            "discriminator": st.just({"propertyName": "pet"}),
            "minimum": st.integers() | TEXTS,
            "exclusiveMinimum": st.booleans() | st.integers(),
            "pattern": st.sampled_from(["^a+$", "(", "[z-a]"]),
            "description": TEXTS,
            "readOnly": st.booleans(),
            "additionalProperties": st.booleans() | SCHEMAS,
            "default": st.integers() | TEXTS | st.none(),
            "$ref": REFERENCES,
        },
    )
)
MEDIA = st.dictionaries(
    st.sampled_from(
        [
            *("application/json", "application/x-www-form-urlencoded", "multipart/form-data"),
            *("application/octet-stream", "text/plain", "application/xml", "*/*", "image/png"),
        ]
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "schema": SCHEMAS,
            "example": st.integers() | TEXTS,
            "encoding": st.dictionaries(
                WORDS,
                st.fixed_dictionaries(
                    {},
                    optional={
                        "contentType": st.sampled_from(["image/png, image/*", "text/csv", 5]),
                        "style": st.sampled_from(["form", "deepObject", "spaceDelimited", 1]),
                        "explode": st.booleans(),
                        "headers": st.dictionaries(WORDS, st.just({"schema": {}}), max_size=1),
                    },
                ),
                max_size=2,
            ),
        },
    ),
    max_size=2,
)
PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "name": WORDS,
        "in": st.sampled_from(
            ["path", "query", "header", "cookie", "body", "formData", "querystring", "mind"]
        ),
        "required": st.booleans(),
        "schema": SCHEMAS,
        "type": st.sampled_from(["string", "array", "file"]),
        "style": st.sampled_from(
            ["form", "deepObject", "pipeDelimited", "matrix", "label", "cookie", 1]
        ),
        "explode": st.booleans(),
        "allowReserved": st.booleans(),
        "allowEmptyValue": st.booleans(),
        "content": st.dictionaries(
            st.sampled_from(["application/json", "text/plain"]),
            st.fixed_dictionaries({}, optional={"schema": SCHEMAS}),
            max_size=1,
        ),
        "collectionFormat": st.sampled_from(["csv", "multi", "tsv"]),
        "description": TEXTS,
        "example": st.integers() | TEXTS,
        "$ref": REFERENCES,
    },
)
SECURITY = st.lists(
    st.dictionaries(
        st.sampled_from(["key", "token", "login", "cookie", "gone"]),
        st.lists(TEXTS, max_size=1) | st.none(),
        max_size=2,
    ),
    max_size=2,
)
OPERATIONS = st.fixed_dictionaries(
    {},
    optional={
        "operationId": TEXTS | st.sampled_from(["listPets", "listPets", "x" * 200]) | st.integers(),
        "summary": TEXTS | st.none(),
        "description": TEXTS | st.integers(),
        "tags": st.lists(TEXTS, max_size=2) | TEXTS,
        "parameters": st.lists(PARAMETERS, max_size=4) | TEXTS,
        "requestBody": st.fixed_dictionaries(
            {}, optional={"content": MEDIA | TEXTS, "required": st.booleans(), "$ref": REFERENCES}
        ),
        "responses": st.dictionaries(
            st.sampled_from(["200", "201", "default", "404"]) | st.just(200),
            st.fixed_dictionaries(
                {}, optional={"content": MEDIA, "schema": SCHEMAS, "$ref": REFERENCES}
            )
            | TEXTS,
            max_size=2,
        )
        | TEXTS,
        "security": SECURITY | TEXTS,
        "deprecated": st.booleans(),
        "consumes": st.lists(TEXTS, max_size=2),
        "servers": st.lists(st.fixed_dictionaries({}, optional={"url": TEXTS}), max_size=1),
    },
)
PATHS = st.sampled_from(
    ["/pets", "/pets/{petId}", "/a/{a.b}/{größe}", "/{", "no-slash", "/x?y=z#w"]
)
ITEMS = st.fixed_dictionaries(
    {},
    optional={
        "get": OPERATIONS,
        "post": OPERATIONS,
        "delete": OPERATIONS | st.none(),
        "parameters": st.lists(PARAMETERS, max_size=2),
        "servers": st.lists(TEXTS, max_size=1),
        "summary": TEXTS,
        "$ref": REFERENCES,
    },
)
SCHEMES = {
    "key": {"type": "apiKey", "in": "query", "name": "api_key"},
    "token": {"type": "http", "scheme": "bearer"},
    "login": {"type": "oauth2", "flows": {}},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "sid"},
}
NODE = {
    "type": "object",
    "properties": {"next": {"$ref": "#/components/schemas/Node"}, "value": {"type": "string"}},
}
DOCUMENTS = st.builds(
    lambda version, paths, servers, extra: {
        **version,
        "info": {"title": "Test API", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": {"Node": NODE},
            "parameters": {"Id": {"name": "id", "in": "query", "schema": {"type": "string"}}},
            "securitySchemes": SCHEMES,
        },
        "definitions": {"Node": NODE},
        "securityDefinitions": SCHEMES,
        **servers,
        **extra,
    },
    st.sampled_from([{"openapi": "3.0.3"}, {"openapi": "3.1.0"}, {"swagger": "2.0"}]),
    st.dictionaries(PATHS, ITEMS, max_size=3),
    st.sampled_from(
        [
            {},
            {"servers": [{"url": "https://api.example.com/v1"}]},
            {"servers": [{"url": "/v2"}]},
            {
                "servers": [
                    {"url": "https://{r}.example.com", "variables": {"r": {"default": "eu"}}}
                ]
            },
            {"host": "api.example.com", "basePath": "/v1", "schemes": ["http", "https"]},
        ]
    ),
    st.fixed_dictionaries({}, optional={"security": SECURITY, "info": TEXTS, "tags": TEXTS}),
)
"""Documents that may be sound, and mostly are not."""


def large(count: int) -> dict[str, Any]:
    """Return a document of so many operations, each with what real ones have."""
    paths: dict[str, Any] = {}
    for number in range(count // 2):
        paths[f"/things{number}/{{id}}"] = {
            "parameters": [
                {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
            ],
            "get": {
                "operationId": f"getThing{number}",
                "summary": f"Get thing {number}.",
                "description": "Returns one thing with all of its parts and their states.",
                "parameters": [
                    {"name": name, "in": "query", "schema": {"type": "string"}, "description": "x"}
                    for name in ("fields", "expand", "locale", "limit", "cursor")
                ],
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}
                        }
                    }
                },
            },
            "put": {
                "operationId": f"putThing{number}",
                "summary": f"Replace thing {number}.",
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}
                    },
                },
                "responses": {"204": {"description": "Done."}},
            },
        }
    parts = {f"part{n}": {"type": "string", "description": f"Part {n}."} for n in range(12)}
    thing = {
        "type": "object",
        "properties": {**parts, "inner": {"$ref": "#/components/schemas/Thing"}},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Things", "version": "1"},
        "servers": [{"url": "https://things.example.com"}],
        "paths": paths,
        "components": {"schemas": {"Thing": thing}},
    }
