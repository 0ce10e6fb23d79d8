"""Shared settings of network connections: one TLS context, and the environment's proxies."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import attrs

if TYPE_CHECKING:
    import ssl

    import httpx

_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_HTTP_SCHEMES: Final = {"ws": "http", "wss": "https"}


@attrs.define(eq=False)
class Network:
    """TLS and proxy settings from one environment.

    Args:
      environ: the source of HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY (upper or lower case),
        SSL_CERT_FILE and SSL_CERT_DIR. The process's own environment is not read.
    """

    environ: Mapping[str, str] = attrs.field(repr=False)
    _tls: ssl.SSLContext | None = None

    def tls(self) -> ssl.SSLContext:
        """Return the shared TLS context: certifi's authorities and those of the environment."""
        if self._tls is None:
            import ssl

            import certifi

            context = ssl.create_default_context(cafile=certifi.where())
            file, folder = self.environ.get("SSL_CERT_FILE"), self.environ.get("SSL_CERT_DIR")
            if file or folder:
                context.load_verify_locations(cafile=file or None, capath=folder or None)
            self._tls = context
        return self._tls

    def client(
        self,
        *,
        timeout: httpx.Timeout | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.AsyncClient:
        """Return a client that does not follow redirects; the caller closes it."""
        import httpx

        return httpx.AsyncClient(
            transport=_route(self),
            trust_env=False,
            timeout=timeout or httpx.Timeout(30.0),
            headers=dict(headers or {}),
            follow_redirects=False,
        )

    def proxy_for(self, url: str) -> str | None:
        """Return the proxy for a URL; None for a direct connection."""
        parts = urlsplit(url)
        proxy = self._configured(_HTTP_SCHEMES.get(parts.scheme, parts.scheme))
        return proxy if proxy and not self._bypassed(url) else None

    def _configured(self, scheme: str) -> str | None:
        for name in (f"{scheme}_proxy", "all_proxy"):
            value = self.environ.get(name) or self.environ.get(name.upper())
            if value:
                return value if "://" in value else f"http://{value}"
        return None

    def _bypassed(self, url: str) -> bool:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme)
        listed = self.environ.get("no_proxy") or self.environ.get("NO_PROXY") or ""
        return any(_matches(entry.strip().lower(), host, port) for entry in listed.split(","))


def _matches(entry: str, host: str, port: int | None) -> bool:
    if not entry:
        return False
    if entry == "*":
        return True
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        pass
    name, _, wanted = entry.rpartition(":")
    if name and wanted.isdecimal():
        if int(wanted) != port:
            return False
        entry = name
    entry = entry.lstrip("*").lstrip(".").strip("[]")
    return host == entry or host.endswith(f".{entry}")


def _route(network: Network) -> httpx.AsyncBaseTransport:
    """Return a transport that sends each request through its proxy, or directly."""
    import httpx

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)

    class Route(httpx.AsyncBaseTransport):
        """One transport for each proxy, created by the first request that needs it."""

        def __init__(self) -> None:
            self.transports: dict[str | None, httpx.AsyncHTTPTransport] = {}

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            proxy = network.proxy_for(str(request.url))
            transport = self.transports.get(proxy)
            if transport is None:
                transport = self.transports[proxy] = httpx.AsyncHTTPTransport(
                    verify=network.tls(), trust_env=False, limits=limits, proxy=proxy
                )
            return await transport.handle_async_request(request)

        async def aclose(self) -> None:
            for transport in self.transports.values():
                await transport.aclose()

    return Route()
