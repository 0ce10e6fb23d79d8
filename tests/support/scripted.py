"""Backends without processes: each start of a server is a scripted life, on any clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import trio

from mcpgw.backends import instance as instance_module
from mcpgw.backends.guardian import Guardian
from mcpgw.backends.manifest import Manifest
from mcpgw.backends.pool import BackendPool
from mcpgw.backends.process import SpawnFailed
from mcpgw.backends.services import BackendServices, Instance
from mcpgw.backends.verdict import Verdict
from mcpgw.config.failsafe import FailsafeConfig
from mcpgw.config.schema import BackendConfig, GatewayConfig
from mcpgw.protocol.peer import Params, Peer, Request
from mcpgw.state.file_watcher import FileWatcher
from tests.support.memory import MemoryChannel, channel_pair

READ_TOOL = {"name": "read", "inputSchema": {"type": "object"},
             "annotations": {"readOnlyHint": True}}  # fmt: skip
WRITE_TOOL = {"name": "write", "inputSchema": {"type": "object"}}

Handler = Callable[[Request], Awaitable[Params]]


@attrs.define
class Life:
    """One start of a server: how its process begins, answers and ends.

    `spawn_error` fails the start at once; `dies_at_start` ends before `initialize`; `hangs`
    never answers; otherwise `handle` answers every request but the handshake and the lists.
    """

    handle: Handler | None = None
    tools: tuple[dict[str, Any], ...] = (READ_TOOL, WRITE_TOOL)
    spawn_error: SpawnFailed | None = None
    dies_at_start: bool = False
    hangs: bool = False
    dies_listing: bool = False
    answers_ping: bool = True
    channel: MemoryChannel | None = None

    def die(self) -> None:
        """End the process now."""
        assert self.channel is not None
        self.channel.end()

    async def serve(self, request: Request) -> Params:
        if self.hangs:
            await trio.sleep_forever()
        match request.method:
            case "initialize":
                return {
                    "protocolVersion": "2025-11-25",
                    "capabilities": {"tools": {"listChanged": True}},
                    "serverInfo": {"name": "scripted", "version": "1"},
                }
            case "tools/list":
                if self.dies_listing:
                    self.die()
                    await trio.sleep_forever()
                return {"tools": list(self.tools)}
            case "ping":
                if not self.answers_ping:
                    await trio.sleep_forever()
                return {}
        assert self.handle is not None, request.method
        return await self.handle(request)


@attrs.define(eq=False)
class Script:
    """The lives of one server, in order; the last one is lived again and again."""

    lives: list[Life]
    started: list[float] = attrs.field(factory=list)

    @asynccontextmanager
    async def open(self, _command: Any, **_options: Any) -> AsyncIterator[Any]:
        life = self.lives[min(len(self.started), len(self.lives) - 1)]
        self.started.append(trio.current_time())
        if life.spawn_error is not None:
            raise life.spawn_error
        ours, theirs = channel_pair()
        life.channel = theirs
        server = Peer(theirs, "gateway", serve=life.serve, immediate={},
                      notified=lambda _method, _params, _about: None)  # fmt: skip
        exited = trio.Event()
        child = SimpleNamespace(
            channel=ours,
            exited=exited,
            closing=trio.Event(),
            pid=4711,
            expired=False,
            stderr_tail=lambda: "the last words",
            why=lambda note: f"{note} (exit status 3); its stderr ends: the last words",
        )
        async with trio.open_nursery() as nursery:
            if life.dies_at_start:
                theirs.end()
                exited.set()
            else:
                nursery.start_soon(server.run)
            yield child
            nursery.cancel_scope.cancel()


@attrs.define(eq=False)
class FakeServices:
    """The services of a gateway that forwards nothing and vets nothing."""

    guardian: Guardian = attrs.field(factory=Guardian)
    environ: dict[str, str] = attrs.field(factory=dict)
    message_limit: int = 10**6
    listed: list[tuple[str, frozenset[str]]] = attrs.field(factory=list)
    network: Any = None
    lenient: bool = True

    def bundle(self) -> BackendServices:
        """Return the services as backends take them."""
        return BackendServices(self, self, self, self.instance_listed, FileWatcher())

    def client_capabilities(self, instance: Instance) -> Params:
        return {}

    def authorizer(self, instance: Instance) -> None:
        return None

    async def ask(
        self, instance: Instance, context: Any, method: str, params: Params, **options: Any
    ) -> Params:
        return {"asked": method}

    def notified(self, instance: Instance, context: Any, method: str, params: Params) -> None:
        return

    def subscribed_resources(self, instance: Instance) -> tuple[str, ...]:
        return ()

    def log_level(self, instance: Instance) -> str | None:
        return None

    async def vet(
        self, server: str, manifest: Manifest, before: Any = None, *, same_reading: bool = False
    ) -> Verdict:
        return Verdict(manifest)

    def restore(self, server: str, manifest: Manifest, record: Any) -> Verdict:
        return Verdict(manifest)

    def to_json(self, verdict: Verdict) -> dict[str, Any]:
        return {}

    async def vet_page(
        self, server: str, field: str, definitions: Any, manifest: Manifest
    ) -> list[Any]:
        return list(definitions)

    def capability_refusal(self, server: str, name: str) -> str:
        return ""

    def chain(self, server: str) -> str:
        return ""

    async def serve_builtin(self, server: str, channel: Any, *, task_status: Any) -> None:
        raise AssertionError("no built-in server is configured")

    def instance_listed(self, instance: Instance, changed: frozenset[str]) -> None:
        self.listed.append((instance.name, changed))


@asynccontextmanager
async def scripted_pool(
    monkeypatch: pytest.MonkeyPatch,
    scripts: dict[str, Script],
    *,
    failsafe: FailsafeConfig | None = None,
    **settings: Any,
) -> AsyncIterator[BackendPool]:
    """Run a pool whose servers live by their scripts; `settings` go to each BackendConfig."""

    def open_endpoint(config: BackendConfig, *_services: Any) -> Any:
        return scripts[Path(config.command[0]).name].open(config.command)

    monkeypatch.setattr(instance_module, "open_endpoint", open_endpoint)
    config = GatewayConfig(
        failsafe=failsafe or FailsafeConfig(),
        backends={name: BackendConfig(name=name, command=(name,), **settings) for name in scripts},
    )
    pool = BackendPool(FakeServices().bundle())
    async with trio.open_nursery() as nursery:
        await nursery.start(pool.run)
        pool.apply(config)
        yield pool
        nursery.cancel_scope.cancel()
