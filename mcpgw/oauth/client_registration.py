"""Who we are to an authorization server: a client made by hand, a document, or registration."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final, cast

from mcpgw import __version__
from mcpgw.config.oauth import OAuthConfig
from mcpgw.oauth.errors import ErrorAnswer, Refused, origin_of, quoted
from mcpgw.oauth.fetch import Fetcher
from mcpgw.oauth.metadata import ServerMetadata, text_of
from mcpgw.oauth.model import AuthMethod, Client, Login

CLIENT_NAME: Final = "mcp-gateway"
_SECRET_METHODS: Final[tuple[AuthMethod, ...]] = ("client_secret_basic", "client_secret_post")
_ALL_METHODS: Final[tuple[AuthMethod, ...]] = ("none", *_SECRET_METHODS)


def configured_client(config: OAuthConfig, server: ServerMetadata) -> Client | None:
    """Return the client that was registered by hand, if one is configured.

    Raises:
      Refused: the authorization server takes no proof of identity that we have.
    """
    if config.client_id is None:
        return None
    method = auth_method(
        server.token_endpoint_auth_methods_supported,
        secret=config.client_secret is not None,
        key=config.private_key_file is not None,
    )
    return Client(config.client_id, "configured", config.client_secret, method)


def auth_method(listed: tuple[str, ...] | None, *, secret: bool, key: bool = False) -> AuthMethod:
    """Choose how to prove who we are at the token endpoint, by what the server lists.

    A server that lists nothing takes `client_secret_basic` (RFC 8414 section 2); a client without
    a secret proves nothing.

    Raises:
      Refused: the server wants a key that we do not have.
    """
    if key and (listed is None or "private_key_jwt" in listed):
        return "private_key_jwt"
    if secret:
        if listed is None:
            return "client_secret_basic"
        choices: tuple[AuthMethod, ...] = (*_SECRET_METHODS, "none")
        for method in choices:
            if method in listed:
                return method
        raise Refused(
            f"the authorization server takes none of our ways to prove who we are; it lists"
            f" {', '.join(listed)[:200]}"
        )
    if listed is not None and "none" not in listed and "private_key_jwt" in listed and not key:
        others = [method for method in listed if method in _SECRET_METHODS]
        if not others:
            raise Refused(
                "the authorization server wants clients to sign with a key. Register one there and"
                " set `client_id` and `private_key_file` under `oauth`."
            )
    return "none"


async def client_for_login(
    fetcher: Fetcher,
    config: OAuthConfig,
    server: ServerMetadata,
    *,
    redirect_uri: str,
    scopes: tuple[str, ...],
    known: Login | None,
) -> Client:
    """Return the client for a login by a person, registering one where there is none.

    The order is that of MCP 2026-07-28: the configured client, the metadata document where the
    server takes such, the registration kept from before, a new registration.

    Args:
      fetcher: makes the requests.
      config: the backend's settings.
      server: the authorization server.
      redirect_uri: where the browser will be sent back to.
      scopes: what will be asked for.
      known: an earlier login with this same authorization server.

    Raises:
      Refused: there is no way to become a client; the text says what to configure.
      ErrorAnswer: the server refused to register us.
    """
    configured = configured_client(config, server)
    if configured is not None:
        return configured
    if config.client_metadata_url and server.client_id_metadata_document_supported:
        return Client(config.client_metadata_url, "document")
    if known is not None and known.client.origin == "registered":
        same_place = redirect_uri in known.client.redirect_uris
        if same_place and known.client.usable(time.time()):
            return known.client
    if server.registration_endpoint is None:
        raise Refused(
            f"{origin_of(server.token_endpoint)} lets no client register itself. Register one"
            f" there by hand, with the redirect URI {redirect_uri}, and set `client_id` (and"
            " `client_secret`) under `oauth`; fix `callback_port` where it wants an exact URI."
        )
    return await _register(fetcher, server, redirect_uri, scopes)


async def _register(
    fetcher: Fetcher, server: ServerMetadata, redirect_uri: str, scopes: tuple[str, ...]
) -> Client:
    """Register by RFC 7591, as the native program that we are."""
    endpoint = server.registration_endpoint or ""
    body: dict[str, object] = {
        "client_name": CLIENT_NAME,
        "software_id": CLIENT_NAME,
        "software_version": __version__,
        "application_type": "native",
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": _wanted_method(server),
    }
    if scopes:
        body["scope"] = " ".join(scopes)
    answer = await fetcher.post_json(endpoint, body)
    document = answer.body or {}
    client_id = text_of(document, "client_id")
    if not answer.ok or client_id is None:
        description = quoted(document.get("error_description"))
        if server.assumed and answer.status in (404, 405):
            raise Refused(
                f"{origin_of(endpoint)} wants credentials, and offers no way of OAuth to get them."
                " Set them under `headers`, or `oauth` with the `client_id` of a client."
            )
        error = quoted(document.get("error")) or f"HTTP {answer.status}"
        raise ErrorAnswer(error, f"{origin_of(endpoint)}, asked to register us,", description)
    return _registered(document, client_id, server, redirect_uri)


def _registered(
    document: Mapping[str, object], client_id: str, server: ServerMetadata, redirect_uri: str
) -> Client:
    secret = text_of(document, "client_secret")
    listed = server.token_endpoint_auth_methods_supported
    told = text_of(document, "token_endpoint_auth_method")
    method = next((each for each in _ALL_METHODS if each == told), None)
    if method is None or (listed and method not in listed) or (method != "none" and not secret):
        method = auth_method(listed, secret=secret is not None)
    expires = document.get("client_secret_expires_at")
    lasting = isinstance(expires, bool) or not isinstance(expires, int | float) or expires <= 0
    return Client(
        client_id,
        "registered",
        secret,
        method,
        (redirect_uri,),
        None if lasting or secret is None else float(cast(float, expires)),
    )


def _wanted_method(server: ServerMetadata) -> str:
    """Choose the method to register with: none, as a program on a desk keeps no secret."""
    listed = server.token_endpoint_auth_methods_supported
    if listed is None:
        return "none"
    return next((each for each in ("none", *_SECRET_METHODS) if each in listed), "none")
