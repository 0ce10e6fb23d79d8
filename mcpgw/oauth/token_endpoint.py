"""Requests to the token and revocation endpoints (RFC 6749, RFC 7009)."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

import attrs

from mcpgw.oauth.assertion import ASSERTION_TYPE, client_assertion
from mcpgw.oauth.client_registration import auth_method
from mcpgw.oauth.errors import ErrorAnswer, Refused, Unreachable, origin_of, quoted
from mcpgw.oauth.fetch import Answer, Fetcher
from mcpgw.oauth.metadata import ServerMetadata, text_of
from mcpgw.oauth.model import LONGEST_LIFETIME, AuthMethod, Client, Tokens

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
        form["resource"] = self.resource
        form, headers = self._identified(form, self.client.auth_method)
        answer = await self.fetcher.post_form(endpoint, form, headers)
        ours = (*secrets, self.client.secret, form.get("client_assertion"))
        if not answer.ok:
            raise _failure(answer, endpoint, ours)
        return _read_tokens(answer.body or {}, endpoint, asked, self.now(), ours)

    def _identified(
        self, form: dict[str, str], method: AuthMethod
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Add the client authentication to a form, or return it as headers."""
        client = self.client
        if method == "client_secret_basic" and client.secret is not None:
            # Both are form-encoded first (RFC 6749, section 2.3.1).
            pair = f"{quote_plus(client.id)}:{quote_plus(client.secret)}"
            return form, {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        form = {**form, "client_id": client.id}
        if method == "client_secret_post" and client.secret is not None:
            form["client_secret"] = client.secret
        elif method == "private_key_jwt":
            form["client_assertion_type"] = ASSERTION_TYPE
            form["client_assertion"] = client_assertion(self.config, client.id, self.server.issuer)
        return form, {}


def _failure(answer: Answer, endpoint: str, secrets: tuple[str | None, ...]) -> Exception:
    document = answer.body or {}
    where = origin_of(endpoint)
    error = quoted(document.get("error"), secrets=secrets)
    if error:
        description = quoted(document.get("error_description"), secrets=secrets)
        return ErrorAnswer(error, where, description)
    if answer.status >= 500 or answer.status == 429:
        return Unreachable(f"{where} answered a token request with HTTP {answer.status}")
    return ErrorAnswer(f"HTTP {answer.status}", where)


def _read_tokens(
    document: Mapping[str, object],
    endpoint: str,
    asked: tuple[str, ...],
    now: float,
    secrets: tuple[str | None, ...],
) -> Tokens:
    access = text_of(document, "access_token")
    where = origin_of(endpoint)
    if access is None:
        # Some providers send errors with a status of 200.
        error = quoted(document.get("error"), secrets=secrets)
        if error:
            raise ErrorAnswer(error, where, quoted(document.get("error_description")))
        raise Refused(f"{where} sent no access token")
    if not access.isascii() or not access.isprintable() or " " in access:
        raise Refused(f"{where} sent an access token that is not valid in a header")
    kind = document.get("token_type", "Bearer")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise Refused(f"{where} sent a token whose type must be Bearer, but is {quoted(kind)!r}")
    lifetime = _lifetime(document.get("expires_in"))
    scope = text_of(document, "scope")
    return Tokens(
        access_token=access,
        refresh_token=text_of(document, "refresh_token"),
        obtained_at=now,
        expires_at=None if lifetime is None else now + lifetime,
        scopes=asked if scope is None else tuple(dict.fromkeys(scope.split())),
    )


def _lifetime(value: object) -> float | None:
    """Return `expires_in`, which some servers send as a string; None if it is not a number."""
    try:
        lifetime = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return None
    if isinstance(value, bool) or not math.isfinite(lifetime) or lifetime < 0:
        return None
    return min(lifetime, LONGEST_LIFETIME)
