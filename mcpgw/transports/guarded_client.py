"""An HTTP client that reaches only what it may. Imported where the first request is made.

The guard stands where a connection is made, behind the resolving of names: what was checked is
what is connected to, at every hop, and a name cannot change its meaning in between.
"""

from __future__ import annotations

import http.cookiejar
from collections.abc import Iterable, Mapping
from typing import Any

import httpcore
import httpx
import trio

from mcpgw.transports.address_policy import Reach, Unreachable
from mcpgw.transports.network import Network

KEPT_ALIVE = 32
KEPT_FOR = 90.0
"""Seconds that a connection is kept open without use."""


def guarded_client(network: Network, reach: Reach, *, headers: Mapping[str, str]) -> Any:
    """Return an `httpx.AsyncClient` whose every connection is checked; the caller closes it.

    It follows no redirects, reads nothing of the process's environment and keeps no cookies.
    A request that may not be made raises Unreachable.
    """
    return httpx.AsyncClient(
        transport=Route(network, reach),
        trust_env=False,
        follow_redirects=False,
        headers=dict(headers),
        cookies=http.cookiejar.CookieJar(policy=_NoCookies()),
    )


class Route(httpx.AsyncBaseTransport):
    """Directly through the guard, or by a proxy, which resolves names itself."""

    def __init__(self, network: Network, reach: Reach) -> None:
        self._network = network
        self._reach = reach
        self._ways: dict[str | None, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request by the way that its URL has.

        Raises:
          Unreachable: it may not be made.
        """
        proxy = self._network.proxy_for(str(request.url))
        if proxy is not None:
            self._reach.check_literal(request.url.host)
        way = self._ways.get(proxy)
        if way is None:
            way = self._ways[proxy] = self._by(proxy) if proxy else self._directly()
        return await way.handle_async_request(request)

    async def aclose(self) -> None:
        """Close all connections."""
        for way in self._ways.values():
            await way.aclose()

    def _by(self, proxy: str) -> httpx.AsyncHTTPTransport:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=KEPT_ALIVE)
        return httpx.AsyncHTTPTransport(
            verify=self._network.tls(), trust_env=False, limits=limits, proxy=proxy
        )

    def _directly(self) -> httpx.AsyncHTTPTransport:
        transport = httpx.AsyncHTTPTransport(verify=self._network.tls(), trust_env=False)
        # httpx has no argument for it; a test holds that the guard is really asked.
        transport._pool = httpcore.AsyncConnectionPool(
            ssl_context=self._network.tls(),
            max_connections=None,
            max_keepalive_connections=KEPT_ALIVE,
            keepalive_expiry=KEPT_FOR,
            network_backend=_Connecting(self._reach),
        )
        return transport


class _Connecting(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked, and to no name."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
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
        for address in await self._reach.addresses(host, port):
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
        raise Unreachable("sockets of this machine are not reached by a URL")

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


class _NoCookies(http.cookiejar.DefaultCookiePolicy):
    def set_ok(self, cookie: Any, request: Any) -> bool:
        return False
