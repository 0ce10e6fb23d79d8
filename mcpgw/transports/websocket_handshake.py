"""The opening handshake of a WebSocket, and explanations of its refusals."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final

import attrs
import trio

from mcpgw import __version__
from mcpgw.observe.log import get_logger
from mcpgw.transports.websocket_connect import (
    HEAD_LIMIT,
    Head,
    Target,
    Unreachable,
    head_ends,
    open_stream,
)

if TYPE_CHECKING:
    from trio_websocket import WebSocketConnection

    from mcpgw.transports.network import Network

log = get_logger("mcpgw.websocket")

SUBPROTOCOL: Final = "mcp"
_READ_SIZE: Final = 65536
_ARRIVING: Final = 16
"""Messages that may wait to be read before reading from the server pauses."""
_SLICE: Final = 65536
_RESERVED: Final = frozenset(
    ("host", "connection", "upgrade", "content-length", "transfer-encoding", "keep-alive", "te")
)
"""Headers of the handshake that the configuration cannot set, besides Sec-WebSocket-*."""
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_NOT_IN_VALUES: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ADVICE: Final = {
    401: "it requires (other) credentials: log in, or set them in `headers`",
    403: "it does not allow this: check the credentials, and an Origin in `headers`",
    404: "there is no WebSocket at this path: check ws_url",
    407: "a proxy requires credentials",
    426: "it supports another version of WebSocket, or none at this path",
}


class MessageLimit(int):
    """The largest message accepted, in bytes, which records that a message exceeded it.

    The library closes such a connection itself, in a way that looks like a close of the server's.
    It evaluates `size > limit`; Python calls `limit < size` for that, as `limit` is of a subclass.
    """

    exceeded: bool = False

    def __lt__(self, size: int) -> bool:
        self.exceeded = super().__lt__(size)
        return self.exceeded


@attrs.define(slots=True, eq=False)
class Wire(trio.abc.Stream):
    """The byte stream under a WebSocket, with the time since the last progress.

    It also parses the response to the handshake: of a refusal, which may have a body of any length,
    only the head is read.
    """

    stream: trio.abc.Stream
    answer: Head | None = None
    ended: trio.Event = attrs.field(factory=trio.Event)
    """Set when the input has ended."""
    _head: bytearray = attrs.field(factory=bytearray)
    _reading_since: float = math.inf
    _writing_since: float = math.inf

    @property
    def refusal(self) -> Head | None:
        """The response to the handshake, if it is a refusal."""
        return None if self.answer is None or self.answer.status == 101 else self.answer

    def silence(self) -> float:
        """Return the seconds for which a read or write has been waiting."""
        return max(0.0, trio.current_time() - min(self._reading_since, self._writing_since))

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        self._reading_since = trio.current_time()
        try:
            data = await self.stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.ended.set()
            raise
        finally:
            self._reading_since = math.inf
        if not data:
            self.ended.set()
        return self._parse_answer(data) if self.answer is None else data

    def _parse_answer(self, data: bytes | bytearray) -> bytes | bytearray:
        self._head += data
        if head_ends(self._head) >= 0:
            self.answer = Head.parse(bytes(self._head))
            self._head.clear()
            if self.refusal is not None:
                return b""
        elif len(self._head) > HEAD_LIMIT:
            return b""
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        # In slices, so that a long message on a slow connection counts as progress.
        try:
            with memoryview(data) as view:
                for start in range(0, len(view), _SLICE):
                    self._writing_since = trio.current_time()
                    await self.stream.send_all(view[start : start + _SLICE])
        finally:
            self._writing_since = math.inf

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.stream.aclose()


@attrs.define(slots=True, eq=False)
class _Reader:
    """A stand-in for the nursery in which the library starts its reader; it sees the reader end.

    The library does not report a reader that ends before the handshake is done, so this ends the
    wait. A reader that stops at a message over the limit leaves the rest unread; this discards it.
    """

    nursery: trio.Nursery
    wire: Wire
    waiting: trio.CancelScope
    failure: Exception | None = None
    ended: bool = False

    def start_soon(self, task: Callable[[], Awaitable[None]]) -> None:
        self.nursery.start_soon(self._run, task)

    async def _run(self, task: Callable[[], Awaitable[None]]) -> None:
        try:
            await task()
        except Exception as error:
            self.failure = error
            log.debug("websocket.reader_failed", exc_info=error)
        finally:
            self.ended = True
            self.waiting.cancel()
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while not self.wire.ended.is_set():
                await self.wire.receive_some()


def handshake_headers(target: Target, *sources: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return the headers to send; later sources override earlier ones.

    Raises:
      Unreachable: a header contains characters that are not allowed (RFC 9110, section 5.5).
    """
    merged = {"user-agent": f"mcp-gateway/{__version__}"}
    if target.credentials:
        merged["authorization"] = target.credentials
    for source in sources:
        merged |= {name.lower(): value for name, value in source.items()}
    for name, value in merged.items():
        if not _NAME.fullmatch(name) or _NOT_IN_VALUES.search(value):
            raise Unreachable(f"the header {name!r:.60} contains characters that are not allowed")
    return [
        (name.encode(), value.strip(" \t").encode())
        for name, value in merged.items()
        if name not in _RESERVED and not name.startswith("sec-websocket-")
    ]


async def connect(target: Target, network: Network, *, deadline: float) -> Wire:
    """Connect to a server; the caller closes the stream.

    Raises:
      Unreachable: connecting failed, or took longer than the deadline.
    """
    scope = trio.CancelScope(deadline=deadline)
    with scope:
        return Wire(await open_stream(target, network))
    raise Unreachable(f"connecting to {target.place} timed out (connect_timeout)")


async def shake_hands(
    nursery: trio.Nursery,
    wire: Wire,
    target: Target,
    *,
    headers: list[tuple[bytes, bytes]],
    limit: MessageLimit,
    deadline: float,
) -> WebSocketConnection | str:
    """Open a WebSocket on a connection. Return it, or the reason of the failure.

    If the server refused, `wire.refusal` is its response. The caller cancels the nursery at the
    end.

    Args:
      nursery: runs the library's reader.
      wire, target: the connection and its server.
      headers: the result of `handshake_headers`.
      limit: the largest message accepted.
      deadline: the time by which the server must have answered.
    """
    from trio_websocket import wrap_client_stream

    reader = _Reader(nursery, wire, trio.CancelScope(deadline=deadline))
    with reader.waiting:
        return await wrap_client_stream(
            reader,  # type: ignore[arg-type]
            wire,  # type: ignore[arg-type]
            target.authority,
            target.path,
            subprotocols=[SUBPROTOCOL],
            extra_headers=headers,
            message_queue_size=_ARRIVING,
            max_message_size=limit,
            receive_buffer_size=_READ_SIZE,
        )
    if reader.failure is not None:
        return f"the handshake failed: {_root(reader.failure)}"
    if not reader.ended:
        return f"the handshake with {target.place} timed out (connect_timeout)"
    if wire.answer is None:
        return f"{target.place} closed the connection during the handshake"
    return (
        "the response to the handshake is not valid: a wrong Sec-WebSocket-Accept, or a"
        " subprotocol or extension that was not offered (RFC 6455, section 4.1)"
    )


def _root(failure: BaseException) -> BaseException:
    """Return the first error: the library raises another one while it handles that."""
    while failure.__context__ is not None:
        failure = failure.__context__
    return failure


def refusal_words(head: Head) -> str:
    """Return an explanation of a refused handshake, with advice."""
    words = f"the server refused the handshake with {head.status} {head.reason:.1000}".rstrip()
    if 300 <= head.status < 400:
        return f"{words}: redirects are not followed; set ws_url to the final URL"
    advice = _ADVICE.get(head.status)
    return f"{words}; {advice}" if advice else words
