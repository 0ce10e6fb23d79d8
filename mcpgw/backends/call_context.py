"""The client call on whose behalf a server sends a request or a notification."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, cast

import trio

from mcpgw.protocol.errors import METHOD_NOT_FOUND, RpcError
from mcpgw.protocol.jsonrpc import RequestId
from mcpgw.protocol.peer import Params, Peer, Request

BURST_WINDOW: Final = 0.25
"""Seconds within which several requests of a server are taken to concern the same call."""


AskClient = Callable[..., Awaitable[Params]]
"""Sends a backend's request to the client of a call: `(context, method, params, *, key)`."""


class CallContext(Protocol):
    """The call that a request to a backend is part of."""

    @property
    def client_request(self) -> Request | None:
        """The client's request behind it; None if no client caused it."""

    @property
    def supports_input_required(self) -> bool:
        """True if an answer may be `input_required`, which the client resumes."""

    transparent: bool
    """True if the call passes through to one server, with the client's own capabilities."""
    open_questions: int
    """The number of requests of its backend that wait for the client now."""
    last_question_at: float
    """When the latest of them was sent, by Trio's clock."""

    def question_sent(self, patience: float) -> None:
        """Note that the backend waits for the client, which has `patience` seconds to answer."""

    def question_answered(self) -> None:
        """Note that the backend has the client's answer, or never gets one."""


def context_of_request(
    peer: Peer, about: RequestId | None, method: str, scope: str
) -> CallContext | None:
    """Return the call that a server's request belongs to; None if no client has a call there.

    It is the call on whose stream the request came, else the latest call of the one client
    with calls in flight. Calls that already wait for their client come last.

    Args:
      peer: the conversation with the server.
      about: our request on whose stream it came, if the transport can tell.
      method: the method of the server's request.
      scope: the `scope` of the server, for the error.

    Raises:
      RpcError: several clients have calls in flight, so the right one is unknown.
    """
    if about is not None:
        return cast("CallContext | None", peer.owner(about))
    contexts = _of_clients(peer)
    free = [each for each in contexts if not each.open_questions]
    latest = max(contexts, key=lambda each: each.last_question_at, default=None)
    if not free and latest and latest.last_question_at > trio.current_time() - BURST_WINDOW:
        return cast("CallContext", latest)
    contexts = free or contexts
    if len({id(each.client_request.client.identity) for each in contexts}) > 1:
        raise RpcError(
            METHOD_NOT_FOUND,
            f"{method} cannot be routed: several clients have calls in flight at this server."
            + _advice(peer.name, scope),
        )
    return cast("CallContext", contexts[-1]) if contexts else None


def contexts_of_notification(peer: Peer, about: RequestId | None) -> tuple[CallContext, ...]:
    """Return the calls that a notification may belong to.

    It is the call on whose stream the notification came, else one of the calls that clients wait
    for, the oldest first. Empty if no client has a call there.
    """
    if about is not None and (owner := peer.owner(about)) is not None:
        return (cast("CallContext", owner),)
    return tuple(_of_clients(peer))


def _advice(server: str, scope: str) -> str:
    if scope != "session":
        return f" Set `scope: session` in backends.{server} to give each client its own process."
    return (
        f" `scope: session` in backends.{server} gives a process to each session, but these clients"
        " have none (MCP 2026-07-28); let them call one after the other, or open sessions."
    )


def _of_clients(peer: Peer) -> list[Any]:
    """Return the calls that a client waits for, the oldest first."""
    contexts: list[Any] = list(peer.owners)
    return [each for each in contexts if (asked := each.client_request) and asked.client]
