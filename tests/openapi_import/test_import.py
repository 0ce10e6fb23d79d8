"""OpenAPI documents become capabilities that work, and never a traceback."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import h11
import pytest
import trio
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.parsing import read_capability
from mcpgw.capabilities.pins import read_pin
from mcpgw.cli.app import group
from mcpgw.openapi_import import (
    Conversion,
    Filter,
    ImportProblem,
    convert,
    load,
    probe,
    rank,
    write,
)
from mcpgw.openapi_import.writing import rendered
from tests.capabilities.test_any_value import VALUES
from tests.openapi_import.documents import request_of
from tests.openapi_import.making import DOCUMENTS, large
from tests.support.capability_calls import executor, value_of
from tests.support.playback import Playback, Played, playback

PETSTORE = Path(__file__).resolve().parents[2] / "../shared/data/openapi/petstore3.yaml"
SOURCE = "https://api.example.com/openapi.json"
PETSTORE_NAMES = [
    *("add_pet", "create_user", "create_users_with_list_input", "delete_order"),
    *("delete_pet", "delete_user", "find_pets_by_status", "find_pets_by_tags"),
    *("get_inventory", "get_order_by_id", "get_pet_by_id", "get_user_by_name"),
    *("login_user", "logout_user", "place_order", "update_pet"),
    *("update_pet_with_form", "update_user", "upload_file"),
]


def document(paths: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a document of OpenAPI 3.0."""
    base = {"openapi": "3.0.3", "info": {"title": "Example"}, "paths": paths}
    return {**base, "servers": [{"url": "https://api.example.com/v1"}], **more}


def one(operation: dict[str, Any], path: str = "/x", method: str = "get", **more: Any) -> Any:
    """Return what becomes of one operation."""
    item = {method: operation, **more.pop("item", {})}
    found = convert(document({path: item}, **more), source=SOURCE)
    return found.capabilities[0]


def config_of(imported: Any) -> dict[str, Any]:
    """Return the request's settings."""
    config: dict[str, Any] = imported.document["providers"]["primary"]["config"]
    return config


def inputs_of(imported: Any) -> dict[str, Any]:
    """Return the inputs."""
    found: dict[str, Any] = imported.document["schema"]["input"]["properties"]
    return found


class TestPetstore:
    @pytest.fixture
    def petstore(self) -> Conversion:
        """Import the document, where it is there."""
        if not PETSTORE.exists():
            pytest.skip("the folder `shared` is not beside the checkout")
        source = "https://petstore3.swagger.io/api/v3/openapi.json"
        return convert(load(PETSTORE.read_text(), source), source=source, prefix="petstore")

    def test_gives_nineteen(self, petstore: Conversion) -> None:
        """By the names that are documented, all below its own server."""
        assert [f"petstore_{name}" for name in PETSTORE_NAMES] == [
            each.name for each in petstore.capabilities
        ]
        bases = {config_of(each)["base_url"] for each in petstore.capabilities}
        assert {"https://petstore3.swagger.io/api/v3"} == bases

    def test_credentials_are_those_of_each_operation(self, petstore: Conversion) -> None:
        """The key if it is allowed, a token if only that is, otherwise nothing."""
        auth = {each.name: each.document.get("auth") for each in petstore.capabilities}
        assert "env:PETSTORE_API_KEY" == auth["petstore_get_pet_by_id"]["key"]
        assert "api_key" == auth["petstore_get_pet_by_id"]["header"]
        assert "oauth2" == auth["petstore_add_pet"]["type"]
        assert auth["petstore_place_order"] is None

    async def test_works(self, petstore: Conversion, tmp_path: Path) -> None:
        """Requests match the document."""
        found = {each.name: each for each in petstore.capabilities}
        environ = {"PETSTORE_API_KEY": "k3y-value", "PETSTORE_AUTH": "t0ken-value"}
        with playback() as stage:
            stage.play = lambda _: Played.json([{"name": "Rex"}])
            async with executor(tmp_path, environ, stage=stage) as calls:
                for name, arguments in (
                    ("petstore_get_pet_by_id", {"petId": 7}),
                    ("petstore_find_pets_by_status", {"status": "sold"}),
                    ("petstore_place_order", {"petId": 7, "quantity": 2}),
                    ("petstore_upload_file", {"petId": 7, "body": "aGk="}),
                ):
                    made, _ = read_capability(Path(f"{name}.yaml"), rendered(found[name]))
                    await calls.call(made, arguments)
            base = "https://petstore3.swagger.io/api/v3"
            by_id, by_status, order, upload = stage.asked
            assert (f"{base}/pet/7", "k3y-value") == (by_id.url, by_id.headers["api_key"])
            assert {"status": ["sold"]} == by_status.query
            assert {"petId": 7, "quantity": 2} == order.json
            assert ("application/octet-stream", b"hi") == (
                upload.headers["content-type"],
                upload.body,
            )


class TestMapping:
    def test_parameters_of_the_path_item(self) -> None:
        """They hold for all of its operations; an operation's own come before them."""
        item = {
            "parameters": [
                {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}},
                {"name": "q", "in": "query", "schema": {"type": "string"}, "description": "old"},
            ]
        }
        made = one(
            {"parameters": [{"name": "q", "in": "query", "description": "new", "schema": {}}]},
            "/x/{id}",
            item=item,
        )
        assert {"id": "integer", "q": "new"} == {
            "id": inputs_of(made)["id"]["type"],
            "q": inputs_of(made)["q"]["description"],
        }
        assert ["id"] == made.document["schema"]["input"]["required"]
        assert "get_x_id" == made.name

    def test_bodies_do_not_hold_other_inputs(self) -> None:
        """Path parameters are not sent in the body; clashing names have an input each."""
        schema = {"type": "object", "properties": {"id": {"type": "string"}, "name": {}}}
        made = one(
            {
                "parameters": [{"name": "id", "in": "path", "required": True}],
                "requestBody": {"content": {"application/json": {"schema": schema}}},
            },
            "/x/{id}",
            "put",
        )
        assert {"id": "{id_body}", "name": "{name}"} == config_of(made)["body"]

    @pytest.mark.parametrize("schema", [{"type": "array", "items": {}}, {"type": "string"}, {}])
    def test_other_bodies_are_one_input(self, schema: dict[str, Any]) -> None:
        """An array or a text is given as it is."""
        content = {"application/json": {"schema": schema}}
        made = one({"requestBody": {"required": True, "content": content}}, method="post")
        assert "{body}" == config_of(made)["body"]
        assert ["body"] == made.document["schema"]["input"]["required"]

    def test_forms_and_files(self) -> None:
        """A file is a part of its own, given in base64."""
        properties = {"photo": {"type": "string", "format": "binary"}, "title": {"type": "string"}}
        content = {"multipart/form-data": {"schema": {"type": "object", "properties": properties}}}
        made = one({"requestBody": {"content": content}}, method="post")
        assert "multipart/form-data" == config_of(made)["body_content_type"]
        assert {"$file": {"data": "{photo}", "name": "photo"}} == config_of(made)["body"]["photo"]

    def test_references_and_recursion(self) -> None:
        """References are put in, or in `$defs` if they recur; `allOf` is one schema."""
        node = {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                {"properties": {"next": {"$ref": "#/components/schemas/Node"}}},
            ]
        }
        made = one(
            {"requestBody": {"$ref": "#/components/requestBodies/B"}},
            method="post",
            components={
                "schemas": {"Node": node},
                "requestBodies": {
                    "B": {
                        "required": True,
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Node"}}
                        },
                    }
                },
            },
        )
        assert {"a", "next"} == set(inputs_of(made))
        assert ["a"] == made.document["schema"]["input"]["required"]
        schema = made.document["schema"]["input"]
        assert {"a", "next"} == set(schema["$defs"]["Node"]["properties"])

    @pytest.mark.parametrize(
        ("scheme", "auth"),
        [
            ({"type": "http", "scheme": "bearer"}, {"type": "bearer", "key": "env:EXAMPLE_S"}),
            ({"type": "apiKey", "in": "header", "name": "X-K"}, {"header": "X-K"}),
            ({"type": "apiKey", "in": "query", "name": "k"}, {"param": "k"}),
            (
                {"type": "apiKey", "in": "cookie", "name": "sid"},
                {"cookie": "sid"},
            ),
            ({"type": "http", "scheme": "basic"}, {"type": "basic"}),
            ({"type": "oauth2", "flows": {}}, {"type": "oauth2", "scopes": ["read"]}),
        ],
    )
    def test_security(self, scheme: dict[str, Any], auth: dict[str, Any]) -> None:
        """Each scheme has its place; the parameter that carries it is not an input."""
        made = one(
            {"parameters": [{"name": scheme.get("name", "x"), "in": scheme.get("in", "query")}]},
            components={"securitySchemes": {"s": scheme}},
            security=[{"s": ["read"]}],
        )
        assert auth == {key: made.document["auth"][key] for key in auth}
        if "in" in scheme:
            assert {} == inputs_of(made)

    def test_no_security_of_its_own(self) -> None:
        """An empty requirement means no authentication; an optional one is not required."""
        schemes = {"securitySchemes": {"s": {"type": "http", "scheme": "bearer"}}}
        free = one({"security": []}, components=schemes, security=[{"s": []}])
        assert "auth" not in free.document
        maybe = one({"security": [{}, {"s": []}]}, components=schemes)
        assert maybe.document["auth"]["required"] is False

    def test_swagger_2(self) -> None:
        """Host, base path, body, forms and definitions have other places there."""
        found = convert(
            {
                "swagger": "2.0",
                "host": "api.example.com",
                "basePath": "/v2",
                "schemes": ["https"],
                "paths": {
                    "/pets": {
                        "post": {
                            "parameters": [
                                {
                                    "in": "body",
                                    "name": "pet",
                                    "schema": {"$ref": "#/definitions/Pet"},
                                },
                                {
                                    "in": "query",
                                    "name": "ids",
                                    "type": "array",
                                    "items": {"type": "string"},
                                },
                            ],
                            "responses": {"200": {"schema": {"$ref": "#/definitions/Pet"}}},
                        }
                    },
                    "/up": {
                        "post": {
                            "parameters": [
                                {"in": "formData", "name": "f", "type": "file", "required": True},
                                {"in": "formData", "name": "t", "type": "string"},
                            ]
                        }
                    },
                },
                "definitions": {
                    "Pet": {"type": "object", "properties": {"name": {"type": "string"}}}
                },
            },
            source="swagger.json",
        )
        pets, upload = found.capabilities
        assert "https://api.example.com/v2" == config_of(pets)["base_url"]
        assert {"name": "{name}"} == config_of(pets)["body"]
        assert {"ids": {"explode": False}} == config_of(pets)["styles"]["query"]
        assert "name" in pets.document["schema"]["output"]["properties"]
        assert "$file" in config_of(upload)["body"]["f"]
        assert ["f"] == upload.document["schema"]["input"]["required"]

    @pytest.mark.parametrize(
        ("source", "servers", "base"),
        [
            ("https://h.example/api/openapi.json", [{"url": "/v1"}], "https://h.example/v1"),
            ("https://h.example/api/openapi.json", [], "https://h.example"),
            ("file.yaml", [{"url": "https://a.example/"}], "https://a.example"),
            ("file.yaml", [{"url": "/v1"}], "{env.EXAMPLE_BASE_URL}/v1"),
        ],
    )
    def test_servers(self, source: str, servers: list[Any], base: str) -> None:
        """A relative server is below the document's own; without any a variable names it."""
        found = convert(document({"/x": {"get": {}}}, servers=servers), source=source)
        assert base == config_of(found.capabilities[0])["base_url"]

    def test_what_is_left_out_is_told(self) -> None:
        """Deprecated operations, filters, and texts that talk to the model."""
        paths = {
            "/a": {"get": {"tags": ["keep"], "summary": "Good."}},
            "/b": {"get": {"deprecated": True, "tags": ["keep"]}},
            "/c": {"get": {"tags": ["other"]}},
            "/d": {"get": {"tags": ["keep"], "description": "EVIL"}},
            "/e": {"delete": {"tags": ["keep"]}},
        }
        found = convert(
            document(paths),
            source=SOURCE,
            include=Filter.of(["tag:keep"]),
            exclude=Filter.of(["method:delete"]),
            scan=lambda text, _: ["evil"] if "EVIL" in text else [],
        )
        assert ["get_a"] == [each.name for each in found.capabilities]
        reasons = {each.path: each.reason for each in found.skipped}
        assert {
            "/b": "deprecated",
            "/c": "not included",
            "/d": "tool poisoning: evil",
            "/e": "excluded",
        } == reasons

    def test_a_person_may_allow_a_suspicious_operation(self) -> None:
        """By its name, or all of them by the policy; the result says which ones."""
        paths = {"/a": {"get": {"summary": "EVIL"}}, "/b": {"get": {"summary": "EVIL"}}}

        def scan(text: str, _: Any) -> list[str]:
            return ["evil"] if "EVIL" in text else []

        none = convert(document(paths), source=SOURCE, scan=scan)
        assert ["get_a", "get_b"] == [each.suspicious for each in none.skipped]
        one = convert(document(paths), source=SOURCE, scan=scan, allow=["get_b"])
        assert [("get_b", True)] == [(each.name, each.suspicious) for each in one.capabilities]
        assert "Imported in spite of tool poisoning: evil" in one.capabilities[0].notes
        assert ["get_a"] == [each.suspicious for each in one.skipped]
        both = convert(document(paths), source=SOURCE, scan=scan, warn_only=True)
        assert 2 == len(both.capabilities)
        assert () == both.skipped

    def test_names_do_not_clash(self) -> None:
        """Two operations of one name have a number."""
        paths = {"/a": {"get": {"operationId": "list"}}, "/b": {"get": {"operationId": "LIST"}}}
        found = convert(document(paths), source=SOURCE)
        assert ["list", "list_2"] == [each.name for each in found.capabilities]


def test_shared_components_are_scanned() -> None:
    """A component that several operations share is scanned; each of them is left out."""
    node = {
        "type": "object",
        "properties": {
            "next": {"$ref": "#/components/schemas/Node"},
            "text": {"type": "string", "description": "EVIL"},
        },
    }
    good = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Good"}}}
    scanned: list[str] = []

    def scan(text: str, tool: dict[str, Any]) -> list[str]:
        scanned.append(json.dumps(tool))
        return ["evil"] if "EVIL" in text + scanned[-1] else []

    paths = {
        f"/{name}{n}": {
            "post": {
                "requestBody": {
                    "content": {
                        "application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}
                    }
                }
            }
        }
        for name in ("Node", "Good")
        for n in range(3)
    }
    found = convert(
        document(paths, components={"schemas": {"Node": node, "Good": good}}),
        source=SOURCE,
        scan=scan,
    )
    assert ["/Good0", "/Good1", "/Good2"] == [each.path for each in found.capabilities]
    assert {"tool poisoning: evil"} == {each.reason.partition(";")[0] for each in found.skipped}
    assert 6 + 3 + 1 == len(scanned)


def test_one_that_is_unsound_spoils_no_others() -> None:
    """It is left out with its reason."""
    paths = {"/good": {"get": {}}, "/bad": {"get": {"servers": [{"url": "https://a.example/\0"}]}}}
    found = convert(document(paths), source=SOURCE)
    assert ["get_good"] == [each.name for each in found.capabilities]
    assert ["/bad"] == [each.path for each in found.skipped]
    assert "cannot be written as a capability" in found.skipped[0].reason


ARGUMENTS = VALUES | st.sampled_from([["a|b", "c,d"], {"x": "a;b=c"}, "\r\n", "", None, "aGk="])


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(DOCUMENTS, st.lists(ARGUMENTS, min_size=5, max_size=5))
def test_any_document(made: dict[str, Any], arguments: list[Any]) -> None:
    """Whatever a document says, its capabilities are sound files, or it is refused in words; and
    whatever their arguments, a request is one that HTTP/1.1 can hold, or is refused in words."""
    try:
        found = convert(load(json.dumps(made), SOURCE), source=SOURCE)
    except ImportProblem:
        return
    names = [each.name for each in found.capabilities]
    assert len(names) == len(set(names))
    for each in found.capabilities:
        data = rendered(each)
        assert read_pin(data).holds
        capability, _ = read_capability(Path(f"{each.name}.yaml"), data)
        assert each.name == capability.name
        assert re.fullmatch(r"[a-z0-9_]{1,64}", each.name)
        check_request(each, dict(zip(inputs_of(each), arguments, strict=False)))


def check_request(imported: Any, arguments: dict[str, Any]) -> None:
    """Build a request and check that it is one of the server and can be written."""
    made_for = dict.fromkeys(("TEST_API_BASE_URL", "API_BASE_URL"), "https://api.example.com")
    secrets = {f"env.{name}": url for name, url in made_for.items()}
    try:
        made = request_of(imported, secrets, **arguments)
    except CallProblem:
        return
    parts = urlsplit(made.url)
    assert parts.hostname
    assert "" == parts.fragment
    assert made.url.isascii()
    assert not set(made.url) & set(" \r\n\t")
    assert not {".", ".."} & set(parts.path.split("/"))
    headers = [("host", "x"), *made.headers.items()]
    headers.append(("content-length", str(len(made.content or b""))))
    h11.Request(method=made.method, target=f"{parts.path or '/'}?{parts.query}", headers=headers)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", "a: [", "<html>", '{"openapi": "4.0"}'),
        *('{"openapi": "3.0.0", "paths": []}', "openapi: 3.0.0\npaths: {}"),
        *("[" * 60_000, "a: &a [*a]\nopenapi: 3.0.0"),
    ],
)
def test_what_is_no_document(text: str) -> None:
    """It is refused in words."""
    with pytest.raises(ImportProblem):
        convert(load(text, "x.yaml"), source="x.yaml")


def test_a_large_document(tmp_path: Path) -> None:
    """Five hundred operations are five hundred files, each pinned; a second time nothing is in
    the way; a file that was changed by hand is kept."""
    made = load(json.dumps(large(500)), "large.json")
    told: list[None] = []
    found = convert(made, source="large.json", progress=lambda: told.append(None))
    assert 500 == len(told) == len(found.capabilities)
    assert 500 == len(write(found, tmp_path / "out").files)
    assert 500 == len(write(found, tmp_path / "out").files)
    assert 20 == len(rank(found, 20).capabilities)
    changed = tmp_path / "out/get_thing1.yaml"
    changed.write_bytes(changed.read_bytes() + b"# mine\n")
    again = write(found, tmp_path / "out")
    assert ((changed,), 499) == (again.kept, len(again.files))
    assert b"# mine" in changed.read_bytes()
    assert () == write(found, tmp_path / "out", overwrite=True).kept


async def test_probing() -> None:
    """The first of the usual places that has a document is taken."""
    asked = []

    async def fetch(url: str) -> bytes | None:
        asked.append(url)
        await trio.lowlevel.checkpoint()
        if url == "https://a.example/api/openapi.yaml":
            return b"openapi: 3.0.0\npaths: {}"
        return b"<html>" if url.endswith("/docs") else None

    found = await probe("https://a.example/api", fetch)
    assert found is not None
    assert "https://a.example/api/openapi.yaml" == found[0]
    assert await probe("https://b.example", fetch) is None


class TestCommand:
    @pytest.fixture
    def stage(self) -> Any:
        """Run a local server that has a document."""
        with playback() as running:
            yield running

    def run(self, *words: str, home: Path, **environ: str) -> Any:
        variables = {"MCP_GATEWAY_HOME": str(home), **environ}
        return CliRunner().invoke(group, ["cap", *words], env=variables)

    def test_a_file(self, tmp_path: Path) -> None:
        """Files are written, and each can be checked and found by its pin."""
        spec = tmp_path / "api.json"
        spec.write_text(json.dumps(document({"/x": {"get": {"operationId": "getX"}}})))
        out = tmp_path / "caps"
        done = self.run("import", str(spec), "-o", str(out), "-p", "my", home=tmp_path)
        assert 0 == done.exit_code, done.output
        assert "Imported 1 tool from" in done.output
        assert ["my_get_x.yaml"] == [each.name for each in out.iterdir()]
        assert 0 == self.run("validate", str(out), home=tmp_path).exit_code
        assert 0 == self.run("verify", str(out), home=tmp_path).exit_code
        dry = self.run("import", str(spec), "-o", str(tmp_path / "no"), "--dry-run", home=tmp_path)
        assert "Would import 1 tool from" in dry.output
        assert not (tmp_path / "no").exists()

    def test_a_url(self, stage: Playback, tmp_path: Path) -> None:
        """An address inside is refused unless the person allows it."""
        stage.play = lambda asked: (
            Played.json(document({"/x": {"get": {}}}, servers=[{"url": "/v1"}]))
            if asked.target == "/openapi.json"
            else Played(404)
        )
        url = f"{stage.url}/openapi.json"
        refused = self.run("import", url, "-o", str(tmp_path / "a"), home=tmp_path)
        assert "refused" in refused.output
        inside = {"MCP_GATEWAY_ALLOW_PRIVATE": "127.0.0.0/8"}
        done = self.run("import", url, "-o", str(tmp_path / "a"), home=tmp_path, **inside)
        assert 0 == done.exit_code, done.output
        found = self.run(
            "import-url",
            stage.url,
            "-o",
            str(tmp_path / "b"),
            "-f",
            "json",
            home=tmp_path,
            **inside,
        )
        assert 0 == found.exit_code, found.output
        assert ["get_x"] == [each["name"] for each in json.loads(found.output)["capabilities"]]

    @pytest.mark.parametrize("words", [("import", "gone.yaml"), ("import", "ftp://x")])
    def test_what_cannot_be_read(self, words: tuple[str, ...], tmp_path: Path) -> None:
        """It is reported in words, without a traceback."""
        done = self.run(*words, home=tmp_path)
        assert 0 != done.exit_code
        assert "Error: " in done.output


def test_values_are_read_back(tmp_path: Path) -> None:
    """Strings that YAML would read as another type stay strings."""
    made = one(
        {
            "operationId": "x",
            "summary": "- x: true",
            "parameters": [
                {
                    "name": "n",
                    "in": "query",
                    "schema": {"type": "string", "default": "123", "enum": ["123", "true"]},
                }
            ],
        },
    )
    capability, _ = read_capability(Path("x.yaml"), rendered(made))
    assert capability.schema.input is not None
    assert ["123", "true"] == capability.schema.input["properties"]["n"]["enum"]
    assert "- x: true" == capability.title
    assert value_of({"content": [{"type": "text", "text": "1"}]}) == 1
