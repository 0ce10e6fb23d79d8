"""Payloads of deliveries."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.webhooks.payloads import PayloadProblem, payload_of

FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}


def read(body: bytes, headers: dict[str, str] | None = None) -> object:
    """Return the payload of a POST request."""
    return payload_of("POST", headers or {}, body, "")


class TestJson:
    """Bodies of JSON."""

    @pytest.mark.parametrize("body", [b"[1]", b"\xef\xbb\xbf[1]", b" [1]\n"])
    def test_right(self, body: bytes) -> None:
        """JSON is read, whatever the content type says, with a byte order mark too."""
        assert [1] == read(body)
        assert [1] == read(body, {"content-type": "text/plain"})

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"", "Expecting value at character 0"),
            (b"{'a': 1}", "at character 1"),
            (b"{} x", "Extra data at character 3"),
            (b"\xff\xfe[\x001\x00]\x00", "the text must be UTF-8"),
            (b"NaN", "a number is too large, or not finite"),
            (b"[1e999]", "a number is too large, or not finite"),
            (b"1" * 5000, "a number is too large, or not finite"),
            (b"[" * 100_000, "nested more than 100 levels deep"),
            (b"[" * 101 + b"]" * 101, "nested more than 100 levels deep"),
            (b'{"a":' * 101 + b"1" + b"}" * 101, "nested more than 100 levels deep"),
        ],
    )
    def test_refused(self, body: bytes, words: str) -> None:
        """Invalid JSON is refused with the reason, and so are values that cannot be serialized."""
        with pytest.raises(PayloadProblem, match=words):
            read(body)

    def test_wide(self) -> None:
        """Many lists beside each other are not deep."""
        body = json.dumps([[[]] * 1000, *[{}] * 1000]).encode()
        assert json.loads(body) == read(body)
        deep = b"[" * 100 + b"]" * 100
        assert json.loads(deep) == read(deep)


class TestForm:
    """Forms."""

    def test_github(self) -> None:
        """GitHub's form holds JSON in a field."""
        payload = {"zen": "Ünïcode & more", "hook_id": 5}
        assert payload == read(urlencode({"payload": json.dumps(payload)}).encode(), FORM)

    def test_fields(self) -> None:
        """Another form is its fields; one that is there several times is a list."""
        assert {"a": ["1", "2", "3"], "b": "", "c": "ä b"} == read(
            b"a=1&b=&a=2&c=%C3%A4+b&a=3", FORM
        )

    def test_broken(self) -> None:
        """Endless fields, bytes that are not a form, and a field that is not JSON are refused."""
        for body, words in (
            (b"a=1&" * 1001, "more than 1000 fields"),
            (b"a=\xff", "must be percent-encoded"),
            (b"payload=%7B", "Expecting property name"),
        ):
            with pytest.raises(PayloadProblem, match=words):
                read(body, FORM)


class TestOthers:
    """Methods without a body."""

    def test_get(self) -> None:
        """The payload of a GET request is its query."""
        assert {"a": "1", "b": ["x y", "z"]} == payload_of("GET", {}, b"", "a=1&b=x+y&b=z")

    def test_delete(self) -> None:
        """A DELETE request may be without a body."""
        assert {} == payload_of("DELETE", {}, b"", "")
        assert {"a": 1} == payload_of("DELETE", {}, b'{"a": 1}', "")


@given(
    st.binary(max_size=200) | st.text('[]{}":,0eE-.nul', max_size=60).map(str.encode),
    st.sampled_from([{}, FORM]),
    st.sampled_from(["GET", "POST", "DELETE"]),
)
def test_any_body(body: bytes, headers: dict[str, str], method: str) -> None:
    """Whatever a body holds, it is a payload that can be written again, or a told problem."""
    try:
        payload = payload_of(method, headers, body, body.decode("utf-8", "replace"))
    except PayloadProblem as problem:
        payload = str(problem)
    assert payload == json.loads(json.dumps(payload, allow_nan=False))
