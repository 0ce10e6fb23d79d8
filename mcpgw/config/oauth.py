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
AUTH_METHODS = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
"""Client authentication methods of token endpoints."""
GRANTS = ("auto", "authorization_code", "client_credentials")
STORAGES = ("file", "keychain", "auto")


def read_callback_host(value: object) -> str:
    """Read the host of a redirect URI. Raises SettingError if it is not a loopback address."""
    host = TEXT.read(value).lower()
    if is_loopback(host):
        return host
    raise SettingError(
        f"must be a loopback address, not {host[:40]!r}",
        "Use localhost, 127.0.0.1 or ::1: a code sent elsewhere could be intercepted.",
    )


def read_callback_path(value: object) -> str:
    """Read the path of a redirect URI. Raises SettingError unless it is plain ASCII."""
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


def _read_issuers(value: object) -> tuple[str, ...]:
    from urllib.parse import urlsplit

    issuers = TEXTS.read(value)
    for issuer in issuers:
        try:
            parts = urlsplit(issuer)
            secure = parts.scheme == "https" or (
                parts.scheme == "http" and is_loopback(parts.hostname or "")
            )
            sound = secure and bool(parts.hostname) and not parts.query and not parts.fragment
        except ValueError:
            sound = False
        if not sound:
            raise SettingError(
                f"must be https URLs without query and fragment, not {issuer[:80]!r}",
                "Copy the `issuer` of the authorization server's metadata.",
            )
    return issuers


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
    trusted_issuers: tuple[str, ...] = setting(
        (),
        "Issuers that the authorization server's metadata may name instead of the URL that the MCP"
        " server names. Any other difference is refused (RFC 8414, section 3.3).",
        Kind("list of URLs", _read_issuers, TEXTS.show),
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
    token_endpoint_auth_method: str | None = setting(
        None,
        "Client authentication method at the token endpoint; if unset, one that the authorization"
        " server lists.",
        optional(choice(*AUTH_METHODS)),
    )
    allow_missing_pkce: bool = setting(
        False,
        "Log in even if the authorization server does not declare support for PKCE. PKCE is used in"
        " any case.",
        FLAG,
    )
    send_resource: bool = setting(
        True,
        "Send the `resource` parameter (RFC 8707), which MCP requires and some authorization"
        " servers reject.",
        FLAG,
    )
    callback_host: str = setting(
        "localhost",
        "Loopback address of the redirect URI; `localhost` listens on 127.0.0.1 and ::1.",
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

    def __attrs_post_init__(self) -> None:
        """Raise SettingError for settings that contradict each other."""
        if self.allow_missing_pkce and self.grant == "client_credentials":
            raise SettingError(
                "has no effect with `grant: client_credentials`, which does not use PKCE",
                "Remove one of the two.",
                key=("allow_missing_pkce",),
            )
        reason, hint = self._auth_method_conflict()
        if reason:
            raise SettingError(reason, hint, key=("token_endpoint_auth_method",))

    def _auth_method_conflict(self) -> tuple[str, str]:
        """Return why the client cannot authenticate as configured, and what to do about it."""
        method = self.token_endpoint_auth_method
        if method == "private_key_jwt" and not (self.client_id and self.private_key_file):
            return f"{method} requires `client_id` and `private_key_file`", "Set both."
        if method == "none" and self.grant == "client_credentials":
            return (
                "must not be none with `grant: client_credentials`, which authenticates the client",
                "Set client_secret_basic, client_secret_post or private_key_jwt.",
            )
        if method == "none" and self.client_secret is not None:
            return "must not be none with `client_secret`", "Remove one of the two."
        if method in ("client_secret_basic", "client_secret_post") and (
            self.client_id is not None and self.client_secret is None
        ):
            return f"{method} requires `client_secret`", "Set it, or remove this setting."
        return "", ""
