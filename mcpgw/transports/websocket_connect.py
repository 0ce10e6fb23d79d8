"""The byte stream to a WebSocket server: TCP, the tunnel of a proxy, TLS."""

from __future__ import annotations

import base64
import os
import re
import socket
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

import attrs
import trio

if TYPE_CHECKING:
    from mcpgw.transports.network import Network

HEAD_LIMIT: Final = 64 * 1024
"""The largest HTTP head that is read, in bytes."""

_PATH_SAFE: Final = "/%:=&?~+!$,;'@()*[]"
_DEFAULT_PORTS: Final = {"ws": 80, "wss": 443, "http": 80, "https": 443}


@attrs.frozen
class Unreachable(Exception):
    """The server cannot be reached; `reason` is why, without secrets from its URL."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@attrs.frozen
class Target:
    """A parsed URL.

    Args:
      scheme: ws, wss, http or https, the latter two for proxies.
      host, port: the address to connect to.
      path: the request target, with the query.
      credentials: the URL's user and password as a value for `Authorization`, or "".
    """

    scheme: str
    host: str
    port: int
    path: str
    credentials: str = attrs.field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> Target:
        """Parse a URL.

        Raises:
          Unreachable: the scheme is not supported, or the host or port is missing or invalid.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise Unreachable(f"its URL is not valid: {error}") from error
        if parts.scheme not in _DEFAULT_PORTS:
            raise Unreachable(
                f"its URL starts with '{parts.scheme}:'; it must start with one of"
                f" {', '.join(f'{scheme}:' for scheme in _DEFAULT_PORTS)}"
            )
        if not host:
            raise Unreachable("its URL lacks a host")
        path = quote(parts.path or "/", safe=_PATH_SAFE)
        if parts.query:
            path += "?" + quote(parts.query, safe=_PATH_SAFE)
        port = _DEFAULT_PORTS[parts.scheme] if port is None else port
        return cls(parts.scheme, _ascii_host(host), port, path, _basic(parts))

    @property
    def secure(self) -> bool:
        """True for TLS."""
        return self.scheme in ("wss", "https")

    @property
    def place(self) -> str:
        """Host and port, for CONNECT and for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def authority(self) -> str:
        """The value of the `Host` header: without the port if that is the default."""
        if self.port == _DEFAULT_PORTS[self.scheme]:
            return self.place.removesuffix(f":{self.port}")
        return self.place


def _ascii_host(host: str) -> str:
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError as error:
        raise Unreachable(f"its host {host!r:.100} is not a valid name: {error}") from error


def _basic(parts: SplitResult) -> str:
    """Return the userinfo of a URL as basic credentials (RFC 7617), "" if there is none."""
    if not parts.username and not parts.password:
        return ""
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


@attrs.frozen
class Head:
    """Status and headers of an HTTP response; header names are lower-case."""

    status: int
    reason: str
    headers: Mapping[str, str]

    @classmethod
    def parse(cls, data: bytes) -> Head | None:
        """Parse the head at the beginning of `data`; return None if it is not valid."""
        lines = re.split(rb"\r?\n\r?\n", data, maxsplit=1)[0].decode("latin-1").splitlines()
        found = re.match(r"HTTP/1\.[01] (\d{3})(?: (.*))?\Z", lines[0]) if lines else None
        if found is None:
            return None
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return cls(int(found[1]), (found[2] or "").strip(), headers)


def head_ends(data: bytes | bytearray) -> int:
    """Return the index after the head at the beginning of `data`, -1 if it is incomplete."""
    found = re.search(rb"\r?\n\r?\n", data)
    return found.end() if found else -1


async def open_stream(target: Target, network: Network) -> trio.abc.Stream:
    """Connect to a server, through its proxy if the environment sets one.

    The caller sets the deadline and closes the stream.

    Raises:
      Unreachable: connecting, the proxy's tunnel or TLS failed.
    """
    # The proxy settings for HTTP apply: a WebSocket starts as HTTP (RFC 6455, section 4.1).
    as_http = f"{'https' if target.secure else 'http'}://{target.place}{target.path}"
    proxy_url = network.proxy_for(as_http)
    if proxy_url is None:
        stream = await _connect(target, "the server")
    else:
        stream = await _tunnel(Target.parse(proxy_url), target, network)
    return await _secure(stream, target, network) if target.secure else stream


async def _connect(target: Target, what: str) -> trio.abc.Stream:
    try:
        return await trio.open_tcp_stream(target.host, target.port)
    except OSError as error:
        raise Unreachable(
            f"connecting to {what} {target.place} failed: {_system_message(error)}"
        ) from error


def _system_message(error: OSError) -> str:
    """Return the system's error message, that of the first attempt if there were several."""
    cause: BaseException | None = error.__cause__
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    first = cause if isinstance(cause, OSError) else error
    if isinstance(first, socket.gaierror):
        return f"the name cannot be resolved ({first.strerror})"
    return os.strerror(first.errno) if first.errno else str(first)


async def _secure(stream: trio.abc.Stream, target: Target, network: Network) -> trio.abc.Stream:
    secured = trio.SSLStream(
        stream, network.tls(), server_hostname=target.host, https_compatible=True
    )
    try:
        await secured.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        raise Unreachable(f"TLS with {target.place} failed: {_tls_message(error)}") from error
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secured


def _tls_message(error: trio.BrokenResourceError) -> str:
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted, {cause.verify_message}"
            " (SSL_CERT_FILE can add authorities)"
        )
    if isinstance(cause, ssl.SSLError):
        return cause.reason or str(cause)
    return str(cause) if cause else "the connection was closed"


async def _tunnel(proxy: Target, target: Target, network: Network) -> trio.abc.Stream:
    """Open a tunnel through a proxy (RFC 9110, section 9.3.6)."""
    stream = await _connect(proxy, "the proxy")
    if proxy.secure:
        stream = await _secure(stream, proxy, network)
    request = f"CONNECT {target.place} HTTP/1.1\r\nHost: {target.place}\r\n"
    if proxy.credentials:
        request += f"Proxy-Authorization: {proxy.credentials}\r\n"
    try:
        await stream.send_all(request.encode("ascii") + b"\r\n")
        head = await _read_head(stream)
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        raise Unreachable(f"the proxy {proxy.place} closed the connection") from error
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    if head is not None and 200 <= head.status < 300:
        return stream
    await trio.aclose_forcefully(stream)
    answer = "invalid HTTP" if head is None else f"{head.status} {head.reason:.1000}".strip()
    raise Unreachable(f"the proxy {proxy.place} answered CONNECT {target.place} with {answer}")


async def _read_head(stream: trio.abc.Stream) -> Head | None:
    """Read a response head; None if it is invalid, too long, or followed by more bytes."""
    data = b""
    while (end := head_ends(data)) < 0:
        if len(data) > HEAD_LIMIT or not (more := await stream.receive_some(4096)):
            return None
        data += more
    # The server waits for the client to send first, so bytes after the head are not from it.
    return Head.parse(data) if end == len(data) else None
