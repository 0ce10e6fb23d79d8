"""The Streamable HTTP client against a scripted server."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from mcpgw.protocol.channel import Arrived, Failed, Paused
from mcpgw.transports.authorization import AuthorizationFailed
from tests.support.scripted_http import (
    CALL,
    HELLO,
    META,
    Answer,
    Asked,
    event,
    greet,
    greeting,
    result,
    talking,
)


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
