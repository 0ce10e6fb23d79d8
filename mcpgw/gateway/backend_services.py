"""Processes, network access and credentials for backends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import trio

from mcpgw.backends.guardian import Guardian
from mcpgw.backends.services import Instance
from mcpgw.config.chain import GatewayChain
from mcpgw.config.oauth import OAuthConfig
from mcpgw.config.schema import BackendConfig
from mcpgw.config.settings import Settings, Snapshot
from mcpgw.front.client_capabilities import elicitation_modes
from mcpgw.front.session_registry import SessionRegistry
from mcpgw.protocol.errors import ConnectionLost, RpcError

if TYPE_CHECKING:
    from mcpgw.oauth.authorizer import OAuthAuthorizer
    from mcpgw.protocol.channel import Channel
    from mcpgw.transports.authorization import Authorizer
    from mcpgw.transports.network import Network


@attrs.define(eq=False)
class GatewayProcessServices:
    """`backends.services.ProcessServices` of the gateway.

    Args:
      folder: the state folder.
      settings: the configuration in use.
      sessions: the live sessions; the one client may be asked to open a login link.
      many_clients: whether clients come and go, as they do by HTTP.
    """

    folder: Path
    settings: Settings
    sessions: SessionRegistry
    many_clients: bool = False
    guardian: Guardian = attrs.field(factory=Guardian)
    gateway_chain: GatewayChain = attrs.field(factory=GatewayChain)
    message_limit: int = attrs.field(
        default=attrs.Factory(
            lambda self: self.settings.config.server.max_body_size, takes_self=True
        )
    )
    """The largest message in bytes; fixed at the first load of the configuration."""
    nursery: trio.Nursery | None = None
    """The nursery of logins, which outlive the calls that needed them."""
    builtin: Callable[..., Awaitable[None]] | None = None
    """Serves the built-in server over a channel."""
    _authorizers: dict[str, tuple[BackendConfig, OAuthAuthorizer]] = attrs.field(factory=dict)
    _network: Network | None = None
    _network_environ: Mapping[str, str] | None = None

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment in use."""
        return self.settings.environ

    def configure(self, snapshot: Snapshot) -> None:
        """Apply a new configuration."""
        self.gateway_chain.file = snapshot.file
        if snapshot.environ != self._network_environ:
            self._network_environ, self._network = snapshot.environ, None

    @property
    def network(self) -> Network:
        """TLS context and proxies, shared by all network backends; made at the first use."""
        if self._network is None:
            from mcpgw.transports.network import Network

            self._network = Network(self.environ)
        return self._network

    def authorizer(self, instance: Instance) -> Authorizer | None:
        """Return the OAuth client of a network backend.

        None if the backend sends an `Authorization` header of its own, if OAuth is switched off
        for it, or if it is not a network backend.
        """
        config = instance.config
        has_header = any(name.lower() == "authorization" for name in config.headers)
        if (
            config.transport in ("stdio", "builtin")
            or has_header
            or (config.oauth and not config.oauth.enabled)
        ):
            return None
        known = self._authorizers.get(instance.name)
        if known is None or known[0] != config:
            from mcpgw.oauth.authorizer import OAuthAuthorizer
            from mcpgw.oauth.store import TokenStore

            oauth = config.oauth or OAuthConfig()
            # A command that uses the servers directly has no user who waits for a login link.
            attended = len(self.sessions) > 0 or self.many_clients
            authorizer = OAuthAuthorizer(
                server=instance.name,
                url=config.http_url or config.ws_url,
                config=oauth,
                store=TokenStore(self.folder / "oauth", storage=oauth.storage),
                network=self.network,
                present=partial(self._show_link, oauth) if attended else None,
                nursery=self.nursery,
            )
            known = self._authorizers[instance.name] = (config, authorizer)
        return known[1]

    async def _show_link(self, oauth: OAuthConfig, url: str) -> None:
        """Show a login link to the user: in the client if it supports that, else in the browser."""
        from mcpgw.oauth.browser import open_browser

        only = self.sessions.only
        if only is not None and "url" in elicitation_modes(only.capabilities):
            question = {
                "mode": "url",
                "message": "A server behind the gateway requires you to log in.",
                "url": url,
                "elicitationId": os.urandom(12).hex(),
            }
            with contextlib.suppress(RpcError, ConnectionLost):
                answer = await only.ask(None, "elicitation/create", question)
                if answer.get("action") == "accept":
                    return
        if oauth.open_browser:
            await open_browser(url)

    def chain(self, server: str) -> str:
        """Return the chain of gateways to pass on to a server."""
        return self.gateway_chain.to(server)

    async def serve_builtin(
        self, server: str, channel: Channel, *, task_status: trio.TaskStatus[None]
    ) -> None:
        """Serve the built-in server at the other end of a channel."""
        assert self.builtin is not None, "no built-in server is configured"
        await self.builtin(channel, task_status=task_status)
