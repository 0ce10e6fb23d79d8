"""The login that a backend uses now, synchronized with the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import trio

from mcpgw.oauth.errors import OAuthProblem, Refused
from mcpgw.oauth.metadata import same_issuer
from mcpgw.observe.log import get_logger

if TYPE_CHECKING:
    from mcpgw.config.oauth import OAuthConfig
    from mcpgw.oauth.model import Login
    from mcpgw.oauth.store import TokenStore

log = get_logger("mcpgw.oauth")


@attrs.define(eq=False)
class CurrentLogin:
    """The login in use, and its stored copy.

    `generation` increases with each change of the token. The store takes precedence, since other
    gateways write to it too, except after a failed save. The secret of a configured client is not
    stored.
    """

    server: str
    url: str
    config: OAuthConfig
    store: TokenStore
    login: Login | None = None
    generation: int = 0
    _loaded: bool = False
    _unsaved: bool = False

    async def load_once(self) -> None:
        """Load the newest stored login, in the first call only."""
        if self._loaded:
            return
        stored = await trio.to_thread.run_sync(self.stored)
        if not self._loaded:
            self._loaded = True
            if stored is not None:
                self._use(stored)

    def stored(self) -> Login | None:
        """Return the newest stored login of this URL and client (blocks to read files)."""
        try:
            logins = self.store.all(self.server)
        except OAuthProblem as problem:
            log.warning("oauth.store_read_failed", backend=self.server, reason=str(problem))
            return None
        return next((self.with_secret(each) for each in logins if self._ours(each)), None)

    async def adopt(self) -> bool:
        """Load the stored login again; return whether another gateway stored a new token.

        If the stored login was deleted meanwhile, it is no longer used here either.
        """
        if self._unsaved:
            return False
        stored = await trio.to_thread.run_sync(self.stored)
        mine = self.login.tokens.access_token if self.login and self.login.tokens else None
        other = stored.tokens.access_token if stored and stored.tokens else None
        if stored is None or stored != self.login:
            self._use(stored)
        return other is not None and other != mine

    async def known(self, issuer: str) -> Login | None:
        """Return the stored login with an authorization server, even without valid tokens."""
        login = await trio.to_thread.run_sync(self.store.load, self.server, issuer)
        return self.with_secret(login) if login is not None else None

    async def keep(self, login: Login) -> None:
        """Use a login and store it; if storing fails, it is used until the process ends."""
        self._use(login)
        bare = login
        if login.client.origin == "configured":
            bare = attrs.evolve(login, client=attrs.evolve(login.client, secret=None))
        try:
            await trio.to_thread.run_sync(self.store.save, bare)
            self._unsaved = False
        except OAuthProblem as problem:
            self._unsaved = True
            log.warning("oauth.save_failed", backend=self.server, reason=str(problem))

    async def suspend_registration(self, login: Login) -> None:
        """Store that the registration of a login must not be used for another one.

        It is called before a user opens a link with that registration, since a server that has
        forgotten the client shows an error page and never redirects. A successful login is stored
        with the registration, and so ends the suspension.
        """
        suspended = attrs.evolve(login, client=attrs.evolve(login.client, redirect_uris=()))
        try:
            await trio.to_thread.run_sync(self.store.save, suspended)
        except OAuthProblem as problem:
            log.warning("oauth.save_failed", backend=self.server, reason=str(problem))

    async def drop(self, login: Login) -> None:
        """Delete a login, including its client registration."""
        await trio.to_thread.run_sync(self.store.delete, self.server, login.issuer)
        if self.login is not None and self.login.issuer == login.issuer:
            self.forget()

    def forget(self) -> None:
        """Stop using the login."""
        self._unsaved = False
        self._use(None)

    async def check_issuer(self, issuer: str) -> None:
        """Verify that the configured client belongs to an authorization server.

        Raises:
          Refused: it belongs to another one.
        """
        owner = self.config.issuer or await trio.to_thread.run_sync(self._first_issuer)
        if owner is not None and not same_issuer(owner, issuer):
            raise Refused(
                f"the server names the authorization server {issuer[:200]!r}, but the"
                f" configured client belongs to {owner!r}. If this change is intended, set `issuer`"
                " and the new `client_id` under `oauth`, and run:"
                f" mcp-gateway auth logout {self.server}"
            )

    def _first_issuer(self) -> str | None:
        """Return the authorization server that the configured client was used with."""
        if self.config.client_id is None:
            return None
        for login in self.store.all(self.server):
            client = login.client
            if client.origin == "configured" and client.id == self.config.client_id:
                return login.issuer
        return None

    def with_secret(self, login: Login) -> Login:
        """Return a stored login, with the configured secret if it is of the configured client."""
        client = login.client
        if client.origin != "configured" or client.id != self.config.client_id:
            return login
        return attrs.evolve(login, client=attrs.evolve(client, secret=self.config.client_secret))

    def _ours(self, login: Login) -> bool:
        """Return whether a login is for the current URL and client."""
        if login.url != self.url or login.tokens is None:
            return False
        configured = self.config.client_id
        if configured is None:
            return login.client.origin != "configured"
        return login.client.origin == "configured" and login.client.id == configured

    def _use(self, login: Login | None) -> None:
        if _access(login) != _access(self.login):
            self.generation += 1
        self.login = login


def _access(login: Login | None) -> str | None:
    return login.tokens.access_token if login is not None and login.tokens is not None else None
