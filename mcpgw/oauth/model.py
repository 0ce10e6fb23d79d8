"""The record of a login: the client, its tokens, and the servers that they belong to."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

import attrs

from mcpgw.oauth.metadata import ServerMetadata

Origin = Literal["configured", "document", "registered"]
"""The source of a client id: configuration, client metadata document or registration."""
AuthMethod = Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]

LONGEST_LIFETIME: Final = 10 * 365 * 24 * 3600.0
"""The longest lifetime of a token in seconds; longer ones are reduced to it."""


@attrs.frozen
class Client:
    """Our client at one authorization server."""

    id: str
    origin: Origin
    secret: str | None = attrs.field(default=None, repr=False)
    auth_method: AuthMethod = "none"
    redirect_uris: tuple[str, ...] = ()
    secret_expires_at: float | None = None

    def usable(self, now: float) -> bool:
        """Return whether the client has no secret, or one that has not expired."""
        return self.secret_expires_at is None or now < self.secret_expires_at


@attrs.frozen
class Tokens:
    """Tokens and their expiry; a repr does not show the tokens."""

    access_token: str = attrs.field(repr=False)
    refresh_token: str | None = attrs.field(default=None, repr=False)
    obtained_at: float = 0.0
    expires_at: float | None = None
    scopes: tuple[str, ...] = ()

    def expired(self, now: float) -> bool:
        """Return whether the access token has certainly expired."""
        return self.expires_at is not None and now >= self.expires_at

    def due(self, now: float, buffer: float) -> bool:
        """Return whether to renew: from `buffer` seconds, or half the lifetime, before expiry."""
        if self.expires_at is None:
            return False
        lifetime = max(0.0, self.expires_at - self.obtained_at)
        return now >= self.expires_at - min(buffer, lifetime / 2)


@attrs.frozen
class Login:
    """One login of one backend with one authorization server.

    `issuer` is the server as the resource names it, and the key of the record: its contents are
    never used with another server. `asked` are the requested scopes, granted or not.
    """

    server: str
    url: str
    issuer: str
    resource: str
    client: Client
    metadata: ServerMetadata
    grant: str
    tokens: Tokens | None = None
    asked: tuple[str, ...] = ()
    updated_at: float = attrs.field(factory=time.time)

    def as_json(self) -> dict[str, Any]:
        """Return the record as JSON data, with the secrets under a separate key."""
        plain = attrs.asdict(self)
        secrets = {"client_secret": plain["client"].pop("secret")}
        if plain["tokens"] is not None:
            for name in ("access_token", "refresh_token"):
                secrets[name] = plain["tokens"].pop(name)
        return {**plain, "secrets": {name: text for name, text in secrets.items() if text}}


def login_from_json(data: object) -> Login | None:
    """Parse the result of `Login.as_json`; return None if the data is not valid."""
    try:
        return _login(data)
    except (KeyError, TypeError, ValueError):
        return None


def _login(data: Any) -> Login:
    secrets: Mapping[str, str] = data["secrets"]
    client, tokens = dict(data["client"]), data["tokens"]
    if client["origin"] not in get_args(Origin) or client["auth_method"] not in get_args(
        AuthMethod
    ):
        raise ValueError("unknown client origin or authentication method")
    client |= {"redirect_uris": tuple(client["redirect_uris"])}
    metadata: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in data["metadata"].items()
    }
    read = None
    if tokens is not None:
        read = Tokens(
            access_token=_text(secrets["access_token"]),
            refresh_token=secrets.get("refresh_token"),
            obtained_at=float(tokens["obtained_at"]),
            expires_at=None if tokens["expires_at"] is None else float(tokens["expires_at"]),
            scopes=tuple(map(_text, tokens["scopes"])),
        )
    return Login(
        server=_text(data["server"]),
        url=_text(data["url"]),
        issuer=_text(data["issuer"]),
        resource=_text(data["resource"]),
        client=Client(**client, secret=secrets.get("client_secret")),
        metadata=ServerMetadata(**metadata),
        grant=_text(data["grant"]),
        tokens=read,
        asked=tuple(map(_text, data["asked"])),
        updated_at=float(data["updated_at"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("must be a string")
    return value
