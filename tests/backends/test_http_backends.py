"""HTTP servers as backends: forgotten sessions, servers that are away for a while, limits."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.lowlevel

from mcpgw.backends.pool import BackendPool
from mcpgw.config.failsafe import CircuitBreakerConfig, FailsafeConfig, RateLimitConfig
from mcpgw.config.schema import BackendConfig, GatewayConfig
from mcpgw.pipeline.call import Call, CallFailed, Recovery
from mcpgw.pipeline.pipeline import Pipeline
from mcpgw.transports.network import Network
from mcpgw.usage.recorder import Usage
from tests.support.patience import PATIENCE
from tests.support.scripted import FakeServices
from tests.support.scripted_http import Answer, Asked, Server, result

TOOL = {"name": "t", "inputSchema": {"type": "object"}}
FAILSAFE = FailsafeConfig(rate_limit=RateLimitConfig(enabled=False))
Called = Callable[[Asked], Awaitable[Answer]]


@attrs.define(eq=False)
class Remote:
    """A server with sessions; `called` answers the calls in a known session."""

    called: Called
    sessions: set[str] = attrs.field(factory=set)
    opened: int = 0
    ran: int = 0
    gone: Callable[[Asked], Answer] = lambda _asked: Answer(404)
    _ids: Any = attrs.field(factory=lambda: itertools.count(1))

    async def handle(self, asked: Asked) -> Answer:
        if asked.method != "POST":
            return Answer(405)
        match asked.body.get("method"):
            case "initialize":
                self.opened += 1
                session = f"s{next(self._ids)}"
                self.sessions.add(session)
                capabilities: dict[str, Any] = {"tools": {}}
                answer = result(asked.body, protocolVersion="2025-11-25", capabilities=capabilities)
                return Answer(body=answer, headers={"Mcp-Session-Id": session})
            case "notifications/initialized":
                return Answer(202)
        if asked.headers.get("mcp-session-id") not in self.sessions:
            return self.gone(asked)
        match asked.body.get("method"):
            case "tools/list":
                return Answer(body=result(asked.body, tools=[TOOL]))
            case "tools/call":
                self.ran += 1
                return await self.called(asked)
        return Answer(body=result(asked.body))


async def fine(asked: Asked) -> Answer:
    return Answer(body=result(asked.body, content=[]))


@asynccontextmanager
async def pipeline_to(
    remote: Remote, failsafe: FailsafeConfig = FAILSAFE, **settings: Any
) -> AsyncIterator[tuple[Pipeline, Server]]:
    """Run a pipeline whose server `one` is reached over HTTP."""
    server = Server(remote.handle)
    services = FakeServices(network=Network({}))
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, server.serve, 0)
        server.port = listeners[0].socket.getsockname()[1]
        pool = BackendPool(services.bundle())
        await nursery.start(pool.run)
        config = BackendConfig(name="one", http_url=server.url, **settings)
        pool.apply(GatewayConfig(failsafe=failsafe, backends={"one": config}))
        with trio.fail_after(PATIENCE):
            yield Pipeline(pool, Usage()), server
        nursery.cancel_scope.cancel()


def call() -> Call:
    return Call("one", "tools/call", "t", {"name": "t", "arguments": {}})


async def fails(pipeline: Pipeline) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        await pipeline.call(call())
    return caught.value


@pytest.mark.parametrize("status", [404, 400, 401])
async def test_calls_go_on_after_the_server_forgot_the_session(status: int) -> None:
    """Each call that was refused unread is sent again, once, in a new session."""
    remote = Remote(fine, gone=lambda _asked: Answer(status, b"no session"))
    async with pipeline_to(remote) as (pipeline, _):
        await pipeline.call(call())
        remote.sessions.clear()
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(pipeline.call, call())
    assert (2, 51) == (remote.opened, remote.ran)


async def test_a_server_that_forgets_every_session_is_not_asked_in_a_loop() -> None:
    """A load balancer without affinity: calls fail with the cause, and starts back off."""
    remote = Remote(fine)
    async with pipeline_to(remote) as (pipeline, _):

        async def forget() -> None:
            while True:
                remote.sessions.clear()
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(forget)
            with trio.move_on_after(3):
                while True:
                    error = await fails(pipeline)
                    await trio.sleep(0.05)
            nursery.cancel_scope.cancel()
    assert "no longer knows the session" in error.message
    assert remote.opened <= 12


async def test_a_server_that_was_away_for_a_moment_is_used_again_at_once() -> None:
    """While the breaker is open a remote server is tried in the background."""
    breaker = CircuitBreakerConfig(failure_threshold=2, reset_timeout=60.0)
    failsafe = attrs.evolve(FAILSAFE, circuit_breaker=breaker)
    remote = Remote(fine)
    server = Server(remote.handle)
    services = FakeServices(network=Network({}))
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server.port = listeners[0].socket.getsockname()[1]
        for listener in listeners:
            await listener.aclose()
        pool = BackendPool(services.bundle())
        await nursery.start(pool.run)
        config = BackendConfig(name="one", http_url=server.url)
        pool.apply(GatewayConfig(failsafe=failsafe, backends={"one": config}))
        pipeline = Pipeline(pool, Usage())
        with trio.fail_after(30):
            while (await fails(pipeline)).recovery is not Recovery.CIRCUIT_OPEN:
                pass
            await nursery.start(trio.serve_tcp, server.serve, server.port)
            answered = 0
            while answered < 5:
                with contextlib.suppress(CallFailed):
                    await pipeline.call(call())
                    answered += 1
                await trio.sleep(0.02)
        nursery.cancel_scope.cancel()


async def test_a_busy_server_is_given_the_time_that_it_asks_for() -> None:
    """429 with Retry-After: the call waits so long and succeeds, with no other attempt between."""
    times: list[float] = []

    async def called(asked: Asked) -> Answer:
        times.append(trio.current_time())
        if len(times) == 1:
            return Answer(429, b"slow down", {"Retry-After": "1"})
        return await fine(asked)

    async with pipeline_to(Remote(called)) as (pipeline, _):
        await pipeline.call(call())
    assert len(times) == 2
    assert times[1] - times[0] >= 1


@pytest.mark.parametrize("header", ["3600", "5"])
async def test_a_longer_pause_is_told_at_once(header: str) -> None:
    """The model learns how long to wait, and nothing is sent meanwhile."""

    async def called(_asked: Asked) -> Answer:
        return Answer(429, b"slow down", {"Retry-After": header})

    remote = Remote(called)
    async with pipeline_to(remote, timeout=4.0) as (pipeline, _):
        error = await fails(pipeline)
    assert Recovery.RATE_LIMITED is error.recovery
    assert f"Call again in {header} s." == error.suggest
    assert {"retry_after_s": int(header)} == error.data
    assert 1 == remote.ran


@pytest.mark.parametrize(
    ("status", "body"), [(500, b'{"error":"boom"}'), (403, b"no"), (400, b"no"), (200, b"")]
)
async def test_a_failed_response_is_not_told_as_a_lost_connection(status: int, body: bytes) -> None:
    """The message has the status, and does not announce a restart of a server that runs."""

    async def refuses(_asked: Asked) -> Answer:
        return Answer(status, body)

    async with pipeline_to(Remote(refuses)) as (pipeline, _):
        failure = await fails(pipeline)
    told = f"{failure.message} {failure.suggest}"
    assert "gave no usable response to 't'" in told
    assert "was lost" not in told
    assert "restarts" not in told
    assert 200 == status or f"HTTP {status}" in told
