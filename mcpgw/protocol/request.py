"""A received request, and the client that sent it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import trio

from mcpgw.observe.log import get_logger
from mcpgw.protocol.errors import (
    CUT_OFF,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    RpcError,
)
from mcpgw.protocol.jsonrpc import Message, RequestId, error_response, valid_id

if TYPE_CHECKING:
    from mcpgw.protocol.channel import Channel

log = get_logger("mcpgw.peer")

Params = dict[str, Any]
ProgressCallback = Callable[[Params], None]


class Client(Protocol):
    """The client that sent a request, as the request's handlers see it."""

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """The capabilities that the client declared, for this request."""

    @property
    def identity(self) -> object:
        """An object that is the same for all requests of one client."""

    @property
    def supports_input_required(self) -> bool:
        """True if the result may be `input_required`, to be sent again (MCP 2026-07-28)."""

    async def ask(
        self,
        request: Request | None,
        method: str,
        params: Params,
        *,
        key: str = "",
        on_progress: ProgressCallback | None = None,
    ) -> Params:
        """Send a request to the client and return its result.

        Args:
          request: the client's own request that is being handled; None if there is none.
          method, params: sampling, elicitation or roots, in the form of MCP 2025-11-25.
          key: the sender's own name for the question, if it has one.
          on_progress: called with each progress notification of the client.

        Raises:
          RpcError: the client lacks the capability (at once), or answered with an error.
          ConnectionLost: the client disconnected.
        """

    @property
    def log_level(self) -> str | None:
        """The least severe level of log messages that the client wants; None if it has not set
        one."""

    def pause(self, request: Request) -> None:
        """Close the client's connection of a request, if the client can resume it."""

    def log(self, request: Request | None, server: str, params: Params) -> None:
        """Forward a server's log message, if its level is severe enough for the client."""


class Sender(Protocol):
    """The peer that a request came from, as its handlers use it."""

    ending: trio.Event
    """Set when nothing more is read from the peer."""

    def is_serving(self, request: Request) -> bool:
        """Return whether the request is still unanswered."""

    def notify(
        self, method: str, params: Params | None = None, *, about: RequestId | None = None
    ) -> bool:
        """Send a notification without waiting; return False if it was dropped."""


@attrs.define(slots=True, eq=False)
class Request:
    """A request that arrived: its method and params, and the peer that sent it.

    `scope` is the cancel scope that its handler runs in, set by `Peer` when the handler starts.
    It is cancelled when the sender cancels the request; a cancelled request is never answered.
    """

    peer: Sender
    id: RequestId
    method: str
    params: Params
    progress_token: str | int | None = None
    about: RequestId | None = None
    """Our own request on whose stream it came, if the transport can tell."""
    client: Client | None = None
    """The client that sent it; None if a backend did."""
    represents: Request | None = None
    """The client's latest request, if this one goes on over several (`input_required`)."""
    cancelled: bool = False
    scope: trio.CancelScope | None = attrs.field(default=None, repr=False)

    def read_progress_token(self) -> None:
        """Take the progress token from the params, if there is a valid one."""
        meta = self.params.get("_meta")
        if meta.__class__ is dict and valid_id(token := meta.get("progressToken")):
            self.progress_token = token

    def cancel(self) -> None:
        """Cancel the handler; the request gets no answer (MCP, cancellation)."""
        self.cancelled = True
        if self.scope is not None:
            self.scope.cancel()

    def send_progress(self, params: Params) -> None:
        """Forward a progress notification under the sender's own token, if it gave one."""
        if self.progress_token is not None and self.peer.is_serving(self):
            self.peer.notify(
                "notifications/progress",
                {**params, "progressToken": self.progress_token},
                about=self.id,
            )


async def method_not_found(request: Request) -> Params:
    """Refuse a request whose method has no handler."""
    raise RpcError(METHOD_NOT_FOUND, f"Method not found: {request.method}")


def ignore(_method: str, _params: Params, _about: RequestId | None) -> None:
    """Drop a notification of a conversation that has ended."""


async def only_cancelled(request: Request, group: BaseExceptionGroup[BaseException]) -> None:
    """Raise the cancellation of a handler alone; log what else failed while it ended."""
    crash = group.split(trio.Cancelled)[1]
    if not isinstance(crash, ExceptionGroup):
        raise group
    log.error("request.crashed", method=request.method, exc_info=crash)
    await trio.lowlevel.checkpoint()


def cut_off(channel: Channel, request: Request) -> None:
    """Answer a request whose handler is cancelled by the end of the conversation, if possible."""
    if not request.cancelled:
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            channel.send_nowait(error_response(request.id, CUT_OFF))


def still_in_flight(request_id: RequestId) -> RpcError:
    """Return the error of a request whose id is in use."""
    return RpcError(INVALID_REQUEST, f"a request with the id {request_id!r} is still in flight")


def too_many(limit: int) -> RpcError:
    """Return the error of a request that is one too many."""
    reason = f"{limit} requests are in flight, which is the limit; wait for responses"
    return RpcError(INTERNAL_ERROR, reason)


def answer_at_once(
    request_id: RequestId, method: str, handler: Callable[[Params], Params], params: Params
) -> Message:
    """Return the response of a handler that does not wait."""
    try:
        return {"jsonrpc": "2.0", "id": request_id, "result": handler(params)}
    except RpcError as error:
        return error_response(request_id, error)
    except Exception as error:
        log.error("request.crashed", method=method, exc_info=error)
        fault = RpcError(INTERNAL_ERROR, "internal gateway error (see the log)")
        return error_response(request_id, fault)


def arguments_of(params: Params) -> Params:
    """Return the arguments of a `tools/call`; null and an empty list stand for none.

    Raises:
      RpcError: they are not an object.
    """
    arguments = params.get("arguments")
    if isinstance(arguments, dict):
        return arguments
    if arguments is None or arguments == []:
        return {}
    raise RpcError(INVALID_PARAMS, "'arguments' must be an object")
