"""Channels without bytes: two ends of one conversation in memory, for tests of peers."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from mcpgw.protocol.peer import Params, Peer, Request
from mcpgw.protocol.request import method_not_found


@attrs.define(eq=False)
class MemoryChannel:
    """One end of a pair; messages are copied, as a wire would."""

    _outgoing: trio.MemorySendChannel[Any]
    _incoming: trio.MemoryReceiveChannel[Any]
    sent: list[Any] = attrs.field(factory=list)

    async def receive(self) -> Any:
        return await self._incoming.receive()

    async def send(self, message: Any, *, together: bool = False, about: Any = None) -> None:
        self.send_nowait(message)

    def send_nowait(self, message: Any, *, about: Any = None) -> bool:
        self.sent.append(copy.deepcopy(message))
        self._outgoing.send_nowait(copy.deepcopy(message))
        return True

    def set_limit(self, limit: int) -> None:
        return

    def pause(self, request: Any) -> None:
        return

    def end(self) -> None:
        """Close this end's output."""
        self._outgoing.close()


def channel_pair() -> tuple[MemoryChannel, MemoryChannel]:
    """Return two connected channels."""
    a_out, b_in = trio.open_memory_channel[Any](10_000)
    b_out, a_in = trio.open_memory_channel[Any](10_000)
    return MemoryChannel(a_out, a_in), MemoryChannel(b_out, b_in)


def make_peer(channel: MemoryChannel, name: str = "other", **options: Any) -> Peer:
    """Return a peer that answers nothing unless told otherwise."""
    options.setdefault("serve", method_not_found)
    options.setdefault("immediate", {"ping": lambda _params: {}})
    options.setdefault("notified", lambda _method, _params, _about: None)
    return Peer(channel, name, **options)


@asynccontextmanager
async def running(*peers: Peer) -> AsyncIterator[trio.Nursery]:
    """Run peers while the block runs."""
    async with trio.open_nursery() as nursery:
        for peer in peers:
            await nursery.start(peer.run)
        yield nursery
        nursery.cancel_scope.cancel()


async def echo(request: Request) -> Params:
    """Answer with what was asked."""
    return {"method": request.method, "params": request.params}
