"""HTTP servers as they are: forgotten sessions in many words, unreadable answers, limits."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

from mcpgw.protocol.channel import Failed
from mcpgw.protocol.jsonrpc import Malformed
from mcpgw.transports.sse_stream import SHORTEST_RETRY, SseStream
from tests.support.scripted_http import (
    CALL,
    HELLO,
    READY,
    Answer,
    Asked,
    event,
    greet,
    greeting,
    result,
    talking,
)


def rpc_error(asked: Asked, code: int, text: str, *, own_id: bool = True) -> dict[str, Any]:
    error = {"code": code, "message": text}
    known = asked.body.get("id") if own_id else None
    return {"jsonrpc": "2.0", "id": known, "error": error}


NO_SESSION = "Bad Request: No valid session ID provided"
FORGOTTEN = {
    "404": lambda _asked: Answer(404),
    "404 with an error": lambda asked: Answer(404, rpc_error(asked, -32001, "Session not found")),
    "400 as in the TypeScript SDK's example": lambda asked: Answer(
        400, rpc_error(asked, -32000, NO_SESSION, own_id=False)
    ),
    "400 of a server that was not initialized": lambda asked: Answer(
        400, rpc_error(asked, -32000, "Bad Request: Server not initialized", own_id=False)
    ),
    "400 in plain text": lambda _asked: Answer(400, NO_SESSION.encode()),
    "400 in words of its own": lambda _asked: Answer(400, b"unknown client"),
    "400 with JSON of its own": lambda _asked: Answer(400, {"detail": "expired"}),
    "401 without a challenge": lambda _asked: Answer(401, b"Session not found"),
    "403": lambda _asked: Answer(403, b"session expired"),
    "410": lambda _asked: Answer(410),
    "422": lambda _asked: Answer(422, {"error": "session"}),
    "500 that speaks of it": lambda _asked: Answer(500, {"error": "no such session"}),
    "200 with an error": lambda asked: Answer(body=rpc_error(asked, -32001, "Session not found")),
    "200 with another error": lambda asked: Answer(
        body=rpc_error(asked, -32600, "Invalid session id")
    ),
    "200 with an error in a stream": lambda asked: Answer(
        chunks=[event(rpc_error(asked, -32001, "Session not found"))]
    ),
}


class TestForgottenSessions:
    @pytest.mark.parametrize("how", FORGOTTEN)
    async def test_the_conversation_ends_and_the_request_had_no_effect(self, how: str) -> None:
        """Whatever the status: a ping in the session fails as well."""

        async def handler(asked: Asked) -> Answer:
            if asked.method == "POST" and asked.body.get("method") in ("tools/call", "ping"):
                return FORGOTTEN[how](asked)
            return await greeting(asked)

        async with talking(handler, authorizer=Authorizer()) as (_, channel):
            await greet(channel)
            await channel.send(CALL)
            failed = await channel.receive()
            assert isinstance(failed, Failed)
            assert (2, False) == (failed.request, failed.error.sent)
            with pytest.raises(trio.EndOfChannel):
                await channel.receive()
            assert channel.expired

    @pytest.mark.parametrize("how", [each for each in FORGOTTEN if "404" not in each])
    async def test_a_refusal_in_a_session_that_lives_is_an_answer(self, how: str) -> None:
        """A tool may speak of its own sessions, and a server may refuse a single call."""

        async def handler(asked: Asked) -> Answer:
            if asked.method == "POST" and asked.body.get("method") == "tools/call":
                return FORGOTTEN[how](asked)
            return await greeting(asked)

        async with talking(handler) as (_, channel):
            await greet(channel)
            await channel.send(CALL)
            received = await channel.receive()
            if isinstance(received, Failed):
                assert received.error.reason
            else:
                assert isinstance(received, dict)
                assert (2, True) == (received["id"], "error" in received)
            await channel.send({**CALL, "id": 3, "method": "tools/list"})
            assert {"ok": True} == (await channel.receive())["result"]  # type: ignore[index,call-overload]
            assert not channel.expired

    async def test_each_of_many_requests_gets_its_own_refusal(self) -> None:
        """All were refused unread, so all may be sent again."""
        count = 50
        arrived = 0

        async def handler(asked: Asked) -> Answer:
            nonlocal arrived
            if asked.method == "POST" and asked.body.get("method") == "tools/call":
                arrived += 1
                await trio.sleep(0.002 * arrived)
                return Answer(404)
            return await greeting(asked)

        async with talking(handler) as (_, channel):
            await greet(channel)
            for number in range(count):
                await channel.send({**CALL, "id": 10 + number})
            failures = [await channel.receive() for _ in range(count)]
            with pytest.raises(trio.EndOfChannel):
                await channel.receive()
            with pytest.raises(trio.BrokenResourceError):
                await channel.send(CALL)
        assert len(failures) == count
        assert not any(each.error.sent for each in failures if isinstance(each, Failed))


class Authorizer:
    """Credentials that a server never refuses."""

    async def headers(self) -> dict[str, str]:
        return {}

    async def challenged(self, status: int, headers: Any) -> bool:
        raise AssertionError(f"{status} is about the session")


UNUSABLE = {
    "204": (Answer(204), "HTTP 204 with no content"),
    "202": (Answer(202), "HTTP 202 with no content"),
    "no type": (Answer(200, b"{}"), "no content"),
    "an empty body": (Answer(200, b"", {"content-type": "application/json"}), "it is empty"),
    "a cut body": (
        Answer(200, b'{"jsonrpc":"2.0","id":2,"resu', {"content-type": "application/json"}),
        "not JSON",
    ),
    "another id": (Answer(body={"jsonrpc": "2.0", "id": 77, "result": {}}), "the id 77"),
    "an empty array": (Answer(body=[]), "it is empty"),
    "a web page": (Answer(200, b"<html>", {"content-type": "text/html"}), "text/html"),
    "a stream without the answer": (Answer(chunks=[b": hello\n\n"]), "ended before"),
}


class TestAnswers:
    @pytest.mark.parametrize("what", UNUSABLE)
    async def test_what_cannot_be_used_fails_at_once(self, what: str) -> None:
        answer, words = UNUSABLE[what]

        async def handler(asked: Asked) -> Answer:
            called = asked.method == "POST" and asked.body.get("method") == "tools/call"
            return answer if called else await greeting(asked)

        async with talking(handler) as (_, channel):
            await greet(channel)
            await channel.send(CALL)
            failed = await channel.receive()
            assert isinstance(failed, Failed)
            assert words in failed.error.reason
            await channel.send({**CALL, "id": 3, "method": "tools/list"})
            assert 3 == (await channel.receive())["id"]  # type: ignore[index,call-overload]

    @pytest.mark.parametrize(
        ("request_id", "streamed"),
        [("2", False), (2.0, False), (None, False), ("2", True), (2.0, True)],
    )
    async def test_the_id_in_another_form(self, request_id: Any, streamed: bool) -> None:
        """An error may have no id at all in a JSON body, which answers one request only."""
        body: dict[str, Any] = {"jsonrpc": "2.0", "id": request_id}
        body |= {"error": {"code": 1, "message": "no"}} if request_id is None else {"result": {}}

        async def handler(asked: Asked) -> Answer:
            if asked.method == "POST" and asked.body.get("method") == "tools/call":
                return Answer(chunks=[event(body)]) if streamed else Answer(body=body)
            return await greeting(asked)

        async with talking(handler) as (_, channel):
            await greet(channel)
            await channel.send(CALL)
            received = await channel.receive()
            assert isinstance(received, dict)
            assert (2, int) == (received["id"], type(received["id"]))

    @pytest.mark.parametrize("streamed", [False, True])
    async def test_a_byte_order_mark(self, streamed: bool) -> None:
        async def handler(asked: Asked) -> Answer:
            if asked.method == "POST" and asked.body.get("id") is not None:
                body = (
                    b"\xef\xbb\xbf" + json.dumps(result(asked.body, protocolVersion="x")).encode()
                )
                if streamed:
                    return Answer(chunks=[b"\xef\xbb\xbfdata: " + body + b"\n\n"])
                return Answer(200, body, {"content-type": "application/json"})
            return await greeting(asked)

        async with talking(handler) as (_, channel):
            await channel.send(HELLO)
            assert 1 == (await channel.receive())["id"]  # type: ignore[index,call-overload]

    async def test_an_unreadable_event_that_shows_the_id(self) -> None:
        async def handler(asked: Asked) -> Answer:
            if asked.method == "POST" and asked.body.get("method") == "tools/call":
                return Answer(chunks=[b'data: {"jsonrpc":"2.0","id":2,"result":{"a":01}}\n\n'])
            return await greeting(asked)

        async with talking(handler) as (_, channel):
            await greet(channel)
            await channel.send(CALL)
            received = await channel.receive()
            assert isinstance(received, Malformed)
            assert (2, True) == (received.id, received.answers)


class TestLimits:
    @pytest.mark.parametrize(
        ("status", "header", "seconds", "sent"),
        [(429, "2", 2.0, False), (429, None, 1.0, False), (503, "7", 7.0, True),
         (503, None, None, True), (429, "Thu, 01 Jan 1970 00:00:00 GMT", 0.0, False),
         (429, "soon", 1.0, False), (429, "9" * 30, 1.0, False)],
    )  # fmt: skip
    async def test_retry_after(
        self, status: int, header: str | None, seconds: float | None, sent: bool
    ) -> None:
        headers = {} if header is None else {"Retry-After": header}

        async def handler(asked: Asked) -> Answer:
            called = asked.method == "POST" and asked.body.get("method") == "tools/call"
            return Answer(status, b"busy", headers) if called else await greeting(asked)

        async with talking(handler) as (_, channel):
            await greet(channel)
            await channel.send(CALL)
            failed = await channel.receive()
            assert isinstance(failed, Failed)
            assert (seconds, sent) == (failed.error.retry_after, failed.error.sent)


class TestStandaloneStream:
    async def test_a_server_that_closes_it_at_once_is_not_asked_in_a_loop(self) -> None:
        gets = 0

        async def handler(asked: Asked) -> Answer:
            nonlocal gets
            if asked.method == "GET":
                gets += 1
                return Answer(chunks=[b"retry: 0\nid: 1\ndata:\n\n"])
            return await greeting(asked)

        async with talking(handler) as (_, channel):
            await channel.send(HELLO)
            await channel.receive()
            await channel.send(READY)
            await trio.sleep(1)
        assert 1 <= gets <= 6

    @pytest.mark.parametrize("retry", [b"0", b"1", b"9" * 400, b"9" * 5000, b"-1", b"1e9"])
    def test_the_delay_has_bounds(self, retry: bytes) -> None:
        stream = SseStream(1000_000)
        stream.take(b"retry: " + retry + b"\ndata: x\n\n")
        assert SHORTEST_RETRY <= stream.delay(0) < 2_000_000
        assert SHORTEST_RETRY <= stream.delay(10**6) < 2_000_000


async def test_each_of_many_requests_to_a_server_that_is_gone_fails_by_itself() -> None:
    """None of them was sent, so all may be sent again."""
    async with talking(greeting, url="http://127.0.0.1:9/mcp") as (_, channel):
        channel._began = True  # the requests do not wait for the first one
        for number in range(20):
            await channel.send({**CALL, "id": 10 + number})
        failures = [await channel.receive() for _ in range(20)]
        with pytest.raises(trio.EndOfChannel):
            await channel.receive()
    assert not any(each.error.sent for each in failures if isinstance(each, Failed))
    assert "127.0.0.1:9" in channel.ending
