"""Parts of the gateway that serve a session, and protocols of sessions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import trio

from mcpgw.front.server_profile import ServerProfile
from mcpgw.protocol.errors import METHOD_NOT_FOUND, RpcError
from mcpgw.protocol.peer import Params, Request

if TYPE_CHECKING:
    from mcpgw.front.input_required import ParkedCalls
    from mcpgw.front.resource_subscriptions import ResourceSubscriptions
    from mcpgw.front.tasks import Tasks
    from mcpgw.meta.context import GatewayContext
    from mcpgw.pipeline.session_state import SessionState

Method = Callable[[Any, Any, Request], Awaitable[Params]]
"""Answers a request: `(session, context, request)`."""


class Methods(Protocol):
    """The methods that a profile serves."""

    def get(self, name: str) -> Method | None:
        """Return the handler of a method; None if it is not served."""


class Listener(Protocol):
    """A receiver of change notifications."""

    def notify_change(self, method: str, params: Params | None = None) -> bool:
        """Forward a notification if it is wanted; return False if it must be sent again later."""


@attrs.frozen
class SessionServices:
    """Parts of the gateway that answer the requests of a session.

    `state` is kept between the session's calls and lives as long as the session.
    """

    context: GatewayContext
    state: SessionState
    methods: Methods
    parked_calls: ParkedCalls
    resource_subscriptions: ResourceSubscriptions
    tasks: Tasks


class ServedSession(Protocol):
    """A session, as far as requests of the stateless era need it."""

    @property
    def principal(self) -> str:
        """The authenticated identity of the client; empty without authentication."""

    @property
    def shared(self) -> bool:
        """True if it carries independent requests of many clients."""

    @property
    def server_profile(self) -> ServerProfile:
        """The server that is presented to the client."""

    @property
    def seen_capabilities(self) -> Params:
        """The capabilities that requests of the stateless era declared so far."""

    @property
    def greeted(self) -> trio.Event:
        """Set when the first request was answered."""

    @property
    def listeners(self) -> set[Listener]:
        """Open subscriptions of the stateless era."""

    @property
    def target(self) -> str | None:
        """The one server that it shows; None if it shows the whole gateway."""

    @property
    def state(self) -> SessionState:
        """Its state between calls."""

    @property
    def services(self) -> SessionServices:
        """The parts that answer its requests; available once it is attached."""

    async def attached(self) -> None:
        """Wait until the gateway is ready."""

    async def answer(self, request: Request) -> Params:
        """Answer a request in the form of the handshake revisions."""


async def answer(session: ServedSession, request: Request) -> Params:
    """Answer a request of a session in the form of the handshake revisions.

    Raises:
      RpcError: there is no such method, or the method raised it.
    """
    await session.attached()
    services = session.services
    method = services.methods.get(request.method)
    if method is None:
        raise RpcError(METHOD_NOT_FOUND, f"Method not found: {request.method}")
    return await method(session, services.context, request)
