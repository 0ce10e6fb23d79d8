"""The channel to a backend: secrets and oversized errors do not get past it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import trio

from mcpgw.backends.guarded_channel import GuardedChannel, redactor_of
from mcpgw.config.schema import BackendConfig
from mcpgw.observe.redactor import ERROR_LIMIT, Redactor
from mcpgw.protocol.channel import Arrived, Failed
from mcpgw.protocol.errors import ConnectionLost
from mcpgw.protocol.memory import channel_pair

SECRET = "words-of-a-secret-1"


class Played:
    """A channel that returns one prepared value."""

    def __init__(self, received: Any) -> None:
        self.received = received

    async def receive(self) -> Any:
        """Return the value."""
        return self.received


async def heard(received: Any, redactor: Redactor | None = None) -> Any:
    """Return a received value as the gateway gets it."""
    known = Redactor((SECRET,)) if redactor is None else redactor
    guarded = GuardedChannel(Played(received), known)  # type: ignore[arg-type]
    return await guarded.receive()


def response(**fields: Any) -> dict[str, Any]:
    """Return a response with the id 1."""
    return {"jsonrpc": "2.0", "id": 1, **fields}


@pytest.mark.parametrize(
    "message",
    [
        response(result={"content": [{"type": "text", "text": f"a {SECRET} b"}]}),
        response(result={"structuredContent": {"a": [{SECRET: SECRET}]}}),
        response(result={"contents": [{"uri": "x://y", "text": SECRET}]}),
        response(result={"tools": [{"name": "a", "description": SECRET}]}),
        response(result={"serverInfo": {"title": SECRET}, "instructions": f"use {SECRET}"}),
        response(error={"code": -1, "message": SECRET, "data": {"headers": {"x": SECRET}}}),
        response(error=SECRET),
        {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": [SECRET]}},
        {"jsonrpc": "2.0", "id": 5, "method": "sampling/createMessage", "params": {"a": SECRET}},
        [response(result={"a": SECRET}), response(error={"code": 1, "message": SECRET})],
    ],
    ids=lambda message: json.dumps(message)[:60],
)
async def test_messages(message: Any) -> None:
    """Secrets are replaced in results, errors, notifications and requests."""
    got = await heard(message)
    assert SECRET not in json.dumps(got)
    assert "[redacted]" in json.dumps(got)
    if isinstance(message, dict):
        assert message.keys() == got.keys()
        assert SECRET not in json.dumps((await heard(Arrived(message, 3))).message)


async def test_protocol_values_stay() -> None:
    """Ids, codes, cursors and tokens of requests stay, whatever they contain."""
    result = {"tools": [{"name": SECRET}], "nextCursor": SECRET}
    got = await heard({"jsonrpc": "2.0", "id": SECRET, "result": result})
    assert (SECRET, SECRET) == (got["id"], got["result"]["nextCursor"])
    assert [{"name": "[redacted]"}] == got["result"]["tools"]
    error = {"code": -32000, "message": "plain", "data": {"n": 1, "supported": ["2025-11-25"]}}
    assert response(error=error) == await heard(response(error=error))


async def test_a_lost_request() -> None:
    """The reason of a lost request is redacted, and the rest of the report stays."""
    lost = Failed(3, ConnectionLost("a", sent=False, reason=f"HTTP 502: {SECRET}"))
    got = await heard(lost)
    assert (3, False, "HTTP 502: [redacted]") == (got.request, got.error.sent, got.error.reason)


async def test_nothing_to_do() -> None:
    """Without secrets, a result is passed on as the same object."""
    message = response(result={"content": [{"type": "text", "text": SECRET}]})
    assert message is await heard(message, Redactor())


@pytest.mark.parametrize(
    "error",
    [
        {"code": -1, "message": "token=x " * 1_100_000},
        {"code": -1, "message": "m", "data": "x" * 9_000_000},
        {"code": -1, "message": "m", "data": ["x" * 50] * 170_000},
        {"code": -1, "message": "m", "data": {f"k{n}": {"a": [1]} for n in range(200_000)}},
        "x" * 9_000_000,
    ],
    ids=["message", "text", "list", "map", "no object"],
)
async def test_huge_errors(error: Any) -> None:
    """An error of 9 MB is cut before it is searched, and so costs next to nothing."""
    began = time.process_time()
    got = await heard(response(error=error))
    assert time.process_time() - began < 0.5
    assert len(json.dumps(got)) < 40 * ERROR_LIMIT
    if isinstance(error, dict):
        assert -1 == got["error"]["code"]


class Tokens:
    """An authorizer whose token changes."""

    def __init__(self) -> None:
        self.token = "first-token-of-words"

    def secrets(self) -> tuple[str, ...]:
        """Return the current token."""
        return (self.token,)


async def test_tokens_of_a_login() -> None:
    """The current token and earlier ones are replaced, and the password of a proxy."""
    tokens = Tokens()
    config = BackendConfig(name="a", http_url="https://a.example/mcp")
    environ = {"HTTPS_PROXY": "http://me:proxy-pass-word@proxy.example:3128"}
    redactor = redactor_of(config, environ, tokens)  # type: ignore[arg-type]
    text = "first-token-of-words second-token-of-words proxy-pass-word"
    assert "[redacted] second-token-of-words [redacted]" == redactor.known(text)
    tokens.token = "second-token-of-words"
    got = await heard(response(result={"text": text}), redactor)
    assert "[redacted] [redacted] [redacted]" == got["result"]["text"]


async def test_sending_is_unchanged() -> None:
    """Sent messages are unchanged: the server needs the secret."""
    ours, theirs = channel_pair()
    guarded = GuardedChannel(ours, Redactor((SECRET,)))
    message = {"jsonrpc": "2.0", "method": "x", "params": {"a": SECRET}}
    with trio.fail_after(5):
        await guarded.send(message)
        assert message == await theirs.receive()
        assert guarded.send_nowait(message)
        assert message == await theirs.receive()
