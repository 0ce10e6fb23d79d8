"""The gateway as its backends see it: whom a question goes to, who hears of what, who logs in."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from mcpgw.backends.guardian import Guardian
from mcpgw.backends.manifest import Manifest, ManifestStore
from mcpgw.backends.server import Backend
from mcpgw.backends.services import CallContext
from mcpgw.config.oauth import OAuthConfig
from mcpgw.front.resource_subscriptions import ResourceSubscriptions
from mcpgw.front.session import Session, elicitation_modes
from mcpgw.front.session_registry import SessionRegistry
from mcpgw.front.tasks import Tasks
from mcpgw.protocol.errors import INTERNAL_ERROR, METHOD_NOT_FOUND, ConnectionLost, RpcError
from mcpgw.protocol.mcp import LOG_LEVELS
from mcpgw.protocol.peer import Client, Params, ProgressCallback

if TYPE_CHECKING:
    from mcpgw.protocol.channel import Channel
    from mcpgw.transports.authorization import Authorizer
    from mcpgw.transports.network import Network
    from mcpgw.trust.vetting import Vetting

CLIENT_PATIENCE: Final = 600.0
"""Seconds that calls on a backend have at least while it waits for an answer of the client."""
WIDEST: Final[Params] = {
    "roots": {"listChanged": True},
    "sampling": {"tools": {}, "context": {}},
    "elicitation": {"form": {}, "url": {}},
}
"""What is declared to servers where clients come and go: each request is refused by itself where
its own client lacks the capability."""
MOST_ELICITATIONS: Final = 1_000
"""Elicitations by URL whose completion is still waited for; the oldest are forgotten first."""

_ABOUT_TASKS: Final = ("notifications/tasks/status", "notifications/tasks")


@attrs.define(eq=False)
class BackendServices:
    """What backends need of the gateway (`backends.host.Host`).

    Args:
      folder: the state folder.
      company: the sessions that are there.
      tasks: whose answers are fetched later.
      listed: told when a backend's lists were read, with the names of those that differ.
      many_clients: whether clients come and go, as they do by HTTP.
    """

    folder: Path
    session_registry: SessionRegistry
    tasks: Tasks
    listed: Callable[[Backend, frozenset[str]], None]
    many_clients: bool = False
    guardian: Guardian = attrs.field(factory=Guardian)
    manifests: ManifestStore | None = None
    environ: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """The environment with the files of `env_files` over it."""
    message_limit: int = 0
    list_ttl: float = 300.0
    resource_subscriptions: ResourceSubscriptions | None = None
    nursery: trio.Nursery | None = None
    """Where logins run, which outlive the calls that needed them."""
    vetting: Vetting | None = None
    why_no_capability: Callable[[str, str], str] | None = None
    """Says why a capability of the server within this process is not there, if it is known."""
    builtin: Callable[..., Awaitable[None]] | None = None
    """Serves the server within this process over a channel."""
    _authorizers: dict[str, tuple[object, Authorizer]] = attrs.field(factory=dict)
    _elicited: dict[str, Client] = attrs.field(factory=dict)
    """Who was asked to open a URL, by the id of the elicitation."""
    _network: Network | None = None

    def take_environ(self, environ: Mapping[str, str]) -> None:
        """Take the environment of a configuration that was loaded."""
        if environ != self.environ:
            self.environ = environ
            self._network = None

    # -- the network ---------------------------------------------------------------------------

    @property
    def network(self) -> Network:
        """What all network backends share; made when the first needs it."""
        if self._network is None:
            from mcpgw.transports.network import Network

            self._network = Network(self.environ)
        return self._network

    def authorizer(self, backend: Backend) -> Authorizer | None:
        """Return what logs in to a network backend, if it may have to.

        A backend that is given its credentials by a header of its own has none.
        """
        config = backend.config
        given = any(name.lower() == "authorization" for name in config.headers)
        if (
            config.transport in ("stdio", "builtin")
            or given
            or (config.oauth and not config.oauth.enabled)
        ):
            return None
        known = self._authorizers.get(backend.name)
        if known is None or known[0] != config:
            from mcpgw.oauth.authorizer import OAuthAuthorizer
            from mcpgw.oauth.store import TokenStore

            oauth = config.oauth or OAuthConfig()
            # Where commands use the servers themselves, nobody waits for a link.
            attended = len(self.session_registry) > 0 or self.many_clients
            made = OAuthAuthorizer(
                server=backend.name,
                url=config.http_url or config.ws_url,
                config=oauth,
                store=TokenStore(self.folder / "oauth", storage=oauth.storage),
                network=self.network,
                present=partial(self._show_link, oauth) if attended else None,
                nursery=self.nursery,
            )
            known = self._authorizers[backend.name] = (config, made)
        return known[1]

    async def _show_link(self, oauth: OAuthConfig, url: str) -> None:
        """Show a person the link by which they log in: in the client, else in the browser."""
        from mcpgw.oauth.browser import open_browser

        only = self.session_registry.only
        if only is not None and "url" in elicitation_modes(only.capabilities):
            question = {
                "mode": "url",
                "message": "A server behind the gateway wants you to log in.",
                "url": url,
                "elicitationId": os.urandom(12).hex(),
            }
            with contextlib.suppress(RpcError, ConnectionLost):
                answer = await only.ask(None, "elicitation/create", question)
                if answer.get("action") == "accept":
                    return
        if oauth.open_browser:
            await open_browser(url)

    async def serve_builtin(
        self, server: str, channel: Channel, *, task_status: trio.TaskStatus[None]
    ) -> None:
        """Serve what is built into this process, at the other end of a channel."""
        assert self.builtin is not None, "no server within this process is configured"
        await self.builtin(channel, task_status=task_status)

    # -- questions of backends -------------------------------------------------------------------

    def client_capabilities(self, backend: Backend) -> Params:
        """Return the client capabilities that can be served now: the union over sessions."""
        if self.many_clients and not backend.session:
            return WIDEST
        union: Params = {}
        sessions = (
            self.session_registry.of_state(backend.session)
            if backend.session
            else self.session_registry
        )
        for session in sessions:
            union |= session.forwardable_capabilities()
        return union

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
        """Put a backend's question to the client that it works for, and give its answer back."""
        request = context.client_request if context is not None else None
        client = request.client if request is not None else None
        if client is None:
            if method == "roots/list":
                return await self._all_roots(backend, params)
            client = self._only_client(backend, method)
        if method == "elicitation/create" and isinstance(params.get("elicitationId"), str):
            self._elicited[params["elicitationId"]] = client
            while len(self._elicited) > MOST_ELICITATIONS:
                del self._elicited[next(iter(self._elicited))]
        _task, params = self.tasks.named(backend.name, params)
        # A person may have to answer: the calls on this backend have more time meanwhile.
        backend.stretch(CLIENT_PATIENCE)
        if context is not None:
            context.open_questions += 1
            context.last_question_at = trio.current_time()
        try:
            return await client.ask(request, method, params, key=key, on_progress=on_progress)
        except ConnectionLost as error:
            raise RpcError(INTERNAL_ERROR, "the client has gone") from error
        finally:
            if context is not None:
                context.open_questions -= 1
            backend.stretch(backend.config.timeout)

    def _only_client(self, backend: Backend, method: str) -> Session:
        clients = list(self.session_registry.clients_of(backend))
        if len(clients) != 1:
            why = "several clients" if clients else "no client"
            raise RpcError(METHOD_NOT_FOUND, f"there is {why} to answer {method} outside of a call")
        return clients[0]

    async def _all_roots(self, backend: Backend, params: Params) -> Params:
        """Return the roots of all clients: a server asks for them when none is calling."""
        roots: dict[str, object] = {}
        able = [
            each
            for each in self.session_registry.clients_of(backend)
            if "roots" in each.capabilities
        ]
        if not able:
            raise RpcError(METHOD_NOT_FOUND, "the client does not support roots")
        for session in able:
            with contextlib.suppress(ConnectionLost):
                answer = await session.ask(None, "roots/list", params)
                if len(able) == 1:
                    return answer
                for root in answer.get("roots", ()):
                    roots[str(root.get("uri"))] = root
        return {"roots": list(roots.values())}

    # -- what backends tell ----------------------------------------------------------------------

    def backend_notified(
        self, backend: Backend, context: CallContext | None, method: str, params: Params
    ) -> None:
        """Pass log messages, updated resources, news of tasks and completed elicitations on."""
        if method == "notifications/message":
            request = context.client_request if context is not None else None
            if request is not None and request.client is not None:
                request.client.log(request, backend.name, params)
                return
            for session in self.session_registry.clients_of(backend):
                session.log(None, backend.name, params)
        elif method in _ABOUT_TASKS:
            task, told = self.tasks.named(backend.name, params)
            for session in self.session_registry.of_state(task.session) if task is not None else ():
                session.send(method, told)
        elif (
            method == "notifications/resources/updated" and self.resource_subscriptions is not None
        ):
            self.resource_subscriptions.updated(backend, params)
        elif method == "notifications/elicitation/complete":
            client = self._elicited.pop(str(params.get("elicitationId")), None)
            if isinstance(client, Session):
                client.send(method, params)

    def vet(self, server: str, manifest: Manifest) -> Manifest:
        """Return what of a server's lists clients may see."""
        return self.vetting.vet(server, manifest) if self.vetting is not None else manifest

    def vet_list(self, server: str, field: str, definitions: list[Any]) -> list[Any]:
        """Return what of a list that passes through clients may see."""
        if self.vetting is None:
            return definitions
        return self.vetting.vet_list(server, field, definitions)

    def vet_instructions(self, server_info: Mapping[str, Any], instructions: str) -> str:
        """Return a server's instructions, "" where they must not reach a model."""
        if self.vetting is None:
            return instructions
        return self.vetting.vet_instructions(server_info, instructions)

    def withheld(self, server: str, kind: str, name: str) -> str:
        """Return why clients may not use something of a server, "" where they may."""
        if self.why_no_capability is not None and (why := self.why_no_capability(server, name)):
            return why
        return self.vetting.withheld(server, kind, name) if self.vetting is not None else ""

    def backend_listed(self, backend: Backend, changed: frozenset[str]) -> None:
        """Take note that a backend's lists were read."""
        if changed:
            self.listed(backend, changed)

    def watched_resources(self, backend: Backend) -> Iterable[str]:
        """Return the resources of a backend that clients watch."""
        return (
            self.resource_subscriptions.of(backend)
            if self.resource_subscriptions is not None
            else ()
        )

    def wanted_log_level(self) -> str | None:
        """Return the lowest level that a session asked for."""
        levels = [session.log_level for session in self.session_registry if session.log_level]
        return min(levels, key=LOG_LEVELS.index) if levels else None
