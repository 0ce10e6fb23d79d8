"""Login of a user to an API, in the browser, and logout."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

import trio

from mcpgw.capabilities.api_logins import (
    FOLDER,
    ApiClient,
    ApiLogin,
    login_file,
    read_login,
    write_login,
)
from mcpgw.capabilities.token_requests import with_client
from mcpgw.config.api_login import ApiLoginConfig
from mcpgw.config.oauth import OAuthConfig
from mcpgw.oauth.address_policy import LoginAddressPolicy
from mcpgw.oauth.device import DeviceLogin, Show
from mcpgw.oauth.discovery import Discovered
from mcpgw.oauth.errors import OAuthProblem, Refused
from mcpgw.oauth.fetch import Fetcher
from mcpgw.oauth.flow import LoginFlow, Present
from mcpgw.oauth.metadata import PKCE_METHOD, ServerMetadata
from mcpgw.oauth.model import Client, Tokens
from mcpgw.oauth.status import LoginState, State
from mcpgw.oauth.store import TokenStore
from mcpgw.oauth.token_endpoint import TokenEndpoint
from mcpgw.observe.log import get_logger

if TYPE_CHECKING:
    from mcpgw.capabilities.api_providers import ApiProvider
    from mcpgw.transports.network import Network

log = get_logger("mcpgw.capabilities")

_REVOCATION_PATIENCE: Final = 45.0


def missing_client(provider: ApiProvider, config: ApiLoginConfig) -> Refused:
    """Return the error for a login without an OAuth client; it says how to get one."""
    name = provider.name
    variable = name.upper().replace("-", "_")
    port = f":{config.callback_port}" if config.callback_port else ""
    host = f"[{config.callback_host}]" if ":" in config.callback_host else config.callback_host
    return Refused(
        f"there is no OAuth client for '{name}'. Make one of your own"
        f" {provider.console or 'at the provider'}, with the redirect URI"
        f" http://{host}{port}{config.callback_path} if it asks for one. Then set"
        f" {variable}_CLIENT_ID and {variable}_CLIENT_SECRET in the environment, or `client_id` and"
        f" `client_secret` under `capabilities.logins.{name}` in gateway.yaml."
    )


async def log_in(
    provider: ApiProvider,
    client: ApiClient,
    config: ApiLoginConfig,
    *,
    folder: Path,
    network: Network,
    present: Present,
) -> ApiLogin:
    """Let the user log in, and store the login.

    Args:
      provider: the provider.
      client: the user's OAuth client there.
      config: the settings of the login, for the redirect URI.
      folder: the state folder.
      network: makes the connections.
      present: shows the link.

    Raises:
      OAuthProblem: it failed.
    """
    flow = _flow(provider, client, config, network)
    found = Discovered("", provider.issuer, _metadata(provider))

    async def nothing(_: object) -> None:
        pass

    login = await flow.by_user(
        found,
        provider.scopes,
        known=None,
        present=present,
        opened=lambda link: None,
        reused=nothing,
    )
    assert login.tokens is not None
    return await _store(provider, client, login.tokens, folder)


async def log_in_by_device(
    provider: ApiProvider, client: ApiClient, *, folder: Path, network: Network, show: Show
) -> ApiLogin:
    """Let the user log in with a code in any browser, and store the login.

    Args:
      provider: the provider.
      client: the user's OAuth client there.
      folder: the state folder.
      network: makes the connections.
      show: shows the page and the code.

    Raises:
      OAuthProblem: it failed.
    """
    endpoint = provider.device_authorization_endpoint
    if not endpoint:
        raise Refused(
            f"'{provider.name}' has no endpoint for logins on another device. Set"
            f" `device_authorization_endpoint` under `capabilities.logins.{provider.name}` if its"
            " provider has one, or log in without --device"
        )

    def authenticate(form: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        # RFC 8628, section 3.1, requires the client id in the form.
        return with_client(
            {**form, "client_id": client.id},
            client_id=client.id,
            secret=client.secret,
            method=provider.token_endpoint_auth_method,
        )

    fetcher = Fetcher(network, LoginAddressPolicy(endpoint))
    device = DeviceLogin(fetcher, endpoint, provider.token_endpoint, authenticate)
    return await _store(provider, client, await device.tokens(provider.scopes, show), folder)


async def _store(
    provider: ApiProvider, client: ApiClient, tokens: Tokens, folder: Path
) -> ApiLogin:
    stored = _stored(provider, client, tokens)
    # A gateway that renews the old login at this time must not overwrite the new one.
    async with TokenStore(folder / FOLDER).lock(provider.name):
        try:
            await trio.to_thread.run_sync(write_login, folder, provider.name, stored)
        except OSError as error:
            path = login_file(folder, provider.name)
            raise Refused(f"the login cannot be stored in {path}: {error.strerror}") from None
    return stored


async def log_out(name: str, *, folder: Path, network: Network) -> tuple[bool, bool]:
    """Revoke the tokens of a login if possible, and delete it.

    Returns:
      Whether there was a login, and whether the provider confirmed the revocation.

    Raises:
      OAuthProblem: the login cannot be deleted.
    """
    async with TokenStore(folder / FOLDER).lock(name):
        login = await trio.to_thread.run_sync(read_login, folder, name)
        path = login_file(folder, name)
        existed = login is not None or path.exists()
        revoked = login is not None and await _revoked(name, login, network)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise Refused(f"{path} cannot be deleted: {error.strerror}") from None
    return existed, revoked


async def _revoked(name: str, login: ApiLogin, network: Network) -> bool:
    if not login.revocation_endpoint:
        return False
    server = ServerMetadata("", login.token_endpoint, revocation_endpoint=login.revocation_endpoint)
    secret = login.client_secret or None
    client = Client(
        login.client_id, "configured", secret, "client_secret_post" if secret else "none"
    )
    fetcher = Fetcher(network, LoginAddressPolicy(login.revocation_endpoint))
    endpoint = TokenEndpoint(fetcher, OAuthConfig(), server, client, "", time.time)
    try:
        with trio.move_on_after(_REVOCATION_PATIENCE):
            # Revoking the refresh token ends the grant (RFC 7009, section 2.1).
            token = login.refresh_token or login.access_token
            return await endpoint.revoke(Tokens(token))
    except OAuthProblem as problem:
        log.warning("token.revocation_failed", provider=name, reason=str(problem))
    return False


def state_of(login: ApiLogin | None, now: float) -> LoginState:
    """Return the state of a stored login."""
    if login is None:
        return LoginState("none")
    refreshable = bool(login.refresh_token)
    state: State = "valid"
    if not login.good(now, buffer=0):
        state = "renewable" if refreshable else "expired"
    return LoginState(
        state=state,
        issuer=login.token_endpoint or None,
        grant="authorization_code",
        client_id=login.client_id or None,
        client_origin="configured" if login.client_id else None,
        scopes=login.scopes,
        expires_at=login.expires_at,
        refreshable=refreshable,
        updated_at=login.updated_at,
    )


def _flow(
    provider: ApiProvider, client: ApiClient, config: ApiLoginConfig, network: Network
) -> LoginFlow:
    settings = OAuthConfig(
        client_id=client.id,
        client_secret=client.secret or None,
        token_endpoint_auth_method=(
            provider.token_endpoint_auth_method if client.secret else "none"
        ),
        send_resource=False,
        callback_host=config.callback_host,
        callback_port=config.callback_port,
        callback_path=config.callback_path,
    )
    # Only a provider that the user's browser reaches in this network may have its token endpoint
    # there.
    url = provider.authorization_endpoint
    return LoginFlow(
        provider.name, url, settings, Fetcher(network, LoginAddressPolicy(url)), time.time
    )


def _metadata(provider: ApiProvider) -> ServerMetadata:
    parts = urlsplit(provider.authorization_endpoint)
    query = "&".join(filter(None, (parts.query, urlencode(provider.parameters))))
    return ServerMetadata(
        provider.issuer,
        provider.token_endpoint,
        authorization_endpoint=urlunsplit(parts._replace(query=query)),
        code_challenge_methods_supported=(PKCE_METHOD,),
    )


def _stored(provider: ApiProvider, client: ApiClient, tokens: Tokens) -> ApiLogin:
    return ApiLogin(
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token or "",
        expires_at=tokens.expires_at,
        scopes=tokens.scopes,
        client_id=client.id,
        client_secret=client.secret if client.stored else "",
        token_endpoint=provider.token_endpoint,
        token_endpoint_auth_method=provider.token_endpoint_auth_method,
        revocation_endpoint=provider.revocation_endpoint,
        updated_at=time.time(),
    )
