"""The client's end of MCP over a WebSocket, against real servers in the same process."""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import lockstep_stream_pair
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    serve_websocket,
    wrap_server_stream,
)

from mcpgw.observe.redactor import Redactor
from mcpgw.protocol.channel import Failed
from mcpgw.protocol.jsonrpc import Malformed
from mcpgw.transports import websocket_handshake
from mcpgw.transports.authorization import AuthorizationFailed
from mcpgw.transports.line_channel import QUEUE_LIMIT
from mcpgw.transports.websocket_client import WebSocketChannel, WebSocketTimeouts

from ..support.memory import echo, make_peer

Handler = Callable[[WebSocketRequest], Awaitable[None]]

LIMIT = 1024 * 1024
UPGRADED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %s\r\n\r\n"
)


@attrs.define
class Network:
    """The network as the tests have it: one proxy, or none, and one TLS context."""

    proxy: str | None = None
    context: ssl.SSLContext | None = None
    asked: list[str] = attrs.field(factory=list)

    def proxy_for(self, url: str) -> str | None:
        self.asked.append(url)
        return self.proxy

    def tls(self) -> ssl.SSLContext:
        assert self.context is not None
        return self.context


def make_channel(url: str, **options: Any) -> WebSocketChannel:
    options.setdefault("network", Network())
    options.setdefault("limit", LIMIT)
    options.setdefault("timeouts", WebSocketTimeouts(connect=5.0, idle=60.0))
    return WebSocketChannel(name="far", url=url, **options)


@asynccontextmanager
async def serving(handler: Handler, **options: Any) -> AsyncIterator[str]:
    """Serve WebSockets on a port of this machine; give the URL."""
    async with trio.open_nursery() as nursery:
        context = options.pop("context", None)
        server = await nursery.start(
            partial(serve_websocket, handler, "127.0.0.1", 0, context, **options)
        )
        yield f"{'wss' if context else 'ws'}://127.0.0.1:{server.port}/mcp"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def running(channel: WebSocketChannel) -> AsyncIterator[WebSocketChannel]:
    """Run a channel while the block runs, and close it."""
    async with trio.open_nursery() as nursery:
        await nursery.start(channel.run)
        yield channel
        await channel.aclose()


@asynccontextmanager
async def answering(data: bytes, *, hold: bool = False) -> AsyncIterator[str]:
    """Send the same bytes on each connection, and close it unless `hold` is set."""

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(data)
            if hold:
                await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
        yield f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}/mcp"
        nursery.cancel_scope.cancel()


async def echoing(request: WebSocketRequest) -> None:
    """Send back each message as it came."""
    connection = await request.accept(subprotocol="mcp")
    with contextlib.suppress(ConnectionClosed):
        while True:
            await connection.send_message(await connection.get_message())


def serving_once(script: Callable[[WebSocketConnection], Awaitable[None]]) -> Handler:
    """Accept, follow the script, then wait for the client's end."""

    async def handler(request: WebSocketRequest) -> None:
        connection = await request.accept(subprotocol="mcp")
        try:
            await script(connection)
            while True:
                await connection.get_message()
        except ConnectionClosed:
            return

    return handler


def memory_network(monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery, script: Any) -> None:
    """Have channels connect to a server in memory, for tests whose time is not real."""

    async def open_stream(_target: object, _network: object) -> trio.abc.Stream:
        ours, theirs = lockstep_stream_pair()
        nursery.start_soon(serve, theirs)
        return ours

    async def serve(stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as inner:
            request = await wrap_server_stream(inner, stream, max_message_size=10_000_000)
            await script(request)

    monkeypatch.setattr(websocket_handshake, "open_stream", open_stream)


def code_of(closed: ConnectionClosed) -> int:
    """Return the code that a connection was closed with."""
    assert closed.reason is not None
    return closed.reason.code


async def at_end(channel: WebSocketChannel) -> list[Any]:
    """Receive all that there is."""
    received = []
    while True:
        try:
            received.append(await channel.receive())
        except trio.EndOfChannel:
            return received


async def ending_of(url: str, **options: Any) -> str:
    """Connect, wait for the end, and return why it ended."""
    channel = make_channel(url, **options)
    async with running(channel):
        assert [] == await at_end(channel)
    return channel.ending


class TestConversation:
    async def test_peers_converse_both_ways(self) -> None:
        """Requests and answers pass in both directions at once."""
        asked_back = trio.Event()

        async def serve(request: WebSocketRequest) -> None:
            connection = await request.accept(subprotocol="mcp")
            await connection.send_message('{"jsonrpc":"2.0","id":"s1","method":"roots/list"}')
            with contextlib.suppress(ConnectionClosed):
                while True:
                    message = json.loads(await connection.get_message())
                    if message.get("id") == "s1":
                        assert "roots/list" == message["result"]["method"]
                        asked_back.set()
                    else:
                        answer = {
                            "jsonrpc": "2.0",
                            "id": message["id"],
                            "result": message["params"],
                        }
                        await connection.send_message(json.dumps(answer))

        async with serving(serve) as url, running(make_channel(url)) as channel:
            peer = make_peer(channel, serve=echo)  # type: ignore[arg-type]
            async with trio.open_nursery() as nursery:
                await nursery.start(peer.run)
                assert {"n": 1} == await peer.request("tools/call", {"n": 1})
                assert {"n": 2} == await peer.request("tools/call", {"n": 2})
                await asked_back.wait()
                nursery.cancel_scope.cancel()

    async def test_binary_frames_are_read_as_text(self) -> None:
        """One that holds no message ends nothing but itself."""

        async def serve(request: WebSocketRequest) -> None:
            connection = await request.accept()
            asked = json.loads(await connection.get_message())
            await connection.send_message(b"\xff\xfe\x00")
            answer = {"jsonrpc": "2.0", "id": asked["id"], "result": {"ok": True}}
            await connection.send_message(json.dumps(answer).encode())
            await trio.sleep_forever()

        async with serving(serve) as url, running(make_channel(url)) as channel:
            peer = make_peer(channel)  # type: ignore[arg-type]
            async with trio.open_nursery() as nursery:
                await nursery.start(peer.run)
                assert {"ok": True} == await peer.request("x")
                nursery.cancel_scope.cancel()

    async def test_offers_the_subprotocol_and_headers(self) -> None:
        """The handshake offers `mcp` and has our headers, but for those of the protocol itself."""
        seen: dict[str, Any] = {}

        async def look(request: WebSocketRequest) -> None:
            seen.update(dict(request.headers), path=request.path)
            seen["offered"] = request.proposed_subprotocols
            await request.accept()

        headers = {"X-Key": "k", "Host": "elsewhere", "Sec-WebSocket-Protocol": "other"}
        async with serving(look) as url:
            await ending_of(url.replace("//", "//ann:p%40ss@") + "?a=b c", headers=headers)
        assert ("mcp",) == seen["offered"]
        assert "/mcp?a=b%20c" == seen["path"]
        assert b"k" == seen[b"x-key"]
        assert b"Basic YW5uOnBAc3M=" == seen[b"authorization"]

    async def test_sends_what_waited_for_the_connection(self) -> None:
        """Messages that are sent before the connection is open keep their order."""
        channel_ready = trio.Event()

        async def late(request: WebSocketRequest) -> None:
            await channel_ready.wait()
            await echoing(request)

        async with serving(late) as url, running(make_channel(url)) as channel:
            for n in range(3):
                await channel.send({"n": n})
            assert channel.send_nowait({"n": 3})
            assert "<WebSocketChannel 'far' CONNECTING queued=28>" == repr(channel)
            channel_ready.set()
            assert [{"n": n} for n in range(4)] == [await channel.receive() for _ in range(4)]
            assert "<WebSocketChannel 'far' OPEN queued=0>" == repr(channel)
        assert "<WebSocketChannel 'far' ENDED queued=0>" == repr(channel)

    async def test_big_message(self) -> None:
        """A message of many megabytes passes both ways whole."""
        text = "päckchen " * 700_000
        limit = 20 * 1024 * 1024
        async with (
            serving(echoing, max_message_size=limit) as url,
            running(make_channel(url, limit=limit)) as channel,
        ):
            await channel.send({"text": text})
            assert {"text": text} == await channel.receive()

    async def test_fragments_and_pings_between(self) -> None:
        """A message that comes in fragments, with pings between them, is one message."""
        from wsproto.events import Ping, TextMessage

        async def fragments(connection: WebSocketConnection) -> None:
            for number, part in enumerate(('{"jsonrpc":"2.0",', '"method":"ü', '"}')):
                await connection._send(TextMessage(part, message_finished=number == 2))
                await connection._send(Ping(b"are you there"))

        async with serving(serving_once(fragments)) as url, running(make_channel(url)) as channel:
            assert {"jsonrpc": "2.0", "method": "ü"} == await channel.receive()

    async def test_what_is_no_message_is_handed_up(self) -> None:
        """Text that is not JSON, or a batch, is reported, and the conversation goes on."""

        async def say(connection: WebSocketConnection) -> None:
            for text in ("hello", "", "17", ' [{"a":1}]\n', '{"ok":true}'):
                await connection.send_message(text)

        async with serving(serving_once(say)) as url, running(make_channel(url)) as channel:
            received = [await channel.receive() for _ in range(5)]
        assert [Malformed] * 3 == [type(message) for message in received[:3]]
        assert [[{"a": 1}], {"ok": True}] == received[3:]

    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters()),
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
        max_leaves=20,
    )  # fmt: skip

    @settings(max_examples=20, suppress_health_check=list(HealthCheck))
    @given(messages=st.lists(st.dictionaries(st.text(), json_values, max_size=6), max_size=40))
    def test_any_message_survives(self, messages: list[dict[str, Any]]) -> None:
        """Whatever JSON can hold comes back as it went, in order."""

        async def there_and_back() -> None:
            async with serving(echoing) as url, running(make_channel(url)) as channel:
                for message in messages:
                    await channel.send(message)
                assert messages == [await channel.receive() for _ in messages]

        trio.run(there_and_back)


class TestSecrets:
    """Servers and proxies that repeat the key of a header in their refusal."""

    redactor = Redactor(("words-of-a-key-1",))

    async def test_close_reason(self) -> None:
        """The reason of a close frame is shown without the key."""

        async def close(connection: WebSocketConnection) -> None:
            await connection.aclose(1008, "bad key words-of-a-key-1")

        async with serving(serving_once(close)) as url:
            ending = await ending_of(url, redactor=self.redactor)
        assert ending.endswith("(policy violation): bad key [redacted]")

    async def test_refused_handshake(self) -> None:
        """So is the status line of a refused handshake, however long it is."""
        head = b"HTTP/1.1 403 " + b"x" * 90 + b" words-of-a-key-1 no\r\ncontent-length: 0\r\n\r\n"
        async with answering(head) as url:
            ending = await ending_of(url, redactor=self.redactor)
        assert "x [redacted] no" in ending
        assert "words-of" not in ending


class TestEndings:
    async def test_close_from_here(self) -> None:
        """`aclose` writes the queue and closes with 1000; further sends fail."""
        codes: list[int] = []
        got: list[Any] = []

        async def serve(request: WebSocketRequest) -> None:
            connection = await request.accept()
            try:
                while True:
                    got.append(await connection.get_message())
            except ConnectionClosed as closed:
                codes.append(code_of(closed))

        async with serving(serve) as url:
            channel = make_channel(url)
            async with running(channel):
                await channel.send({"n": 0})
                while not got:
                    await trio.lowlevel.checkpoint()
                await channel.send({"n": 1})
                await channel.aclose()
                with pytest.raises(trio.BrokenResourceError, match="the gateway closed"):
                    await channel.send({"n": 2})
            assert [] == await at_end(channel)
        assert (['{"n":0}', '{"n":1}'], [1000]) == (got, codes)
        assert "the gateway closed the connection" == channel.ending

    @pytest.mark.parametrize(
        ("code", "reason", "ending"),
        [
            (1000, "", "the WebSocket was closed with code 1000 (normal closure)"),
            (1001, "moving", "the WebSocket was closed with code 1001 (going away): moving"),
            (4321, "odd", "the WebSocket was closed with code 4321: odd"),
        ],
    )
    async def test_close_from_there(self, code: int, reason: str, ending: str) -> None:
        """Messages before the server's close arrive; `ending` has its code and reason."""

        async def close(connection: WebSocketConnection) -> None:
            await connection.send_message('{"last":1}')
            await connection.aclose(code, reason)

        async with serving(serving_once(close)) as url, running(make_channel(url)) as channel:
            assert [{"last": 1}] == await at_end(channel)
        assert ending == channel.ending

    async def test_broken_off(self) -> None:
        """A connection without a closing handshake is reported as such."""

        async def vanish(connection: WebSocketConnection) -> None:
            await connection._stream.aclose()

        async with serving(serving_once(vanish)) as url:
            ending = await ending_of(url)
        assert "the connection broke without a closing handshake" == ending

    @pytest.mark.parametrize("text", ["x" * 5000, "x" * 3_000_000, "€" * 400])
    async def test_message_over_the_limit(self, text: str) -> None:
        """A message over the limit, counted in bytes, ends the connection with 1009."""
        codes: list[int] = []

        async def large(request: WebSocketRequest) -> None:
            connection = await request.accept()
            try:
                await connection.send_message(json.dumps({"a": "y" * 900}))
                await connection.send_message(json.dumps({"a": text}, ensure_ascii=False))
                await connection.get_message()
            except ConnectionClosed as closed:
                codes.append(code_of(closed))

        async with serving(large) as url, running(make_channel(url, limit=1000)) as channel:
            assert [{"a": "y" * 900}] == await at_end(channel)
            assert "more than 1000 bytes (server.max_body_size)" in channel.ending
        assert [1009] == codes

    async def test_text_that_is_no_utf8(self) -> None:
        """Text that is not UTF-8 ends the connection, as RFC 6455 asks."""

        async def garble(connection: WebSocketConnection) -> None:
            await connection._stream.send_all(b"\x81\x02\xff\xfe")

        async with serving(serving_once(garble)) as url:
            ending = await ending_of(url)
        assert ending.startswith("the WebSocket was closed with code 1007 (invalid UTF-8)")

    async def test_unsent_requests_are_handed_up(self) -> None:
        """Requests that were never sent are reported as such, so they can be repeated."""
        channel = make_channel("ws://127.0.0.1:1/mcp")
        async with running(channel):
            await channel.send({"jsonrpc": "2.0", "id": 7, "method": "tools/call"})
            await channel.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
            await channel.send({"jsonrpc": "2.0", "id": 9, "result": {}})
            received = await at_end(channel)
        [failed] = received
        assert isinstance(failed, Failed)
        assert (7, "far", False) == (failed.request, failed.error.peer, failed.error.sent)
        assert channel.ending == failed.error.reason
        assert "connecting to the server 127.0.0.1:1 failed: Connection refused" == channel.ending

    async def test_close_while_connecting(self) -> None:
        """`aclose` does not wait for a server that never answers the handshake."""
        async with answering(b"", hold=True) as url:
            channel = make_channel(url)
            async with running(channel):
                await trio.testing.wait_all_tasks_blocked()
                await channel.aclose()
            assert "the gateway closed the connection" == channel.ending

    async def test_close_without_run(self) -> None:
        """A channel that never ran can be closed, and then gives its end."""
        channel = make_channel("ws://127.0.0.1:1/")
        await channel.aclose()
        assert [] == await at_end(channel)
        async with trio.open_nursery() as nursery:
            await nursery.start(channel.run)


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "words"),
        [
            (401, "with 401 Unauthorized; it requires (other) credentials"),
            (403, "with 403 Forbidden; it does not allow this"),
            (404, "with 404 Not Found; there is no WebSocket at this path: check ws_url"),
            (307, "with 307 Temporary Redirect: redirects are not followed"),
            (500, "with 500 Internal Server Error"),
        ],
    )
    async def test_status(self, status: int, words: str) -> None:
        """A refused handshake is reported with its status and advice."""
        import http

        async def refuse(request: WebSocketRequest) -> None:
            headers = [(b"location", b"ws://elsewhere/")]
            await request.reject(status, extra_headers=headers, body=b"no" * 100)

        phrase = http.HTTPStatus(status).phrase.encode()
        answer = b"HTTP/1.1 %d %s\r\nLocation: ws://elsewhere/\r\n\r\n" % (status, phrase)
        async with answering(answer) as url:
            assert words in await ending_of(url)
        async with serving(refuse) as url:
            assert f"the server refused the handshake with {status}" in await ending_of(url)

    async def test_endless_refusal(self) -> None:
        """Of a refusal only the head is waited for, whatever the page behind it."""
        head = b"HTTP/1.1 404 Not Found\r\nContent-Length: 999999999999\r\n\r\n"
        async with answering(head + b"x" * 100_000, hold=True) as url:
            assert "with 404 Not Found" in await ending_of(url)

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b"", "closed the connection during the handshake"),
            (b"220 mail.example ESMTP\r\n\r\n", "the handshake failed: "),
            (UPGRADED % b"bm90IGl0", "the handshake failed: Bad accept token"),
            (b"x" * 200_000, "the handshake failed: "),
        ],
    )
    async def test_answers_that_are_none(self, data: bytes, words: str) -> None:
        """An invalid response to the handshake ends the attempt at once."""
        async with answering(data, hold=data != b"") as url:
            assert words in await ending_of(url)

    async def test_slow_handshake(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
    ) -> None:
        """A server that does not answer the handshake is given up after the connect time."""

        async def never(_request: WebSocketRequest) -> None:
            await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            memory_network(monkeypatch, nursery, never)
            assert "the handshake with a:80 timed out" in await ending_of("ws://a/")
            assert 5.0 == trio.current_time()
            nursery.cancel_scope.cancel()

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            (
                "http+unix://x/",
                "its URL starts with 'http+unix:'; it must start with one of ws:, wss:",
            ),
            ("ws:///mcp", "its URL lacks a host"),
            ("ws://a:port/", "its URL is not valid: "),
        ],
    )
    async def test_useless_urls(self, url: str, words: str) -> None:
        """An invalid URL is reported as such."""
        assert (await ending_of(url)).startswith(words)

    async def test_headers_that_cannot_be_sent(self) -> None:
        """A header that would break the request is refused without showing its value."""
        ending = await ending_of("ws://a/", headers={"X-Key": "secret\r\nX-More: 1"})
        assert "the header 'x-key' contains characters that are not allowed" == ending


@attrs.define
class Keyring:
    """An authorizer with tokens in line; it moves to the next one when challenged."""

    tokens: list[str]
    challenges: list[tuple[int, str]] = attrs.field(factory=list)

    async def headers(self) -> Mapping[str, str]:
        if not self.tokens:
            raise AuthorizationFailed("no token left")
        return {"Authorization": f"Bearer {self.tokens[0]}"}

    async def challenged(self, status: int, headers: Mapping[str, str]) -> bool:
        self.challenges.append((status, headers.get("www-authenticate", "")))
        self.tokens.pop(0)
        return True


async def guarded(request: WebSocketRequest) -> None:
    """Accept the token `good` alone."""
    if (b"authorization", b"Bearer good") in request.headers:
        await echoing(request)
    else:
        await request.reject(401, extra_headers=[(b"WWW-Authenticate", b"Bearer realm=x")])


class TestAuthorization:
    async def test_second_try_after_a_challenge(self) -> None:
        """A 401 is taken to the authorizer once, and the handshake is tried again."""
        keyring = Keyring(["old", "good"])
        async with (
            serving(guarded) as url,
            running(
                make_channel(url, authorizer=keyring, headers={"authorization": "x"})
            ) as channel,
        ):
            await channel.send({"n": 1})
            assert {"n": 1} == await channel.receive()
        assert [(401, "Bearer realm=x")] == keyring.challenges

    async def test_no_third_try(self) -> None:
        """A second refusal in a row is the end."""
        keyring = Keyring(["old", "older", "good"])
        async with serving(guarded) as url:
            assert "refused the handshake with 401" in await ending_of(url, authorizer=keyring)
        assert ["older", "good"] == keyring.tokens

    async def test_no_credentials(self) -> None:
        """If credentials cannot be obtained, the reason is reported."""
        async with serving(guarded) as url:
            ending = await ending_of(url, authorizer=Keyring(["old"]))
        assert "authorization failed: no token left" == ending


class TestPressure:
    async def test_senders_wait_and_nothing_is_cut(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
    ) -> None:
        """A server that does not read makes senders wait; a cancelled one has sent nothing."""
        read_on = trio.Event()
        got: list[int] = []

        async def lazy(request: WebSocketRequest) -> None:
            connection = await request.accept()
            await read_on.wait()
            with contextlib.suppress(ConnectionClosed):
                while True:
                    message = json.loads(await connection.get_message())
                    assert 3_000_000 == len(message["pad"])
                    got.append(message["n"])

        async with trio.open_nursery() as nursery:
            memory_network(monkeypatch, nursery, lazy)
            async with running(make_channel("ws://a/")) as channel:
                taken = 0
                with trio.move_on_after(30):
                    while True:
                        await channel.send({"n": taken, "pad": "x" * 3_000_000})
                        taken += 1
                assert not channel.send_nowait({"n": taken})
                assert QUEUE_LIMIT < channel._queued_bytes
                read_on.set()
                await channel.send({"n": 99, "pad": "x" * 3_000_000})
            nursery.cancel_scope.cancel()
        assert [*range(taken), 99] == got

    async def test_cancelled_run(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
    ) -> None:
        """Cancelling `run` amid a message ends all at once; that message counts as not sent."""

        async def deaf(request: WebSocketRequest) -> None:
            await request.accept()
            await trio.sleep_forever()

        async with trio.open_nursery() as outer:
            memory_network(monkeypatch, outer, deaf)
            async with trio.open_nursery() as nursery:
                channel = make_channel("ws://a/")
                await nursery.start(channel.run)
                for n in range(4):
                    params = {"pad": "x" * 2_000_000}
                    await channel.send({"jsonrpc": "2.0", "id": n, "method": "m", "params": params})
                await trio.sleep(10)
                nursery.cancel_scope.cancel()
            failed = await at_end(channel)
            outer.cancel_scope.cancel()
        assert [2, 3] == [lost.request for lost in failed]
        assert [False, False] == [lost.error.sent for lost in failed]
        assert "the gateway ended the connection" == channel.ending
        with pytest.raises(trio.BrokenResourceError):
            channel.send_nowait({})


class TestLiveness:
    async def test_pings_keep_a_silent_conversation(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
    ) -> None:
        """A server that only answers pings stays connected, for hours."""

        async def silent(_connection: WebSocketConnection) -> None:
            await trio.sleep(9000)

        async with trio.open_nursery() as nursery:
            memory_network(monkeypatch, nursery, serving_once(silent))
            async with running(make_channel("ws://a/")) as channel:
                await trio.sleep(8000)
                await channel.send({"still": "there"})
                assert "" == channel.ending
            nursery.cancel_scope.cancel()

    async def test_dead_server(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
    ) -> None:
        """A server that gives no sign of life is given up after the idle time."""

        async def die(request: WebSocketRequest) -> None:
            await request.accept()
            await trio.sleep(10)
            # From here on it takes what is sent and does nothing with it.
            request._connection._reader_running = False
            await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            memory_network(monkeypatch, nursery, die)
            async with running(make_channel("ws://a/")) as channel:
                assert [] == await at_end(channel)
                assert "the server sent nothing for 60 s" in channel.ending
                assert 60 <= trio.current_time() <= 90
            nursery.cancel_scope.cancel()

    async def test_a_slow_reader_here_is_not_silence_there(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
    ) -> None:
        """A server does not count as silent while its messages wait to be read."""

        async def chatter(connection: WebSocketConnection) -> None:
            for n in range(100):
                await connection.send_message(json.dumps({"n": n}))

        async with trio.open_nursery() as nursery:
            memory_network(monkeypatch, nursery, serving_once(chatter))
            async with running(make_channel("ws://a/")) as channel:
                await trio.sleep(1000)
                assert [{"n": n} for n in range(100)] == [
                    await channel.receive() for _ in range(100)
                ]
            nursery.cancel_scope.cancel()


class TestProxies:
    @staticmethod
    @asynccontextmanager
    async def proxy(answer: bytes, seen: list[bytes]) -> AsyncIterator[str]:
        """Run an HTTP proxy that knows CONNECT alone."""

        async def handle(stream: trio.SocketStream) -> None:
            async with stream:
                request = await stream.receive_some()
                seen.append(bytes(request))
                await stream.send_all(answer)
                if b" 200 " in answer:
                    host, port = request.split(b" ")[1].decode().rsplit(":", 1)
                    await join(stream, await trio.open_tcp_stream(host, int(port)))

        async def pump(source: trio.SocketStream, sink: trio.SocketStream) -> None:
            async for data in source:
                await sink.send_all(data)
            await sink.send_eof()

        async def join(a: trio.SocketStream, b: trio.SocketStream) -> None:
            async with b, trio.open_nursery() as both:
                both.start_soon(pump, a, b)
                both.start_soon(pump, b, a)

        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
            yield f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
            nursery.cancel_scope.cancel()

    async def test_through_a_proxy(self) -> None:
        """The proxy is asked to CONNECT, with the credentials of its URL, and then stays out."""
        seen: list[bytes] = []
        async with serving(echoing) as url, self.proxy(b"HTTP/1.1 200 OK\r\n\r\n", seen) as place:
            network = Network(f"http://ann:s%3Aecret@{place}")
            async with running(make_channel(url, network=network)) as channel:
                await channel.send({"n": 1})
                assert {"n": 1} == await channel.receive()
            where = url.removeprefix("ws://").removesuffix("/mcp")
        assert [f"http://{where}/mcp"] == network.asked
        expected = (
            f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n"
            "Proxy-Authorization: Basic YW5uOnM6ZWNyZXQ=\r\n\r\n"
        )
        assert [expected.encode()] == seen

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407 Proxy Authentication"),
            (b"HTTP/1.1 204 Yes\r\n\r\nand more", "invalid HTTP"),
            (b"who is there", "invalid HTTP"),
        ],
    )
    async def test_proxy_that_refuses(self, answer: bytes, said: str) -> None:
        """A proxy's refusal is reported with its address, without credentials."""
        async with self.proxy(answer, []) as place:
            network = Network(f"http://ann:secret@{place}")
            ending = await ending_of("ws://far.example/", network=network)
        assert f"the proxy {place} answered CONNECT far.example:80 with {said}" in ending
        assert "secret" not in ending

    async def test_unknown_kind_of_proxy(self) -> None:
        """A proxy with an unsupported scheme is refused."""
        ending = await ending_of("ws://a/", network=Network("socks5://127.0.0.1:1080"))
        assert ending.startswith("its URL starts with 'socks5:'")


class TestTls:
    @pytest.fixture
    def contexts(self, tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        """Give the context of a server for 127.0.0.1, and of a client that trusts it."""
        pytest.importorskip("cryptography", reason="cryptography is not installed")
        import datetime
        import ipaddress

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), 1)
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
                critical=False,
            )
            .sign(key, hashes.SHA256())
        )
        pem = tmp_path / "both.pem"
        pem.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server.load_cert_chain(pem)
        return server, ssl.create_default_context(cafile=str(pem))

    async def test_trusted_server(self, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
        """A `wss:` URL is reached through TLS, with the network's certificates."""
        server, client = contexts
        async with (
            serving(echoing, context=server) as url,
            running(make_channel(url, network=Network(context=client))) as channel,
        ):
            await channel.send({"n": 1})
            assert {"n": 1} == await channel.receive()

    async def test_unknown_authority(self, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
        """An untrusted certificate is refused, with advice."""
        server, _ = contexts
        network = Network(context=ssl.create_default_context())

        async def answer(stream: trio.SocketStream) -> None:
            secure = trio.SSLStream(stream, server, server_side=True)
            with pytest.raises(trio.BrokenResourceError):
                await secure.do_handshake()

        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
            port = listeners[0].socket.getsockname()[1]
            ending = await ending_of(f"wss://127.0.0.1:{port}/", network=network)
            nursery.cancel_scope.cancel()
        assert "its certificate is not trusted, self-signed certificate" in ending
        assert "SSL_CERT_FILE" in ending

    async def test_plain_server(self) -> None:
        """TLS with a plain server is reported as a TLS error."""
        async with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
            network = Network(context=ssl.create_default_context())
            ending = await ending_of(url.replace("ws://", "wss://"), network=network)
        assert ending.startswith("TLS with 127.0.0.1:")
