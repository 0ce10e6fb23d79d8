"""For whose sake a server asks or tells something: whose call it works on."""

from __future__ import annotations

from typing import Any, Final, cast

import trio

from mcpgw.backends.services import Errand
from mcpgw.protocol.errors import METHOD_NOT_FOUND, RpcError
from mcpgw.protocol.jsonrpc import RequestId
from mcpgw.protocol.peer import Peer

TOGETHER: Final = 0.25
"""Seconds in which a server that asks several things for one call does so."""


def of_question(peer: Peer, about: RequestId | None, method: str) -> Errand | None:
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
        return cast("Errand | None", peer.owner(about))
    errands = _of_clients(peer)
    free = [each for each in errands if not each.asking]
    latest = max(errands, key=lambda each: each.asked_at, default=None)
    if not free and latest and latest.asked_at > trio.current_time() - TOGETHER:
        return cast("Errand", latest)  # it asks one thing more
    errands = free or errands
    if len({id(each.asker.client.identity) for each in errands}) > 1:
        raise RpcError(
            METHOD_NOT_FOUND,
            f"several clients have calls with this server, so that {method} cannot be put to the"
            f" right one; `scope: session` in backends.{peer.name} gives each its own",
        )
    return cast("Errand", errands[-1]) if errands else None


def of_news(peer: Peer, about: RequestId | None) -> Errand | None:
    """Return the errand that a notification belongs to; None where that is not clear."""
    if about is not None:
        return cast("Errand | None", peer.owner(about))
    errands = _of_clients(peer)
    return cast("Errand", errands[0]) if len(errands) == 1 else None


def _of_clients(peer: Peer) -> list[Any]:
    """Return the errands that a client waits for, the oldest first."""
    errands: list[Any] = list(peer.owners)
    return [each for each in errands if each.asker is not None and each.asker.client is not None]
