"""Requests to the token endpoints of APIs."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from mcpgw.oauth.fetch import Answer
from mcpgw.oauth.model import Tokens
from mcpgw.oauth.token_answer import read_tokens
from mcpgw.oauth.token_endpoint import basic_header
from mcpgw.transports.address_policy import AllowedNetworks

BASIC: Final = "client_secret_basic"
POST: Final = "client_secret_post"
RENEW_BEFORE: Final = 60.0
"""Seconds before its expiry at which a token is renewed."""

PostForm = Callable[[str, Mapping[str, str], Mapping[str, str], AllowedNetworks], Awaitable[Answer]]
"""Posts a form with further headers to a URL at allowed addresses; raises CallProblem."""


async def request_tokens(
    post: PostForm,
    endpoint: str,
    form: Mapping[str, str],
    *,
    client_id: str,
    secret: str,
    method: str,
    asked: tuple[str, ...],
    networks: AllowedNetworks,
) -> Tokens:
    """Request tokens.

    Args:
      post: posts the form.
      endpoint: the token endpoint.
      form: the parameters of the grant.
      client_id: the client, "" for none.
      secret: its secret, "" for a public client.
      method: how the secret is sent: `client_secret_basic` or `client_secret_post`.
      asked: the requested scopes.
      networks: the addresses that the endpoint may have.

    Raises:
      OAuthProblem: the endpoint gave no tokens.
      CallProblem: it cannot be reached.
    """
    sent, headers = with_client(form, client_id=client_id, secret=secret, method=method)
    answer = await post(endpoint, sent, headers, networks)
    secrets = (secret, form.get("refresh_token"), *headers.values())
    return read_tokens(answer, endpoint, asked=asked, now=time.time(), secrets=secrets)


def with_client(
    form: Mapping[str, str], *, client_id: str, secret: str, method: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Add the authentication of a client to a form; return the form and headers."""
    if secret and method == BASIC:
        return dict(form), basic_header(client_id, secret)
    sent = {**form, "client_id": client_id} if client_id else dict(form)
    return ({**sent, "client_secret": secret} if secret else sent), {}
