"""What a peer needs of a transport, and what a transport hands up besides plain messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import attrs

from mcpgw.protocol.jsonrpc import Malformed, Message, RequestId

if TYPE_CHECKING:
    from mcpgw.protocol.errors import ConnectionLost


@attrs.frozen
class Arrived:
    """A message of the other side that came on the stream of one of our own requests.

    A transport with a stream for each request (Streamable HTTP) knows so much; one with a
    single pipe hands up plain messages.
    """

    message: Message
    about: RequestId


@attrs.frozen
class Failed:
    """One request of ours that gets no answer, while the conversation itself may go on."""

    request: RequestId
    error: ConnectionLost


@attrs.frozen
class Paused:
    """The other side has closed the stream of a request of ours, which will be resumed.

    It wants its connections back during a long call (SEP-1699), and whoever waits for the call
    at a distance may do the same.
    """

    request: RequestId


Received = Message | list[Any] | Malformed | Arrived | Failed | Paused


class Channel(Protocol):
    """What a peer needs of a transport (a `trio.abc.Channel` of messages with some extras)."""

    async def receive(self) -> Received:
        """Return the next message; raise `trio.EndOfChannel` at the end of input."""

    async def send(
        self,
        message: Message | list[Message],
        *,
        together: bool = False,
        about: RequestId | None = None,
    ) -> None:
        """Hand over a message; wait while too much is queued. Never cut by cancellation.

        Args:
          message: what to send.
          together: it may be held back until the end of this turn of the scheduler.
          about: the request of the other side that it belongs to; a transport with several
            streams sends it on that request's one. Responses need no such hint.
        """

    def send_nowait(self, message: Message, *, about: RequestId | None = None) -> bool:
        """Hand over a message without waiting; False where too much is queued."""

    def pause(self, request: RequestId) -> None:
        """Let the connection of a request of the other side go, where it has one of its own and
        the other side can come back."""

    def set_limit(self, limit: int) -> None:
        """Change the largest message accepted, in bytes."""
