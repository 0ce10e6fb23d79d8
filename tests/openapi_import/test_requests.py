"""Requests of imported operations as they are on the wire."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.parsing import read_capability
from mcpgw.capabilities.tool_definition import tool_definition
from mcpgw.openapi_import import convert
from mcpgw.openapi_import.texts import operation_name
from mcpgw.openapi_import.writing import rendered
from tests.openapi_import.documents import SOURCE, body, document, imported, input_of, request_of
from tests.support.capability_calls import executor
from tests.support.playback import Asked, Played, playback

FIELDS = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "note": {"type": ["string", "null"]},
        "state": {"type": "string", "default": "open"},
    },
}


async def sent(made: Any, tmp_path: Path, arguments: dict[str, Any], **environ: str) -> Asked:
    """Call a capability and return its request."""
    capability, _ = read_capability(Path(f"{made.name}.yaml"), rendered(made))
    with playback() as stage:
        stage.play = lambda _: Played.json({})
        async with executor(tmp_path, environ, stage=stage) as calls:
            result = await calls.call(capability, arguments)
        assert not result["isError"], result
        return stage.asked[0]


@pytest.mark.parametrize("method", ["post", "put", "patch"])
@pytest.mark.parametrize("arguments", [{"title": "x"}, {"note": None}, {"title": "", "note": None}])
async def test_bodies(method: str, arguments: dict[str, Any], tmp_path: Path) -> None:
    """A body has what the caller gives, null included, and no default."""
    asked = await sent(imported(body(FIELDS), method), tmp_path, arguments)
    assert arguments == asked.json


async def test_an_empty_body(tmp_path: Path) -> None:
    """A required body is sent even if nothing is given."""
    asked = await sent(imported(body(FIELDS)), tmp_path, {})
    assert (b"{}", "application/json") == (asked.body, asked.headers["content-type"])


async def test_reads_are_not_cached(tmp_path: Path) -> None:
    """Each call of an imported read asks the server."""
    made = imported({"operationId": "readState"}, "get")
    assert "cache" not in made.document
    capability, _ = read_capability(Path("read_state.yaml"), rendered(made))
    with playback() as stage:
        stage.play = lambda _: Played.json({"n": len(stage.asked)})
        async with executor(tmp_path, {}, stage=stage) as calls:
            for _ in range(3):
                await calls.call(capability, {})
        assert 3 == len(stage.asked)


async def test_a_credential_in_a_cookie(tmp_path: Path) -> None:
    """It comes before the cookie parameters, without a blank."""
    made = imported(
        {"parameters": [{"name": "theme", "in": "cookie", "schema": {"type": "string"}}]},
        "get",
        components={"securitySchemes": {"s": {"type": "apiKey", "in": "cookie", "name": "sid"}}},
        security=[{"s": []}],
    )
    asked = await sent(made, tmp_path, {"theme": "dark"}, EXAMPLE_S="t0ken==")
    assert "sid=t0ken==; theme=dark" == asked.headers["cookie"]
    with pytest.raises(CallProblem, match="credential"):
        request_of(made, credential="x; admin=1")


@pytest.mark.parametrize(
    ("method", "hints"),
    [
        ("get", {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True}),
        ("post", {"readOnlyHint": False}),
        ("patch", {"readOnlyHint": False}),
        ("put", {"readOnlyHint": False, "idempotentHint": True}),
        ("delete", {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": True}),
    ],
)
def test_annotations(method: str, hints: dict[str, bool]) -> None:
    """Only hints that follow from the method are given."""
    made = imported({}, method)
    capability, _ = read_capability(Path(f"{made.name}.yaml"), rendered(made))
    known = tool_definition(capability)["annotations"]
    assert {**hints, "openWorldHint": True} == known


@pytest.mark.parametrize(
    ("operation_id", "name"),
    [
        ("findPetsByStatus", "find_pets_by_status"),
        ("createUsersWithListInput", "create_users_with_list_input"),
        ("HTTPServerList", "http_server_list"),
        ("listURLs", "list_urls"),
        ("repos/list-for-org", "repos_list_for_org"),
        ("getV2Users", "get_v2_users"),
        ("ALREADY_UPPER", "already_upper"),
    ],
)
def test_names(operation_id: str, name: str) -> None:
    """The words of camelCase are separated."""
    assert name == operation_name(operation_id, "get", "/x", "")
    assert f"my_api_{name}" == operation_name(operation_id, "get", "/x", "my api")


def test_long_names() -> None:
    """They are unique and do not depend on the other operations."""
    ids = [f"{'very' * 30}{n}" for n in range(30)]
    paths = {f"/{n}": {"get": {"operationId": each}} for n, each in enumerate(ids)}
    names = [each.name for each in convert(document(paths), source=SOURCE).capabilities]
    assert len(set(names)) == 30
    assert all(len(name) <= 64 for name in names)
    assert [operation_name(ids[3], "get", "/", "")] == [
        each.name for each in convert(document({"/3": paths["/3"]}), source=SOURCE).capabilities
    ]


def test_one_name_in_several_places() -> None:
    """The key of the input says which parameter it is."""
    parameters = [
        {"name": "id", "in": place, "schema": {"type": "string"}}
        for place in ("cookie", "header", "query")
    ]
    made = imported({"parameters": parameters, **body({"properties": {"id": {}, "x": {}}})})
    assert {"id", "id_header", "id_cookie", "id_body", "x"} == set(input_of(made)["properties"])


def test_undeclared_alternatives_of_a_body() -> None:
    """A body that others extend is one input, so that their fields can be given."""
    schema = {**FIELDS, "discriminator": {"propertyName": "title"}}
    made = imported(body(schema))
    assert {"body"} == set(input_of(made)["properties"])
    whole = {"title": "x", "more": 1}
    assert whole == json.loads(request_of(made, body=whole).content or b"")


@pytest.mark.parametrize("base_url", ["http://10.0.0.7:8000/api", "https://eu.example.com/v2/"])
def test_base_url(base_url: str) -> None:
    """It is used in place of all servers."""
    item = {"get": {"servers": [{"url": "https://other.example"}]}}
    found = convert(
        document({"/x": item}), source=SOURCE, base_url=base_url, private=lambda host: "10." in host
    )
    made = found.capabilities[0]
    assert f"{base_url.rstrip('/')}/x" == request_of(made).url
    assert ("network" in made.document) == ("10." in base_url)


def test_the_body_of_a_read() -> None:
    """It is only worth a note if it has fields."""
    for schema, count in (({"type": "object", "properties": {}}, 0), (FIELDS, 1)):
        assert count == len(imported(body(schema), "get").notes)


def test_a_form_without_declared_parts() -> None:
    """Any fields can be given, and a note says so."""
    made = imported(body({"type": "string"}, "multipart/form-data"))
    assert ["the parts of the form are not declared; any fields are sent"] == list(made.notes)
    content = request_of(made, body={"a": "b"}).content or b""
    assert b'name="a"\r\n\r\nb' in content
