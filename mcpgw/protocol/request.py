"""A request that arrived, and the client behind it as those who work on it may turn to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import trio

from mcpgw.protocol.jsonrpc import RequestId

if TYPE_CHECKING:
    from mcpgw.protocol.peer import Peer

Params = dict[str, Any]
ProgressCallback = Callable[[Params], None]


class Client(Protocol):
    """The client that a request came from, as those who work on the request may turn to it."""

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What the client declared, for this request."""

    @property
    def identity(self) -> object:
        """What is the same for all requests of one client."""

    @property
    def supports_input_required(self) -> bool:
        """Whether an answer may be `input_required`, to be asked again (MCP 2026-07-28)."""

    async def ask(
        self,
        request: Request | None,
        method: str,
        params: Params,
        *,
        key: str = "",
        on_progress: ProgressCallback | None = None,
    ) -> Params:
        """Ask the client something for the sake of its own request, and return its answer.

        Args:
          request: the client's own request that is worked on; None where it is none's matter.
          method, params: sampling, elicitation or roots, as MCP 2025-11-25 has them.
          key: the name of the question where the asker has one.
          on_progress: told of the client's progress with the answer.

        Raises:
          RpcError: the client lacks the capability (at once), or answered with an error.
          ConnectionLost: the client has gone.
        """

    @property
    def log_level(self) -> str | None:
        """The least severe level of log messages that the client wants; None where it did not
        say."""

    def pause(self, request: Request) -> None:
        """Let the client's connection of a request go, where it can come back for the rest."""

    def log(self, request: Request | None, server: str, params: Params) -> None:
        """Pass a server's log message on, if it is of the level that the client wants."""


@attrs.define(slots=True, eq=False)
class Request:
    """A request that arrived: its method and params, and the peer that sent it.

    `scope` is the cancel scope that its handler runs in. `Peer` opens it, and cancels it when
    the sender cancels the request; a cancelled request is never answered.
    """

    peer: Peer
    id: RequestId
    method: str
    params: Params
    progress_token: str | int | None = None
    about: RequestId | None = None
    """Our own request on whose stream it came, where the transport can tell."""
    client: Client | None = None
    """Who can be asked for its sake, where it came from a client."""
    represents: Request | None = None
    """The request that is answered now, where this one goes on over several."""
    cancelled: bool = False
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, repr=False)

    def cancel(self) -> None:
        """Cancel the handler; the request gets no answer (MCP, cancellation)."""
        self.cancelled = True
        self.scope.cancel()

    def send_progress(self, params: Params) -> None:
        """Pass a progress report on under the asker's own token, if it gave one."""
        if self.progress_token is not None and self.peer.is_serving(self):
            self.peer.notify(
                "notifications/progress",
                {**params, "progressToken": self.progress_token},
                about=self.id,
            )
