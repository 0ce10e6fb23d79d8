"""The interface between a peer and its transport."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import attrs

from mcpgw.protocol.jsonrpc import Malformed, Message, RequestId

if TYPE_CHECKING:
    from mcpgw.protocol.errors import ConnectionLost


@attrs.frozen
class Arrived:
    """A message of the other side that came on the stream of one of our own requests.

    Only a transport with one stream per request (Streamable HTTP) can tell; a transport with a
    single pipe returns plain messages.
    """

    message: Message
    about: RequestId


@attrs.frozen
class Failed:
    """A request of ours that will get no answer, though the conversation may go on."""

    request: RequestId
    error: ConnectionLost


@attrs.frozen
class Paused:
    """The other side closed the stream of a request of ours, to be resumed later (SEP-1699).

    A server frees its connection this way during a long call. The gateway may then free the
    connection of the client that waits for the call.
    """

    request: RequestId


Received = Message | list[Any] | Malformed | Arrived | Failed | Paused


class Channel(Protocol):
    """A transport as a peer uses it: a `trio.abc.Channel` of messages with some extras."""

    async def receive(self) -> Received:
        """Return the next message; raise `trio.EndOfChannel` at the end of input."""

    async def send(
        self,
        message: Message | list[Message],
        *,
        together: bool = False,
        about: RequestId | None = None,
    ) -> None:
        """Queue a message; wait while too much is queued. A cancellation never cuts a message.

        Args:
          message: a message, or the responses to a batch.
          together: allow the message to be held back until the end of this scheduler tick.
          about: the request of the other side that it belongs to; a transport with several
            streams sends it on that request's stream. Responses need no such hint.
        """

    def send_nowait(self, message: Message, *, about: RequestId | None = None) -> bool:
        """Queue a message without waiting; return False if too much is queued."""

    def pause(self, request: RequestId) -> None:
        """Close the stream of a request of the other side, if it has its own and is resumable."""


class ClientChannel(Channel, Protocol):
    """The channel of a client's session, which opens before the configuration is loaded."""

    def set_limit(self, limit: int) -> None:
        """Change the largest message accepted, in bytes."""
