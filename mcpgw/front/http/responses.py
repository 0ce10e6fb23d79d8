"""Responses to POST and GET: a whole JSON message, or an event stream."""

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
"""The ticket of the reader that an event buffer has from the start."""


async def wait_whole(event_buffer: EventBuffer, seconds: float) -> bytes | None:
    """Return the answer if it is the first message and arrives in time, else None."""
    answer = event_buffer.take_answer()
    if answer is None:
        with trio.move_on_after(seconds):
            await event_buffer.wait(FIRST_READER)
        answer = event_buffer.take_answer()
    return answer


async def wait_last(event_buffer: EventBuffer) -> bytes | None:
    """Return the last message of a stream, None if it ends without any."""
    last: bytes | None = None
    while True:
        await event_buffer.wait(FIRST_READER)
        for _, line in event_buffer.take():
            last = line
        if event_buffer.ended:
            return last


async def send_whole(send: Send, status: int, line: bytes, more: HeaderList | None = None) -> None:
    """Send a response with one JSON message."""
    head = [JSON, (b"content-length", b"%d" % len(line))]
    if more is not None:
        head += more
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": line})


def frame(stream: int | None, number: int, line: bytes) -> bytes:
    """Return a message as an event.

    A message is one line of bytes and is not decoded: it may have megabytes.
    """
    if stream is None:
        return b"data: %b\n\n" % line.rstrip(b"\n")
    return b"id: %b\ndata: %b\n\n" % (event_id(stream, number).encode(), line.rstrip(b"\n"))


def priming(event_buffer: EventBuffer, settings: HttpSettings, number: int) -> bytes:
    """Return the priming event, by whose id the client can resume before the first message."""
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
    """Send the messages of an event buffer as events until it ends or the client disconnects.

    Args:
      event_buffer, ticket: the buffer to read, and the ticket to read it with.
      first: bytes to send before the first message.
      receive, send: the connection.
      settings: the time between keep-alive comments.

    Returns: False if the client disconnected before the end.
    """
    try:
        await send({"type": "http.response.start", "status": 200, "headers": EVENTS})
        await send({"type": "http.response.body", "body": first, "more_body": True})
        async with watched(receive) as watch:
            await _write_events(event_buffer, ticket, send, settings)
    finally:
        event_buffer.detach(ticket)
    if not watch.disconnected:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    return not watch.disconnected


@attrs.define
class Watch:
    """The state of the client's connection."""

    disconnected: bool = False


@asynccontextmanager
async def watched(receive: Receive) -> AsyncIterator[Watch]:
    """Cancel the block as soon as the client disconnects."""
    watch = Watch()

    async def look() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        watch.disconnected = True
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
