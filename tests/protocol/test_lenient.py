"""Messages that are not quite valid, which the official SDKs accept or existing peers send."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
import trio
import trio.lowlevel

from mcpgw.protocol.errors import RpcError
from mcpgw.protocol.jsonrpc import Malformed, decode
from mcpgw.protocol.request import arguments_of
from tests.support.memory import channel_pair, echo, make_peer, running

OK = {"content": []}


def received(line: bytes) -> Any:
    """Decode a line to something that the channel of the tests can copy."""
    found = decode(line)
    return attrs.evolve(found, code=int(found.code)) if isinstance(found, Malformed) else found


async def answered(*responses: Any) -> Any:
    """Send a request, and return the result that a peer makes of raw responses to it."""
    here, there = channel_pair()
    client = make_peer(here)
    found: list[Any] = []

    async def ask() -> None:
        try:
            found.append(await client.request("tools/call", {"name": "x"}))
        except RpcError as error:
            found.append(error)

    async with running(client), trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await there.receive()
        for response in responses:
            await there.send(response)
        with trio.fail_after(5):
            while not found:
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    return found[0]


@pytest.mark.parametrize("request_id", [1, "1", 1.0])
async def test_the_id_may_be_written_in_another_way(request_id: Any) -> None:
    assert await answered({"jsonrpc": "2.0", "id": request_id, "result": OK}) == OK


async def test_a_null_error_beside_a_result_is_no_error() -> None:
    assert await answered({"jsonrpc": "2.0", "id": 1, "result": OK, "error": None}) == OK


async def test_an_error_wins_over_a_null_result() -> None:
    error = {"code": -32050, "message": "no"}
    failed = await answered({"jsonrpc": "2.0", "id": 1, "result": None, "error": error})
    assert (failed.code, failed.message) == (-32050, "no")


@pytest.mark.parametrize("members", [{}, {"id": None}])
async def test_an_error_without_an_id_answers_the_only_request(members: dict[str, Any]) -> None:
    error = {"code": -32700, "message": "cannot read that"}
    failed = await answered({"jsonrpc": "2.0", **members, "error": error})
    assert failed.message == "cannot read that"


async def test_an_empty_list_is_an_empty_object() -> None:
    """PHP encodes both as `[]`."""
    assert await answered({"jsonrpc": "2.0", "id": 1, "result": []}) == {}


@pytest.mark.parametrize(
    "response",
    [
        {"jsonrpc": "2.0", "id": 1},
        {"jsonrpc": "2.0", "id": 1, "error": None},
        {"jsonrpc": "2.0", "id": 1, "error": "boom"},
        {"jsonrpc": "2.0", "id": 1, "result": None},
        {"jsonrpc": "2.0", "id": 1, "result": "text"},
        {"jsonrpc": "1.0", "id": 1, "result": OK},
        {"id": "1", "result": OK},
        Malformed(-32700, "not JSON", 1, answers=True),
        Malformed(-32700, "not JSON", "1", answers=True),
    ],
    ids=str,
)
async def test_a_response_that_cannot_be_read_ends_its_request_at_once(response: Any) -> None:
    assert isinstance(await answered(response), RpcError)


@pytest.mark.parametrize("params", [None, []])
async def test_empty_params_are_no_params(params: Any) -> None:
    here, there = channel_pair()
    async with running(make_peer(here, serve=echo)):
        await there.send({"jsonrpc": "2.0", "id": 1, "method": "x", "params": params})
        answer: Any = await there.receive()
    assert answer["result"] == {"method": "x", "params": {}}


@pytest.mark.parametrize("token", ["1", 1, 1.0])
async def test_a_progress_token_may_come_back_in_another_form(token: Any) -> None:
    here, there = channel_pair()
    client = make_peer(here)
    seen: list[Any] = []
    async with running(client), trio.open_nursery() as nursery:
        nursery.start_soon(lambda: client.request("x", on_progress=seen.append))
        await there.receive()
        params = {"progressToken": token, "progress": 1}
        await there.send({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
        await there.send({"jsonrpc": "2.0", "id": 1, "result": {}})
    assert [each["progress"] for each in seen] == [1]


@pytest.mark.parametrize(
    "line",
    [
        b"\xef\xbb\xbf" + b'{"jsonrpc":"2.0","id":1,"result":{}}',
        b"\xef\xbb\xbf  " + b'{"jsonrpc":"2.0","id":1,"result":{}}',
    ],
)
def test_a_byte_order_mark_is_skipped(line: bytes) -> None:
    assert decode(line) == {"jsonrpc": "2.0", "id": 1, "result": {}}


def test_bytes_that_are_not_utf_8_become_replacement_characters() -> None:
    line = b'{"jsonrpc":"2.0","id":1,"result":{"text":"caf\xe9 \xff"}}'
    message = decode(line)
    assert isinstance(message, dict)
    assert message["result"] == {"text": "caf\ufffd \ufffd"}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e400"])
def test_numbers_of_a_result_that_json_has_not_become_null(number: str) -> None:
    line = f'{{"jsonrpc":"2.0","id":1,"result":{{"n":{number},"m":2.5}}}}'.encode()
    assert decode(line) == {"jsonrpc": "2.0", "id": 1, "result": {"n": None, "m": 2.5}}


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","id":4,"result":{"text":"cut',
        b'{"jsonrpc":"2.0","id":4,"result":{"a":01}}',
        b'{"jsonrpc":"2.0","id":4,"result":{}} and more',
        b'{"jsonrpc":"2.0","id":4,"result":' + b"[" * 100_000,
        b"\xef\xbb\xbf" + b'{"jsonrpc":"2.0","id":4,"result":{',
    ],
    ids=range(5),
)
def test_the_id_of_an_unreadable_response_is_found(line: bytes) -> None:
    found = decode(line)
    assert isinstance(found, Malformed)
    assert (4, True) == (found.id, found.answers)


async def test_a_banner_without_a_line_end_before_the_first_response() -> None:
    response = {"jsonrpc": "2.0", "id": 1, "result": OK}
    line = b"Loading... " + json.dumps(response).encode()
    assert await answered(received(line)) == OK


async def test_a_log_line_that_quotes_a_request_is_not_served() -> None:
    """Servers in debug mode print the messages that they receive."""
    line = b'[debug] received {"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}'
    found = decode(line)
    assert isinstance(found, Malformed)
    assert found.embedded is None


async def test_noise_is_described() -> None:
    here, there = channel_pair()
    client = make_peer(here)
    async with running(client):
        assert client.noise.described() == ""
        for text in (b"Loading model", b"still loading"):
            await there.send(received(text))
        while client.noise.lines < 2:
            await trio.lowlevel.checkpoint()
    assert client.noise.described() == (
        "its output has 2 lines that are not MCP messages; the last: 'still loading' (not JSON: a"
        " value cannot start like this)"
    )
    assert client.noise.described(since=1).startswith("its output has 1 line that is not")
    assert client.noise.described(since=2) == ""


@pytest.mark.parametrize("given", [{}, {"arguments": None}, {"arguments": []}])
def test_arguments_that_stand_for_none(given: dict[str, Any]) -> None:
    assert arguments_of(given) == {}


@pytest.mark.parametrize("given", ["x", 1, [1], True, 0, ""])
def test_arguments_of_another_type_are_refused(given: Any) -> None:
    with pytest.raises(RpcError):
        arguments_of({"arguments": given})


@pytest.mark.parametrize("end", ["", "5", "5 ", '5,"x":', "5}", '"5"', '"5', '"5" '])
def test_an_id_that_may_be_cut_is_not_used(end: str) -> None:
    found = decode(f'{{"jsonrpc":"2.0","id":{end}'.encode())
    if isinstance(found, Malformed):
        assert found.id == (5 if end.startswith("5,") else None)
    else:
        assert found["id"] == 5


async def test_an_unreadable_line_does_not_answer_a_request_in_flight() -> None:
    here, there = channel_pair()

    async def wait(_request: Any) -> dict[str, Any]:
        await trio.sleep_forever()
        return {}

    async with running(make_peer(here, serve=wait, answer_malformed=True)):
        await there.send({"jsonrpc": "2.0", "id": 1, "method": "x"})
        await there.send(Malformed(-32700, "not JSON", 1))
        answer: Any = await there.receive()
    assert "id" not in answer
