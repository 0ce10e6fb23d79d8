"""One MCP server as a REST API: its document, its page, and its tools as POST routes."""

from __future__ import annotations

import base64
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import httpx
import jsonschema_rs
import pytest
import trio
import trio.testing
from starlette.applications import Starlette

from mcpgw.backends.rate_limit import RateLimited
from mcpgw.front.http.openapi.responses import from_result, quality
from mcpgw.front.http.openapi.routes import OpenApiRoutes, document
from mcpgw.front.http.openapi.samples import fields, sample
from mcpgw.front.http.openapi.schemas import DEEPEST, embed
from mcpgw.pipeline.call import CallFailed, Recovery
from mcpgw.protocol.errors import (
    BACKEND_UNAVAILABLE,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    RpcError,
)

PLACE = "#/components/schemas/t.arguments"
REAL_TOOLS = Path(__file__).parents[2] / "../shared/data/tool-search/tools.json"


def at(document: Any, pointer: str) -> Any:
    """Follow a reference within a document."""
    node = document
    for part in pointer.removeprefix("#").split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        node = node[int(key)] if isinstance(node, list) else node[key]
    return node


def references(node: Any) -> list[str]:
    """Return every `$ref` below a node."""
    if isinstance(node, list):
        return [found for item in node for found in references(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + [found for item in node.values() for found in references(item)]


def faults(found: Mapping[str, Any]) -> list[str]:
    """Return what the OpenAPI validator has against a document.

    A `default` of null means "none" to many servers; it is a remark of theirs that we keep.
    """
    validator = pytest.importorskip("openapi_spec_validator").OpenAPIV31SpecValidator
    return [error.message for error in validator(found).iter_errors() if error.instance is not None]


def placed(schema: Any) -> tuple[dict[str, Any], Any]:
    """Embed a schema; return a document around it, and a validator that reads it there."""
    around = {"components": {"schemas": {"t.arguments": embed(schema, PLACE)}}}
    return around, jsonschema_rs.validator_for({**around, "$ref": PLACE})


class TestEmbedding:
    def test_local_references_lead_to_the_new_place(self) -> None:
        """Pointers into the schema still resolve, and the schema judges as it did."""
        schema = {
            "type": "object",
            "properties": {
                "item": {"$ref": "#/$defs/a~1b"},
                "again": {"$ref": "#/properties/item"},
                "tree": {"$ref": "#"},
            },
            "$defs": {"a/b": {"type": "integer"}},
        }
        around, validator = placed(schema)
        assert [f"{PLACE}/$defs/a~1b", f"{PLACE}/properties/item", PLACE] == references(around)
        for value, fits in [
            ({"item": 1, "again": 2, "tree": {"item": 3}}, True),
            ({"again": "x"}, False),
            ({"tree": {"tree": {"item": "x"}}}, False),
        ]:
            assert fits is validator.is_valid(value)
            assert fits is jsonschema_rs.is_valid(schema, value)

    @pytest.mark.parametrize(
        "schema",
        [
            {"$defs": {"n": {"$anchor": "number", "type": "integer"}}, "$ref": "#number"},
            {"$defs": {"n": {"$id": "#number", "type": "integer"}}, "$ref": "#number"},
            {
                "$id": "https://tools.example/one",
                "$defs": {"n": {"type": "integer"}},
                "$ref": "https://tools.example/one#/$defs/n",
            },
            {
                "$id": "https://tools.example/one",
                "$defs": {"n": {"$id": "two", "$defs": {"m": {"type": "integer"}}}},
                "$ref": "two#/$defs/m",
            },
            {
                "$defs": {
                    "n": {
                        "$id": "urn:tools:two",
                        "$ref": "#/$defs/m",
                        "$defs": {"m": {"type": "integer"}},
                    }
                },
                "$ref": "urn:tools:two",
            },
            {"$defs": {"n": {"$dynamicAnchor": "n", "type": "integer"}}, "$dynamicRef": "#n"},
        ],
    )
    def test_names_become_pointers(self, schema: dict[str, Any]) -> None:
        """Anchors and `$id` are followed once and left out, for two tools may use the same."""
        around, validator = placed(schema)
        assert validator.is_valid(1)
        assert not validator.is_valid("x")
        text = json.dumps(around)
        assert all(word not in text for word in ('"$id"', '"$anchor"', '"$dynamicAnchor"'))

    @pytest.mark.parametrize(
        "reference",
        ["#/$defs/none", "#none", "https://far.example/schema.json", "other.json#/a", "#/required"],
    )
    def test_references_that_lead_out(self, reference: str) -> None:
        """A reference out of the schema becomes `x-unresolved-ref`."""
        schema = {"properties": {"a": {"$ref": reference, "description": "d"}}, "required": ["a"]}
        embedded = embed(schema, PLACE)
        expected = {"x-unresolved-ref": reference, "description": "d"}
        assert expected == embedded["properties"]["a"]

    def test_names_that_look_like_keywords(self) -> None:
        """A property may be called `$ref` or `$id`; data may look like a reference."""
        schema = {
            "properties": {"$ref": {"type": "string"}, "$id": {"const": {"$ref": "#/nowhere"}}},
            "default": {"$ref": "#"},
        }
        assert schema == embed(schema, PLACE)

    def test_unknown_keywords_are_kept(self) -> None:
        """Unknown keywords are kept, with their references rewritten."""
        schema = {"x-more": {"deep": [{"$ref": "#/x-more"}]}, "$comment": "c", "nullable": True}
        embedded = embed(schema, PLACE)
        assert {**schema, "x-more": {"deep": [{"$ref": f"{PLACE}/x-more"}]}} == embedded

    def test_discriminators(self) -> None:
        """The mapping of a choice of variants follows its schemas."""
        schema = {
            "$defs": {"Cat": {}},
            "discriminator": {"propertyName": "kind", "mapping": {"cat": "#/$defs/Cat", "x": "X"}},
        }
        mapping = embed(schema, PLACE)["discriminator"]["mapping"]
        assert {"cat": f"{PLACE}/$defs/Cat", "x": "X"} == mapping

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("https://json-schema.org/draft-07/schema", "http://json-schema.org/draft-07/schema#"),
            (
                "https://json-schema.org/draft/2020-12/schema#",
                "https://json-schema.org/draft/2020-12/schema",
            ),
        ],
    )
    def test_dialects(self, given: str, kept: str) -> None:
        """A known dialect is normalized; an unknown one is kept under another keyword."""
        assert kept == embed({"$schema": given}, PLACE)["$schema"]
        assert {"x-schema-dialect": "urn:odd"} == embed({"$schema": "urn:odd"}, PLACE)

    @pytest.mark.parametrize("schema", [{"type": "int"}, {"properties": 7}, [], "object", 5])
    def test_invalid_schemas(self, schema: Any) -> None:
        """An invalid schema allows any object, and is kept as a string."""
        embedded = embed(schema, PLACE)
        assert "object" == embedded["type"]
        assert schema == json.loads(embedded["x-invalid-schema"])

    def test_deep_schemas(self) -> None:
        """A schema that is nested without reason is cut off, not followed."""
        schema: dict[str, Any] = {}
        for _ in range(5000):
            schema = {"items": schema}
        assert json.dumps(embed(schema, PLACE)).count("items") == DEEPEST + 1


TOOLS: list[dict[str, Any]] = [
    {
        "name": "search",
        "title": "Search <all>",
        "description": "Find <script>alert(1)</script> & more.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "What to look for"},
                "limit": {"type": "integer", "default": 10},
                "where": {"$ref": "#/$defs/Place"},
            },
            "required": ["query"],
            "$defs": {"Place": {"type": "string", "enum": ["here", "there"]}},
        },
        "outputSchema": {"type": "object", "properties": {"found": {"type": "array"}}},
        "annotations": {"readOnlyHint": True},
    },
    {"name": "a/b {c}", "inputSchema": {"type": "object"}, "annotations": None},
    {"name": "docs", "inputSchema": {"type": "object"}},
]


class TestDocument:
    def test_an_operation(self) -> None:
        """A tool is a POST with its schemas, its words, and what MCP knows of it."""
        found = document("web", {"name": "web", "version": "2"}, TOOLS, base_url="/x", secured=True)
        assert [] == faults(found)
        assert ["/search", "/a%2Fb%20%7Bc%7D", "/docs"] == list(found["paths"])
        operation = found["paths"]["/search"]["post"]
        assert ("search", "Search <all>") == (operation["operationId"], operation["summary"])
        body = operation["requestBody"]
        assert body["required"]
        taken = at(found, body["content"]["application/json"]["schema"]["$ref"])
        assert TOOLS[0]["inputSchema"]["properties"]["query"] == taken["properties"]["query"]
        given = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
        assert TOOLS[0]["outputSchema"] == at(found, given)
        expected = {"server": "web", "tool": "search", "annotations": {"readOnlyHint": True}}
        assert expected == operation["x-mcp"]
        assert [{"bearer": []}] == found["security"]
        assert ["bearer"] == list(found["components"]["securitySchemes"])

    def test_open_server(self) -> None:
        """Without a token the document has no security scheme and no 401."""
        found = document("web", {}, TOOLS, base_url="/x", secured=False)
        assert [] == faults(found)
        assert "security" not in found
        assert "401" not in found["paths"]["/docs"]["post"]["responses"]
        assert {"title": "web", "version": "0"} == found["info"]

    def test_names_that_are_alike_once_written(self) -> None:
        """Operations keep ids of their own; a second tool of the same name is left out."""
        tools = [{"name": name} for name in ("a b", "a_b", "a/b", "a b", "", 7)]
        found = document("web", {}, tools, base_url="/x", secured=False)
        assert [] == faults(found)
        ids = [path["post"]["operationId"] for path in found["paths"].values()]
        assert ["a_b", "a_b_2", "a_b_3"] == ids

    def test_real_tools(self) -> None:
        """Documents of real servers are valid, and every reference in them resolves."""
        if not REAL_TOOLS.exists():
            pytest.skip("the folder `shared` with the real tools is not beside the checkout")
        servers: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for tool in json.loads(REAL_TOOLS.read_text("utf-8")):
            servers[tool["server"]].append(tool)
        assert len(servers) > 50
        invalid = []
        for server, tools in servers.items():
            found = document(server, {}, tools, base_url="/x", secured=True)
            assert [] == faults(found), server
            assert all(at(found, reference) is not None for reference in references(found))
            assert len(tools) == len(found["paths"])
            schemas = found["components"]["schemas"]
            invalid += [name for name, schema in schemas.items() if "x-invalid-schema" in schema]
        assert ["read_pdf.arguments"] == invalid


class TestSamples:
    def test_fields(self) -> None:
        """Arguments are listed with what a person wants to know, the required ones first."""
        where, *_ = [field for field in fields(TOOLS[0]["inputSchema"]) if field.name == "where"]
        listed = [(field.name, field.type) for field in fields(TOOLS[0]["inputSchema"])]
        assert [("query", "string"), ("limit", "integer"), ("where", "string")] == listed
        assert ("here", "there") == where.choices

    @pytest.mark.parametrize(
        ("schema", "least", "most"),
        [
            (TOOLS[0]["inputSchema"], {"query": ""}, {"query": "", "limit": 10, "where": "here"}),
            ({"properties": {"a": {"anyOf": [{"type": "null"}]}}}, {}, {"a": None}),
            (
                {
                    "allOf": [{"$ref": "#/$defs/x"}],
                    "$defs": {
                        "x": {
                            "properties": {"n": {"type": "number", "minimum": 3}},
                            "required": ["n"],
                        }
                    },
                },
                {"n": 3},
                {"n": 3},
            ),
            ({"$ref": "#"}, None, None),
            (
                {
                    "properties": {
                        "t": {"type": "array", "items": {"format": "date", "type": "string"}}
                    }
                },
                {},
                {"t": ["2026-01-31"]},
            ),
            ("nonsense", None, None),
        ],
    )
    def test_samples(self, schema: Any, least: Any, most: Any) -> None:
        """A sample has the form that the schema asks for."""
        assert (least, most) == (sample(schema), sample(schema, everything=True))

    def test_trees_end(self) -> None:
        """A schema that holds itself gives a sample that ends."""
        tree = {"type": "object", "properties": {"child": {"$ref": "#"}}, "required": ["child"]}
        assert 9 == json.dumps(sample(tree)).count("{")


class TestAnswers:
    @pytest.mark.parametrize(
        ("result", "given"),
        [
            ({"structuredContent": {"a": 1}, "content": [{"type": "text", "text": "b"}]}, {"a": 1}),
            ({"structuredContent": [1]}, [1]),
            ({"content": [{"type": "text", "text": '[{"a": 1}]'}]}, [{"a": 1}]),
            ({"content": [{"type": "text", "text": "42"}]}, {"text": "42"}),
            ({"content": [{"type": "text", "text": "{not json"}]}, {"text": "{not json"}),
            ({"content": [{"type": "resource", "uri": "a"}]}, {"type": "resource", "uri": "a"}),
            ({"content": []}, []),
            ({}, []),
            (
                {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
                [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            ),
        ],
    )  # fmt: skip
    def test_what_is_given(self, result: dict[str, Any], given: Any) -> None:
        """The answer is the structured content, else what the one text or the blocks hold."""
        answer = from_result(result)
        assert (200, "application/json") == (answer.status, answer.media_type)
        assert given == json.loads(answer.body)

    @pytest.mark.parametrize(
        ("accept", "media"),
        [
            ("", "application/json"),
            ("*/*", "application/json"),
            ("image/png", "image/png"),
            ("image/*, application/json;q=0.5", "image/png"),
            ("application/json, image/png;q=0.9", "application/json"),
            ("text/html", "application/json"),
        ],
    )
    def test_images(self, accept: str, media: str) -> None:
        """A single image is sent as such only if the client prefers that."""
        block = {
            "type": "image",
            "mimeType": "image/png",
            "data": base64.b64encode(b"png").decode(),
        }
        answer = from_result({"content": [block]}, accept)
        assert media == answer.media_type
        if media == "image/png":
            assert b"png" == answer.body
            assert "sandbox" in answer.headers["content-security-policy"]
        else:
            assert block == json.loads(answer.body)

    @pytest.mark.parametrize(
        "changes", [{"data": "*"}, {"mimeType": "text/html"}, {"mimeType": "image/x\r\na: b"}]
    )
    def test_images_that_are_none(self, changes: dict[str, str]) -> None:
        """An image with invalid data or type stays MCP content."""
        block = {"type": "image", "mimeType": "image/png", "data": "aaaa", **changes}
        assert block == json.loads(from_result({"content": [block]}, "image/*").body)

    def test_failed_tool(self) -> None:
        """A tool that failed is a problem with its own words; the rest of its result is kept."""
        image = {"type": "image", "data": "", "mimeType": "image/png"}
        content = [{"type": "text", "text": "No such page"}, image]
        answer = from_result(
            {"isError": True, "content": content, "structuredContent": {"code": 4}}
        )
        assert (422, "application/problem+json") == (answer.status, answer.media_type)
        assert {
            "type": "about:blank",
            "title": "The tool failed",
            "status": 422,
            "detail": "No such page",
            "data": {"code": 4},
            "content": [image],
        } == json.loads(answer.body)

    @pytest.mark.parametrize(
        ("accept", "weight"),
        [
            ("", 1.0),
            ("text/*;q=0.3, text/html;q=0.7, */*;q=0.1", 0.7),
            ("*/*;q=0.1, text/*", 1.0),
            ("TEXT/HTML;level=1;q=0.4", 0.4),
            ("application/json", 0.0),
            ("text/html;q=nan", 0.0),
            ("text/html;q=lots", 0.0),
        ],
    )
    def test_quality(self, accept: str, weight: float) -> None:
        """The most precise range that names a media type decides."""
        assert weight == quality(accept, "text/html")


@attrs.define
class Spaces(httpx.AsyncByteStream):
    """A body without an end, with so many seconds between its parts."""

    pause: float

    def __aiter__(self) -> Spaces:
        return self

    async def __anext__(self) -> bytes:
        await trio.sleep(self.pause)
        return b" " * 300


@attrs.define
class Gateway:
    """The gateway behind the routes in these tests."""

    result: dict[str, Any] = attrs.field(factory=lambda: {"structuredContent": {"ok": True}})
    error: Exception | None = None
    calls: list[tuple[str, str, dict[str, Any], str]] = attrs.field(factory=list)
    hang: bool = False
    cancelled: trio.Event = attrs.field(factory=trio.Event)

    def info(self, server: str) -> Mapping[str, Any]:
        return {"title": "The <Web>", "version": "1"} if server == "web" else {}

    async def tools(self, server: str) -> Sequence[Mapping[str, Any]]:
        if server == "down":
            raise RpcError(BACKEND_UNAVAILABLE, "it does not start")
        if server != "web":
            raise LookupError(server)
        return TOOLS

    async def call(
        self, server: str, tool: str, arguments: dict[str, Any], principal: str
    ) -> dict[str, Any]:
        self.calls.append((server, tool, arguments, principal))
        if self.error is not None:
            raise self.error
        if self.hang:
            try:
                await trio.sleep_forever()
            finally:
                self.cancelled.set()
        return self.result

    def app(self, **options: Any) -> Starlette:
        server_profile = OpenApiRoutes(
            servers=lambda: ["web", "down"],
            tools=self.tools,
            info=self.info,
            call=self.call,
            **{"secured": False, "limit": 1000, **options},
        )
        return Starlette(routes=server_profile.routes())

    def client(self, **options: Any) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app(**options))
        return httpx.AsyncClient(transport=transport, base_url="http://gateway")


class TestReading:
    async def test_list_of_servers(self) -> None:
        """`GET /openapi` names the servers, as JSON or as a page for a browser."""
        async with Gateway().client() as client:
            listed = (await client.get("/openapi")).json()["servers"]
            page = await client.get("/openapi", headers={"accept": "text/html,*/*;q=0.8"})
        assert {
            "name": "web",
            "title": "The <Web>",
            "docs": "/openapi/web/docs",
            "openapi": "/openapi/web/openapi.json",
        } == listed[0]
        assert "text/html; charset=utf-8" == page.headers["content-type"]
        assert "The &lt;Web&gt;" in page.text

    async def test_a_server_leads_to_its_page(self) -> None:
        """The bare address of a server leads to its page, also behind a prefix."""
        app = Gateway().app()
        transport = httpx.ASGITransport(app, root_path="/behind")
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            answer = await client.get("/behind/openapi/web")
            served = (await client.get("/behind/openapi/web/openapi.json")).json()
        assert (307, "/behind/openapi/web/docs") == (
            answer.status_code,
            answer.headers["location"],
        )
        assert [{"url": "/behind/openapi/web"}] == served["servers"]

    async def test_document(self) -> None:
        """Each server has a document, with the public URL if that is known."""
        async with Gateway().client(secured=True, public_url="https://mcp.example") as client:
            answer = await client.get("/openapi/web/openapi.json")
        assert "no-store" == answer.headers["cache-control"]
        assert [{"url": "https://mcp.example/openapi/web"}] == answer.json()["servers"]
        assert [] == faults(answer.json())

    @pytest.mark.parametrize("path", ["", "/docs", "/openapi.json", "/some_tool"])
    async def test_unknown_server(self, path: str) -> None:
        """An unknown server is a 404 that names the ones there are."""
        async with Gateway().client() as client:
            answer = await client.get(f"/openapi/wep{path}")
        assert (404, "application/problem+json") == (
            answer.status_code,
            answer.headers["content-type"],
        )
        assert "No server is called 'wep'; there are: web, down." == answer.json()["detail"]

    async def test_server_that_does_not_start(self) -> None:
        """If a server's tools cannot be listed, the response has the reason."""
        async with Gateway().client() as client:
            answer = await client.get("/openapi/down/docs")
        assert (503, "it does not start") == (answer.status_code, answer.json()["detail"])

    async def test_page(self) -> None:
        """The page shows all as text, loads nothing, and runs its own script alone."""
        async with Gateway().client(secured=True) as client:
            first = await client.get("/openapi/web/docs")
            second = await client.get("/openapi/web/docs")
        policy = first.headers["content-security-policy"]
        nonce = re.search(r"script-src 'nonce-([\w-]+)'", policy)
        assert nonce is not None
        assert "default-src 'none'" in policy
        assert nonce[1] not in second.text
        page = first.text
        assert [f' nonce="{nonce[1]}"'] == re.findall(r"<script([^>]*)>", page)
        assert "Find &lt;script&gt;alert(1)&lt;/script&gt; &amp; more." in page
        assert "<h1>The &lt;Web&gt;" in page
        assert 'data-path="a%2Fb%20%7Bc%7D"' in page
        assert 'id="token"' in page
        assert not re.search(r"(?:src|href)=\"?(?:https?:)?//|@import|url\(| on\w+=|style=", page)


class TestCalls:
    async def test_call(self) -> None:
        """A POST calls the tool with its body as arguments; an empty body is `{}`."""
        gateway = Gateway()
        async with gateway.client() as client:
            answer = await client.post("/openapi/web/search", json={"query": "ü"})
            await client.post("/openapi/web/a%2Fb%20%7Bc%7D")
            headers = {"content-type": "application/json; charset=utf-8"}
            await client.post("/openapi/web/docs", content=b"{}", headers=headers)
        assert (200, {"ok": True}) == (answer.status_code, answer.json())
        assert "nosniff" == answer.headers["x-content-type-options"]
        assert [
            ("web", "search", {"query": "ü"}, "anonymous"),
            ("web", "a/b {c}", {}, "anonymous"),
            ("web", "docs", {}, "anonymous"),
        ] == gateway.calls

    async def test_principal(self) -> None:
        """The principal is that of the access checks."""
        gateway = Gateway()
        app = gateway.app()

        async def authenticated(scope: Any, receive: Any, send: Any) -> None:
            scope["state"] = {"principal": "ann"}
            await app(scope, receive, send)

        transport = httpx.ASGITransport(authenticated)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            await client.post("/openapi/web/search")
        assert ["ann"] == [principal for *_, principal in gateway.calls]

    @pytest.mark.parametrize(
        ("body", "headers", "status", "words"),
        [
            (b"{", {}, 400, "The body is not JSON: "),
            (b'{"a": NaN}', {}, 400, "NaN is not a JSON number"),
            (b'{"a": "\xff"}', {}, 400, "The body is not JSON: "),
            (b" " * 1001, {}, 413, "larger than 1000 bytes"),
            (b"[]", {}, 400, "The body must be a JSON object"),
            (b"{}", {"content-type": "text/plain"}, 415, "Content-Type: application/json"),
            (b"", {"content-type": "text/plain"}, 415, "Content-Type: application/json"),
            (b"{}", {"content-type": ""}, 415, "Content-Type: application/json"),
            (b"", {"content-type": "", "sec-fetch-site": "cross-site"}, 415, "Content-Type"),
            (
                b"{}",
                {"content-type": "application/json;charset=latin-1"},
                415,
                "charset must be UTF-8",
            ),
            (b"{}", {"content-encoding": "gzip"}, 415, "Content-Encoding"),
        ],
    )
    async def test_bodies_that_are_refused(
        self, body: bytes, headers: dict[str, str], status: int, words: str
    ) -> None:
        """A body that is too large, not JSON, or not marked so never reaches the tool."""
        gateway = Gateway()
        async with gateway.client() as client:
            answer = await client.post(
                "/openapi/web/search",
                content=body,
                headers={"content-type": "application/json", **headers},
            )
        assert (status, status) == (answer.status_code, answer.json()["status"])
        assert words in answer.json()["detail"]
        assert [] == gateway.calls

    async def test_bottomless_body(self) -> None:
        """A body that is nested deeper than can be read is refused, not a fault of ours."""
        body = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
        headers = {"content-type": "application/json"}
        async with Gateway().client(limit=1_000_000) as client:
            answer = await client.post("/openapi/web/search", content=body, headers=headers)
        assert (400, True) == (answer.status_code, "not JSON" in answer.json()["detail"])

    async def test_slow_body(self, autojump_clock: trio.testing.MockClock) -> None:
        """A body that arrives too slowly gets 408."""

        headers = {"content-type": "application/json"}
        async with Gateway().client() as client:
            url = "http://gateway/openapi/web/search"
            request = httpx.Request("POST", url, headers=headers, stream=Spaces(20))
            answer = await client.send(request)
        assert (408, "The body took longer than 30 s.") == (
            answer.status_code,
            answer.json()["detail"],
        )

    async def test_body_without_a_length(self) -> None:
        """A body that does not tell its size is cut off at the limit."""

        headers = {"content-type": "application/json"}
        async with Gateway().client() as client:
            url = "http://gateway/openapi/web/search"
            request = httpx.Request("POST", url, headers=headers, stream=Spaces(0))
            answer = await client.send(request)
        assert 413 == answer.status_code

    async def test_other_methods(self) -> None:
        """Other methods than POST get 405 with `Allow`."""
        gateway = Gateway()
        async with gateway.client() as client:
            answers = [await client.request(m, "/openapi/web/search") for m in ("GET", "DELETE")]
            options = await client.options("/openapi/web/search")
            page = await client.put("/openapi/web/docs")
        assert [(405, "POST, OPTIONS")] * 2 == [
            (a.status_code, a.headers["allow"]) for a in answers
        ]
        assert (204, b"", "POST, OPTIONS") == (
            options.status_code,
            options.content,
            options.headers["allow"],
        )
        assert 405 == page.status_code
        assert [] == gateway.calls

    async def test_unknown_tool(self) -> None:
        """An unknown tool is a 404 that names the nearest one."""
        async with Gateway().client() as client:
            answer = await client.post("/openapi/web/serch", json={})
        assert 404 == answer.status_code
        assert "has no tool 'serch'. Did you mean: search?" in answer.json()["detail"]

    @pytest.mark.parametrize(
        ("code", "status"),
        [
            (INVALID_PARAMS, 400),
            (METHOD_NOT_FOUND, 404),
            (BACKEND_UNAVAILABLE, 503),
            (INTERNAL_ERROR, 500),
            (-31999, 502),
        ],
    )
    async def test_errors_by_code(self, code: int, status: int) -> None:
        """An error of the protocol becomes the status that means the same."""
        gateway = Gateway(error=RpcError(code, "no", {"why": 1}))
        async with gateway.client() as client:
            answer = await client.post("/openapi/web/search", json={})
        assert status == answer.status_code
        told = answer.json()
        assert ("no", int(code), {"why": 1}) == (told["detail"], told["code"], told["data"])

    @pytest.mark.parametrize(
        ("recovery", "status"),
        [
            (Recovery.INVALID_PARAM, 400),
            (Recovery.TOOL_NOT_FOUND, 404),
            (Recovery.NOT_ALLOWED, 403),
            (Recovery.RATE_LIMITED, 429),
            (Recovery.BACKEND_TIMEOUT, 504),
            (Recovery.CIRCUIT_OPEN, 503),
        ],
    )
    async def test_errors_by_kind(self, recovery: Recovery, status: int) -> None:
        """The gateway's own refusals have the status of their kind."""
        error = RpcError(BACKEND_UNAVAILABLE, "no")
        error.__cause__ = CallFailed(recovery, "no")
        async with Gateway(error=error).client() as client:
            answer = await client.post("/openapi/web/search", json={})
        assert (status, recovery.code) == (answer.status_code, answer.json()["reason"])

    async def test_every_kind_has_a_status(self) -> None:
        """Each kind of failure has a status, and the document lists it."""
        found = document("web", {}, TOOLS, base_url="/x", secured=True)
        known = found["paths"]["/search"]["post"]["responses"]
        for recovery in Recovery:
            error = RpcError(BACKEND_UNAVAILABLE, "no")
            error.__cause__ = CallFailed(recovery, "no")
            async with Gateway(error=error).client() as client:
                answer = await client.post("/openapi/web/search", json={})
            assert str(answer.status_code) in known

    async def test_retry_after(self) -> None:
        """A rate limit sets `Retry-After`."""
        failed = CallFailed(Recovery.RATE_LIMITED, "no")
        failed.__cause__ = RateLimited(2.3)
        error = RpcError(BACKEND_UNAVAILABLE, "no")
        error.__cause__ = failed
        async with Gateway(error=error).client() as client:
            answer = await client.post("/openapi/web/search", json={})
        assert "3" == answer.headers["retry-after"]

    async def test_fault_of_ours(self) -> None:
        """An internal error is a 500 without details."""
        async with Gateway(error=Unforeseen("secret")).client() as client:
            answer = await client.post("/openapi/web/search", json={})
        assert 500 == answer.status_code
        assert "secret" not in answer.text

    async def test_client_that_leaves(self) -> None:
        """A call ends when its client goes away."""
        gateway = Gateway(hang=True)
        gone = trio.Event()
        events = [{"type": "http.request", "body": b"{}"}]

        async def receive() -> Any:
            if events:
                return events.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(_event: Any) -> None:
            await trio.lowlevel.checkpoint()

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/openapi/web/search",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
        }
        async with trio.open_nursery() as nursery:
            nursery.start_soon(gateway.app(), scope, receive, send)
            await trio.testing.wait_all_tasks_blocked()
            assert 1 == len(gateway.calls)
            gone.set()
            await gateway.cancelled.wait()


class Unforeseen(Exception):
    """An unexpected error."""
