"""A channel in memory: two ends of a conversation within one process."""

from __future__ import annotations

from typing import Any

import attrs
import trio

from mcpgw.protocol.jsonrpc import Message, RequestId


@attrs.define(eq=False)
class MemoryChannel:
    """One end of a pair. Messages are passed by reference: neither end may change them."""

    _outgoing: trio.MemorySendChannel[Any]
    _incoming: trio.MemoryReceiveChannel[Any]

    async def receive(self) -> Any:
        """Return the next message.

        Raises:
          trio.EndOfChannel: the other end is closed.
        """
        return await self._incoming.receive()

    async def send(
        self,
        message: Message | list[Message],
        *,
        together: bool = False,
        about: RequestId | None = None,
    ) -> None:
        """Pass a message to the other end.

        Raises:
          trio.BrokenResourceError: the other end is closed.
        """
        self._outgoing.send_nowait(message)

    def send_nowait(self, message: Message, *, about: RequestId | None = None) -> bool:
        """Pass a message to the other end; return False if that is closed."""
        try:
            self._outgoing.send_nowait(message)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        return True

    def pause(self, request: RequestId) -> None:
        """Do nothing: a request has no connection of its own."""

    def close(self) -> None:
        """End the conversation for both ends."""
        self._outgoing.close()
        self._incoming.close()


def channel_pair() -> tuple[MemoryChannel, MemoryChannel]:
    """Return two connected ends."""
    a_out, b_in = trio.open_memory_channel[Any](float("inf"))
    b_out, a_in = trio.open_memory_channel[Any](float("inf"))
    return MemoryChannel(a_out, a_in), MemoryChannel(b_out, b_in)
