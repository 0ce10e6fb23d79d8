"""An HTTP client that connects only to allowed addresses. Imported with the first request.

The check is made between resolving a name and connecting, for every hop: the checked address is
the one that is connected to, so DNS rebinding has no effect.
"""

from __future__ import annotations

import http.cookiejar
from collections.abc import Iterable, Mapping
from typing import Any

import httpcore
import httpx
import trio

from mcpgw.transports.address_policy import AddressPolicy, Unreachable
from mcpgw.transports.network import Network

KEPT_ALIVE = 32
KEPT_FOR = 90.0
"""Seconds that a connection is kept open without use."""


def guarded_client(network: Network, policy: AddressPolicy, *, headers: Mapping[str, str]) -> Any:
    """Return an `httpx.AsyncClient` whose every connection is checked; the caller closes it.

    It does not follow redirects, read the process's environment or keep cookies. A request to an
    address that is not allowed raises the exception of the policy.
    """
    return httpx.AsyncClient(
        transport=Route(network, policy),
        trust_env=False,
        follow_redirects=False,
        headers=dict(headers),
        cookies=http.cookiejar.CookieJar(policy=_NoCookies()),
    )


class Route(httpx.AsyncBaseTransport):
    """Sends requests directly with checked addresses, or through a proxy, which resolves names."""

    def __init__(self, network: Network, policy: AddressPolicy) -> None:
        self._network = network
        self._policy = policy
        self._transports: dict[str | None, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request through the proxy of its URL, or directly."""
        proxy = self._network.proxy_for(str(request.url))
        if proxy is not None:
            await self._policy.check_literal(request.url.host)
        transport = self._transports.get(proxy)
        if transport is None:
            transport = self._transports[proxy] = self._through(proxy) if proxy else self._direct()
        return await transport.handle_async_request(request)

    async def aclose(self) -> None:
        """Close all connections."""
        for transport in self._transports.values():
            await transport.aclose()

    def _through(self, proxy: str) -> httpx.AsyncHTTPTransport:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=KEPT_ALIVE)
        return httpx.AsyncHTTPTransport(
            verify=self._network.tls(), trust_env=False, limits=limits, proxy=proxy
        )

    def _direct(self) -> httpx.AsyncHTTPTransport:
        transport = httpx.AsyncHTTPTransport(verify=self._network.tls(), trust_env=False)
        # httpx has no argument for a network backend; a test verifies that this one is used.
        transport._pool = httpcore.AsyncConnectionPool(
            ssl_context=self._network.tls(),
            max_connections=None,
            max_keepalive_connections=KEPT_ALIVE,
            keepalive_expiry=KEPT_FOR,
            network_backend=_CheckedBackend(self._policy),
        )
        return transport


class _CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects to checked addresses only."""

    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy
        self._inner = httpcore.TrioBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failed: Exception | None = None
        for address in await self._policy.addresses(host, port):
            try:
                return await self._inner.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed or httpcore.ConnectError(f"{host} cannot be reached")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise Unreachable("Unix sockets are not allowed")

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


class _NoCookies(http.cookiejar.DefaultCookiePolicy):
    def set_ok(self, cookie: Any, request: Any) -> bool:
        return False
