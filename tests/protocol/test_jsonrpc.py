"""JSON-RPC messages to and from bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.protocol.errors import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR
from mcpgw.protocol.jsonrpc import Malformed, check, decode, encode, oversized

values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


class TestRoundTrip:
    @given(st.dictionaries(st.text(), values))
    def test_any_message_survives(self, message: dict[str, Any]) -> None:
        """Encoding and decoding keep a message, including unknown members."""
        line = encode(message)

        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert message == decode(line[:-1])

    def test_lone_surrogate_survives(self) -> None:
        """A half of a surrogate pair, legal as a JSON escape, is passed on as an escape."""
        message = decode(rb'{"text":"\ud83d"}')
        assert isinstance(message, dict)

        assert b'{"text":"\\ud83d"}\n' == encode(message)

    def test_what_json_cannot_carry_is_refused(self) -> None:
        """NaN and unsupported types raise ValueError instead of producing invalid JSON."""
        for value in (float("nan"), {1, 2}, object()):
            with pytest.raises(ValueError):
                encode({"value": value})


class TestDecode:
    @pytest.mark.parametrize(
        ("line", "code"),
        [
            (b"hello", PARSE_ERROR),
            (b'{"a":', PARSE_ERROR),
            (b'{"a":NaN}', PARSE_ERROR),
            (b"\xff\xfe", PARSE_ERROR),
            (b"[" * 100_000, PARSE_ERROR),
            (b"9" * 5000, PARSE_ERROR),
            (b"7", INVALID_REQUEST),
            (b'"text"', INVALID_REQUEST),
            (b"null", INVALID_REQUEST),
        ],
    )
    def test_a_line_that_is_no_message(self, line: bytes, code: int) -> None:
        """Each kind of garbage is named by the code of the specification."""
        found = decode(line)

        assert isinstance(found, Malformed)
        assert code == found.code

    @given(st.binary(max_size=200))
    def test_no_bytes_raise(self, line: bytes) -> None:
        """Decoding any bytes gives a message or `Malformed`."""
        assert isinstance(decode(line), (dict, list, Malformed))


class TestCheck:
    @pytest.mark.parametrize(
        ("message", "code"),
        [
            ({"id": 1, "method": "x"}, INVALID_REQUEST),
            ({"jsonrpc": "1.0", "id": 1, "method": "x"}, INVALID_REQUEST),
            ({"jsonrpc": "2.0", "id": None, "method": "x"}, INVALID_REQUEST),
            ({"jsonrpc": "2.0", "id": 1.5, "method": "x"}, INVALID_REQUEST),
            ({"jsonrpc": "2.0", "id": True, "method": "x"}, INVALID_REQUEST),
            ({"jsonrpc": "2.0", "id": 1, "method": 7}, INVALID_REQUEST),
            ({"jsonrpc": "2.0", "id": 1}, INVALID_REQUEST),
            ({"jsonrpc": "2.0", "id": 1, "method": "x", "params": [1]}, INVALID_PARAMS),
        ],
    )
    def test_wrong_shapes(self, message: dict[str, Any], code: int) -> None:
        """A message of the wrong shape is refused with the code that names its fault."""
        fault = check(message)

        assert fault is not None
        assert code == fault.code

    def test_right_shapes(self) -> None:
        """Requests, notifications, results and errors are let through."""
        for message in (
            {"jsonrpc": "2.0", "id": "a", "method": "x"},
            {"jsonrpc": "2.0", "method": "x", "params": {}},
            {"jsonrpc": "2.0", "id": 0, "result": {}},
            {"jsonrpc": "2.0", "id": None, "error": {"code": 1, "message": ""}},
        ):
            assert check(message) is None


class TestOversized:
    @pytest.mark.parametrize(
        ("members", "expected", "answers"),
        [
            ([("jsonrpc", "2.0"), ("id", 7), ("method", "m"), ("params", "BIG")], 7, False),
            ([("method", "m"), ("params", "BIG"), ("jsonrpc", "2.0"), ("id", "x")], "x", False),
            ([("jsonrpc", "2.0"), ("id", 3), ("result", "BIG")], 3, True),
            ([("params", "BIG"), ("method", "m")], None, False),
        ],
    )
    def test_finds_the_id_around_the_large_value(
        self, members: list[tuple[str, Any]], expected: Any, answers: bool
    ) -> None:
        """The id is read from the head or the end of a line too large to keep."""
        big = {"text": "y" * 20_000, "id": 99}
        text = json.dumps({k: big if v == "BIG" else v for k, v in members}).encode()

        found = oversized(text[:4096], text[-4096:], len(text), 1000)

        assert (expected, answers, INVALID_REQUEST) == (found.id, found.answers, found.code)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + "0" * 400 + ".0"])
def test_a_number_that_no_float_holds_is_refused_with_the_id(number: str) -> None:
    """It would become infinite, which no peer can be sent; the request can still be answered."""
    request = decode(f'{{"jsonrpc":"2.0","id":7,"method":"x","params":{{"n":{number}}}}}'.encode())
    assert isinstance(request, Malformed)
    assert (7, False) == (request.id, request.answers)
    assert "out of range" in request.reason
    response = decode(f'{{"jsonrpc":"2.0","id":7,"result":{{"n":{number}}}}}'.encode())
    assert response == {"jsonrpc": "2.0", "id": 7, "result": {"n": None}}


def test_large_integers_and_small_floats_are_kept() -> None:
    """Integers have no limit, and a float that is nearly zero is one."""
    line = b'{"jsonrpc":"2.0","method":"x","params":{"a":1' + b"0" * 400 + b',"b":1e-999,"c":1.5}}'
    assert {"a": 10**400, "b": 0.0, "c": 1.5} == decode(line)["params"]  # type: ignore[index,call-overload]
