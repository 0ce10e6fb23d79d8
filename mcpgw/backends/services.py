"""What a backend needs of the gateway around it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import trio

from mcpgw.backends.guardian import Guardian
from mcpgw.backends.manifest import Manifest, ManifestStore
from mcpgw.protocol.channel import Channel
from mcpgw.protocol.peer import Params, ProgressCallback, Request

if TYPE_CHECKING:
    from mcpgw.backends.server import Backend
    from mcpgw.transports.authorization import Authorizer
    from mcpgw.transports.network import Network


class CallContext(Protocol):
    """What a request to a backend is made for."""

    @property
    def client_request(self) -> Request | None:
        """The client's request behind it; None where a client has nothing to do with it."""

    @property
    def supports_input_required(self) -> bool:
        """Whether an answer may be `input_required`, for the client to come again with."""

    transparent: bool
    """On the way to the server's own face, so that what the client declares reaches it."""
    open_questions: int
    """How many questions of its backend wait for the client now."""
    last_question_at: float
    """When the last of them was put, by Trio's clock."""


AskClient = Callable[..., Awaitable[Params]]


class Host(Protocol):
    """The gateway as its backends see it."""

    guardian: Guardian
    manifests: ManifestStore | None
    environ: Mapping[str, str]
    message_limit: int
    list_ttl: float

    @property
    def network(self) -> Network:
        """What all network backends share."""

    async def serve_builtin(
        self, server: str, channel: Channel, *, task_status: trio.TaskStatus[None]
    ) -> None:
        """Serve what is built into this process, at the other end of a channel."""

    def client_capabilities(self, backend: Backend) -> Params:
        """Return the client capabilities that can be served now."""

    def authorizer(self, backend: Backend) -> Authorizer | None:
        """Return what gives a network backend its credentials, if it has any."""

    async def ask_client(
        self,
        backend: Backend,
        context: CallContext | None,
        method: str,
        params: Params,
        *,
        key: str = "",
        on_progress: ProgressCallback | None = None,
    ) -> Params:
        """Have the client of an errand answer a backend's question (sampling, elicitation,
        roots); without an errand, the one client that there is.

        Raises:
          RpcError: nobody can answer it, or the client answered with an error.
        """

    def backend_notified(
        self, backend: Backend, context: CallContext | None, method: str, params: Params
    ) -> None:
        """Take a notification of the backend that is not about its lists."""

    def vet(self, server: str, manifest: Manifest) -> Manifest:
        """Return what of a server's lists clients may see."""

    def vet_list(self, server: str, field: str, definitions: list[Any]) -> list[Any]:
        """Return what of a list that passes through clients may see."""

    def vet_instructions(self, server_info: Mapping[str, Any], instructions: str) -> str:
        """Return a server's instructions, "" where they must not reach a model."""

    def withheld(self, server: str, kind: str, name: str) -> str:
        """Return why clients may not use something of a server, "" where they may."""

    def backend_listed(self, backend: Backend, changed: frozenset[str]) -> None:
        """Take note that the backend's lists were read; `changed` names those that differ."""

    def watched_resources(self, backend: Backend) -> Iterable[str]:
        """Return the URIs of the resources whose changes clients want to hear of."""

    def wanted_log_level(self) -> str | None:
        """Return the level that clients want of backends' log messages, if any asked."""
