"""Calls of capabilities against a local server, with what goes wrong in the world."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from mcpgw.capabilities.parsing import read_capability
from mcpgw.config.problems import ConfigError
from tests.support.capability_calls import capability, executor, text_of, value_of
from tests.support.patience import PATIENCE
from tests.support.playback import Asked, Playback, Played, playback

LOCAL = ("127.0.0.0/8", "localhost")
SECRET = "a-very-secret-value"


@pytest.fixture
def stage() -> Iterator[Playback]:
    """Run a local server."""
    with playback() as running:
        yield running


def api(
    stage: Playback, more: str = "", config: str = "", *, inputs: str = "q: {type: string}"
) -> Any:
    """Return a capability of the local server."""
    return capability(
        f"""
name: example
description: An example.
schema: {{input: {{type: object, properties: {{{inputs}}}}}}}
providers:
  primary:
    config:
      base_url: {stage.url}
      path: /v1/{{q|list}}
{config}
network: {{allow_private: true}}
{more}
"""
    )


def jsons(*values: Any) -> Any:
    """Answer with one value after the other, the last again and again."""
    left = list(values)

    def play(_: Asked) -> Played:
        value = left.pop(0) if len(left) > 1 else left[0]
        return value if isinstance(value, Played) else Played.json(value)

    return play


class TestAttacks:
    @pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"])
    @pytest.mark.parametrize(
        ("allow", "inside"), [("true", ()), ("false", LOCAL), ("true", ("10.0.0.0/8",))]
    )
    async def test_addresses_inside_are_refused(
        self, url: str, allow: str, inside: tuple[str, ...], tmp_path: Path
    ) -> None:
        """Both the file and the operator have to allow them."""
        found = capability(
            f"name: x\ndescription: x\nnetwork: {{allow_private: {allow}}}\n"
            f'providers: {{primary: {{config: {{base_url: "{url}"}}}}}}'
        )
        async with executor(tmp_path, inside=inside) as calls:
            result = await calls.call(found, {})
        assert result["isError"]
        assert "refused" in text_of(result)

    @pytest.mark.parametrize(
        "target",
        [
            "http://169.254.169.254/latest/meta-data/",
            "http://[::ffff:169.254.169.254]/",
            "http://metadata.internal/",
            "http://2852039166/",
            "file:///etc/passwd",
        ],
    )
    async def test_a_redirect_to_the_metadata_service(
        self, stage: Playback, target: str, tmp_path: Path
    ) -> None:
        """Every hop is checked, so a server outside cannot lead us inside."""
        trio.socket.set_custom_hostname_resolver(Names({"metadata.internal": ["169.254.169.254"]}))
        stage.play = lambda _: Played(302, headers={"location": target})
        async with executor(tmp_path, inside=LOCAL) as calls:
            result = await calls.call(api(stage), {})
        assert result["isError"]
        assert 1 == len(stage.asked)

    async def test_a_name_that_changes_its_address(self, stage: Playback, tmp_path: Path) -> None:
        """The checked address is the one connected to; the name is not resolved again."""
        names = Names({"rebind.example": ["93.184.216.34"], "second": ["127.0.0.1"]})
        names.later["rebind.example"] = ["127.0.0.1"]
        trio.socket.set_custom_hostname_resolver(names)
        found = capability(
            "name: x\ndescription: x\nretry: {attempts: 1}\n"
            f'providers: {{primary: {{timeout: 0.3, config: {{base_url: "http://rebind.example:{stage.port}"}}}}}}'
        )
        async with executor(tmp_path) as calls:
            first = await calls.call(found, {})
            second = await calls.call(found, {})
        assert first["isError"]
        assert "refused" in text_of(second)
        assert [] == stage.asked
        assert 2 == names.asked

    @pytest.mark.parametrize(
        ("attack", "target"),
        [
            ("../../admin", "/v1/..%2F..%2Fadmin"),
            ("a?b=c#d", "/v1/a%3Fb%3Dc%23d"),
            ("//evil.example", "/v1/%2F%2Fevil.example"),
            ("{env.HOME}", "/v1/%7Benv.HOME%7D"),
            ("ä ö", "/v1/%C3%A4%20%C3%B6"),
        ],
    )
    async def test_a_path_value_is_one_segment(
        self, stage: Playback, attack: str, target: str, tmp_path: Path
    ) -> None:
        """No value leaves its place in the path, nor brings a secret there."""
        stage.play = jsons({"ok": True})
        async with executor(tmp_path, {"HOME": SECRET}, inside=LOCAL) as calls:
            result = await calls.call(api(stage), {"q": attack})
        assert not result["isError"]
        assert target == stage.asked[0].target

    @pytest.mark.parametrize("step", ["..", "."])
    async def test_steps_are_refused(self, stage: Playback, step: str, tmp_path: Path) -> None:
        """However it is encoded, such a segment is taken for a step."""
        async with executor(tmp_path, inside=LOCAL) as calls:
            assert (await calls.call(api(stage), {"q": step}))["isError"]
        assert [] == stage.asked

    @pytest.mark.parametrize("attack", ["x\r\nX-Evil: 1", "x\nY", "x\0"])
    async def test_a_header_value_is_one_line(
        self, stage: Playback, attack: str, tmp_path: Path
    ) -> None:
        """Nothing in a value begins another header."""
        found = api(stage, config='      headers: {X-Query: "{q}"}')
        async with executor(tmp_path, inside=LOCAL) as calls:
            result = await calls.call(found, {"q": attack})
        assert result["isError"]
        assert "control character" in text_of(result)
        assert [] == stage.asked

    async def test_a_credential_stays_with_its_origin(
        self, stage: Playback, tmp_path: Path
    ) -> None:
        """A redirect to another origin is followed without it; the file's own gets it."""
        with playback() as other:
            other.play = jsons({"from": "other"})
            elsewhere = {"location": f"http://localhost:{other.port}/next"}
            stage.play = lambda _: Played(302, headers=elsewhere)
            found = api(stage, 'auth: {required: true, key: "env:KEY"}')
            async with executor(tmp_path, {"KEY": SECRET}, inside=LOCAL) as calls:
                result = await calls.call(found, {})
            assert {"from": "other"} == value_of(result)
            assert f"Bearer {SECRET}" == stage.asked[0].headers["authorization"]
            assert "authorization" not in other.asked[0].headers

    async def test_a_post_is_not_sent_elsewhere(self, stage: Playback, tmp_path: Path) -> None:
        """A redirect to another origin that would repeat the body is not followed."""
        with playback() as other:
            stage.play = lambda _: Played(307, headers={"location": f"{other.url}/other"})
            found = api(stage, config='      method: POST\n      body: {q: "{q}"}')
            async with executor(tmp_path, inside=LOCAL) as calls:
                result = await calls.call(found, {"q": "x"})
            assert "must not get its body" in text_of(result)
            assert 1 == len(stage.asked)
            assert [] == other.asked

    async def test_secrets_that_an_api_echoes_are_cut_out(
        self, stage: Playback, tmp_path: Path
    ) -> None:
        """Neither results nor errors nor kept answers hold them."""
        more = 'auth: {required: true, key: "env:KEY"}\nmetadata: {read_only: true}\n'
        more += "cache: {strategy: ttl, ttl: 60}"
        for status in (200, 400):
            stage.play = lambda asked, status=status: Played.json(
                {"message": "you sent", "headers": dict(asked.headers)}
                if status == 200
                else {"message": f"bad key {asked.headers['authorization']}"},
                status,
            )
            async with executor(tmp_path, {"KEY": SECRET}, inside=LOCAL) as calls:
                for _ in range(2):
                    result = await calls.call(api(stage, more), {"q": str(status)})
                    assert SECRET not in json.dumps(result)
                    assert "[redacted]" in json.dumps(result)

    async def test_a_credential_never_crosses_a_network_in_the_open(self, tmp_path: Path) -> None:
        """http is refused where a credential would go along."""
        found = capability(
            'name: x\ndescription: x\nauth: {required: true, key: "env:KEY"}\n'
            "providers: {primary: {config: {base_url: 'http://api.example.com'}}}"
        )
        async with executor(tmp_path, {"KEY": SECRET}) as calls:
            assert "must be an https URL" in text_of(await calls.call(found, {}))

    async def test_an_input_is_no_host(self, tmp_path: Path) -> None:
        """One label of a declared host may be an input, and no more than that."""
        found = capability(
            "name: x\ndescription: x\nschema: {input: {properties: {l: {type: string}}}}\n"
            "providers: {primary: {config: {base_url: 'https://{l}.wikipedia.org'}}}"
        )
        async with executor(tmp_path) as calls:
            for attack in ("evil.com/", "evil.com#", "a@b", "a.b", ""):
                assert "host" in text_of(await calls.call(found, {"l": attack}))

    async def test_too_long_an_answer(self, stage: Playback, tmp_path: Path) -> None:
        """It is not read to its end, also where it only unfolds to that size."""
        import gzip

        content = gzip.compress(b" " * 10_000_000)
        kinds = {"content-type": "application/json", "content-encoding": "gzip"}
        stage.play = lambda _: Played(200, content, kinds)
        async with executor(tmp_path, inside=LOCAL) as calls:
            found = api(stage)
            small = read_small(found)
            assert "larger than 1000 bytes" in text_of(await calls.call(small, {}))


def read_small(found: Any) -> Any:
    """Return a capability that takes small answers only."""
    import attrs

    return attrs.evolve(found, primary=attrs.evolve(found.primary, max_bytes=1000))


class Names(trio.abc.HostnameResolver):
    """A resolver of the test's own."""

    def __init__(self, known: dict[str, list[str]]) -> None:
        self.known = known
        self.later: dict[str, list[str]] = {}
        self.asked = 0

    async def getaddrinfo(  # type: ignore[override]
        self, host: Any, port: Any, family: int = 0, kind: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        import socket

        self.asked += 1
        name = host.decode() if isinstance(host, bytes) else host
        found = self.known.get(name)
        if name in self.later:
            self.known[name] = self.later[name]
        if found is None:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        raise NotImplementedError


class TestAnswers:
    async def test_defaults_of_the_schema_are_sent(self, stage: Playback, tmp_path: Path) -> None:
        """Omitted inputs have their defaults; null counts as omitted."""
        stage.play = jsons({})
        found = api(
            stage,
            config='      params: {n: "{n}", q: "{q}"}',
            inputs="q: {type: string}, n: {type: integer, default: 7}",
        )
        async with executor(tmp_path, inside=LOCAL) as calls:
            await calls.call(found, {"q": None})
        assert {"n": ["7"]} == stage.asked[0].query

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("a.b[0].c", 1),
            ("a.b.0.c", 1),
            ("a.b[].c", [1, 2]),
            ("$", {"a": {"b": [{"c": 1}, {"c": 2}]}}),
            ("nothing.there", None),
        ],
    )
    async def test_the_wanted_part(
        self, stage: Playback, path: str, value: Any, tmp_path: Path
    ) -> None:
        """A path leads through objects and lists."""
        stage.play = jsons({"a": {"b": [{"c": 1}, {"c": 2}]}})
        async with executor(tmp_path, inside=LOCAL) as calls:
            result = await calls.call(api(stage, config=f"      response_path: {path}"), {})
        assert value == value_of(result)

    async def test_xml_is_a_tree(self, stage: Playback, tmp_path: Path) -> None:
        """Attributes, repeated children and text have their places; entities are refused."""
        xml = '<r xmlns="urn:x"><a id="1">t</a><a/><b><c>5</c></b></r>'
        stage.play = lambda _: Played(200, xml.encode(), {"content-type": "text/xml"})
        async with executor(tmp_path, inside=LOCAL) as calls:
            value = value_of(await calls.call(api(stage), {}))
            assert {"a": [{"@id": "1", "#text": "t"}, ""], "b": {"c": "5"}} == value
            bomb = b'<!DOCTYPE r [<!ENTITY a "aaaa">]><r>&a;</r>'
            stage.play = lambda _: Played(200, bomb, {"content-type": "text/xml"})
            assert "entity declarations" in text_of(await calls.call(api(stage), {}))

    @pytest.mark.parametrize(
        ("kind", "block"),
        [("image/png", "image"), ("audio/mpeg", "audio"), ("application/pdf", "resource")],
    )
    async def test_bytes_are_content(
        self, stage: Playback, kind: str, block: str, tmp_path: Path
    ) -> None:
        """Pictures and sounds are what MCP has for them, all else an embedded resource."""
        stage.play = lambda _: Played(200, b"\0\1\2", {"content-type": kind})
        async with executor(tmp_path, inside=LOCAL) as calls:
            result = await calls.call(api(stage), {})
        assert block == result["content"][0]["type"]
        assert {"data": "AAEC", "mime_type": kind, "size": 3} == value_of(result)

    async def test_structured_content_is_an_object(self, stage: Playback, tmp_path: Path) -> None:
        """A list is wrapped, as its schema is."""
        stage.play = jsons([1, 2])
        found = capability(
            "name: x\ndescription: x\nschema: {output: {type: array}}\n"
            "network: {allow_private: true}\n"
            f"providers: {{primary: {{config: {{base_url: '{stage.url}'}}}}}}"
        )
        async with executor(tmp_path, inside=LOCAL) as calls:
            result = await calls.call(found, {})
        assert {"result": [1, 2]} == result["structuredContent"]
        assert "[1,2]" == text_of(result)

    async def test_pages_are_read_on(self, stage: Playback, tmp_path: Path) -> None:
        """Several pages are one answer in the form of a single page."""
        stage.play = jsons(
            {"items": [1, 2], "next": "b"},
            {"items": [3], "next": "c"},
            {"items": [4], "next": None},
        )
        config = "      pagination: {style: cursor, parameter: page, next: next, items: items,"
        async with executor(tmp_path, inside=LOCAL) as calls:
            two = await calls.call(api(stage, config=f"{config} max_pages: 2}}"), {})
        assert {"items": [1, 2, 3], "next": "c"} == value_of(two)
        assert [{}, {"page": ["b"]}] == [each.query for each in stage.asked]

    async def test_pages_of_a_list_within_a_list_are_joined(
        self, stage: Playback, tmp_path: Path
    ) -> None:
        """Paths of items may hold indexes."""
        stage.play = jsons(
            {"sets": [{"items": [1]}], "next": "b"}, {"sets": [{"items": [2]}], "next": None}
        )
        config = (
            "      pagination: {style: cursor, parameter: page, next: next, max_pages: 2,"
            ' items: "sets[0].items"}'
        )
        async with executor(tmp_path, inside=LOCAL) as calls:
            found = await calls.call(api(stage, config=config), {})
        assert {"sets": [{"items": [1, 2]}], "next": None} == value_of(found)

    async def test_a_link_header_leads_on(self, stage: Playback, tmp_path: Path) -> None:
        """`rel="next"` is followed on the same origin only."""
        pages = {
            "/v1/list": ([1], f'<{stage.url}/v1/list?page=2>; rel="next"'),
            "/v1/list?page=2": ([2], '<http://evil.example/>; rel="next"'),
        }

        def play(asked: Asked) -> Played:
            items, link = pages[asked.target]
            return Played.json(items, link=link)

        stage.play = play
        async with executor(tmp_path, inside=LOCAL) as calls:
            result = await calls.call(
                api(stage, config="      pagination: {style: link, max_pages: 5}"), {}
            )
        assert [1, 2] == value_of(result)

    async def test_graphql(self, stage: Playback, tmp_path: Path) -> None:
        """Inputs are variables; errors are reported, and partial data is kept."""
        found = capability(
            f"""
name: x
description: x
network: {{allow_private: true}}
schema: {{input: {{properties: {{id: {{type: string}}}}}}}}
providers:
  primary:
    service: graphql
    config:
      endpoint: {stage.url}/graphql
      query: "query($id: ID!) {{ user(id: $id) {{ name }} }}"
      variables: {{id: "{{id}}"}}
      response_path: data.user
"""
        )
        stage.play = jsons(
            {"data": {"user": {"name": "Ada"}}},
            {"errors": [{"message": "no such user"}], "data": None},
            {"errors": [{"message": "partly"}], "data": {"user": {"name": None}}},
        )
        async with executor(tmp_path, inside=LOCAL) as calls:
            assert {"name": "Ada"} == value_of(await calls.call(found, {"id": '") { x }'}))
            failed = await calls.call(found, {"id": "2"})
            assert failed["isError"]
            assert "no such user" in text_of(failed)
            partly = value_of(await calls.call(found, {"id": "3"}))
            assert {"name": None} == partly["data"]
            assert "partly" == partly["errors"][0]["message"]
        assert {"id": '") { x }'} == stage.asked[0].json["variables"]

    async def test_json_rpc(self, stage: Playback, tmp_path: Path) -> None:
        """A result is returned, an error has its code."""
        found = capability(
            f"""
name: x
description: x
network: {{allow_private: true}}
providers:
  primary:
    service: jsonrpc
    config: {{endpoint: "{stage.url}", method: eth_blockNumber, response_path: n}}
"""
        )
        stage.play = jsons({"result": {"n": "0x1"}}, {"error": {"code": -32601, "message": "no"}})
        async with executor(tmp_path, inside=LOCAL) as calls:
            assert "0x1" == value_of(await calls.call(found, {"tag": "latest"}))
            assert "-32601: no" in text_of(await calls.call(found, {}))
        sent = stage.asked[0].json
        assert ("2.0", "eth_blockNumber", {"tag": "latest"}) == (
            *(sent["jsonrpc"], sent["method"], sent["params"]),
        )


class TestTroubles:
    async def test_a_read_is_asked_again(self, stage: Playback, tmp_path: Path) -> None:
        """503 with Retry-After is waited for if the request is safe to repeat."""
        stage.play = jsons(Played(503, headers={"retry-after": "0"}), Played(429), {"ok": 1})
        async with executor(tmp_path, inside=LOCAL) as calls:
            assert {"ok": 1} == value_of(await calls.call(api(stage), {}))
        assert 3 == len(stage.asked)

    async def test_a_write_is_sent_once(self, stage: Playback, tmp_path: Path) -> None:
        """It may have had its effect, whatever the answer says."""
        stage.play = lambda _: Played(503)
        found = api(stage, config="      method: POST\n      body: {a: 1}")
        async with executor(tmp_path, inside=LOCAL) as calls:
            assert "HTTP 503" in text_of(await calls.call(found, {}))
        assert 1 == len(stage.asked)

    @pytest.mark.parametrize(("read_only", "requests"), [(True, 2), (False, 1)])
    async def test_another_provider_is_tried(
        self, stage: Playback, read_only: bool, requests: int, tmp_path: Path
    ) -> None:
        """For reads; a write that may have happened is not done again elsewhere."""
        found = capability(
            f"""
name: x
description: x
network: {{allow_private: true}}
retry: {{attempts: 1}}
metadata: {{read_only: {str(read_only).lower()}}}
providers:
  primary: {{config: {{base_url: "{stage.url}", path: /one, method: POST, body: {{}}}}}}
  fallback: {{config: {{base_url: "{stage.url}", path: /two, method: POST, body: {{}}}}}}
"""
        )
        stage.play = lambda asked: (
            Played(500) if asked.target == "/one" else Played.json({"from": "two"})
        )
        async with executor(tmp_path, inside=LOCAL) as calls:
            result = await calls.call(found, {})
        assert requests == len(stage.asked)
        assert read_only is not result["isError"]

    async def test_a_host_that_is_not_known(self, stage: Playback, tmp_path: Path) -> None:
        """It is a failure like others: another provider is tried, by a write too, since nothing
        was sent; without one the error has the reason."""
        alone = "name: x\ndescription: x\nnetwork: {allow_private: true}\nretry: {attempts: 1}\n"
        alone += "providers:\n  primary: {config: {endpoint: 'https://nobody.invalid/'}}\n"
        more = f"  fallback: {{config: {{base_url: '{stage.url}', method: POST, body: {{}}}}}}\n"
        stage.play = jsons({"ok": 1})
        async with executor(tmp_path, inside=LOCAL) as calls:
            assert {"ok": 1} == value_of(await calls.call(capability(alone + more), {}))
            said = text_of(await calls.call(capability(alone), {}))
        assert (
            "nobody.invalid cannot be reached: the host nobody.invalid cannot be resolved." == said
        )

    async def test_what_is_refused_can_be_allowed(self, stage: Playback, tmp_path: Path) -> None:
        """The refusal says how, and where."""
        async with executor(tmp_path) as calls:
            said = text_of(await calls.call(api(stage), {}))
        assert "is a loopback address" in said
        assert "capabilities.allow_private" in said

    async def test_an_api_that_fails_is_left_alone(self, stage: Playback, tmp_path: Path) -> None:
        """After some failures its host is not asked for a while; other hosts are."""
        stage.play = lambda _: Played(500)
        found = api(stage, "retry: {attempts: 1}")
        with playback() as other:
            other.play = jsons({"ok": 1})
            async with executor(tmp_path, inside=LOCAL) as calls:
                for _ in range(7):
                    last = await calls.call(found, {})
                assert {"ok": 1} == value_of(await calls.call(api(other), {}))
        assert 5 == len(stage.asked)
        assert "failed several times in a row" in text_of(last)

    async def test_answers_are_given_again(self, stage: Playback, tmp_path: Path) -> None:
        """For their time, to reads with the same arguments of the same file; at once to many."""
        stage.play = lambda asked: Played.json({"for": asked.target})
        more = "cache: {strategy: exact, ttl: 60}\nmetadata: {read_only: true}"
        found = api(stage, more)
        async with executor(tmp_path, inside=LOCAL) as calls:

            async def ask(q: str, digest: str = "1", fresh: bool = False) -> None:
                await calls.call(found, {"q": q}, content_hash=digest, fresh=fresh)

            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(ask, "a")
            assert 1 == len(stage.asked)
            await ask("b")
            await ask("a", "2")
            await ask("a", fresh=True)
            await ask("a")
        assert 4 == len(stage.asked)

    async def test_the_rate_of_an_api_is_kept(
        self, stage: Playback, tmp_path: Path, autojump_clock: trio.testing.MockClock
    ) -> None:
        """The third of two calls a minute waits for its turn."""
        found = capability(
            "name: x\ndescription: x\nrate_limit: {requests: 2, per: 60}\n"
            "providers: {primary: {service: mcp, config: {server: s, tool: t}}}"
        )

        async def call_tool(server: str, tool: str, arguments: Any) -> Any:
            return {"content": [{"type": "text", "text": f"{server}:{tool}"}]}

        async with executor(tmp_path, call_tool=call_tool) as calls:
            began = trio.current_time()
            for _ in range(3):
                await calls.call(found, {})
            assert 30 == pytest.approx(trio.current_time() - began)

    async def test_what_is_missing_is_told(self, stage: Playback, tmp_path: Path) -> None:
        """A missing credential names its variable and how to get one; nothing is sent."""
        more = 'auth: {required: true, key: "env:MY_KEY", description: See example.com/keys.}'
        async with executor(tmp_path, inside=LOCAL) as calls:
            said = text_of(await calls.call(api(stage, more), {}))
        assert "MY_KEY is not set" in said
        assert "See example.com/keys." in said
        assert [] == stage.asked


class TestCommands:
    CONFIG = "{service: cli, timeout: 5, config: {command: %s}}"

    def made(self, command: str, more: str = "") -> Any:
        return capability(
            "name: x\ndescription: x\nschema: {input: {properties: {a: {type: string},"
            " b: {type: boolean}}}}\nproviders: {primary: {service: cli, timeout: 5,"
            f" config: {{command: {command}{more}}}}}}}"
        )

    @pytest.mark.process
    async def test_no_shell_runs(self, tmp_path: Path) -> None:
        """A value is one word, whatever it holds; words without a value go with their flags."""
        found = self.made('[printf, "%s|", x, [--a, "{a}"], [{when: "{b}"}, --b]]')
        async with executor(tmp_path, {"PATH": "/usr/bin:/bin"}) as calls:
            said = text_of(await calls.call(found, {"a": "$(id); `ls` && *", "b": True}))
            assert "x|--a|$(id); `ls` && *|--b|" == said
            assert "x|" == text_of(await calls.call(found, {"b": False}))
            assert "as an option" in text_of(await calls.call(found, {"a": "--exec=x"}))

    async def test_they_are_off(self, tmp_path: Path) -> None:
        """Only files that the operator allows may run commands."""
        from mcpgw.capabilities.service import commands_rule

        folder = tmp_path / "allowed"
        rule = commands_rule(("allowed", "sha256:" + "a" * 64), tmp_path)
        assert "" == rule(folder / "x.yaml", "")
        assert "" == rule(tmp_path / "other.yaml", "a" * 64)
        assert "allow_commands" in rule(tmp_path / "other.yaml", "b" * 64)
        assert "allow_commands" in rule(folder / ".." / "other.yaml", "")
        async with executor(tmp_path, commands_allowed=rule) as calls:
            result = await calls.call(self.made("[echo, hi]"), {}, path=tmp_path / "x.yaml")
        assert "is not allowed" in text_of(result)

    @pytest.mark.process
    async def test_only_named_variables_go_along(self, tmp_path: Path) -> None:
        """The gateway's other secrets stay with it."""
        environ = {"PATH": "/usr/bin:/bin", "NAMED": "yes", "SECRET": SECRET}
        async with executor(tmp_path, environ) as calls:
            said = text_of(await calls.call(self.made("[env]", ", env: [NAMED], output: text"), {}))
        assert "NAMED=yes" in said
        assert SECRET not in said

    @pytest.mark.process
    async def test_it_is_ended_in_time(self, tmp_path: Path) -> None:
        """With all that it started."""
        import attrs

        found = self.made('[sh, "-c", "sleep 600 & sleep 600"]')
        found = attrs.evolve(found, primary=attrs.evolve(found.primary, timeout=0.3))
        async with executor(tmp_path, {"PATH": "/usr/bin:/bin"}) as calls:
            with trio.fail_after(PATIENCE):
                assert "timed out after 0.3 s" in text_of(await calls.call(found, {}))

    @pytest.mark.process
    async def test_a_failure_tells_its_reason(self, tmp_path: Path) -> None:
        """The status, and the end of what it said."""
        found = self.made('[sh, "-c", "echo broken >&2; exit 3"]')
        async with executor(tmp_path, {"PATH": "/usr/bin:/bin"}) as calls:
            result = await calls.call(found, {})
        assert "exited with status 3: broken" in text_of(result)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: A-b\nproviders: {primary: {config: {base_url: 'https://x.y'}}}", "CAP-001"),
        ("providrs: {}", "Did you mean 'providers'"),
        ("description: x", "at least one provider"),
        ("providers: {primary: {config: {base_url: 'ftp://x'}}}", "CAP-008"),
        ("providers: {primary: {service: soap, config: {base_url: 'https://x.y'}}}", "one of"),
        (
            (
                "schema: {input: {properties: {a: {}}}}\n"
                "providers: {primary: {config: {base_url: 'https://x.y', path: '/{b}'}}}"
            ),
            "is not a declared input",
        ),
        (
            (
                "auth: {key: sk-abcdefghijklmnopqrstuvwxyz}\n"
                "providers: {primary: {config: {base_url: 'https://x.y'}}}"
            ),
            "looks like a secret itself",
        ),
        ("providers: {primary: {config: {base_url: 'https://x.y', metod: GET}}}", "'method'"),
        ("- a", "map of keys"),
        ("a: [", ""),
        ("[" * 50_000, "nested"),
    ],
)
def test_faults_have_line_and_remedy(text: str, said: str) -> None:
    """A broken file is refused with all its faults, and never with a traceback."""
    with pytest.raises(ConfigError) as caught:
        read_capability(Path("example.yaml"), text.encode())
    assert said in str(caught.value)
    assert all(each.line for each in caught.value.problems)
