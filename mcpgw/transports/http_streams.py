"""The event streams of a Streamable HTTP conversation: a request's own, and the standalone one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import trio

from mcpgw.observe.log import get_logger
from mcpgw.transports.authorization import AuthorizationFailed
from mcpgw.transports.http_exchange import Exchange, Fatal, RequestLost
from mcpgw.transports.sse_codec import Event
from mcpgw.transports.sse_stream import SseStream, drain

if TYPE_CHECKING:
    import httpx

log = get_logger("mcpgw.http")

MOST_RESUMES: Final = 6
"""Consecutive attempts to resume a stream without a new event before its request fails."""
MOST_REFUSED: Final = 3
"""The same, if the address refuses connections: a process that ended has lost its streams."""

Headers = Callable[[], dict[str, str]]
TakeEvent = Callable[[Event], bool]
"""Processes an event; returns whether it holds the response that the stream is for."""


async def follow(
    exchange: Exchange,
    url: str,
    response: httpx.Response,
    stream: SseStream,
    *,
    headers: Headers,
    take: TakeEvent,
    paused: Callable[[], None],
) -> None:
    """Process a request's event stream up to the response, resuming it if it ends early.

    Args:
      exchange: sends the requests.
      url: where the stream is resumed.
      response: the first connection.
      stream: the state over all connections.
      headers: returns the headers of a request.
      take: processes an event.
      paused: called if the server has closed the stream in order before the response.

    Raises:
      RequestLost: the response can no longer be received.
    """
    if await drain(stream, response, exchange, take):
        return
    if stream.last is not None and stream.complete:
        paused()
    resumes = refused = 0
    while True:
        if stream.last is None:
            raise RequestLost(stream.ending or "its stream ended before the response")
        if resumes >= MOST_RESUMES or refused >= MOST_REFUSED:
            raise RequestLost(f"its stream could not be resumed: {stream.ending}")
        await trio.sleep(stream.delay(resumes))
        resumes += 1
        before, opened = stream.events, False
        try:
            async with exchange.open(
                "GET", url, {**headers(), "Last-Event-ID": stream.last}
            ) as again:
                opened, refused = True, 0
                if again.status_code != 200:
                    raise RequestLost(f"its stream could not be resumed: HTTP {again.status_code}")
                if await drain(stream, again, exchange, take):
                    return
        except (Fatal, RequestLost) as lost:
            if opened:
                raise
            stream.ending = lost.reason  # the next attempt may succeed
            refused += isinstance(lost, Fatal)
        if stream.events > before:
            resumes = 0


async def listen(
    exchange: Exchange,
    url: str,
    limit: int,
    *,
    name: str,
    headers: Headers,
    take: TakeEvent,
    open_: Callable[[], bool],
    opened: trio.Event,
) -> None:
    """Keep the server's standalone stream open, if it offers one.

    Args:
      exchange: sends the requests.
      url: the endpoint.
      limit: the largest event in bytes.
      name: the name of the server, for the log.
      headers: returns the headers of a request.
      take: processes an event.
      open_: returns whether the conversation goes on.
      opened: set when the stream is open, or certainly never will be.
    """
    stream = SseStream(limit)
    tries = 0
    try:
        while open_():
            before = stream.messages
            resumed = {} if stream.last is None else {"Last-Event-ID": stream.last}
            try:
                async with exchange.open("GET", url, {**headers(), **resumed}) as response:
                    kind = response.headers.get("content-type", "")
                    if response.status_code != 200 or "text/event-stream" not in kind:
                        return  # the stream is optional
                    opened.set()
                    await drain(stream, response, exchange, take)
            except (RequestLost, Fatal, AuthorizationFailed) as error:
                log.debug("http.stream_lost", server=name, reason=str(error))
                if tries >= MOST_RESUMES:
                    return
            tries = 0 if stream.messages > before else tries + 1
            await trio.sleep(stream.delay(tries))
    finally:
        opened.set()
