"""A pipeline over one scripted backend that counts its calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

from mcpgw.config.failsafe import FailsafeConfig, RateLimitConfig
from mcpgw.config.schema import GatewayConfig
from mcpgw.pipeline.call import Call, CallFailed
from mcpgw.pipeline.pipeline import Pipeline
from mcpgw.pipeline.session_state import SessionState
from mcpgw.protocol.peer import Params, Request
from mcpgw.usage.recorder import Usage
from tests.support.scripted import Life, Script, scripted_pool

FREE = FailsafeConfig(rate_limit=RateLimitConfig(enabled=False))


def tool(name: str, **hints: bool) -> dict[str, Any]:
    """Return a definition with annotations."""
    definition: dict[str, Any] = {"name": name, "inputSchema": {"type": "object"}}
    if hints:
        definition["annotations"] = hints
    return definition


READ = tool("read", readOnlyHint=True)
LOOKUP = tool("lookup", readOnlyHint=True, idempotentHint=True)
WRITE = tool("write")
SET = tool("set", idempotentHint=True)
TOOLS = (READ, LOOKUP, WRITE, SET)


@attrs.define(eq=False)
class Bench:
    """The pipeline, and every request that the backend has had."""

    pipeline: Pipeline
    life: Life
    asked: list[Params] = attrs.field(factory=list)
    session: SessionState = attrs.field(factory=SessionState)

    @property
    def names(self) -> list[str]:
        """The tools that the backend was asked for, in order."""
        return [params["name"] for params in self.asked]

    async def call(
        self, name: str, arguments: Mapping[str, Any] | None = None, **fields: Any
    ) -> Params:
        """Call a tool for the session."""
        params = {"name": name, "arguments": dict(arguments or {})}
        session = fields.pop("session", self.session)
        server = fields.pop("server", "one")
        the_call = Call(server, "tools/call", name, params, session=session, **fields)
        return await self.pipeline.call(the_call)

    async def fails(self, name: str, arguments: Any = None, **fields: Any) -> CallFailed:
        """Call a tool and return why that fails."""
        with pytest.raises(CallFailed) as caught:
            await self.call(name, arguments, **fields)
        return caught.value


Answer = Callable[[Params], Awaitable[Params]]


async def plain(params: Params) -> Params:
    """Answer with the tool's name."""
    return {"content": [{"type": "text", "text": f"{params['name']} done"}]}


@asynccontextmanager
async def bench(
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer = plain,
    *,
    tools: tuple[dict[str, Any], ...] = TOOLS,
    failsafe: FailsafeConfig = FREE,
    lives: int = 1,
    settings: Mapping[str, Any] | None = None,
    **sections: Any,
) -> AsyncIterator[Bench]:
    """Run a pipeline whose server is `one`; `sections` are fields of GatewayConfig."""
    asked: list[Params] = []

    async def handle(request: Request) -> Params:
        asked.append(request.params)
        return await answer(request.params)

    script = Script([Life(handle, tools=tools) for _ in range(lives)])
    async with scripted_pool(
        monkeypatch, {"one": script}, failsafe=failsafe, **(settings or {})
    ) as pool:
        config = GatewayConfig(failsafe=failsafe, **sections)
        yield Bench(Pipeline(pool, Usage(), config), script.lives[0], asked)
