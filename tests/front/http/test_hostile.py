"""Requests that mean harm get the right status, and nothing else happens."""

from __future__ import annotations

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.front.http.support import Client, Served, exchange, serving, to_bytes, tool
from tests.support.patience import PATIENCE

HEAD = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


async def is_well(served: Served) -> bool:
    """Tell whether a new client is served as if nothing had happened."""
    client = await served.connect()
    await client.initialize()
    return 200 == (await client.post(tool("echo"))).status


class TestBodies:
    async def test_declared_too_large_are_refused_unread(self) -> None:
        """A body over the limit is refused by its length, before it comes."""
        async with serving(max_body_size=1000) as served:
            answer = await exchange(
                served.address, HEAD + b"Content-Length: 1001\r\n\r\n", half_close=False
            )

            assert answer.startswith(b"HTTP/1.1 413")
            assert b"connection: close" in answer.lower()
            assert await is_well(served)

    async def test_an_answer_before_the_body_ends_the_connection_and_says_so(self) -> None:
        """A client that sends head and body apart knows whether it may use the connection again."""
        refused = HEAD.replace(b"/mcp", b"/health") + b"Content-Length: 2\r\n\r\n"
        async with serving() as served:
            early = await exchange(served.address, refused, half_close=False)
            async with await trio.open_tcp_stream(
                served.address.host, served.address.port
            ) as stream:
                await stream.send_all(refused + b"{}")
                whole = bytes(await stream.receive_some())
                await stream.send_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                again = bytes(await stream.receive_some())

        assert early.startswith(b"HTTP/1.1 405")
        assert b"connection: close" in early.lower()
        assert whole.startswith(b"HTTP/1.1 405")
        assert b"connection: close" not in whole.lower()
        assert again.startswith(b"HTTP/1.1 200")

    async def test_that_grow_too_large_are_refused_while_they_come(self) -> None:
        """An endless chunked body is refused at the limit; what still comes is not kept."""
        async with serving(max_body_size=100_000) as served:
            chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
            sent = 0
            answer = b""
            stream = await trio.open_tcp_stream(served.address.host, served.address.port)
            async with stream, trio.open_nursery() as nursery:

                async def pour() -> None:
                    nonlocal sent
                    try:
                        while True:
                            await stream.send_all(chunk)
                            sent += len(chunk)
                    except trio.BrokenResourceError:
                        pass

                await stream.send_all(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
                nursery.start_soon(pour)
                answer = bytes(await stream.receive_some())
                nursery.cancel_scope.cancel()

            assert answer.startswith(b"HTTP/1.1 413")
            assert await is_well(served)

    async def test_that_never_end_are_given_up(self, mock_clock: trio.testing.MockClock) -> None:
        """A body that takes too long gets 408, and its connection is closed."""
        async with serving(body_timeout=30.0) as served:
            stream = await trio.open_tcp_stream(served.address.host, served.address.port)
            async with stream:
                await stream.send_all(HEAD + b"Content-Length: 100\r\n\r\n{")
                await trio.testing.wait_all_tasks_blocked()
                mock_clock.jump(30.0)
                answer = bytes(await stream.receive_some())

            assert answer.startswith(b"HTTP/1.1 408")
            assert b"connection: close" in answer.lower()

    @pytest.mark.parametrize(
        "body", [b"zz\r\n", b"-5\r\nhello\r\n", b"5\r\nhelloworld\r\n", b"f" * 100 + b"\r\n"]
    )
    async def test_in_broken_chunks_are_refused(self, body: bytes) -> None:
        """An invalid chunk gets 400, and the connection is closed."""
        async with serving() as served:
            answer = await exchange(
                served.address,
                HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + body,
                half_close=False,
            )

            assert answer.startswith(b"HTTP/1.1 400")
            assert await is_well(served)

    async def test_that_nobody_reads_block_nothing(self) -> None:
        """A long body to a page that answers without reading it leaves no connection behind."""
        async with serving(shutdown_grace=10 * PATIENCE) as served:
            body = b"x" * 3_000_000
            head = b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
            answer = await exchange(served.address, [head % len(body), body])

            assert answer.startswith(b"HTTP/1.1 404") or answer == b""
            served.shutdown.set()
            with trio.fail_after(PATIENCE):
                await served.over.wait()


class TestHeads:
    @pytest.mark.parametrize(
        ("request_bytes", "status"),
        [
            (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 40_000, 431),
            (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431),
            (b"GET /health HTTP/1.1\r\n\r\n", 400),
            (b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n", 400),
            (b"GET /health HTTP/1.0\r\n\r\n", 400),
            (b"GET http://evil.example.com/health HTTP/1.1\r\nHost: evil.example.com\r\n\r\n", 403),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 50, 400),
            (b"GET /health\r\n\r\n", 400),
            (b"GET  /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            (b"GET /health HTTP/1.1\r\nHost : localhost\r\n\r\n", 400),
            (b"GET /health HTTP/1.1\r\nHost: localhost\r\nA: b\0c\r\n\r\n", 400),
            (b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
            (b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1, 2\r\n\r\n", 400),
            (b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        ],
    )
    async def test_that_are_wrong_are_refused(self, request_bytes: bytes, status: int) -> None:
        """Heads that are too large, doubtful or no HTTP get an error and are not acted on."""
        async with serving(idle_timeout=0.05) as served:
            answer = await exchange(served.address, request_bytes, half_close=False)

            assert b"HTTP/1.1 %d" % status == answer[:12]
            assert [] == served.gateway_api.peers
            assert await is_well(served)

    @pytest.mark.parametrize(
        "request_bytes",
        [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0",
            (
                b"GET /health HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\n"
                b"Connection: Upgrade, HTTP2-Settings\r\n"
                b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
            ),
        ],
    )
    async def test_that_want_http_2_do_not_get_it(self, request_bytes: bytes) -> None:
        """The front speaks HTTP/1.1 only, so no second protocol bypasses its checks."""
        async with serving() as served:
            answer = await exchange(served.address, request_bytes)

            assert b"101" != answer[9:12]
            assert await is_well(served)

    async def test_that_never_end_are_given_up(self, mock_clock: trio.testing.MockClock) -> None:
        """A connection on which no whole head comes is closed."""
        async with serving(head_timeout=10.0) as served:
            stream = await trio.open_tcp_stream(served.address.host, served.address.port)
            async with stream:
                await stream.send_all(b"GET /health HTTP/1.1\r\nX: ")
                await trio.testing.wait_all_tasks_blocked()
                mock_clock.jump(10.0)

                assert b"" == bytes(await stream.receive_some())

    async def test_that_hide_a_second_request_do_not_run_it(self) -> None:
        """Methods in headers and bodies are ignored; bytes after a request are the next one."""
        async with serving() as served:
            client = await served.connect()
            await client.initialize()
            smuggled = {"X-HTTP-Method-Override": "DELETE", "X-Method": "DELETE"}
            assert 200 == (await client.post(tool("echo"), smuggled)).status
            inner = b"DELETE /mcp HTTP/1.1\r\nHost: localhost\r\nMcp-Session-Id: "
            inner += (client.session or "").encode() + b"\r\n\r\n"
            assert 400 == (await client.request("POST", body=inner)).status

            assert 1 == len(served.app.endpoint.sessions)
            assert 200 == (await client.post(tool("echo"))).status

    async def test_beyond_the_highest_number_of_connections_are_turned_away(self) -> None:
        """One connection too many gets 503 at once; the others go on."""
        async with serving(max_connections=2) as served:
            first = await served.connect()
            second = await served.connect()
            assert 200 == (await first.request("GET", "/health")).status
            assert 200 == (await second.request("GET", "/health")).status

            assert (await exchange(served.address, b"")).startswith(b"HTTP/1.1 503")
            assert 200 == (await first.request("GET", "/health")).status


class TestClientsThatDoNotRead:
    async def test_hold_up_nobody(self) -> None:
        """A hundred that never read their streams do not delay one that does."""
        async with serving(unread_bytes=200_000, replay_bytes=50_000, answer_wait=9.0) as served:
            slow: list[Client] = []
            for _ in range(100):
                client = await served.connect()
                await client.initialize()
                flood = tool("flood", {"size": 100_000, "times": 60}, token="t")
                await client.send("POST", body=to_bytes(flood))
                slow.append(client)
            await served.gateway_api.started.wait()
            fast = await served.connect()
            await fast.initialize()
            for number in range(20):
                reply = await fast.post(tool("echo", {"n": number}))
                assert {"n": number} == reply.json["result"]["said"]
            await trio.testing.wait_all_tasks_blocked()
            held = [session.streams.held_bytes for session in served.app.endpoint.sessions]
            served.gateway_api.go_on.set()

            assert 101 == len(held)
            # What waits and what is kept each have their bound, the newest message excepted.
            assert max(held) <= 200_000 + 50_000 + 2 * 100_200

    async def test_do_not_hold_up_the_end(self) -> None:
        """The server ends although a client reads nothing of what it is sent."""
        async with serving(shutdown_grace=0.05, write_timeout=10 * PATIENCE) as served:
            client = await served.connect()
            await client.initialize()
            await client.send(
                "POST", body=to_bytes(tool("flood", {"size": 500_000, "times": 60}, token="t"))
            )
            await served.gateway_api.started.wait()
            served.shutdown.set()
            with trio.fail_after(PATIENCE):
                await served.over.wait()

            assert served.over.is_set()


REQUEST = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"

pieces = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            REQUEST,
            b"GET /mcp HTTP/1.1\r\n",
            b"DELETE /mcp HTTP/1.1\r\nHost: localhost\r\nMcp-Session-Id: x\r\n\r\n",
            b"Host: localhost\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            b"Expect: 100-continue\r\n",
            b"Mcp-Session-Id: \xff\xfe\r\n",
            b"Last-Event-ID: 0-0\r\n",
            b"GET /ws HTTP/1.1\r\n",
            b"GET /sse HTTP/1.1\r\n",
            b"Content-Type: application/json\r\n",
            b"\r\n",
            b"5\r\nhello\r\n0\r\n\r\n",
            b"\x81\x85\0\0\0\0hello",
        ]
    ),
)


@given(st.lists(pieces, max_size=12))
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_get_an_answer_or_a_closed_connection(parts: list[bytes]) -> None:
    """Whatever bytes come, the server answers or closes, and serves the next client."""

    async def check() -> None:
        with trio.fail_after(PATIENCE):
            async with serving() as served:
                answer = await exchange(served.address, parts)
                assert b"" == answer or answer.startswith(b"HTTP/1.1 ")
                assert b"HTTP/1.1 500" not in answer
                assert await is_well(served)

    trio.run(check)
