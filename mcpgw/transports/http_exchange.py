"""HTTP requests to a server: credentials, redirects, time limits and errors."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

import attrs
import trio

from mcpgw.observe.log import get_logger
from mcpgw.observe.redactor import ERROR_LIMIT
from mcpgw.protocol.jsonrpc import Malformed, Message, decode

if TYPE_CHECKING:
    from types import TracebackType

    import httpx

    from mcpgw.observe.redactor import Redactor
    from mcpgw.transports.authorization import Authorizer
    from mcpgw.transports.network import Network

log = get_logger("mcpgw.http")

MOST_REDIRECTS: Final = 5
MOST_CHALLENGES: Final = 3
"""The number of 401 and 403 responses that are answered with new credentials."""
WRITE_PATIENCE: Final = 60.0
"""Seconds that one write may wait for the server."""
_ACCEPT: Final = {"POST": "application/json, text/event-stream", "GET": "text/event-stream"}
_PORTS: Final = {"http": 80, "https": 443}


@attrs.frozen
class HttpTimeouts:
    """Time limits in seconds.

    Args:
      connect: for connecting.
      first_byte: until the head of the response; None for no limit but the caller's.
      idle: without any data on an open stream.
    """

    connect: float = 10.0
    first_byte: float | None = None
    idle: float = 300.0


@attrs.frozen
class RequestLost(Exception):
    """A request failed without a response.

    Args:
      reason: why.
      sent: False if the request certainly had no effect.
      unanswered: the connection ended before the first byte of a response.
      retry_after: the seconds after which the server takes requests again, if it refused this one
        for now (RFC 9110, section 10.2.3).
      refused: the server refused the request as such, so that repeating it is useless.
    """

    reason: str
    sent: bool = True
    unanswered: bool = False
    retry_after: float | None = None
    refused: bool = False

    def __str__(self) -> str:
        return self.reason


@attrs.frozen
class Fatal(Exception):
    """The server cannot be reached, which ends the whole conversation."""

    reason: str
    sent: bool

    def __str__(self) -> str:
        return self.reason


Refused = Callable[[], Awaitable[None]]


@attrs.define(eq=False)
class Exchange:
    """The requests of one conversation, which are made inside of `async with`."""

    network: Network
    headers: Mapping[str, str] = attrs.field(repr=False)
    authorizer: Authorizer | None
    timeouts: HttpTimeouts
    _client: httpx.AsyncClient | None = None
    broken: tuple[type[Exception], ...] = ()
    """The exceptions that reading from a broken connection raises."""

    async def __aenter__(self) -> Exchange:
        import httpx

        timeout = httpx.Timeout(
            None, connect=self.timeouts.connect, write=WRITE_PATIENCE, pool=None
        )
        self.broken = (httpx.TransportError, httpx.StreamError)
        self._client = self.network.client(timeout=timeout, headers=self.headers)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await client.aclose()

    @asynccontextmanager
    async def open(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        challenges: bool = True,
        refused: Refused | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """Send a request and yield its response, whose body has not been read.

        The authorizer handles 401 and 403; redirects are followed within the same origin.

        Args:
          method, url, headers, body: the request.
          challenges: whether the authorizer is asked; without it 401 and 403 are returned.
          refused: called with a refusal that has no challenge, before the authorizer; may raise.

        Raises:
          Fatal: the server cannot be reached.
          RequestLost: the connection broke, or the server redirects to another origin.
          AuthorizationFailed: there are no credentials that the server accepts.
        """
        authorizer = self.authorizer if challenges else None
        response = await self._settle(method, url, headers, body, authorizer, refused)
        try:
            yield response
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await response.aclose()

    async def _settle(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        authorizer: Authorizer | None,
        refused: Refused | None,
    ) -> httpx.Response:
        redirects = challenges = 0
        while True:
            try:
                response = await self._send(method, url, headers, body)
            except RequestLost as lost:
                if method != "GET" or not lost.unanswered:
                    raise
                # The server may close an idle connection just as it is reused. Repeating a GET is
                # safe (RFC 9110, section 9.2.2).
                response = await self._send(method, url, headers, body)
            status = response.status_code
            if status in (401, 403) and authorizer is not None:
                challenges += 1
                lowered = {name.lower(): value for name, value in response.headers.items()}
                if challenges > MOST_CHALLENGES:
                    return response
                await response.aclose()
                if refused is not None and "www-authenticate" not in lowered:
                    await refused()
                if await authorizer.challenged(status, lowered):
                    continue
                raise RequestLost(f"HTTP {status}: the server refuses our credentials", sent=False)
            if status in (301, 302, 307, 308) and "location" in response.headers:
                target = urljoin(url, response.headers["location"])
                await response.aclose()
                redirects += 1
                if redirects > MOST_REDIRECTS:
                    raise RequestLost("too many redirects", sent=False)
                if not same_origin(url, target):
                    raise RequestLost(
                        f"the server redirects to another origin, {described(target)}; if that is"
                        " correct, configure it as the URL",
                        sent=False,
                    )
                url = target
                continue
            return response

    async def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> httpx.Response:
        import httpx

        if self._client is None:
            raise RequestLost("the conversation has ended", sent=False)
        sent = dict(headers)
        if method in _ACCEPT:
            sent["Accept"] = _ACCEPT[method]
        if body is not None:
            sent["Content-Type"] = "application/json"
        if self.authorizer is not None:
            sent |= await self.authorizer.headers()
        try:
            request = self._client.build_request(
                method,
                url,
                headers=[(name.encode(), value.encode()) for name, value in sent.items()],
                content=body,
            )
        except httpx.InvalidURL:
            raise Fatal("a URL that the server named is not valid", sent=False) from None
        where = described(url)
        try:
            limit = self.timeouts.first_byte
            with trio.fail_after(float("inf") if limit is None else limit):
                return await self._client.send(request, stream=True)
        except trio.TooSlowError:
            raise RequestLost(f"the response did not start within {limit:g} s") from None
        except httpx.ConnectTimeout:
            raise Fatal(
                f"connecting to {where} took longer than {self.timeouts.connect:g} s", sent=False
            ) from None
        except (httpx.ConnectError, httpx.ProxyError, httpx.UnsupportedProtocol) as error:
            raise Fatal(f"cannot connect to {where}: {_cause(error)}", sent=False) from None
        except httpx.LocalProtocolError:
            # Its message would quote the value, which may be a token.
            reason = "the request cannot be sent: a header holds a character that none may hold"
            raise RequestLost(reason, sent=False) from None
        except httpx.TransportError as error:
            raise RequestLost(
                f"the connection to {where} broke: {_cause(error)}",
                unanswered=not isinstance(error, httpx.TimeoutException),
            ) from None


def _cause(error: BaseException) -> str:
    """Return the message of the innermost cause of a connection error."""
    seen: BaseException | None = error
    text = str(error)
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror and seen.errno:
            # Trio's own text repeats the address; a resolver's numbers are not of `errno`.
            text = os.strerror(seen.errno) if seen.errno > 0 else seen.strerror
        else:
            text = str(seen) or text
        if isinstance(seen, BaseExceptionGroup):
            seen = seen.exceptions[0]
        else:
            seen = seen.__cause__ or seen.__context__
    return text or type(error).__name__


async def read_whole(response: httpx.Response, limit: int) -> bytes:
    """Return the body of a response.

    Raises:
      RequestLost: it is larger than `limit` bytes, or the connection broke.
    """
    import httpx

    try:
        body = await read_bounded(response, limit)
    except (httpx.TransportError, httpx.DecodingError) as error:
        raise RequestLost(f"the connection broke during the response: {_cause(error)}") from None
    if body is None:
        raise RequestLost(f"the response has more than {limit} bytes (server.max_body_size)")
    return body


async def read_bounded(response: httpx.Response, limit: int) -> bytes | None:
    """Return the body of a response, or None if it has more than `limit` bytes."""
    parts: list[bytes] = []
    size = 0
    with trio.CancelScope() as reading:
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > limit:
                # Cancelling closes httpx's nested generators in order; `break` would not.
                parts.clear()
                reading.cancel()
            else:
                parts.append(chunk)
    return None if size > limit else b"".join(parts)


def refusal_of(response: httpx.Response, body: bytes, redactor: Redactor) -> str:
    """Return the status of a refused request, with the first line of a plain body."""
    phrase = redactor.foreign(response.reason_phrase, 100)
    line = body[:ERROR_LIMIT].decode("utf-8", "replace").strip().partition("\n")[0]
    shown = redactor.foreign(line, 200) if line and not line.startswith("<") else ""
    return f"HTTP {response.status_code} {phrase}".rstrip() + (f": {shown}" if shown else "")


def described(url: str) -> str:
    """Return a URL for logs and errors: without user, password, query and fragment."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}"


def same_origin(one: str, other: str) -> bool:
    """Return whether two URLs have the same scheme, host and port."""
    return _origin(one) == _origin(other)


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme)


def read_messages(body: bytes) -> list[Message | Malformed]:
    """Return the messages in a body or an event, with `Malformed` for what cannot be read."""
    if not (body := body.strip()):
        return []
    value = decode(body)
    found = value if isinstance(value, list) else [value]
    return [each for each in found if isinstance(each, (dict, Malformed))]


def retry_after(response: httpx.Response) -> float | None:
    """Return the seconds of the header `Retry-After`; None without a valid one.

    A date counts from now (RFC 9110, section 10.2.3).
    """
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value) if len(value) < _RETRY_DIGITS else None
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


_RETRY_DIGITS: Final = 10
