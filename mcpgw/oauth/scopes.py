"""Which scopes to ask for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mcpgw.oauth.metadata import ServerMetadata

OFFLINE: Final = "offline_access"
"""The scope that OpenID providers want to see before they give a refresh token."""


def to_ask(
    *,
    configured: Iterable[str],
    challenged: Iterable[str],
    supported: Iterable[str],
    server: ServerMetadata,
    person: bool,
) -> tuple[str, ...]:
    """Return the scopes of a first login.

    Those that are configured, else those of the challenge, else all that the resource lists, else
    none, which leaves the choice to the authorization server. `offline_access` joins only where
    that server lists it and a person logs in, so that they need not do it again.
    """
    chosen = tuple(configured) or tuple(challenged) or tuple(supported)
    scopes = [scope for scope in dict.fromkeys(chosen) if scope != OFFLINE]
    if person and OFFLINE in server.scopes_supported and server.grants("refresh_token"):
        scopes.append(OFFLINE)
    return tuple(scopes)


def union(*groups: Iterable[str]) -> tuple[str, ...]:
    """Return all scopes of several groups once, in order: asking again must not lose any."""
    return tuple(dict.fromkeys(scope for group in groups for scope in group))
