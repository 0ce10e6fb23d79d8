"""The state of a login for display, without secrets."""

from __future__ import annotations

from typing import Literal

import attrs

from mcpgw.oauth.model import Login

State = Literal["none", "waiting", "valid", "renewable", "expired"]
"""`waiting`: the user must open the link; `renewable`: expired, will be renewed when used."""


@attrs.frozen
class LoginState:
    """The state of a backend's login. Times are seconds since 1970."""

    state: State
    issuer: str | None = None
    resource: str | None = None
    grant: str | None = None
    client_id: str | None = None
    client_origin: str | None = None
    scopes: tuple[str, ...] = ()
    expires_at: float | None = None
    refreshable: bool = False
    updated_at: float | None = None
    link: str | None = attrs.field(default=None, repr=False)
    problem: str = ""


@attrs.frozen
class LogoutResult:
    """The number of deleted logins, and of those that their servers revoked."""

    found: int
    revoked: int


def state_of(login: Login | None, *, now: float, link: str | None, problem: str) -> LoginState:
    """Return the state of a login."""
    if login is None or login.tokens is None:
        return LoginState("waiting" if link else "none", link=link, problem=problem)
    tokens = login.tokens
    refreshable = tokens.refresh_token is not None or login.grant == "client_credentials"
    state: State = "valid"
    if link is not None:
        state = "waiting"
    elif tokens.expired(now):
        state = "renewable" if refreshable else "expired"
    return LoginState(
        state=state,
        issuer=login.issuer,
        resource=login.resource,
        grant=login.grant,
        client_id=login.client.id,
        client_origin=login.client.origin,
        scopes=tokens.scopes,
        expires_at=tokens.expires_at,
        refreshable=refreshable,
        updated_at=login.updated_at,
        link=link,
        problem=problem,
    )
