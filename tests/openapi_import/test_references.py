"""References are resolved against the document that contains them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mcpgw.config.yamlfile import parse
from mcpgw.openapi_import import Conversion, ImportProblem, convert, remote_reader
from mcpgw.openapi_import.reading import ReadProblem
from tests.openapi_import.documents import SOURCE, body, document, input_of

FILES = {
    "api/openapi.yaml": """
openapi: 3.1.0
info: {title: Things}
servers: [{url: https://api.example.com}]
paths:
  /things/{id}: {$ref: paths/thing.yaml}
""",
    "api/paths/thing.yaml": """
parameters: [{$ref: 'params.yaml#/id'}]
post:
  operationId: setThing
  parameters: [{$ref: '#/shared/verbose'}]
  requestBody: {$ref: '../bodies.yaml#/Thing'}
shared:
  verbose: {name: verbose, in: query, schema: {type: boolean}}
""",
    "api/paths/params.yaml": """
id: {name: id, in: path, required: true, schema: {$ref: ../../common/types.json#/definitions/id}}
""",
    "api/bodies.yaml": """
Thing:
  required: true
  content: {application/json: {schema: {$ref: '#/Whole'}}}
Whole: {type: object, properties: {parent: {$ref: '#/Whole'}, kind: {$ref: kinds.yml}}}
""",
    "api/kinds.yml": "{type: string, enum: [a, b]}",
    "common/types.json": '{"definitions": {"id": {"type": "integer"}}}',
}


def written(folder: Path, files: Mapping[str, str] = FILES) -> Path:
    """Write files and return the folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def check(found: Conversion) -> None:
    """Check the capability of `FILES`."""
    assert () == found.warnings
    schema = input_of(found.capabilities[0])
    assert {
        "id": {"type": "integer"},
        "verbose": {"type": "boolean"},
        "parent": {"$ref": "#/$defs/Whole"},
        "kind": {"type": "string", "enum": ["a", "b"]},
    } == schema["properties"]
    assert {"parent", "kind"} == set(schema["$defs"]["Whole"]["properties"])


def test_files(tmp_path: Path) -> None:
    """Each reference is relative to its own file."""
    path = written(tmp_path) / "api/openapi.yaml"
    check(convert(parse(path.read_text()), source=str(path)))


def test_urls() -> None:
    """Documents of the same origin are fetched; others are not."""
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return FILES[url.removeprefix("https://docs.example/v1/")].encode()

    source = "https://docs.example/v1/api/openapi.yaml"
    read = remote_reader(source, fetch)
    check(convert(parse(FILES["api/openapi.yaml"]), source=source, read=read))
    assert len(asked) == len(set(asked)) == 5
    for other in ("https://other.example/a.yaml", "http://docs.example/a.yaml", "file:///etc/x"):
        with pytest.raises(ReadProblem, match="origin"):
            read(other)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../../../../../x.yaml", "too far"),
        ("../.ssh/config.yaml", "hidden"),
        (".env.yaml", "hidden"),
        ("notes.txt", "not a JSON or YAML"),
        ("gone.yaml", "does not exist"),
        ("broken.yaml", "broken.yaml"),
        ("https://example.com/x.yaml", "not a local file"),
    ],
)
def test_files_that_are_not_read(name: str, reason: str, tmp_path: Path) -> None:
    """Each has its reason; the operation keeps the rest."""
    folder = written(tmp_path / "a/b/c/d/e/f", {"broken.yaml": "a: [", "notes.txt": "a"})
    properties = {"f": {"$ref": f"{name}#/x"}, **{n: {"$ref": "#/x-good"} for n in "gh"}}
    made = document({"/x": {"post": body({"type": "object", "properties": properties})}})
    made["x-good"] = {"type": "string"}
    made["components"] = {"schemas": {"a": {"$ref": "#/x-good"}}}
    made["paths"]["/y"] = {"get": {"parameters": [{"$ref": "#/x-parameter"}]}}
    made["x-parameter"] = {"name": "q", "in": "query", "schema": {"type": "string"}}
    found = convert(made, source=str(folder / "openapi.yaml"))
    assert any(reason in warning for warning in found.warnings), found.warnings
    assert {"f", "g", "h"} == set(input_of(found.capabilities[-1])["properties"])


def test_most_references_fail(tmp_path: Path) -> None:
    """A document without its files is an error, not a set of empty tools."""
    path = written(tmp_path, {"openapi.yaml": FILES["api/openapi.yaml"]}) / "openapi.yaml"
    with pytest.raises(ImportProblem, match=r"1 of 1 references .*: paths/thing.yaml does not"):
        convert(parse(path.read_text()), source=str(path))


@pytest.mark.parametrize(
    ("reference", "components"),
    [
        ("#/components/schemas/A", {"A": {"type": "integer"}}),
        ("#/components/schemas/A%20b~1c", {"A b/c": {"type": "integer"}}),
        ("#/components/schemas/A/properties/n", {"A": {"properties": {"n": {"type": "integer"}}}}),
        (
            "#/components/schemas/B/properties/n",
            {
                "A": {"properties": {"n": {"type": "integer"}}},
                "B": {"$ref": "#/components/schemas/A"},
            },
        ),
        ("#/components/schemas/A/anyOf/0", {"A": {"anyOf": [{"type": "integer"}]}}),
        ("#number", {"A": {"$anchor": "number", "type": "integer"}}),
        ("#number", {"A": {"$dynamicAnchor": "number", "type": "integer"}}),
        (
            "https://schemas.example/n",
            {"A": {"$id": "https://schemas.example/n", "type": "integer"}},
        ),
        (
            "https://schemas.example/n#/$defs/m",
            {"A": {"$id": "https://schemas.example/n", "$defs": {"m": {"type": "integer"}}}},
        ),
        (
            "https://schemas.example/n",
            {
                "A": {
                    "$id": "https://schemas.example/n",
                    "$ref": "#/$defs/m",
                    "$defs": {"m": {"type": "integer"}},
                }
            },
        ),
        (
            "#/components/schemas/A",
            {
                "A": {"$id": "https://schemas.example/n", "$ref": "m"},
                "B": {"$id": "https://schemas.example/m", "type": "integer"},
            },
        ),
        (
            "https://schemas.example/n",
            {
                "A": {"$id": "https://schemas.example/n", "$ref": "m"},
                "B": {"$id": "https://schemas.example/m", "type": "integer"},
            },
        ),
    ],
)
@pytest.mark.parametrize("key", ["$ref", "$dynamicRef"])
def test_pointers_and_identifiers(reference: str, components: Any, key: str) -> None:
    """JSON Pointers, anchors and `$id` name the same kinds of places."""
    properties = {"f": {key: reference}, "g": {}}
    operation = body({"type": "object", "properties": properties})
    found = convert(
        document({"/x": {"post": operation}}, components={"schemas": components}), source=SOURCE
    )
    assert () == found.warnings
    assert {"type": "integer"} == input_of(found.capabilities[0])["properties"]["f"]
