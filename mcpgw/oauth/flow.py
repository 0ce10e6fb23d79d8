"""The two grants for a new login: a user in a browser, or the client's own credentials."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import attrs
import trio

from mcpgw.oauth.authorization_request import AuthorizationRequest
from mcpgw.oauth.client_registration import client_for_login, configured_client
from mcpgw.oauth.errors import ErrorAnswer, OAuthProblem, Refused, origin_of
from mcpgw.oauth.model import Client, Login, Tokens
from mcpgw.oauth.redirect import Redirect, RedirectReceiver, open_receiver
from mcpgw.oauth.token_answer import error_of
from mcpgw.oauth.token_endpoint import TokenEndpoint
from mcpgw.observe.log import get_logger
from mcpgw.transports.authorization import AuthorizationFailed

if TYPE_CHECKING:
    from mcpgw.config.oauth import OAuthConfig
    from mcpgw.oauth.discovery import Discovered
    from mcpgw.oauth.fetch import Fetcher

log = get_logger("mcpgw.oauth")

USER_PATIENCE: Final = 600.0
"""Seconds that a user has for a login."""
CODE: Final = "authorization_code"
CREDENTIALS: Final = "client_credentials"

Present = Callable[[str], Awaitable[None]]
"""Shows the link of a login to the user; it may run until the login ends."""


@attrs.frozen
class LoginFlow:
    """Obtains logins for one backend, without storing them."""

    server: str
    url: str
    config: OAuthConfig
    fetcher: Fetcher
    now: Callable[[], float]

    def grant(self, found: Discovered, *, interactive: bool) -> str:
        """Choose the grant: as configured, else by our credentials and the server's metadata."""
        if self.config.grant != "auto":
            return self.config.grant
        proof = self.config.client_secret or self.config.private_key_file
        offered = found.server
        only = not offered.grants(CODE) and offered.grants(CREDENTIALS)
        if self.config.client_id and proof and (only or not interactive):
            return CREDENTIALS
        return CODE

    async def by_credentials(self, found: Discovered, scopes: tuple[str, ...]) -> Login:
        """Obtain a token for the client itself. Raises OAuthProblem."""
        client = configured_client(self.config, found.server)
        if client is None or client.auth_method == "none":
            raise Refused(
                "`grant: client_credentials` requires `client_id` and `client_secret` (or"
                " `private_key_file`) under `oauth`"
            )
        tokens = await self.endpoint(found, client).by_credentials(scopes)
        return self._login(found, client, CREDENTIALS, tokens, scopes)

    async def by_user(
        self,
        found: Discovered,
        scopes: tuple[str, ...],
        *,
        known: Login | None,
        present: Present,
        opened: Callable[[str | None], None],
        reused: Callable[[Login], Awaitable[None]],
    ) -> Login:
        """Let the user log in, within 10 minutes.

        Args:
          found: the authorization server.
          scopes: the scopes to request.
          known: an earlier login with the same server, for its registration.
          present: shows the link.
          opened: called with the link, and with None once the link is no longer valid.
          reused: called before the link is shown if it uses the registration of `known`.

        Raises:
          OAuthProblem: it failed; the page in the browser shows it.
        """
        config = self.config
        request = self._request(found, scopes)
        async with open_receiver(
            host=config.callback_host,
            port=config.callback_port,
            path=config.callback_path,
            state=request.state,
            preferred_port=_registered_port(known),
        ) as receiver:
            redirect_uri = receiver.redirect_uri

            async def client_of(earlier: Login | None) -> Client:
                return await client_for_login(
                    self.fetcher,
                    config,
                    found.server,
                    redirect_uri=redirect_uri,
                    scopes=scopes,
                    known=earlier,
                )

            client = await client_of(known)
            if known is not None and client is known.client:
                trial = self._request(found, scopes)
                if await self._is_forgotten(
                    trial.link(client_id=client.id, redirect_uri=redirect_uri)
                ):
                    log.info("oauth.client_forgotten", backend=self.server, issuer=found.asked)
                    client = await client_of(None)
                else:
                    await reused(known)
            link = request.link(client_id=client.id, redirect_uri=redirect_uri)
            await self.fetcher.check(link)
            log.warning("oauth.login_required", backend=self.server, link=link)
            opened(link)
            try:
                tokens = await self._wait_for_redirect(
                    receiver, _PendingLogin(request, link, self.endpoint(found, client), present)
                )
            finally:
                opened(None)
        return self._login(found, client, CODE, tokens, scopes)

    def endpoint(self, found: Discovered, client: Client) -> TokenEndpoint:
        """Return the token endpoint of an authorization server, for a client."""
        return TokenEndpoint(
            self.fetcher, self.config, found.server, client, found.resource, self.now
        )

    def endpoint_of(self, login: Login) -> TokenEndpoint:
        """Return the token endpoint that a login came from."""
        return TokenEndpoint(
            self.fetcher, self.config, login.metadata, login.client, login.resource, self.now
        )

    def _request(self, found: Discovered, scopes: tuple[str, ...]) -> AuthorizationRequest:
        config = self.config
        return AuthorizationRequest(
            found.server,
            found.resource if config.send_resource else None,
            scopes,
            pkce_required=not config.allow_missing_pkce,
        )

    async def _is_forgotten(self, link: str) -> bool:
        """Return whether the authorization endpoint does not know our client.

        It must not redirect then (RFC 6749, section 4.1.2.1), so only the user would see the
        error. The link has its own state, which is not used again.
        """
        try:
            answer = await self.fetcher.look(link)
        except OAuthProblem:
            return False  # the browser may get further
        if answer.status == 400:
            return True
        error, description = error_of(answer.body or {})
        return answer.status >= 400 and ErrorAnswer(error, "", description).rejects_client

    async def _wait_for_redirect(
        self, receiver: RedirectReceiver, pending: _PendingLogin
    ) -> Tokens:
        """Show the link, wait for the redirect, and show the outcome in the browser.

        These run concurrently, since `present` may be a browser that waits for the last page.
        """
        problem: OAuthProblem | None = None
        tokens: Tokens | None = None
        waiting = trio.CancelScope()

        async def show() -> None:
            nonlocal problem
            try:
                await pending.present(pending.link)
            except (OAuthProblem, AuthorizationFailed) as raised:
                problem = raised if isinstance(raised, OAuthProblem) else Refused(raised.reason)
                waiting.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(show)
            redirect: Redirect | None = None
            with waiting:
                waiting.deadline = trio.current_time() + USER_PATIENCE
                redirect = await receiver.redirect()
            try:
                if redirect is not None:
                    tokens = await pending.tokens(redirect, receiver.redirect_uri)
                    await receiver.show(True, f"mcp-gateway can now use {self.server}.")
            except OAuthProblem as raised:
                problem = raised
                await receiver.show(False, f"{self.server}: {problem}")
            nursery.cancel_scope.cancel()
        if tokens is not None:
            return tokens
        minutes = f"{USER_PATIENCE / 60:g} minutes"
        late = Refused(f"no login at {origin_of(pending.link)} within {minutes}")
        raise problem or late

    def _login(
        self, found: Discovered, client: Client, grant: str, tokens: Tokens, asked: tuple[str, ...]
    ) -> Login:
        return Login(
            server=self.server,
            url=self.url,
            issuer=found.asked,
            resource=found.resource,
            client=client,
            metadata=found.server,
            grant=grant,
            tokens=tokens,
            asked=asked,
            updated_at=self.now(),
        )


@attrs.frozen
class _PendingLogin:
    """A login that waits for the user."""

    request: AuthorizationRequest
    link: str = attrs.field(repr=False)
    endpoint: TokenEndpoint
    present: Present

    async def tokens(self, redirect: Redirect, redirect_uri: str) -> Tokens:
        """Check the redirect, and exchange its code for tokens."""
        return await self.endpoint.by_code(
            self.request.code(redirect),
            verifier=self.request.verifier,
            redirect_uri=redirect_uri,
            asked=self.request.scopes,
        )


def _registered_port(known: Login | None) -> int | None:
    """Return the port of an earlier registration, which can be used again."""
    if known is None or known.client.origin != "registered" or not known.client.redirect_uris:
        return None
    try:
        return urlsplit(known.client.redirect_uris[0]).port
    except ValueError:
        return None
