"""A channel of messages over byte streams and pipes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from mcpgw.transports.fd_stream import PipeReader, PipeWriter
from mcpgw.transports.line_channel import QUEUE_LIMIT, LineChannel


@asynccontextmanager
async def pipe_pair() -> AsyncIterator[tuple[LineChannel, LineChannel]]:
    """Two channels over two real pipes."""
    (a_read, b_write), (b_read, a_write) = os.pipe(), os.pipe()
    writers = PipeWriter(a_write), PipeWriter(b_write)
    a = LineChannel(PipeReader(a_read), writers[0], 10**8, write_now=writers[0].write_now)
    b = LineChannel(PipeReader(b_read), writers[1], 10**8, write_now=writers[1].write_now)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.run)
        nursery.start_soon(b.run)
        yield a, b
        nursery.cancel_scope.cancel()
    await a.aclose()
    await b.aclose()


async def test_messages_cross_both_ways_in_order() -> None:
    """Messages arrive in the order in which they were sent."""
    async with pipe_pair() as (a, b):
        for n in range(100):
            await a.send({"n": n})
            await b.send({"m": n})
        assert [{"n": n} for n in range(100)] == [await b.receive() for _ in range(100)]
        assert [{"m": n} for n in range(100)] == [await a.receive() for _ in range(100)]


async def test_more_than_a_pipe_holds_arrives_whole() -> None:
    """A message far larger than the pipe is not cut, whoever else sends meanwhile."""
    big = "x" * 3_000_000
    async with pipe_pair() as (a, b), trio.open_nursery() as nursery:
        nursery.start_soon(a.send, {"big": big})
        nursery.start_soon(a.send, {"small": 1})
        messages: list[Any] = [await b.receive() for _ in range(2)]

    assert {"big", "small"} == {key for message in messages for key in message}
    assert [big] == [message["big"] for message in messages if "big" in message]


async def test_a_cancelled_sender_cuts_no_message() -> None:
    """A sender that is cancelled while the pipe is full leaves whole lines behind it."""
    async with pipe_pair() as (a, b):
        with trio.CancelScope() as scope:
            scope.cancel()
            await a.send({"big": "x" * 1_000_000})
        await a.send({"next": 1})
        first: Any = await b.receive()
        assert 1_000_000 == len(first["big"])
        assert {"next": 1} == await b.receive()


async def test_a_slow_reader_holds_senders_back() -> None:
    """When too much is queued senders wait, and notifications are refused, until it is read."""
    async with pipe_pair() as (a, b), trio.open_nursery() as nursery:
        await a.send({"big": "x" * (QUEUE_LIMIT + 100_000)})
        assert not a.send_nowait({"note": 1})
        done = trio.Event()

        async def send() -> None:
            await a.send({"waits": 1})
            done.set()

        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        assert not done.is_set()
        await b.receive()
        assert {"waits": 1} == await b.receive()
        assert done.is_set()


async def test_end_of_input_ends_the_channel() -> None:
    """The reader sees the end after the last message."""
    async with pipe_pair() as (a, b):
        await a.send({"last": 1})
        await a.writer.aclose()
        assert {"last": 1} == await b.receive()
        with pytest.raises(trio.EndOfChannel):
            await b.receive()


async def test_a_reader_that_is_gone_breaks_the_channel() -> None:
    """Sending to a closed pipe raises BrokenResourceError instead of hanging."""
    async with pipe_pair() as (a, b):
        await b.reader.aclose()
        with pytest.raises(trio.BrokenResourceError):
            await a.send({"n": 1})
        with pytest.raises(trio.BrokenResourceError):
            await a.send({"n": 2})


async def test_it_works_over_any_trio_stream() -> None:
    """Without a way to write at once the queue carries everything."""
    left, right = memory_stream_pair()
    a, b = LineChannel(left, left, 1000), LineChannel(right, right, 1000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.run)
        await a.send({"n": 1})
        await a.flush()
        assert {"n": 1} == await b.receive()
        nursery.cancel_scope.cancel()


async def test_a_regular_file_is_read_to_its_end(tmp_path: Any) -> None:
    """Input from a file works, which epoll refuses to watch."""
    path = tmp_path / "requests.jsonl"
    path.write_bytes(b'{"a":1}\n{"b":2}')
    reader = PipeReader(os.open(path, os.O_RDONLY))
    _left, right = memory_stream_pair()
    channel = LineChannel(reader, right, 1000)

    assert {"a": 1} == await channel.receive()
    assert {"b": 2} == await channel.receive()
    with pytest.raises(trio.EndOfChannel):
        await channel.receive()
    await channel.aclose()


async def test_the_writers_mode_is_restored() -> None:
    """A descriptor that was blocking is blocking again after the close."""
    read, write = os.pipe()
    copy = os.dup(write)
    writer = PipeWriter(write)
    assert not os.get_blocking(copy)
    await writer.aclose()

    assert os.get_blocking(copy)
    os.close(copy)
    os.close(read)
