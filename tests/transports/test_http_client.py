"""The Streamable HTTP client against a scripted server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio

from mcpgw.protocol.channel import Arrived, Failed, Paused
from mcpgw.transports.authorization import AuthorizationFailed
from mcpgw.transports.http_client import HttpChannel
from mcpgw.transports.network import Network
from tests.support.patience import PATIENCE

Message = dict[str, Any]
HELLO: Message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}
READY: Message = {"jsonrpc": "2.0", "method": "notifications/initialized"}
CALL: Message = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "t"}}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


@attrs.define
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@attrs.define(eq=False)
class Answer:
    """A handler's response; `chunks` are sent one by one, `cut` breaks the connection."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = attrs.field(factory=dict)
    chunks: list[bytes] | None = None
    cut: bool = False
    hold: bool = False


Handler = Callable[[Asked], Awaitable[Answer]]


def result(message: Message, **fields: Any) -> Message:
    """Return the answer to a request."""
    return {"jsonrpc": "2.0", "id": message["id"], "result": fields}


def event(message: Message | None, number: int | None = None, retry: int | None = None) -> bytes:
    """Return a message as an event."""
    lines = [f"id: {number}"] if number is not None else []
    lines += [f"retry: {retry}"] if retry is not None else []
    lines.append(f"data: {json.dumps(message) if message is not None else ''}")
    return ("\n".join(lines) + "\n\n").encode()


@attrs.define(eq=False)
class Server:
    """A server on a port of its own; `handler` answers, `asked` is what came."""

    handler: Handler
    port: int = 0
    asked: list[Asked] = attrs.field(factory=list)
    _news: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"http://127.0.0.1:{self.port}/mcp"

    async def heard(self, count: int) -> None:
        """Wait until so many requests have come."""
        while len(self.asked) < count:
            await self._news.park()

    async def serve(self, stream: trio.SocketStream) -> None:
        """Answer the requests of one connection."""
        buffer = b""
        async with stream:
            while True:
                while b"\r\n\r\n" not in buffer:
                    data = await stream.receive_some()
                    if not data:
                        return
                    buffer += data
                head, _, buffer = buffer.partition(b"\r\n\r\n")
                first, *lines = head.decode().split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (li.partition(":") for li in lines)}
                size = int(headers.get("content-length", 0))
                while len(buffer) < size:
                    buffer += await stream.receive_some()
                body, buffer = buffer[:size], buffer[size:]
                method, path, _ = first.split()
                asked = Asked(method, path, headers, json.loads(body) if body else None)
                self.asked.append(asked)
                self._news.unpark_all()
                try:
                    answer = await self.handler(asked)
                except trio.BrokenResourceError:
                    return
                if not await self._send(stream, answer):
                    return

    async def _send(self, stream: trio.SocketStream, answer: Answer) -> bool:
        lines = [f"HTTP/1.1 {answer.status} Reason"]
        headers = dict(answer.headers)
        body = b""
        if answer.chunks is not None:
            headers |= {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
        else:
            body = answer.body if isinstance(answer.body, bytes) else b""
            if isinstance(answer.body, (dict, list)):
                body = json.dumps(answer.body).encode()
                headers.setdefault("content-type", "application/json")
            headers["content-length"] = str(len(body))
        lines += [f"{name}: {value}" for name, value in headers.items()]
        await stream.send_all(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        for chunk in answer.chunks or ():
            await stream.send_all(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        if answer.hold:
            await stream.receive_some()
            return False
        if answer.cut:
            return False
        if answer.chunks is not None:
            await stream.send_all(b"0\r\n\r\n")
        return True


@asynccontextmanager
async def talking(handler: Handler, **options: Any) -> AsyncIterator[tuple[Server, HttpChannel]]:
    """Run a server and a channel to it."""
    server = Server(handler)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, server.serve, 0)
        server.port = listeners[0].socket.getsockname()[1]
        channel = HttpChannel(
            name="one", url=options.pop("url", server.url), network=Network({}), **options
        )
        await nursery.start(channel.run)
        with trio.fail_after(PATIENCE):
            yield server, channel
        nursery.cancel_scope.cancel()


async def greeting(asked: Asked) -> Answer:
    """Begin a session, have no stream of our own, and answer calls."""
    if asked.method != "POST":
        return Answer(405)
    if asked.body.get("method") == "initialize":
        answer = result(asked.body, protocolVersion="2025-11-25", capabilities={})
        return Answer(body=answer, headers={"Mcp-Session-Id": "s-1"})
    if "id" not in asked.body:
        return Answer(202)
    return Answer(body=result(asked.body, ok=True))


async def greet(channel: HttpChannel) -> None:
    """Shake hands."""
    await channel.send(HELLO)
    assert 1 == (await channel.receive())["id"]  # type: ignore[index, call-overload]
    await channel.send(READY)


class TestSessions:
    async def test_what_each_request_carries(self) -> None:
        """The session and the negotiated revision come with all but the first; the order holds;
        the session is ended by DELETE."""
        async with talking(greeting, headers={"X-Own": "1"}) as (server, channel):
            await greet(channel)
            await channel.send(CALL)
            assert result(CALL, ok=True) == await channel.receive()
            await channel.aclose()
        kinds = [each.body["method"] if each.body else each.method for each in server.asked]
        assert ["initialize", "notifications/initialized", "GET", "tools/call", "DELETE"] == kinds
        first, *others = server.asked
        assert "mcp-session-id" not in first.headers
        for each in others:
            assert ("s-1", "2025-11-25", "1") == (
                each.headers["mcp-session-id"],
                each.headers["mcp-protocol-version"],
                each.headers["x-own"],
            )

    async def test_a_forgotten_session(self) -> None:
        """The request surely had no effect, and the conversation is over."""

        async def handler(asked: Asked) -> Answer:
            forgotten = bool(asked.body) and asked.body.get("method") == "tools/call"
            return Answer(404) if forgotten else await greeting(asked)

        async with talking(handler) as (_, channel):
            await greet(channel)
            await channel.send(CALL)
            failed = await channel.receive()
            assert isinstance(failed, Failed)
            assert (2, False) == (failed.request, failed.error.sent)
            with pytest.raises(trio.EndOfChannel):
                await channel.receive()
            assert channel.expired

    async def test_nobody_listens(self) -> None:
        """The ending explains the failure, without secrets from the URL."""
        url = "http://user:secret@127.0.0.1:9/mcp?key=secret"
        async with talking(greeting, url=url) as (_, channel):
            await channel.send(HELLO)
            failed = await channel.receive()
            assert isinstance(failed, Failed)
            assert not failed.error.sent
            with pytest.raises(trio.EndOfChannel):
                await channel.receive()
            assert "127.0.0.1:9" in channel.ending
            assert "secret" not in channel.ending
            with pytest.raises(trio.BrokenResourceError):
                await channel.send(CALL)


class TestStreams:
    @pytest.mark.parametrize("cut", range(0, 150, 7))
    async def test_a_stream_cut_anywhere_is_resumed(self, cut: int) -> None:
        """No message is lost, none comes twice."""
        notes = [
            {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": n}}
            for n in range(3)
        ]
        messages = [*notes, result(CALL, ok=True)]
        whole = event(None, 0, 10) + b"".join(event(m, n + 1) for n, m in enumerate(messages))
        begun = len(event(None, 0, 10))

        async def handler(asked: Asked) -> Answer:
            if asked.method == "POST" and asked.body.get("method") == "tools/call":
                return Answer(chunks=[whole[: begun + cut]], cut=True)
            last = asked.headers.get("last-event-id")
            if asked.method == "GET" and last is not None:
                rest = b"".join(
                    event(m, n + 1) for n, m in enumerate(messages) if n + 1 > int(last)
                )
                return Answer(chunks=[rest])
            return await greeting(asked)

        async with talking(handler) as (_, channel):
            await greet(channel)
            await channel.send(CALL)
            found = []
            while True:
                received = await channel.receive()
                if isinstance(received, Arrived):
                    assert 2 == received.about
                    found.append(received.message)
                elif isinstance(received, dict):
                    found.append(received)
                    break
            assert messages == found

    async def test_a_stream_that_is_closed_in_order(self) -> None:
        """The peer gets `Paused`, and the stream is resumed."""

        async def handler(asked: Asked) -> Answer:
            if asked.method == "POST" and asked.body.get("method") == "tools/call":
                return Answer(chunks=[event(None, 5, 10)])
            if asked.headers.get("last-event-id") == "5":
                return Answer(chunks=[event(result(CALL, ok=True), 6)])
            return await greeting(asked)

        async with talking(handler) as (_, channel):
            await greet(channel)
            await channel.send(CALL)
            assert Paused(2) == await channel.receive()
            assert result(CALL, ok=True) == await channel.receive()

    async def test_a_stream_without_ids_cannot_be_resumed(self) -> None:
        """Its request is lost, alone."""

        async def handler(asked: Asked) -> Answer:
            if asked.body and asked.body.get("id") == 2:
                return Answer(chunks=[b": hello\n\n"], cut=True)
            return await greeting(asked)

        async with talking(handler) as (_, channel):
            await greet(channel)
            await channel.send(CALL)
            failed = await channel.receive()
            assert isinstance(failed, Failed)
            assert failed.error.sent
            await channel.send({**CALL, "id": 3})
            assert {"ok": True} == (await channel.receive())["result"]  # type: ignore[index, call-overload]

    async def test_the_servers_own_stream(self) -> None:
        """It is opened after the handshake; what comes on it belongs to no request of ours."""
        note = {"jsonrpc": "2.0", "id": 9, "method": "roots/list"}

        async def handler(asked: Asked) -> Answer:
            if asked.method == "GET":
                return Answer(chunks=[event(note, 1)], hold=True)
            return await greeting(asked)

        async with talking(handler) as (_, channel):
            await greet(channel)
            assert note == await channel.receive()

    async def test_an_idle_stream_is_given_up(self) -> None:
        """A stream on which nothing comes for too long is taken for broken."""
        from mcpgw.transports.http_exchange import HttpTimeouts

        async def handler(asked: Asked) -> Answer:
            if asked.body and asked.body.get("id") == 2:
                return Answer(chunks=[b": hello\n\n"], hold=True)
            return await greeting(asked)

        async with talking(handler, timeouts=HttpTimeouts(idle=0.2)) as (_, channel):
            await greet(channel)
            await channel.send(CALL)
            failed = await channel.receive()
            assert isinstance(failed, Failed)
            assert "0.2 s" in failed.error.reason


class TestRefusals:
    @pytest.mark.parametrize(
        ("answer", "sent", "words"),
        [
            (Answer(503, b"come back later"), True, "503"),
            (Answer(418, b"no"), False, "418"),
            (Answer(500, {"error": "boom"}), True, 'HTTP 500 Reason: {"error": "boom"}'),
            (Answer(500, {"error": {"code": 7}, "status": "x"}), True, "HTTP 500"),
            (Answer(403, {"error": "insufficient_scope"}), False, "insufficient_scope"),
            (Answer(202), True, "202"),
            (Answer(200, b"<html>", {"content-type": "text/html"}), True, "text/html"),
            (Answer(302, headers={"location": "http://elsewhere.example/mcp"}), False, "elsewhere"),
        ],
    )
    async def test_one_request_is_lost(self, answer: Answer, sent: bool, words: str) -> None:
        """It fails with the reason, and the conversation goes on."""

        async def handler(asked: Asked) -> Answer:
            refused = bool(asked.body) and asked.body.get("id") == 2
            return answer if refused else await greeting(asked)

        async with talking(handler) as (_, channel):
            await greet(channel)
            await channel.send(CALL)
            failed = await channel.receive()
            assert isinstance(failed, Failed)
            assert sent is failed.error.sent
            assert words in failed.error.reason
            await channel.send({**CALL, "id": 3})
            assert 3 == (await channel.receive())["id"]  # type: ignore[index, call-overload]

    async def test_a_call_is_not_sent_twice(self) -> None:
        """A POST whose connection ends without a word may have had its effect."""

        async def handler(asked: Asked) -> Answer:
            if (asked.body or {}).get("method") == CALL["method"]:
                raise trio.BrokenResourceError
            return await greeting(asked)

        async with talking(handler) as (server, channel):
            await greet(channel)
            await channel.send(CALL)
            failed = await channel.receive()
            assert isinstance(failed, Failed)
            assert failed.error.sent
            assert 1 == [each.body for each in server.asked].count(CALL)

    async def test_an_error_message_is_handed_up(self) -> None:
        """A refusal that is a message is an answer."""
        fault = {"jsonrpc": "2.0", "id": None, "error": {"code": -32020, "message": "no"}}

        async def handler(asked: Asked) -> Answer:
            return Answer(400, fault) if asked.body.get("id") == 2 else await greeting(asked)

        async with talking(handler) as (_, channel):
            await channel.send(HELLO)
            await channel.receive()
            await channel.send(CALL)
            assert {**fault, "id": 2} == await channel.receive()

    async def test_too_large_answers(self) -> None:
        """Neither a body nor an event of any size is kept."""
        for answer in (
            Answer(body={"big": "x" * 5000}),
            Answer(chunks=[b"data: " + b"x" * 900] * 9, hold=True),
        ):

            async def handler(asked: Asked, answer: Answer = answer) -> Answer:
                return answer if asked.body and asked.body.get("id") == 2 else await greeting(asked)

            async with talking(handler, limit=2048) as (_, channel):
                await greet(channel)
                await channel.send(CALL)
                failed = await channel.receive()
                assert isinstance(failed, Failed)
                assert "2048" in failed.error.reason

    async def test_credentials(self) -> None:
        """A refusal for want of them is put to the authorizer, and the request sent again."""

        class Keys:
            token = ""
            asked = 0

            async def headers(self) -> dict[str, str]:
                return {"Authorization": self.token} if self.token else {}

            async def challenged(self, status: int, headers: Any) -> bool:
                self.asked += 1
                if self.asked > 1:
                    raise AuthorizationFailed("log in first")
                assert (401, "Bearer realm=x") == (status, headers["www-authenticate"])
                self.token = "good"
                return True

        async def handler(asked: Asked) -> Answer:
            if asked.headers.get("authorization") == "good" and asked.body.get("id") != 2:
                return await greeting(asked)
            return Answer(401, headers={"WWW-Authenticate": "Bearer realm=x"})

        async with talking(handler, authorizer=Keys()) as (_, channel):
            await channel.send(HELLO)
            assert 1 == (await channel.receive())["id"]  # type: ignore[index, call-overload]
            await channel.send(CALL)
            failed = await channel.receive()
            assert isinstance(failed, Failed)
            assert (False, "log in first") == (failed.error.sent, failed.error.reason)


class TestStatelessEra:
    async def test_headers_repeat_the_request(self) -> None:
        """Revision, method, name and header parameters; no session."""
        from mcpgw.protocol.header_params import HeaderParam

        async with talking(greeting) as (server, channel):
            channel.tool_params["t é"] = (HeaderParam("Region", ("region",), "string"),)
            params = {"name": "t é", "arguments": {"region": "eu "}, "_meta": META}
            await channel.send({**CALL, "params": params})
            await channel.receive()
        headers = server.asked[0].headers
        assert "2026-07-28" == headers["mcp-protocol-version"]
        assert "tools/call" == headers["mcp-method"]
        assert "=?base64?dCDDqQ==?=" == headers["mcp-name"]
        assert "=?base64?ZXUg?=" == headers["mcp-param-region"]
        assert "mcp-session-id" not in headers

    async def test_cancelling_closes_the_stream(self) -> None:
        """No message is sent: closing the response is the cancellation."""

        async def handler(asked: Asked) -> Answer:
            return Answer(chunks=[b": hello\n\n"], hold=True)

        async with talking(handler) as (server, channel):
            await channel.send({**CALL, "params": {"name": "t", "_meta": META}})
            await server.heard(1)
            await trio.sleep(0.05)
            cancelled = {"requestId": 2}
            channel.send_nowait(
                {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancelled}
            )
            await trio.sleep(0.1)
            assert 1 == len(server.asked)
            assert "running=0" in repr(channel)


class TestOlderTransport:
    @pytest.mark.parametrize("status", [400, 404, 405])
    async def test_it_is_found_out(self, status: int) -> None:
        """A refused first POST is followed by a look for the event stream."""

        async def handler(asked: Asked) -> Answer:
            if asked.method == "GET":
                first = b"event: endpoint\ndata: /messages?s=1\n\n"
                return Answer(chunks=[first, event(result(HELLO, ok=True))], hold=True)
            return Answer(202) if asked.path == "/messages?s=1" else Answer(status)

        async with talking(handler) as (server, channel):
            await channel.send(HELLO)
            assert result(HELLO, ok=True) == await channel.receive()
            await server.heard(3)
            paths = [f"{each.method} {each.path}" for each in server.asked]
            assert ["POST /mcp", "GET /mcp", "POST /messages?s=1"] == paths

    async def test_a_connection_that_ends_just_when_it_is_used_again(self) -> None:
        """The look for the event stream is made once more, on a new connection."""
        looks = 0

        async def handler(asked: Asked) -> Answer:
            nonlocal looks
            if asked.method == "GET":
                looks += 1
                if looks == 1:
                    raise trio.BrokenResourceError
                first = b"event: endpoint\ndata: /messages?s=1\n\n"
                return Answer(chunks=[first, event(result(HELLO, ok=True))], hold=True)
            return Answer(202) if asked.path == "/messages?s=1" else Answer(405)

        async with talking(handler) as (_, channel):
            await channel.send(HELLO)
            assert result(HELLO, ok=True) == await channel.receive()
            assert 2 == looks

    async def test_an_error_of_the_newer_era_is_no_sign_of_it(self) -> None:
        """A server that names its revisions is not asked for the older transport."""
        fault = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32022, "message": "no"}}

        async def handler(_asked: Asked) -> Answer:
            return Answer(400, fault)

        async with talking(handler) as (server, channel):
            await channel.send(HELLO)
            assert fault == await channel.receive()
            assert 1 == len(server.asked)

    async def test_an_endpoint_elsewhere_is_refused(self) -> None:
        """Credentials are not sent to another origin that a server names."""

        async def handler(_asked: Asked) -> Answer:
            first = b"event: endpoint\ndata: http://elsewhere.example/m\n\n"
            return Answer(chunks=[first], hold=True)

        async with talking(handler, kind="sse") as (_, channel):
            await channel.send(HELLO)
            assert isinstance(await channel.receive(), Failed)
            with pytest.raises(trio.EndOfChannel):
                await channel.receive()
            assert "elsewhere.example" in channel.ending
