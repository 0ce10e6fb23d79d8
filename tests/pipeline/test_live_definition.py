"""Calls are checked against the live lists, after each start of the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from mcpgw.backends.manifest import Manifest
from mcpgw.backends.verdict import Cause, Verdict, Withheld
from mcpgw.config.schema import GatewayConfig
from mcpgw.pipeline.call import Call, CallFailed, Recovery
from mcpgw.pipeline.definitions import DefinitionWithheld
from mcpgw.pipeline.pipeline import Pipeline
from mcpgw.protocol.errors import INTERNAL_ERROR, RpcError
from mcpgw.protocol.peer import Params, Request
from mcpgw.usage.recorder import Usage
from tests.support.scripted import READ_TOOL, FakeServices, Life, Script, scripted_pool

EVIL = {"name": "read", "description": "evil", "inputSchema": {"type": "object"},
        "annotations": {"readOnlyHint": True}}  # fmt: skip


async def plain(request: Request) -> Params:
    """Answer any request."""
    return {"content": [{"type": "text", "text": "done"}]}


@pytest.fixture
def vetted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have evil tools withheld."""

    async def vet(
        self: Any, server: str, manifest: Manifest, before: Any = None, **_: Any
    ) -> Verdict:
        evil = [each for each in manifest.tools if each.get("description") == "evil"]
        shown = tuple(each for each in manifest.tools if each not in evil)
        withheld = tuple(
            Withheld("tool", each["name"], Cause.POISONING, position=1, digest="ab" * 32)
            for each in evil
        )
        return Verdict(attrs.evolve(manifest, tools=shown), withheld)

    monkeypatch.setattr(FakeServices, "vet", vet)


def call(name: str = "read", **fields: Any) -> Call:
    """Return a call of a tool."""
    return Call("one", "tools/call", name, {"name": name, "arguments": {}}, **fields)


async def failure(pipeline: Pipeline, the_call: Call) -> CallFailed:
    """Return why a call fails."""
    with pytest.raises(CallFailed) as caught:
        await pipeline.call(the_call)
    return caught.value


@pytest.mark.usefixtures("vetted")
async def test_a_restart_between_two_tries_is_noticed(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """A call that is repeated after a crash waits for the new lists, and is refused by them."""
    lives: list[Life] = []
    asked: list[Params] = []

    async def dies(request: Request) -> Params:
        asked.append(request.params)
        lives[0].die()
        await trio.sleep_forever()
        raise AssertionError

    lives += [Life(dies, tools=(READ_TOOL,)), Life(plain, tools=(EVIL,))]
    async with scripted_pool(monkeypatch, {"one": Script(lives)}) as pool:
        usage = Usage()
        error = await failure(Pipeline(pool, usage), call())
        assert isinstance(error, DefinitionWithheld)
        assert Recovery.NOT_ALLOWED is error.recovery
        assert "read" not in error.message
        assert 1 == len(asked)
        assert usage.tool("one", "read") is None
        assert 1 == usage.counter("withheld_calls")


@pytest.mark.usefixtures("vetted")
@pytest.mark.parametrize("correct", [True, False])
async def test_a_withheld_tool_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, correct: bool
) -> None:
    """Of a running server the list is read again before a call is refused."""
    life = Life(plain, tools=(EVIL,))
    async with scripted_pool(monkeypatch, {"one": Script([life])}) as pool:
        pipeline = Pipeline(pool, Usage())
        assert isinstance(await failure(pipeline, call()), DefinitionWithheld)
        if correct:
            life.tools = (READ_TOOL,)
            assert "done" == (await pipeline.call(call()))["content"][0]["text"]
        else:
            assert isinstance(await failure(pipeline, call()), DefinitionWithheld)


@attrs.define
class Unlisted(Life):
    """A server whose list of tools is not answered, or refused."""

    refuses: bool = False

    async def serve(self, request: Request) -> Params:
        if request.method == "tools/list":
            if self.refuses:
                raise RpcError(INTERNAL_ERROR, "no list today")
            await trio.sleep_forever()
        return await Life.serve(self, request)


@pytest.mark.parametrize("refuses", [True, False])
@pytest.mark.parametrize("lenient", [True, False])
async def test_a_tool_that_was_never_seen(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, lenient: bool, refuses: bool
) -> None:
    """Without a list, it is called only if the policy lets unseen definitions pass; the refusal
    says what is wrong with the list."""
    monkeypatch.setattr(FakeServices, "__init__", _with(FakeServices.__init__, lenient))
    life = Unlisted(plain, refuses=refuses)
    async with scripted_pool(monkeypatch, {"one": Script([life])}, timeout=60.0) as pool:
        pipeline = Pipeline(pool, Usage())
        if lenient:
            assert "done" == (await pipeline.call(call()))["content"][0]["text"]
        else:
            error = await failure(pipeline, call())
            assert Recovery.NOT_ALLOWED is error.recovery
            assert ("no list today" if refuses else "not answered") in error.message


def _with(original: Callable[..., None], lenient: bool) -> Callable[..., None]:
    def start(self: Any, *given: Any, **fields: Any) -> None:
        original(self, *given, **fields)
        self.lenient = lenient

    return start


@pytest.mark.parametrize("transparent", [True, False])
@pytest.mark.parametrize("name", ["READ", " read", "read ", "unknown", ""])
async def test_only_listed_names_are_sent(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, name: str, transparent: bool
) -> None:
    """A name must be listed just so, on every endpoint."""
    asked: list[str] = []

    async def answer(request: Request) -> Params:
        asked.append(request.params["name"])
        return await plain(request)

    async with scripted_pool(monkeypatch, {"one": Script([Life(answer)])}) as pool:
        pipeline = Pipeline(pool, Usage(), GatewayConfig())
        the_call = call(name, transparent=transparent)
        with pytest.raises(CallFailed) as caught:
            await (pipeline.call_transparent if transparent else pipeline.call)(the_call)
        assert Recovery.TOOL_NOT_FOUND is caught.value.recovery
        assert [] == asked


@pytest.mark.parametrize("transparent", [True, False])
async def test_a_tool_that_was_added_without_notice(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, transparent: bool
) -> None:
    """A client of the server's own endpoint may have seen it in a live list, so the list is read
    again before a call is refused."""
    life = Life(plain, tools=(READ_TOOL,))
    async with scripted_pool(monkeypatch, {"one": Script([life])}) as pool:
        pipeline = Pipeline(pool, Usage())
        await pipeline.call(call())
        life.tools = (READ_TOOL, {"name": "fresh", "inputSchema": {"type": "object"}})
        fresh = call("fresh", transparent=transparent)
        if transparent:
            assert "done" == (await pipeline.call_transparent(fresh))["content"][0]["text"]
        else:
            assert Recovery.TOOL_NOT_FOUND is (await failure(pipeline, fresh)).recovery
