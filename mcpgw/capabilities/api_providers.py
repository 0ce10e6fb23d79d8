"""Providers of OAuth logins to APIs: known ones, and those that files and settings describe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import attrs

from mcpgw.capabilities.api_logins import is_provider
from mcpgw.config.api_login import SECRET_METHODS, ApiLoginConfig
from mcpgw.oauth.errors import Refused

if TYPE_CHECKING:
    from mcpgw.capabilities.entries import Entry
    from mcpgw.capabilities.library import Library

PREFIX: Final = "oauth:"
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint")
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@attrs.frozen
class ApiProvider:
    """A provider, and what a login there needs.

    `issuer` is the value of `iss` in its redirects, "" if unknown. `console` says where a user
    makes an OAuth client, `files` which capability files need the login.
    """

    name: str
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    device_authorization_endpoint: str = ""
    revocation_endpoint: str = ""
    issuer: str = ""
    parameters: Mapping[str, str] = _NOTHING
    token_endpoint_auth_method: str = SECRET_METHODS[0]
    scopes: tuple[str, ...] = ()
    console: str = ""
    files: tuple[str, ...] = ()


KNOWN: Final[Mapping[str, ApiProvider]] = MappingProxyType(
    {
        "google": ApiProvider(
            "google",
            authorization_endpoint="https://accounts.google.com/o/oauth2/v2/auth",
            token_endpoint="https://oauth2.googleapis.com/token",  # noqa: S106 - a URL
            revocation_endpoint="https://oauth2.googleapis.com/revoke",
            issuer="https://accounts.google.com",
            # Without these there is no refresh token, or only with the first login.
            parameters={"access_type": "offline", "prompt": "consent"},
            token_endpoint_auth_method=SECRET_METHODS[1],
            console="of the type Desktop app at https://console.cloud.google.com/apis/credentials",
        ),
        "spotify": ApiProvider(
            "spotify",
            authorization_endpoint="https://accounts.spotify.com/authorize",
            token_endpoint="https://accounts.spotify.com/api/token",  # noqa: S106 - a URL
            console="at https://developer.spotify.com/dashboard",
        ),
    }
)
"""Providers of the built-in capabilities. What files say about them is not used: a file must not
direct their tokens elsewhere."""


def provider_names(library: Library, configured: Iterable[str]) -> tuple[str, ...]:
    """Return the names of all providers that capabilities need, or that are configured."""
    needed = {_provider_of(entry) for entry in library.entries()} - {""}
    return tuple(sorted({*needed, *configured}))


def find_provider(
    name: str, library: Library, configured: Mapping[str, ApiLoginConfig]
) -> ApiProvider | None:
    """Return a provider, None if neither a capability nor a setting names it.

    Args:
      name: its name.
      library: the capabilities that are enabled.
      configured: the settings under `capabilities.logins`.

    Raises:
      Refused: capability files contradict each other, or an endpoint is missing.
    """
    entries = [entry for entry in library.entries() if _provider_of(entry) == name]
    config = configured.get(name)
    if (not entries and config is None) or not is_provider(name):
        return None
    config = config or ApiLoginConfig()
    found = KNOWN.get(name) or _described(name, entries, library, config)
    scopes = config.scopes or _scopes(entries, library)
    found = attrs.evolve(
        found,
        scopes=scopes,
        parameters={**found.parameters, **config.parameters},
        token_endpoint_auth_method=(
            config.token_endpoint_auth_method or found.token_endpoint_auth_method
        ),
        files=tuple(entry.name for entry in entries),
    )
    moved = config.authorization_endpoint or config.token_endpoint
    if moved:
        found = attrs.evolve(found, issuer="", revocation_endpoint="")
    found = attrs.evolve(
        found,
        **{
            key: value
            for key in (*_ENDPOINTS, "device_authorization_endpoint", "revocation_endpoint")
            if (value := getattr(config, key))
        },
    )
    for key in _ENDPOINTS[1:] if found.device_authorization_endpoint else _ENDPOINTS:
        if not getattr(found, key):
            raise Refused(
                f"the {key.replace('_', ' ')} of '{name}' is not known. Set `{key}` under"
                f" `capabilities.logins.{name}` in gateway.yaml, or under `auth` in the capability"
                " file."
            )
    return found


def _described(
    name: str, entries: list[Entry], library: Library, config: ApiLoginConfig
) -> ApiProvider:
    """Return the provider that capability files describe."""
    values: dict[str, str] = {}
    for key in _ENDPOINTS:
        if getattr(config, key):
            continue
        given = {
            value: entry.name
            for entry in entries
            if (value := getattr(library.load(entry).auth, key))
        }
        if len(given) > 1:
            raise Refused(
                f"the capabilities {' and '.join(sorted(given.values())[:3])} name different"
                f" values of `{key}` for '{name}'. Set the right one under"
                f" `capabilities.logins.{name}` in gateway.yaml."
            )
        values[key] = next(iter(given), "")
    return ApiProvider(
        name,
        authorization_endpoint=values.get("authorization_endpoint", ""),
        token_endpoint=values.get("token_endpoint", ""),
    )


def _scopes(entries: list[Entry], library: Library) -> tuple[str, ...]:
    scopes = (scope for entry in entries for scope in library.load(entry).auth.scopes)
    return tuple(dict.fromkeys(scopes))


def _provider_of(entry: Entry) -> str:
    key = str(entry.facts.get("key") or "")
    return key.removeprefix(PREFIX) if key.startswith(PREFIX) else ""
