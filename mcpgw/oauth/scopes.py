"""Choice of the scopes to request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mcpgw.oauth.metadata import ServerMetadata

OFFLINE: Final = "offline_access"
"""The scope that OpenID providers require for a refresh token."""


def to_request(
    *,
    configured: Iterable[str],
    challenged: Iterable[str],
    supported: Iterable[str],
    server: ServerMetadata,
    interactive: bool,
) -> tuple[str, ...]:
    """Return the scopes to request in a first login.

    They are the configured ones, else those of the challenge, else all that the resource lists,
    else none, which leaves the choice to the authorization server. `offline_access` is added if
    that server lists it and a user logs in, so that they need not log in again soon.
    """
    chosen = tuple(configured) or tuple(challenged) or tuple(supported)
    scopes = [scope for scope in dict.fromkeys(chosen) if scope != OFFLINE]
    if interactive and OFFLINE in server.scopes_supported and server.grants("refresh_token"):
        scopes.append(OFFLINE)
    return tuple(scopes)


def union(*groups: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes of several groups without duplicates, in order."""
    return tuple(dict.fromkeys(scope for group in groups for scope in group))
