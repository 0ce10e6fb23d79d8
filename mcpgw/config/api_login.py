"""Settings of OAuth logins to APIs, for capabilities with `auth.key: oauth:NAME`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import attrs

from mcpgw.config.loopback import is_loopback
from mcpgw.config.oauth import read_callback_host, read_callback_path
from mcpgw.config.server import PORT
from mcpgw.config.setting import setting
from mcpgw.config.value_types import (
    TEXT,
    TEXT_MAP,
    TEXTS,
    Kind,
    SettingError,
    choice,
    optional,
)

SECRET_METHODS: Final = ("client_secret_basic", "client_secret_post")
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_REFERENCES: Final = ("env:", "keychain:", "file:")


def read_endpoint(value: object) -> str:
    """Read the URL of an OAuth endpoint: https, or http on this machine.

    Raises:
      SettingError: it is anything else.
    """
    from urllib.parse import urlsplit

    url = TEXT.read(value)
    try:
        parts = urlsplit(url)
        secure = parts.scheme == "https" or (
            parts.scheme == "http" and is_loopback(parts.hostname or "")
        )
        sound = secure and bool(parts.hostname) and not parts.fragment and "@" not in parts.netloc
        sound = sound and parts.port != 0
    except ValueError:
        sound = False
    if url and not sound:
        raise SettingError(f"must be an https URL, not {url[:80]!r}")
    return url


ENDPOINT: Final = Kind("URL", read_endpoint, TEXT.show)


def _read_reference(value: object) -> str:
    text = TEXT.read(value)
    if text and not text.startswith(_REFERENCES):
        raise SettingError(
            "must be a reference to the secret, not the secret",
            "Write env:NAME, keychain:NAME or file:PATH:FIELD.",
        )
    return text


@attrs.frozen
class ApiLoginConfig:
    """Login to an API for `mcp-gateway auth login NAME`, with an OAuth client of your own.

    The endpoints and scopes are those in the capability files, unless they are set here.
    """

    client_id: str = setting(
        "",
        "ID of your OAuth client, or a reference to it (`env:NAME`). If unset, the environment"
        " variable `NAME_CLIENT_ID` of the login's name in upper case.",
        TEXT,
    )
    client_secret: str = setting(
        "",
        "Reference to its secret. If unset, the environment variable `NAME_CLIENT_SECRET`; clients"
        " without a secret need none.",
        Kind("reference", _read_reference, TEXT.show),
    )
    scopes: tuple[str, ...] = setting(
        (), "Scopes to request; if empty, all that the capability files require.", TEXTS
    )
    authorization_endpoint: str = setting("", "URL at which the user logs in.", ENDPOINT)
    token_endpoint: str = setting("", "URL at which tokens are issued and renewed.", ENDPOINT)
    device_authorization_endpoint: str = setting(
        "",
        "URL that issues codes for a login on another device (`auth login --device`).",
        ENDPOINT,
    )
    revocation_endpoint: str = setting("", "URL at which a logout revokes tokens.", ENDPOINT)
    parameters: Mapping[str, str] = setting(
        _NOTHING, "Additional parameters of the authorization request.", TEXT_MAP
    )
    token_endpoint_auth_method: str | None = setting(
        None,
        "How the secret is sent; if unset, as the provider requires, else by"
        " `client_secret_basic`.",
        optional(choice(*SECRET_METHODS)),
    )
    callback_host: str = setting(
        "127.0.0.1",
        "Loopback address of the redirect URI.",
        Kind("loopback address", read_callback_host, str),
    )
    callback_port: int | None = setting(
        None,
        "Port of the redirect URI, if the provider requires a fixed one; a free one if unset.",
        optional(PORT),
    )
    callback_path: str = setting(
        "/oauth/callback",
        "Path of the redirect URI.",
        Kind("path", read_callback_path, str),
    )
