"""Logins at the authorization server of the official Python SDK, in its default configuration."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from mcpgw.oauth.authorizer import OAuthAuthorizer
from tests.oauth.person import Clock, Person, call

pytest.importorskip("fastmcp", reason="fastmcp is not installed")

import uvicorn
from fastmcp import FastMCP
from fastmcp.server.auth.auth import ClientRegistrationOptions, RevocationOptions
from fastmcp.server.auth.providers.in_memory import InMemoryOAuthProvider

Make = Callable[..., OAuthAuthorizer]
ACCEPTED = 400
"""The answer of the MCP endpoint to a request that is authorized, but no MCP message."""


@attrs.define
class SdkServer:
    """An MCP server that runs, and what it stores."""

    url: str
    provider: InMemoryOAuthProvider


@pytest.fixture(scope="module")
def sdk_server() -> Iterator[SdkServer]:
    """Run an MCP server of the SDK with its authorization server."""
    listener = socket.create_server(("127.0.0.1", 0))
    origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
    provider = InMemoryOAuthProvider(
        base_url=origin,
        client_registration_options=ClientRegistrationOptions(enabled=True),
        revocation_options=RevocationOptions(enabled=True),
    )
    app = FastMCP("tickets", auth=provider).http_app(path="/mcp")
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    yield SdkServer(f"{origin}/mcp", provider)
    server.should_exit = True
    thread.join(10)
    listener.close()


@pytest.mark.parametrize("method", [None, "client_secret_basic", "client_secret_post", "none"])
async def test_login_renewal_and_logout(
    make: Make, sdk_server: SdkServer, clock: Clock, method: str | None
) -> None:
    """Every authentication method works for the code, the refresh token and the revocation."""
    settings: dict[str, Any] = {"token_endpoint_auth_method": method} if method else {}
    authorizer = make(url=sdk_server.url, settings=settings)
    assert ACCEPTED == await call(authorizer)
    first = await authorizer.headers()
    clock.shift = 3400
    assert ACCEPTED == await call(authorizer)
    second = await authorizer.headers()
    assert first != second
    token = second["authorization"].removeprefix("Bearer ")
    assert token in sdk_server.provider.access_tokens
    assert (1, 1) == attrs.astuple(await authorizer.logout())
    assert token not in sdk_server.provider.access_tokens


async def test_a_client_that_it_has_forgotten(
    make: Make, person: Person, sdk_server: SdkServer
) -> None:
    """A login registers a new client, without showing a link of the old one."""
    authorizer = make(url=sdk_server.url)
    assert ACCEPTED == await call(authorizer)
    old = person.asked()["client_id"]
    sdk_server.provider.clients.clear()
    assert "valid" == (await authorizer.login()).state
    assert 2 == len(person.links)
    assert old != person.asked()["client_id"]
    assert person.asked()["client_id"] in sdk_server.provider.clients
