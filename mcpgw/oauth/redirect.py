"""The local HTTP listener that receives the redirect at the end of a login."""

from __future__ import annotations

import contextlib
import errno
import hmac
import html
from collections.abc import AsyncIterator, Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import attrs
import trio

from mcpgw.config.loopback import LOCALHOST, LOOPBACK_ADDRESSES
from mcpgw.oauth.errors import OAuthProblem

_LARGEST_REQUEST: Final = 32 * 1024
_PATIENCE: Final = 10.0
_OUTCOME_PATIENCE: Final = 60.0
_MOST_CONNECTIONS: Final = 16
_ATTEMPTS: Final = 10
_UNSUPPORTED_FAMILY: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)


class CannotListen(OAuthProblem):
    """The port of the redirect URI cannot be used."""


@attrs.frozen
class Redirect:
    """The query parameters of a redirect; a repr does not show them."""

    params: Mapping[str, str] = attrs.field(repr=False)

    def get(self, name: str) -> str | None:
        """Return a parameter, None if it is missing."""
        return self.params.get(name)


@attrs.define
class RedirectReceiver:
    """Waits for the redirect that belongs to a login.

    Requests for another path are answered with 404, those with another state with 400. Neither
    ends the wait, since any page in a browser could send them. The response to the redirect is
    delayed until the outcome of the login is known.
    """

    redirect_uri: str
    _path: str
    _state: str = attrs.field(repr=False)
    _redirect: Redirect | None = attrs.field(default=None, init=False)
    _arrived: trio.Event = attrs.field(factory=trio.Event, init=False)
    _outcome: tuple[bool, str] | None = attrs.field(default=None, init=False)
    _decided: trio.Event = attrs.field(factory=trio.Event, init=False)
    _answered: trio.Event = attrs.field(factory=trio.Event, init=False)
    _limit: trio.CapacityLimiter = attrs.field(
        factory=lambda: trio.CapacityLimiter(_MOST_CONNECTIONS), init=False
    )

    async def redirect(self) -> Redirect:
        """Wait for the redirect with our state."""
        await self._arrived.wait()
        assert self._redirect is not None
        return self._redirect

    async def show(self, success: bool, message: str) -> None:
        """Show the outcome of the login in the browser, and wait until it is sent."""
        self._outcome = (success, message)
        self._decided.set()
        if self._arrived.is_set():
            with trio.move_on_after(_PATIENCE):
                await self._answered.wait()

    async def _serve(self, stream: trio.SocketStream) -> None:
        async with stream, self._limit:
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                target: str | None = None
                with trio.move_on_after(_PATIENCE):
                    target = await _request_target(stream)
                if target is None:
                    await _send(stream, 400, "Bad request", "This is not a valid request.")
                elif self._accepts(target):
                    await self._show_outcome(stream)
                else:
                    await self._reject(stream, target)

    def _accepts(self, target: str) -> bool:
        parts = _parts(target)
        if parts is None or parts[0] != self._path or self._arrived.is_set():
            return False
        params = parts[1]
        state = params.get("state", "")
        if not hmac.compare_digest(state.encode(), self._state.encode()):
            return False
        self._redirect = Redirect(params)
        self._arrived.set()
        return True

    async def _reject(self, stream: trio.SocketStream, target: str) -> None:
        parts = _parts(target)
        if parts is None or parts[0] != self._path:
            await _send(stream, 404, "Not found", "There is nothing here.")
        elif self._arrived.is_set():
            await _send(stream, 410, "Already used", "This login has already been completed.")
        else:
            message = "This page does not belong to the current login. Use the link of that."
            await _send(stream, 400, "Wrong login", message)

    async def _show_outcome(self, stream: trio.SocketStream) -> None:
        try:
            with trio.CancelScope() as scope:
                scope.deadline = trio.current_time() + _OUTCOME_PATIENCE
                await self._decided.wait()
            success, message = self._outcome or (False, "The outcome is not yet known.")
            title = "You are logged in" if success else "The login failed"
            await _send(stream, 200 if success else 400, title, message)
        finally:
            self._answered.set()


@contextlib.asynccontextmanager
async def open_receiver(
    *, host: str, port: int | None, path: str, state: str, preferred_port: int | None = None
) -> AsyncIterator[RedirectReceiver]:
    """Listen for the redirect of one login, until the block ends.

    Args:
      host: a loopback name or address; `localhost` listens on both families.
      port: the port; a free one if None.
      path: the path of the redirect URI.
      state: the login's state, which the redirect must contain.
      preferred_port: the port to use if `port` is None and it is free.

    Raises:
      CannotListen: the port cannot be used.
    """
    listeners, found = await _listeners(host, port, preferred_port)
    shown = f"[{host}]" if ":" in host else host
    receiver = RedirectReceiver(f"http://{shown}:{found}{path}", path, state)
    problem: OAuthProblem | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, receiver._serve, listeners)
        try:
            yield receiver
        except OAuthProblem as raised:
            problem = raised  # the nursery would wrap it in an exception group
        finally:
            nursery.cancel_scope.cancel()
    if problem is not None:
        raise problem


async def _listeners(
    host: str, port: int | None, preferred: int | None
) -> tuple[list[trio.SocketListener], int]:
    addresses = LOOPBACK_ADDRESSES if host == LOCALHOST else (host,)
    if port:
        return await _listen(addresses, port), port
    for attempt in range(_ATTEMPTS):
        wanted = preferred if preferred and attempt == 0 else 0
        with contextlib.suppress(CannotListen):
            listeners = await _listen(addresses, wanted)
            return listeners, listeners[0].socket.getsockname()[1]
    raise CannotListen(f"no port of {host} is free for the redirect of the login")


async def _listen(addresses: tuple[str, ...], port: int) -> list[trio.SocketListener]:
    """Listen on all addresses with the same port, so no other program can receive the code."""
    listeners: list[trio.SocketListener] = []
    try:
        for address in addresses:
            try:
                opened = await trio.open_tcp_listeners(port, host=address)
            except OSError as error:
                if listeners and error.errno in _UNSUPPORTED_FAMILY:
                    continue  # this machine supports IPv4 only
                raise CannotListen(
                    f"cannot listen on port {port} of {address} for the redirect of the login:"
                    f" {error.strerror or error}. Free it, or set `callback_port`."
                ) from None
            listeners += opened
            port = port or listeners[0].socket.getsockname()[1]
    except BaseException:
        for listener in listeners:
            listener.socket.close()
        raise
    return listeners


async def _request_target(stream: trio.SocketStream) -> str | None:
    """Read a request head; return the target of a GET, else None."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = await stream.receive_some(4096)
        head += piece
        if not piece or len(head) > _LARGEST_REQUEST:
            return None
    words = head.split(b"\r\n", 1)[0].split(b" ")
    if len(words) != 3 or words[0] != b"GET" or not words[2].startswith(b"HTTP/1."):
        return None
    try:
        return words[1].decode("ascii")
    except UnicodeDecodeError:
        return None


def _parts(target: str) -> tuple[str, Mapping[str, str]] | None:
    """Return path and parameters of a target; {} as parameters if one is repeated."""
    try:
        parts = urlsplit(target)
        pairs = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        return None
    names = [name for name, _ in pairs]
    return parts.path, dict(pairs) if len(set(names)) == len(names) else {}


_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:1.1em system-ui,sans-serif;max-width:32em;margin:15vh auto;padding:0 1em}}</style>
<h1>{title}</h1><p>{message}</p></html>
"""


async def _send(stream: trio.SocketStream, status: int, title: str, message: str) -> None:
    page = _PAGE.format(title=html.escape(title), message=html.escape(message)).encode()
    reason = {200: "OK", 400: "Bad Request", 404: "Not Found", 410: "Gone"}[status]
    head = (
        f"HTTP/1.1 {status} {reason}\r\n"
        "Content-Type: text/html; charset=utf-8\r\n"
        f"Content-Length: {len(page)}\r\n"
        "Cache-Control: no-store\r\n"
        "Referrer-Policy: no-referrer\r\n"
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        "Connection: close\r\n\r\n"
    )
    await stream.send_all(head.encode() + page)
