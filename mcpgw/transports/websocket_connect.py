"""The byte stream to a WebSocket server: TCP, a proxy's tunnel where there is one, TLS."""

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
"""Bytes of an HTTP head that are read; no honest one is as long."""

_PATH_SAFE: Final = "/%:=&?~+!$,;'@()*[]"
_DEFAULT_PORTS: Final = {"ws": 80, "wss": 443, "http": 80, "https": 443}


@attrs.frozen
class Unreachable(Exception):
    """There is no way to the server; `reason` says why, without secrets of its address."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@attrs.frozen
class Target:
    """Where a URL leads.

    Args:
      scheme: ws, wss, http or https, the latter two for proxies.
      host, port: where to connect.
      path: what to ask for, with its query.
      credentials: the URL's user and password as a value for `Authorization`, or "".
    """

    scheme: str
    host: str
    port: int
    path: str
    credentials: str = attrs.field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> Target:
        """Read a URL.

        Raises:
          Unreachable: its scheme is another, or it has no host or no valid port.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise Unreachable(f"its URL cannot be read: {error}") from error
        if parts.scheme not in _DEFAULT_PORTS:
            raise Unreachable(
                f"its URL begins with '{parts.scheme}:', not with one of"
                f" {', '.join(f'{scheme}:' for scheme in _DEFAULT_PORTS)}"
            )
        if not host:
            raise Unreachable("its URL names no host")
        path = quote(parts.path or "/", safe=_PATH_SAFE)
        if parts.query:
            path += "?" + quote(parts.query, safe=_PATH_SAFE)
        port = _DEFAULT_PORTS[parts.scheme] if port is None else port
        return cls(parts.scheme, _ascii_host(host), port, path, _basic(parts))

    @property
    def secure(self) -> bool:
        """Whether it is reached through TLS."""
        return self.scheme in ("wss", "https")

    @property
    def place(self) -> str:
        """Host and port, as CONNECT and people want them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def authority(self) -> str:
        """What the `Host` header says: the port only where it is not the usual one."""
        if self.port == _DEFAULT_PORTS[self.scheme]:
            return self.place.removesuffix(f":{self.port}")
        return self.place


def _ascii_host(host: str) -> str:
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError as error:
        raise Unreachable(f"its host {host!r:.100} is no valid name: {error}") from error


def _basic(parts: SplitResult) -> str:
    """Return the userinfo of a URL as basic credentials (RFC 7617), "" where there is none."""
    if not parts.username and not parts.password:
        return ""
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


@attrs.frozen
class Head:
    """Status and headers of an HTTP answer; header names are lower-case."""

    status: int
    reason: str
    headers: Mapping[str, str]

    @classmethod
    def parse(cls, data: bytes) -> Head | None:
        """Read the head that stands at the beginning of `data`; None where it is none."""
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
    """Return where the head at the beginning of `data` ends, or -1 where it goes on."""
    found = re.search(rb"\r?\n\r?\n", data)
    return found.end() if found else -1


async def open_stream(target: Target, network: Network) -> trio.abc.Stream:
    """Connect to a server, through the proxy that the environment names for it.

    The caller sets the deadline and closes the stream.

    Raises:
      Unreachable: no connection, no tunnel, or no trust in the server's certificate.
    """
    # Proxies are named for HTTP; a WebSocket begins as HTTP (RFC 6455, section 4.1).
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
        raise Unreachable(f"connecting to {what} {target.place} failed: {_words(error)}") from error


def _words(error: OSError) -> str:
    """Return what the system says, of the first of several attempts."""
    cause: BaseException | None = error.__cause__
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    told = cause if isinstance(cause, OSError) else error
    if isinstance(told, socket.gaierror):
        return f"the name is not known ({told.strerror})"
    return os.strerror(told.errno) if told.errno else str(told)


async def _secure(stream: trio.abc.Stream, target: Target, network: Network) -> trio.abc.Stream:
    secured = trio.SSLStream(
        stream, network.tls(), server_hostname=target.host, https_compatible=True
    )
    try:
        await secured.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        raise Unreachable(f"TLS with {target.place} failed: {_tls_words(error)}") from error
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secured


def _tls_words(error: trio.BrokenResourceError) -> str:
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted, {cause.verify_message}"
            " (SSL_CERT_FILE names further authorities)"
        )
    if isinstance(cause, ssl.SSLError):
        return cause.reason or str(cause)
    return str(cause) if cause else "the connection was closed"


async def _tunnel(proxy: Target, target: Target, network: Network) -> trio.abc.Stream:
    """Have a proxy connect us (RFC 9110, section 9.3.6)."""
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
    said = "nothing that is HTTP" if head is None else f"{head.status} {head.reason:.100}".strip()
    raise Unreachable(f"the proxy {proxy.place} answered CONNECT {target.place} with {said}")


async def _read_head(stream: trio.abc.Stream) -> Head | None:
    """Read exactly a head; None where it is none, too long, or more comes with it."""
    data = b""
    while (end := head_ends(data)) < 0:
        if len(data) > HEAD_LIMIT or not (more := await stream.receive_some(4096)):
            return None
        data += more
    # The server waits for us to speak first, so whatever follows the head is not the server's.
    return Head.parse(data) if end == len(data) else None
