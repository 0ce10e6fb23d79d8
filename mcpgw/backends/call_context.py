"""For whose sake a server asks or tells something: whose call it works on."""

from __future__ import annotations

from typing import Any, Final, cast

import trio

from mcpgw.backends.services import CallContext
from mcpgw.protocol.errors import METHOD_NOT_FOUND, RpcError
from mcpgw.protocol.jsonrpc import RequestId
from mcpgw.protocol.peer import Peer

TOGETHER: Final = 0.25
"""Seconds in which a server that asks several things for one call does so."""


def context_of_request(peer: Peer, about: RequestId | None, method: str) -> CallContext | None:
    """Return the errand that a question belongs to; None where no client has a call there.

    It is the call on whose stream the question came, else the latest of the one client that has
    calls with the server. Calls that wait for their client already are not thought of where
    there are others.

    Args:
      peer: the conversation with the server.
      about: our request on whose stream it came, where the transport can tell.
      method: what is asked.

    Raises:
      RpcError: several clients have calls with it, so that there is no telling.
    """
    if about is not None:
        return cast("CallContext | None", peer.owner(about))
    contexts = _of_clients(peer)
    free = [each for each in contexts if not each.open_questions]
    latest = max(contexts, key=lambda each: each.last_question_at, default=None)
    if not free and latest and latest.last_question_at > trio.current_time() - TOGETHER:
        return cast("CallContext", latest)  # it asks one thing more
    contexts = free or contexts
    if len({id(each.client_request.client.identity) for each in contexts}) > 1:
        raise RpcError(
            METHOD_NOT_FOUND,
            f"several clients have calls with this server, so that {method} cannot be put to the"
            f" right one; `scope: session` in backends.{peer.name} gives each its own",
        )
    return cast("CallContext", contexts[-1]) if contexts else None


def context_of_notification(peer: Peer, about: RequestId | None) -> CallContext | None:
    """Return the errand that a notification belongs to; None where that is not clear."""
    if about is not None:
        return cast("CallContext | None", peer.owner(about))
    contexts = _of_clients(peer)
    return cast("CallContext", contexts[0]) if len(contexts) == 1 else None


def _of_clients(peer: Peer) -> list[Any]:
    """Return the errands that a client waits for, the oldest first."""
    contexts: list[Any] = list(peer.owners)
    return [
        each
        for each in contexts
        if each.client_request is not None and each.client_request.client is not None
    ]
