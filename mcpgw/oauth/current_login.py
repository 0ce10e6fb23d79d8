"""The login that a backend uses now, and its agreement with what is stored."""

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
    """Holds the login in use and keeps the stored one equal to it.

    `generation` grows with each change of the token. The store is the truth, as other gateways
    write there too; only what could not be written is better known here. Secrets of a client that
    stands in the configuration are not stored.
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
        """Take over the newest stored login, at the first call."""
        if self._loaded:
            return
        stored = await trio.to_thread.run_sync(self.stored)
        if not self._loaded:
            self._loaded = True
            if stored is not None:
                self._use(stored)

    def stored(self) -> Login | None:
        """Return the newest stored login that is ours to use (blocks for a file's time)."""
        try:
            logins = self.store.all(self.server)
        except OAuthProblem as problem:
            log.warning("oauth.store_unreadable", backend=self.server, reason=str(problem))
            return None
        return next((self.with_secret(each) for each in logins if self._ours(each)), None)

    async def adopt(self) -> bool:
        """Take over what another gateway stored since; tell whether its token is another one.

        A login that was deleted meanwhile is given up here too.
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
        """Return an earlier login with this authorization server, whatever became of it."""
        login = await trio.to_thread.run_sync(self.store.load, self.server, issuer)
        return self.with_secret(login) if login is not None else None

    async def keep(self, login: Login) -> None:
        """Use a login and store it; where that fails it is good until we end."""
        self._use(login)
        bare = login
        if login.client.origin == "configured":
            bare = attrs.evolve(login, client=attrs.evolve(login.client, secret=None))
        try:
            await trio.to_thread.run_sync(self.store.save, bare)
            self._unsaved = False
        except OAuthProblem as problem:
            self._unsaved = True
            log.warning("oauth.login_not_kept", backend=self.server, reason=str(problem))

    async def drop(self, login: Login) -> None:
        """Forget a login, its registration included."""
        await trio.to_thread.run_sync(self.store.delete, self.server, login.issuer)
        if self.login is not None and self.login.issuer == login.issuer:
            self.forget()

    def forget(self) -> None:
        """Go on without a login."""
        self._unsaved = False
        self._use(None)

    async def check_issuer(self, issuer: str) -> None:
        """See that a configured client is not shown to an authorization server it is not of.

        Raises:
          Refused: it belongs to another one.
        """
        owner = self.config.issuer or await trio.to_thread.run_sync(self._first_issuer)
        if owner is not None and not same_issuer(owner, issuer):
            raise Refused(
                f"the server names the authorization server {issuer[:200]!r}, and the configured"
                f" client belongs to {owner!r}. If that is right, set `issuer` and the new"
                f" `client_id` under `oauth`, and run: mcp-gateway auth logout {self.server}"
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
        """Return a stored login with the secret of the configuration, if it is of that client."""
        client = login.client
        if client.origin != "configured" or client.id != self.config.client_id:
            return login
        return attrs.evolve(login, client=attrs.evolve(client, secret=self.config.client_secret))

    def _ours(self, login: Login) -> bool:
        """Tell whether a login is for this URL and of the client that is configured now."""
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
