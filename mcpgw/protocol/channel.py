"""What a peer needs of a transport. Only for type checking: nothing is imported at the start."""

from __future__ import annotations

from typing import Any, Protocol

from mcpgw.protocol.jsonrpc import Malformed, Message


class Channel(Protocol):
    """What a peer needs of a transport (a `trio.abc.Channel` of messages with two extras)."""

    async def receive(self) -> Message | list[Any] | Malformed:
        """Return the next message; raise `trio.EndOfChannel` at the end of input."""

    async def send(self, message: Message | list[Message], *, together: bool = False) -> None:
        """Hand over a message; wait while too much is queued. Never cut by cancellation.

        `together` allows it to be held back until the end of this turn of the scheduler.
        """

    def send_nowait(self, message: Message) -> bool:
        """Hand over a message without waiting; False where too much is queued."""

    def set_limit(self, limit: int) -> None:
        """Change the largest message accepted, in bytes."""
