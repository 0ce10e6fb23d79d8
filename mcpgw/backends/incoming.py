"""Incoming messages: requests and notifications that a server sends on a connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import attrs

from mcpgw.backends.call_context import context_of_request, contexts_of_notification
from mcpgw.backends.guarded_channel import REFUSED
from mcpgw.backends.links import elicitation_fault
from mcpgw.backends.list_sync import ListSync
from mcpgw.backends.services import BackendServices, Instance
from mcpgw.protocol.errors import INVALID_PARAMS, INVALID_REQUEST, RpcError
from mcpgw.protocol.jsonrpc import RequestId
from mcpgw.protocol.peer import Params, Peer, Request


def _refuse_initialize(_params: Params) -> Params:
    raise RpcError(
        INVALID_REQUEST,
        "the program sends back what it receives, or is a client; it is not an MCP server",
    )


IMMEDIATE: Final[Mapping[str, Callable[[Params], Params]]] = {
    "ping": lambda _params: {},
    "initialize": _refuse_initialize,
}
"""Handlers of a server's requests that concern no client."""


class ListeningInstance(Instance, Protocol):
    """An instance whose server sends messages."""

    lists: ListSync

    @property
    def services(self) -> BackendServices:
        """The gateway around it."""


@attrs.define(eq=False)
class IncomingMessages:
    """Handlers of the messages on one connection.

    Args:
      instance: the instance whose server sends the messages.
      peer: the peer of the connection; it knows the calls in flight.
    """

    instance: ListeningInstance
    peer: Peer = attrs.field(init=False)

    async def serve(self, request: Request) -> Params:
        """Forward a request to the client of the call that it belongs to.

        Raises:
          RpcError: the client refused, or the request is to open a URL that no client may open.
        """
        if fault := elicitation_fault(request.method, request.params):
            raise RpcError(INVALID_PARAMS, f"{REFUSED}: {fault}")
        return await self.instance.services.clients.ask(
            self.instance,
            context_of_request(
                self.peer, request.about, request.method, self.instance.config.scope
            ),
            request.method,
            request.params,
            on_progress=None if request.progress_token is None else request.send_progress,
        )

    def notified(self, method: str, params: Params, about: RequestId | None) -> None:
        """Record which lists have changed; forward all other notifications."""
        if not self.instance.lists.changed(method):
            contexts = contexts_of_notification(self.peer, about)
            self.instance.services.clients.notified(self.instance, contexts, method, params)

    def paused(self, about: RequestId) -> None:
        """Close the client's stream of a call whose server has closed its own for a while."""
        context: Any = self.peer.owner(about)
        if context is None or not context.transparent:
            return
        request = context.client_request
        if request and request.client:
            request.client.pause(request)
