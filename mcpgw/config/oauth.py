"""The settings of logging in to a network backend that asks for OAuth."""

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
"""How a client assertion may be signed."""
GRANTS = ("auto", "authorization_code", "client_credentials")
STORAGES = ("file", "keychain", "auto")


def _read_callback_host(value: object) -> str:
    host = TEXT.read(value).lower()
    if is_loopback(host):
        return host
    raise SettingError(
        f"{host[:40]!r} is not an address of this machine alone",
        "Give localhost, 127.0.0.1 or ::1; a code sent elsewhere could be read on its way.",
    )


def _read_callback_path(value: object) -> str:
    path = TEXT.read(value)
    if not path.startswith("/") or any(letter in path for letter in "?#%") or " " in path:
        raise SettingError(
            "is not a plain path", "It begins with '/' and holds no '?', '#', '%' or space."
        )
    if not path.isascii() or not path.isprintable():
        raise SettingError("holds a character that has no place in a path")
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
            "is not an https URL with a path", "Such as https://example.org/client.json."
        )
    return url


def _read_algorithm(value: object) -> str:
    text = TEXT.read(value)
    for algorithm in ALGORITHMS:
        if algorithm.lower() == text.lower():
            return algorithm
    raise SettingError(f"wants one of {', '.join(ALGORITHMS)}")


@attrs.frozen
class OAuthConfig:
    """How the gateway logs in to a network server that asks for OAuth.

    A server that asks for it is logged in to without any of these settings; they are for what
    its authorization server wants otherwise.
    """

    enabled: bool = setting(True, "Log in where the server asks for it.", FLAG)
    scopes: tuple[str, ...] = setting(
        (), "Scopes to ask for; those that the server names if empty.", TEXTS
    )
    client_id: str | None = setting(
        None,
        "The id of a client registered by hand; else the gateway registers itself.",
        optional(TEXT),
    )
    client_secret: str | None = setting(
        None, "The secret of the client registered by hand.", optional(TEXT), show=False
    )
    issuer: str | None = setting(
        None,
        "The authorization server that `client_id` belongs to; the first one used if unset. No"
        " other is ever given the id or the secret.",
        optional(TEXT),
    )
    client_metadata_url: str | None = setting(
        None,
        "An https URL of a client metadata document, used as the client's id where the"
        " authorization server takes such.",
        optional(Kind("URL", _read_https_url, str)),
    )
    grant: str = setting(
        "auto",
        "How tokens are got: by a person who logs in, or by the client's own credentials. `auto`"
        " takes the credentials where a secret or key is given and nobody can log in.",
        choice(*GRANTS),
    )
    private_key_file: str | None = setting(
        None,
        "A PEM file with the private key that proves who the client is, in place of a secret;"
        " needs the package `cryptography`.",
        optional(TEXT),
    )
    private_key_algorithm: str = setting(
        "ES256",
        "How the key signs.",
        Kind(f"one of {', '.join(ALGORITHMS)}", _read_algorithm, str),
    )
    private_key_id: str | None = setting(
        None, "The `kid` by which the authorization server knows the key.", optional(TEXT)
    )
    callback_host: str = setting(
        "localhost",
        "The address of this machine that the browser is sent back to; `localhost` listens on"
        " 127.0.0.1 and ::1.",
        Kind("loopback address", _read_callback_host, str),
    )
    callback_port: int | None = setting(
        None,
        "The port that the browser is sent back to, where the provider wants an exact one; else"
        " a free one.",
        optional(PORT),
    )
    callback_path: str = setting(
        "/oauth/callback",
        "The path that the browser is sent back to.",
        Kind("path", _read_callback_path, str),
    )
    token_refresh_buffer_secs: float = setting(
        300.0,
        "How long before its end a token is renewed; at most half of its life.",
        duration(above_zero=False, whole_seconds=True),
    )
    shared_account: bool = setting(
        False, "Let all users of a gateway that serves many use this one login.", FLAG
    )
    storage: str = setting(
        "file",
        "Where tokens are kept: in files of the state folder that only their owner may read, in"
        " the keychain of the system (needs the package `keyring`), or `auto`: the keychain"
        " where there is one.",
        choice(*STORAGES),
    )
    open_browser: bool = setting(
        True, "Open the browser for a login; the link is logged in any case.", FLAG
    )
