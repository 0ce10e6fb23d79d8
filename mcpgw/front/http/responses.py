"""An answer to a POST, whole or as a stream of events, and the streams of a GET."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import attrs
import trio

from mcpgw.front.http.asgi import EVENTS, JSON, HeaderList, Receive, Send
from mcpgw.front.http.event_buffer import EventBuffer, event_id
from mcpgw.front.http.settings import HttpSettings
from mcpgw.transports.sse_codec import COMMENT, Event, encode_event

FIRST_READER: Final = 1
"""The ticket of the reader that an outlet has from the start."""


async def wait_whole(event_buffer: EventBuffer, seconds: float) -> bytes | None:
    """Return the answer, if it comes in time and nothing before it; else None."""
    answer = event_buffer.take_answer()
    if answer is None:
        with trio.move_on_after(seconds):
            await event_buffer.wait(FIRST_READER)
        answer = event_buffer.take_answer()
    return answer


async def wait_last(event_buffer: EventBuffer) -> bytes | None:
    """Return the last message that comes by an outlet, None where it ends without any."""
    last: bytes | None = None
    while True:
        await event_buffer.wait(FIRST_READER)
        for _, line in event_buffer.take():
            last = line
        if event_buffer.ended:
            return last


async def send_whole(send: Send, status: int, line: bytes, more: HeaderList | None = None) -> None:
    """Answer with one JSON message."""
    head = [JSON, (b"content-length", b"%d" % len(line))]
    if more is not None:
        head += more
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": line})


def frame(stream: int | None, number: int, line: bytes) -> bytes:
    """Return a message as an event.

    A message is one line of bytes already, and stays bytes: it may be megabytes long.
    """
    if stream is None:
        return b"data: %b\n\n" % line.rstrip(b"\n")
    return b"id: %b\ndata: %b\n\n" % (event_id(stream, number).encode(), line.rstrip(b"\n"))


def priming(event_buffer: EventBuffer, settings: HttpSettings, number: int) -> bytes:
    """Return the event that tells the client where to resume before there is any message."""
    assert event_buffer.number is not None, "nothing to resume"
    name = event_id(event_buffer.number, number)
    return encode_event(Event("", id=name, retry=round(settings.retry * 1000)))


async def stream(
    event_buffer: EventBuffer,
    ticket: int,
    first: bytes,
    receive: Receive,
    send: Send,
    settings: HttpSettings,
) -> bool:
    """Send what comes by an outlet as events, until it ends or the client leaves.

    Args:
      outlet, ticket: what to read, and as which reader.
      first: what to send before all else.
      receive, send: the connection.
      settings: the time between signs of life.

    Returns: False where the client closed the connection before the end.
    """
    try:
        await send({"type": "http.response.start", "status": 200, "headers": EVENTS})
        await send({"type": "http.response.body", "body": first, "more_body": True})
        async with watched(receive) as watch:
            await _write_events(event_buffer, ticket, send, settings)
    finally:
        event_buffer.detach(ticket)
    if not watch.left:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    return not watch.left


@attrs.define
class Watch:
    """Whether the client closed the connection."""

    left: bool = False


@asynccontextmanager
async def watched(receive: Receive) -> AsyncIterator[Watch]:
    """Cancel the block as soon as the client closes the connection."""
    watch = Watch()

    async def look() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        watch.left = True
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        yield watch
        nursery.cancel_scope.cancel()


async def _write_events(
    event_buffer: EventBuffer, ticket: int, send: Send, settings: HttpSettings
) -> None:
    number = event_buffer.number
    while event_buffer.is_current(ticket):
        if taken := event_buffer.take():
            body = b"".join([frame(number, event, line) for event, line in taken])
            await send({"type": "http.response.body", "body": body, "more_body": True})
            await trio.lowlevel.checkpoint()
            continue
        if event_buffer.ended:
            return
        with trio.move_on_after(settings.keep_alive) as quiet:
            await event_buffer.wait(ticket)
        if quiet.cancelled_caught:
            await send({"type": "http.response.body", "body": COMMENT, "more_body": True})
