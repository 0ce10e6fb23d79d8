"""Settings of OAuth logins to network backends."""

from __future__ import annotations

import attrs

from mcpgw.config.loopback import is_loopback
from mcpgw.config.server import PORT
from mcpgw.config.setting import setting
from mcpgw.config.value_types import (
    FLAG,
    TEXT,
    TEXTS,
    Kind,
    SettingError,
    choice,
    duration,
    optional,
)

ALGORITHMS = ("ES256", "ES384", "RS256", "RS384", "RS512", "PS256", "EdDSA")
"""Signature algorithms of client assertions."""
GRANTS = ("auto", "authorization_code", "client_credentials")
STORAGES = ("file", "keychain", "auto")


def _read_callback_host(value: object) -> str:
    host = TEXT.read(value).lower()
    if is_loopback(host):
        return host
    raise SettingError.mismatch(
        "must be a loopback address",
        host,
        "Use localhost, 127.0.0.1 or ::1: a code sent elsewhere could be intercepted.",
    )


def _read_callback_path(value: object) -> str:
    path = TEXT.read(value)
    if not path.startswith("/") or any(letter in path for letter in "?#%") or " " in path:
        raise SettingError(
            "must be a plain path",
            "It must start with '/' and not contain '?', '#', '%' or spaces.",
        )
    if not path.isascii() or not path.isprintable():
        raise SettingError("must contain printable ASCII characters only")
    return path


def _read_https_url(value: object) -> str:
    from urllib.parse import urlsplit

    url = TEXT.read(value)
    try:
        parts = urlsplit(url)
        sound = parts.scheme == "https" and bool(parts.hostname) and not parts.fragment
    except ValueError:
        sound = False
    if not sound or parts.path in ("", "/"):
        raise SettingError(
            "must be an https URL with a path", "Example: https://example.org/client.json."
        )
    return url


def _read_algorithm(value: object) -> str:
    text = TEXT.read(value)
    for algorithm in ALGORITHMS:
        if algorithm.lower() == text.lower():
            return algorithm
    raise SettingError(f"must be one of {', '.join(ALGORITHMS)}")


@attrs.frozen
class OAuthConfig:
    """OAuth login to a network server.

    The login usually works without any of these settings; they adapt it to the requirements of
    an authorization server.
    """

    enabled: bool = setting(True, "Log in if the server requires it.", FLAG)
    scopes: tuple[str, ...] = setting(
        (), "Scopes to request; if empty, those that the server names.", TEXTS
    )
    client_id: str | None = setting(
        None,
        "ID of a manually registered client; if unset, the gateway registers itself.",
        optional(TEXT),
    )
    client_secret: str | None = setting(
        None, "Secret of the manually registered client.", optional(TEXT), show=False
    )
    issuer: str | None = setting(
        None,
        "The authorization server that `client_id` belongs to; if unset, the first one used. The ID"
        " and the secret are never sent to another one.",
        optional(TEXT),
    )
    client_metadata_url: str | None = setting(
        None,
        "The https URL of a client metadata document, used as client ID if the authorization"
        " server supports it.",
        optional(Kind("URL", _read_https_url, str)),
    )
    grant: str = setting(
        "auto",
        "Grant type: a login by the user, or the credentials of the client itself. `auto` uses the"
        " credentials if a secret or key is configured and no interactive user can log in.",
        choice(*GRANTS),
    )
    private_key_file: str | None = setting(
        None,
        "PEM file with the private key that authenticates the client, instead of a secret; requires"
        " the package `cryptography`.",
        optional(TEXT),
    )
    private_key_algorithm: str = setting(
        "ES256",
        "Signature algorithm of the private key.",
        Kind(f"one of {', '.join(ALGORITHMS)}", _read_algorithm, str),
    )
    private_key_id: str | None = setting(
        None, "Key ID (`kid`) of the private key at the authorization server.", optional(TEXT)
    )
    callback_host: str = setting(
        "localhost",
        "Loopback address of the redirect URI; `localhost` listens on 127.0.0.1 and ::1.",
        Kind("loopback address", _read_callback_host, str),
    )
    callback_port: int | None = setting(
        None,
        "Port of the redirect URI, if the provider requires a fixed one; a free one if unset.",
        optional(PORT),
    )
    callback_path: str = setting(
        "/oauth/callback",
        "Path of the redirect URI.",
        Kind("path", _read_callback_path, str),
    )
    token_refresh_buffer_secs: float = setting(
        300.0,
        "How long before its expiry a token is renewed; at most half of its lifetime.",
        duration(above_zero=False, whole_seconds=True),
    )
    shared_account: bool = setting(False, "Share this login among all users of the gateway.", FLAG)
    storage: str = setting(
        "file",
        "Token storage: `file` (in the state folder, readable by the owner only), `keychain` (of"
        " the system; requires the package `keyring`), or `auto` (the keychain if available).",
        choice(*STORAGES),
    )
    open_browser: bool = setting(
        True, "Open the browser for a login. The link is logged in any case.", FLAG
    )
