"""Requests to the token and revocation endpoints (RFC 6749, RFC 7009)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

import attrs

from mcpgw.oauth.assertion import ASSERTION_TYPE, client_assertion
from mcpgw.oauth.client_registration import auth_method
from mcpgw.oauth.fetch import Fetcher
from mcpgw.oauth.metadata import ServerMetadata
from mcpgw.oauth.model import AuthMethod, Client, Tokens
from mcpgw.oauth.token_answer import read_tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcpgw.config.oauth import OAuthConfig


@attrs.frozen
class TokenEndpoint:
    """The token endpoint of one authorization server, for one client.

    All requests raise Refused, Unreachable or ErrorAnswer, whose messages contain no secrets.
    """

    fetcher: Fetcher
    config: OAuthConfig
    server: ServerMetadata
    client: Client
    resource: str
    now: Callable[[], float]

    async def by_code(
        self, code: str, *, verifier: str, redirect_uri: str, asked: tuple[str, ...]
    ) -> Tokens:
        """Exchange the code of an authorization response for tokens."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        return await self._tokens(form, asked=asked, secrets=(code, verifier))

    async def by_refresh(self, tokens: Tokens) -> Tokens:
        """Renew tokens; keep the old refresh token unless the server sends a new one."""
        old = tokens.refresh_token or ""
        form = {"grant_type": "refresh_token", "refresh_token": old}
        new = await self._tokens(form, asked=tokens.scopes, secrets=(old,))
        return new if new.refresh_token else attrs.evolve(new, refresh_token=old)

    async def by_credentials(self, asked: tuple[str, ...]) -> Tokens:
        """Obtain a token for the client itself (RFC 6749, section 4.4)."""
        form = {"grant_type": "client_credentials"}
        if asked:
            form["scope"] = " ".join(asked)
        return await self._tokens(form, asked=asked)

    async def revoke(self, tokens: Tokens) -> bool:
        """Revoke the tokens; return whether the server confirmed all revocations."""
        endpoint = self.server.revocation_endpoint
        if endpoint is None:
            return False
        done = True
        hints = {"refresh_token": tokens.refresh_token, "access_token": tokens.access_token}
        for hint, token in hints.items():
            if not token:
                continue
            form, headers = self._identified(
                {"token": token, "token_type_hint": hint}, self._revocation_method()
            )
            answer = await self.fetcher.post_form(endpoint, form, headers)
            if answer.status == 400 and "client_secret" not in form:
                # Servers of the official Python SDK require it in the form, however the client
                # authenticates.
                form["client_secret"] = self.client.secret or ""
                answer = await self.fetcher.post_form(endpoint, form, headers)
            done = done and answer.ok
        return done

    def _revocation_method(self) -> AuthMethod:
        listed = self.server.revocation_endpoint_auth_methods_supported
        if listed is None or self.client.auth_method in listed:
            return self.client.auth_method
        return auth_method(listed, secret=self.client.secret is not None)

    async def _tokens(
        self, form: dict[str, str], *, asked: tuple[str, ...], secrets: tuple[str, ...] = ()
    ) -> Tokens:
        endpoint = self.server.token_endpoint
        if self.config.send_resource:
            form["resource"] = self.resource
        form, headers = self._identified(form, self.client.auth_method)
        answer = await self.fetcher.post_form(endpoint, form, headers)
        ours = (*secrets, self.client.secret, form.get("client_assertion"))
        return read_tokens(answer, endpoint, asked=asked, now=self.now(), secrets=ours)

    def _identified(
        self, form: dict[str, str], method: AuthMethod
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Add the client authentication to a form, or return it as headers.

        The form always has the client id, as the official SDKs send it: their servers require it
        there even if the client authenticates with HTTP Basic.
        """
        client = self.client
        form = {**form, "client_id": client.id}
        if method == "client_secret_basic" and client.secret is not None:
            return form, basic_header(client.id, client.secret)
        if method == "client_secret_post" and client.secret is not None:
            form["client_secret"] = client.secret
        elif method == "private_key_jwt":
            form["client_assertion_type"] = ASSERTION_TYPE
            form["client_assertion"] = client_assertion(self.config, client.id, self.server.issuer)
        return form, {}


def basic_header(client_id: str, secret: str) -> dict[str, str]:
    """Return the header of `client_secret_basic`.

    Id and secret are form-encoded first (RFC 6749, section 2.3.1).
    """
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
