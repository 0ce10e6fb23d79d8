"""Tokens of the client itself (RFC 6749, section 4.4), kept in memory until they expire."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import attrs
import trio

from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.token_requests import BASIC, POST, RENEW_BEFORE, PostForm, request_tokens
from mcpgw.oauth.errors import ErrorAnswer, OAuthProblem
from mcpgw.oauth.model import Tokens
from mcpgw.observe.log import get_logger
from mcpgw.transports.address_policy import AllowedNetworks

if TYPE_CHECKING:
    from mcpgw.capabilities.model import Auth

log = get_logger("mcpgw.capabilities")

_MOST: Final = 1000
"""The most tokens that are kept."""


@attrs.frozen
class _Request:
    """The parameters of a token request; equal requests share a token."""

    endpoint: str
    client_id: str
    secret: str = attrs.field(repr=False)
    scopes: tuple[str, ...]
    audience: str
    method: str


@attrs.define
class _Kept:
    """The token of a request, and the authentication method that worked."""

    tokens: Tokens | None = None
    method: str = ""
    lock: trio.Lock = attrs.field(factory=trio.Lock)


@attrs.define(eq=False)
class ClientTokens:
    """Obtains tokens with the credentials of a client.

    Args:
      post: posts forms to token endpoints.
      look_up: returns the value of a reference.
      seen: collects all tokens, for redaction.
    """

    post: PostForm | None
    look_up: Callable[[str, str], Awaitable[str]]
    seen: set[str] = attrs.field(repr=False)
    _kept: dict[_Request, _Kept] = attrs.field(factory=dict, init=False, repr=False)

    async def token(self, auth: Auth, networks: AllowedNetworks, *, rejected: str = "") -> str:
        """Return a token, from memory if there is a valid one.

        Args:
          auth: the credential of a capability, with `grant: client_credentials`.
          networks: the addresses that the token endpoint may have.
          rejected: a token that the API refused, which must not be returned.

        Raises:
          CallProblem: there is no token; the message says why.
        """
        client_id = auth.client_id
        if client_id.startswith(("env:", "keychain:", "file:")):
            client_id = await self.look_up(client_id, auth.description)
        secret = await self.look_up(auth.client_secret, auth.description)
        request = _Request(
            *(auth.token_endpoint, client_id, secret, auth.scopes, auth.audience),
            auth.token_endpoint_auth_method,
        )
        if len(self._kept) >= _MOST:
            self._kept.clear()
        kept = self._kept.setdefault(request, _Kept())
        async with kept.lock:
            tokens = kept.tokens
            usable = tokens is not None and tokens.access_token != rejected
            if tokens is not None and usable and not tokens.due(time.time(), RENEW_BEFORE):
                return tokens.access_token
            try:
                kept.tokens = await self._requested(request, kept, networks)
            except CallProblem as problem:
                valid = tokens is not None and usable and not tokens.expired(time.time())
                if not (problem.again and valid):
                    raise
                log.warning("token.renewal_failed", endpoint=request.endpoint, reason=str(problem))
            assert kept.tokens is not None
            self.seen.add(kept.tokens.access_token)
            return kept.tokens.access_token

    async def _requested(self, request: _Request, kept: _Kept, networks: AllowedNetworks) -> Tokens:
        if self.post is None:
            raise CallProblem("tokens can only be requested in a running gateway.")
        form = {"grant_type": "client_credentials"}
        if request.scopes:
            form["scope"] = " ".join(request.scopes)
        if request.audience:
            form["audience"] = request.audience
        # Some providers accept only one of the two methods, and no document says which.
        known = request.method or kept.method
        for method in (known,) if known else (BASIC, POST):
            try:
                tokens = await request_tokens(
                    self.post,
                    request.endpoint,
                    form,
                    client_id=request.client_id,
                    secret=request.secret,
                    method=method,
                    asked=request.scopes,
                    networks=networks,
                )
            except OAuthProblem as problem:
                final = isinstance(problem, ErrorAnswer) and not problem.passing
                if final and method == BASIC and not known:
                    continue
                hint = " Check `client_id` and `client_secret`." if _rejected(problem) else ""
                text = f"no token for this API: {problem}.{hint}"
                raise CallProblem(text, again=not final) from None
            kept.method = method
            return tokens
        raise AssertionError("the last method ends the loop")


def _rejected(problem: OAuthProblem) -> bool:
    return isinstance(problem, ErrorAnswer) and problem.rejects_client
