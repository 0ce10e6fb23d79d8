"""Services that backends need from the gateway: processes, client requests, vetting, manifests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import trio

from mcpgw.backends.call_context import CallContext
from mcpgw.backends.guardian import Guardian
from mcpgw.backends.manifest import Manifest, ManifestStore
from mcpgw.backends.verdict import Verdict
from mcpgw.config.schema import BackendConfig
from mcpgw.protocol.channel import Channel
from mcpgw.protocol.peer import Params, ProgressCallback
from mcpgw.state.file_watcher import FileWatcher

if TYPE_CHECKING:
    from mcpgw.transports.authorization import Authorizer
    from mcpgw.transports.network import Network


class Instance(Protocol):
    """A backend instance, as far as the services need to know it."""

    @property
    def name(self) -> str:
        """The name of its server."""

    @property
    def session(self) -> str:
        """The id of the one client session that it serves; empty if all sessions share it."""

    @property
    def config(self) -> BackendConfig:
        """The settings of its server."""


class ProcessServices(Protocol):
    """Processes, network access and credentials."""

    guardian: Guardian
    message_limit: int

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment that children inherit from."""

    @property
    def network(self) -> Network:
        """TLS context and proxies, shared by all network backends."""

    def chain(self, server: str) -> str:
        """Return the chain of gateways to pass on to a server (`mcpgw.config.chain`)."""

    async def serve_builtin(
        self, server: str, channel: Channel, *, task_status: trio.TaskStatus[None]
    ) -> None:
        """Serve the built-in server at the other end of a channel."""

    def authorizer(self, instance: Instance) -> Authorizer | None:
        """Return the source of credentials of a network backend; None if it needs none."""


class ClientRequests(Protocol):
    """Requests and notifications from backends to clients."""

    def client_capabilities(self, instance: Instance) -> Params:
        """Return the client capabilities to declare to a backend."""

    async def ask(
        self,
        instance: Instance,
        context: CallContext | None,
        method: str,
        params: Params,
        *,
        key: str = "",
        on_progress: ProgressCallback | None = None,
    ) -> Params:
        """Send a backend's request (sampling, elicitation, roots) to the client of the call.

        Without a context, the one connected client is asked.

        Raises:
          RpcError: no client can answer, or the client answered with an error.
        """

    def notified(
        self, instance: Instance, contexts: Sequence[CallContext], method: str, params: Params
    ) -> None:
        """Forward a notification that does not concern the backend's lists.

        `contexts` are the calls that it may belong to.
        """

    def subscribed_resources(self, instance: Instance) -> Iterable[str]:
        """Return the URIs of the resources that clients are subscribed to."""

    def log_level(self, instance: Instance) -> str | None:
        """Return the lowest log level that its clients asked for; None if none did."""


class Vetting(Protocol):
    """Decisions on which definitions clients may see."""

    @property
    def lenient(self) -> bool:
        """True if items may be used whose definitions were never seen."""

    async def vet(
        self,
        server: str,
        manifest: Manifest,
        before: Verdict | None = None,
        *,
        same_reading: bool = False,
    ) -> Verdict:
        """Return the verdict on a server's lists.

        `before` is the last one on them; with `same_reading` it was on the first lists to arrive
        of those that belong together.
        """

    def restore(self, server: str, manifest: Manifest, record: Any) -> Verdict | None:
        """Return the verdict that was stored with a manifest; None if it no longer holds."""

    def to_json(self, verdict: Verdict) -> Mapping[str, Any]:
        """Return what is stored of a verdict."""

    async def vet_page(
        self, server: str, field: str, definitions: Sequence[Any], manifest: Manifest
    ) -> list[Any]:
        """Return a list that passes through, without withheld definitions."""

    def capability_refusal(self, server: str, name: str) -> str:
        """Return why a capability cannot be used; "" if clients may use it."""


@attrs.define(eq=False)
class BackendServices:
    """All that backends need from the gateway around them.

    Args:
      processes, clients, vetting: see the protocols.
      listed: called after an instance has read its lists, with the names of those that differ.
      files: where source files are watched.
      manifests: where lists are kept between runs; None to keep none.
      list_ttl: seconds until lists are read again from a server that does not report changes.
    """

    processes: ProcessServices
    clients: ClientRequests
    vetting: Vetting
    listed: Callable[[Instance, frozenset[str]], None]
    files: FileWatcher
    manifests: ManifestStore | None = None
    list_ttl: float = 300.0
