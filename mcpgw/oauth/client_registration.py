"""Our client at an authorization server: configured, by metadata document, or registered."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final, cast, get_args

from mcpgw import __version__
from mcpgw.config.oauth import OAuthConfig
from mcpgw.oauth.errors import ErrorAnswer, Refused, origin_of
from mcpgw.oauth.fetch import Fetcher
from mcpgw.oauth.metadata import ServerMetadata, text_of
from mcpgw.oauth.model import AuthMethod, Client, Login
from mcpgw.oauth.token_answer import error_of

CLIENT_NAME: Final = "mcp-gateway"
_OPTIONAL_MEMBERS: Final = frozenset(
    {"software_id", "software_version", "application_type", "scope"}
)
_SECRET_METHODS: Final[tuple[AuthMethod, ...]] = ("client_secret_basic", "client_secret_post")
_ALL_METHODS: Final[tuple[AuthMethod, ...]] = ("none", *_SECRET_METHODS)


def configured_client(config: OAuthConfig, server: ServerMetadata) -> Client | None:
    """Return the configured client, if there is one.

    Raises:
      Refused: the authorization server supports none of our authentication methods.
    """
    if config.client_id is None:
        return None
    method = _configured_method(config) or auth_method(
        server.token_endpoint_auth_methods_supported,
        secret=config.client_secret is not None,
        key=config.private_key_file is not None,
    )
    return Client(config.client_id, "configured", config.client_secret, method)


def _configured_method(config: OAuthConfig) -> AuthMethod | None:
    methods: tuple[AuthMethod, ...] = get_args(AuthMethod)
    return next((each for each in methods if each == config.token_endpoint_auth_method), None)


def auth_method(listed: tuple[str, ...] | None, *, secret: bool, key: bool = False) -> AuthMethod:
    """Choose the client authentication method from those that the server lists.

    The default of a server that lists none is `client_secret_basic` (RFC 8414, section 2); a client
    without a secret or key uses `none`.

    Raises:
      Refused: the server supports none of the possible methods.
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
            "the authorization server supports none of our client authentication methods; it lists"
            f" {', '.join(listed)[:200]}"
        )
    if listed is not None and "none" not in listed and "private_key_jwt" in listed and not key:
        others = [method for method in listed if method in _SECRET_METHODS]
        if not others:
            raise Refused(
                "the authorization server requires clients to sign with a key. Register a client"
                " there and set `client_id` and `private_key_file` under `oauth`."
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
    """Return the client for a user's login, registering one if necessary.

    The order is that of MCP 2026-07-28: the configured client, the metadata document if the server
    supports it, an earlier registration, a new registration.

    Args:
      fetcher: makes the requests.
      config: the backend's settings.
      server: the authorization server.
      redirect_uri: the URI that the browser will be redirected to.
      scopes: the scopes that will be requested.
      known: an earlier login with the same authorization server.

    Raises:
      Refused: there is no way to get a client; the message says what to configure.
      ErrorAnswer: the server refused the registration.
    """
    configured = configured_client(config, server)
    if configured is not None:
        return configured
    if config.client_metadata_url and server.client_id_metadata_document_supported:
        return Client(config.client_metadata_url, "document")
    if known is not None and known.client.origin == "registered":
        same_uri = redirect_uri in known.client.redirect_uris
        if same_uri and known.client.usable(time.time()):
            return known.client
    if server.registration_endpoint is None:
        raise Refused(
            f"{origin_of(server.token_endpoint)} does not support client registration. Register"
            f" a client there manually, with the redirect URI {redirect_uri}, and set `client_id`"
            " (and `client_secret`) under `oauth`; set `callback_port` if it requires an exact URI."
        )
    return await _register(fetcher, config, server, redirect_uri, scopes)


async def _register(
    fetcher: Fetcher,
    config: OAuthConfig,
    server: ServerMetadata,
    redirect_uri: str,
    scopes: tuple[str, ...],
) -> Client:
    """Register dynamically (RFC 7591) as a native application."""
    endpoint = server.registration_endpoint or ""
    body: dict[str, object] = {
        "client_name": CLIENT_NAME,
        "software_id": CLIENT_NAME,
        "software_version": __version__,
        "application_type": "native",
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": (config.token_endpoint_auth_method or _wanted_method(server)),
    }
    if scopes:
        body["scope"] = " ".join(scopes)
    answer = await fetcher.post_json(endpoint, body)
    if not answer.ok and error_of(answer.body or {})[0] == "invalid_client_metadata":
        # Some servers refuse members that they do not know, instead of ignoring them (RFC 7591,
        # section 2).
        required = {key: value for key, value in body.items() if key not in _OPTIONAL_MEMBERS}
        answer = await fetcher.post_json(endpoint, required)
    document = answer.body or {}
    client_id = text_of(document, "client_id")
    if not answer.ok or client_id is None:
        error, description = error_of(document)
        if server.assumed and answer.status in (404, 405):
            raise Refused(
                f"{origin_of(endpoint)} requires credentials but does not support OAuth. Set them"
                " under `headers`, or set the `client_id` of a client under `oauth`."
            )
        raise ErrorAnswer(
            error or f"HTTP {answer.status}",
            f"the client registration at {origin_of(endpoint)}",
            f"{description}{'. ' if description else ''}If it only accepts clients that it knows,"
            f" register one there with the redirect URI {redirect_uri}, and set `client_id` (and"
            " `client_secret`) under `oauth`.",
        )
    return _registered(document, client_id, config, server, redirect_uri)


def _registered(
    document: Mapping[str, object],
    client_id: str,
    config: OAuthConfig,
    server: ServerMetadata,
    redirect_uri: str,
) -> Client:
    secret = text_of(document, "client_secret")
    listed = server.token_endpoint_auth_methods_supported
    assigned = text_of(document, "token_endpoint_auth_method")
    method = _configured_method(config)
    if method is None:
        method = next((each for each in _ALL_METHODS if each == assigned), None)
        if listed and method not in listed:
            method = None
    if method is None or (method != "none" and not secret):
        method = auth_method(listed, secret=secret is not None)
    expires = document.get("client_secret_expires_at")
    never_expires = (
        isinstance(expires, bool) or not isinstance(expires, int | float) or expires <= 0
    )
    return Client(
        client_id,
        "registered",
        secret,
        method,
        (redirect_uri,),
        None if never_expires or secret is None else float(cast(float, expires)),
    )


def _wanted_method(server: ServerMetadata) -> str:
    """Choose the authentication method to register: `none` if possible, as for public clients."""
    listed = server.token_endpoint_auth_methods_supported
    if listed is None:
        return "none"
    return next((each for each in ("none", *_SECRET_METHODS) if each in listed), "none")
