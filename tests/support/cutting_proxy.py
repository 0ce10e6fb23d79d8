"""A TCP proxy that cuts connections after a number of bytes, or on request."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs
import trio

CHUNK = 16 * 1024
_LINGER_NOT = struct.pack("ii", 1, 0)


@attrs.frozen
class CutAt:
    """The place at which one connection is cut.

    Args:
      to_client, to_server: how many bytes are passed on in each direction before the cut; None
        for as many as come.
      reset: whether both sides see a reset rather than an orderly end.
    """

    to_client: int | None = None
    to_server: int | None = None
    reset: bool = False


NEVER = CutAt()
Plan = Callable[[int], CutAt]
"""Tells for each connection, counted from 0, where it is cut."""


@attrs.define(eq=False)
class CuttingProxy:
    """Passes connections on to a port of this machine. `run` is its task.

    Args:
      target: the port.
      plan: where each connection is cut.
    """

    target: int
    plan: Plan = attrs.field(default=lambda _number: NEVER)
    port: int = 0
    connections: int = 0
    cuts: int = 0
    refuses: bool = False
    """True if new connections are closed at once."""
    _open: dict[trio.CancelScope, bool] = attrs.field(factory=dict)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, self._serve, listeners)
            task_status.started()

    def cut_all(self) -> int:
        """Cut every connection that is open, and return how many there were."""
        scopes = tuple(self._open)
        for scope in scopes:
            self._open[scope] = True
            scope.cancel()
        return len(scopes)

    async def _serve(self, client: trio.SocketStream) -> None:
        number = self.connections
        self.connections += 1
        cut = self.plan(number)
        server: trio.SocketStream | None = None
        try:
            if not self.refuses:
                server = await trio.open_tcp_stream("127.0.0.1", self.target)
                with trio.CancelScope() as scope:
                    self._open[scope] = False
                    await self._carry(client, server, cut, scope)
                if self._open.pop(scope):
                    self.cuts += 1
                    if cut.reset:
                        _reset(client)
                        _reset(server)
        except OSError:
            pass  # the target has gone: so does the client
        finally:
            client.socket.close()  # without a checkpoint, which could end us before the other
            if server is not None:
                server.socket.close()

    async def _carry(
        self,
        client: trio.SocketStream,
        server: trio.SocketStream,
        cut: CutAt,
        scope: trio.CancelScope,
    ) -> None:
        async def pass_on(
            source: trio.SocketStream, sink: trio.SocketStream, budget: int | None
        ) -> None:
            try:
                while budget is None or budget > 0:
                    most = CHUNK if budget is None else min(CHUNK, budget)
                    data = await source.receive_some(most)
                    if not data:
                        await sink.send_eof()
                        return
                    await sink.send_all(data)
                    if budget is not None:
                        budget -= len(data)
                self._open[scope] = True
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(pass_on, client, server, cut.to_server)
            nursery.start_soon(pass_on, server, client, cut.to_client)


def _reset(stream: trio.SocketStream) -> None:
    """Have the closing of a socket seen as a reset."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)


@asynccontextmanager
async def cutting_proxy(target: int, plan: Plan | None = None) -> AsyncIterator[CuttingProxy]:
    """Run a proxy while the block runs."""
    proxy = CuttingProxy(target)
    if plan is not None:
        proxy.plan = plan
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.run)
        yield proxy
        nursery.cancel_scope.cancel()
