"""Errors of APIs reach the model: whole, bounded, in one line, as text."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mcpgw.capabilities.api_errors import LONGEST, explained, explanation
from mcpgw.capabilities.http_sender import HttpResponse
from tests.support.capability_calls import capability, executor, text_of, value_of
from tests.support.playback import Playback, Played, playback

LOCAL = ("127.0.0.0/8", "localhost")
SECRET = "tok-0123456789abcdef"


@pytest.fixture
def stage() -> Iterator[Playback]:
    """Run a local server."""
    with playback() as running:
        yield running


def said(body: Any, kind: str = "application/json") -> str:
    """Return the explanation in an error response."""
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return explanation(HttpResponse(422, {"content-type": kind}, content, "https://a.example/"))


@pytest.mark.parametrize(
    ("body", "start", "parts"),
    [
        (
            {"message": "Invalid", "errors": [{"field": "title", "code": "missing"}]},
            "Invalid {",
            ['"field":"title"', '"code":"missing"'],
        ),
        ({"error": "invalid", "fields": {"age": "too low"}}, "invalid", ['{"age":"too low"}']),
        (
            {
                "error": {
                    "code": 400,
                    "message": "Bad",
                    "details": [{"fieldViolations": [{"field": "name", "description": "long"}]}],
                }
            },
            "Bad {",
            ['"field":"name"', '"description":"long"'],
        ),
        (
            {"type": "about:blank", "title": "Bad", "invalid-params": [{"name": "q"}]},
            "Bad {",
            ['"invalid-params":[{"name":"q"}]'],
        ),
        (
            {"detail": [{"loc": ["body", "n"], "msg": "not an int", "input": "x"}]},
            "{",
            ['"loc":["body","n"]', '"msg":"not an int"'],
        ),
        ([{"errorCode": "E1", "message": "no such field"}], "no such field", ['"errorCode":"E1"']),
        ({"Fault": {"faultstring": "quota"}}, "quota", []),
        ({"error": "invalid_grant", "error_description": "expired"}, "expired", ["invalid_grant"]),
        ({"a": {"b": {"c": "deep"}}}, "{", ['{"a":{"b":{"c":"deep"}}}']),
        ({}, "", []),
        ("", "", []),
        ("plain words", "plain words", []),
    ],
)
def test_the_parts_of_an_error_are_kept(body: Any, start: str, parts: list[str]) -> None:
    """The message first, then everything else."""
    found = said(body)
    assert found.startswith(start)
    assert all(part in found for part in parts)


def test_a_message_alone_is_not_repeated() -> None:
    """Nothing follows it if there is nothing else."""
    assert "Gone" == said({"error": {"message": "Gone"}})


@pytest.mark.parametrize(
    "page",
    [
        (
            "<!DOCTYPE html><html><head><title>Bad gateway</title><style>x{}</style></head><body>"
            "<h1>502</h1><script>alert(1)</script><p>Try &amp; wait</p></body></html>"
        ),
        "<html><body><h1>502 Bad gateway</h1> Try &amp; wait",
    ],
)
@pytest.mark.parametrize("wrap", [False, True])
def test_a_web_page_becomes_text(page: str, wrap: bool) -> None:
    """Also if it is the message in JSON."""
    found = said({"message": page}) if wrap else said(page, "text/html")
    assert "Bad gateway" in found
    assert "Try & wait" in found
    assert "<" not in found
    assert "alert" not in found
    assert "x{}" not in found


def test_an_address_in_a_message_is_not_markup() -> None:
    """Only known elements are removed."""
    assert "a <b@example.com> c < d" == said({"message": "a <b@example.com> c < d"})


def test_xml_is_read() -> None:
    """As object stores answer."""
    text = "<?xml version='1.0'?><Error><Code>NoKey</Code><Message>No such key</Message></Error>"
    assert 'No such key {"Code":"NoKey"}' == said(text, "application/xml")


def test_a_long_error_keeps_what_explains_it() -> None:
    """Stack traces are left out, long texts are cut, the list of errors survives."""
    body = {
        "timestamp": "now",
        "trace": "x" * 5000,
        "path": "y" * 5000,
        "message": "Bad",
        "errors": [{"field": "age"}],
        "more": {str(n): "z" * 50 for n in range(100)},
    }
    found = said(body)
    assert len(found) <= LONGEST
    assert found.startswith('Bad {"errors":[{"field":"age"}]')
    assert "xxx" not in found


def test_control_characters_do_not_survive() -> None:
    """Neither line breaks nor escapes."""
    assert "a b [31mc" == said({"message": "a\n\tb\x1b[31mc\0"}).strip()


def test_a_body_of_hostile_markup_is_read_in_no_time() -> None:
    """The time is linear in the size."""
    import time

    began = time.process_time()
    for text in ("<" * 60_000, "<a" * 30_000, "<script>" * 8_000, "<!--" * 15_000, "</p" * 20_000):
        said(f"<html>{text}", "text/html")
    assert time.process_time() - began < 2


@pytest.mark.parametrize("offset", range(0, 40, 3))
async def test_a_secret_is_removed_before_the_text_is_cut(
    offset: int, stage: Playback, tmp_path: Path
) -> None:
    """No part of it is left at the cut."""
    long = "w" * (LONGEST - 30 + offset)
    stage.play = lambda asked: Played.json(
        {"message": long + asked.headers["authorization"].split()[-1]}, 400
    )
    found = capability(
        "name: x\ndescription: x\nnetwork: {allow_private: true}\n"
        f"providers: {{primary: {{config: {{base_url: '{stage.url}'}}}}}}\n"
        'auth: {required: true, key: "env:KEY"}\n'
    )
    async with executor(tmp_path, {"KEY": SECRET}, inside=LOCAL) as calls:
        text = text_of(await calls.call(found, {}))
    assert SECRET[:5] not in text


@contextmanager
def listener(answer: bytes) -> Iterator[int]:
    """Run a server that writes the same bytes to every connection."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


@pytest.mark.parametrize(
    ("scheme", "answer", "expected"),
    [
        ("https", b"HTTP/1.1 400 Bad Request\r\n\r\n", ["TLS handshake failed", "plain http"]),
        ("https", b"", ["TLS handshake failed"]),
        ("http", b"", ["No response from"]),
        ("http", b"SSH-2.0-x\r\n", ["No response from"]),
    ],
)
async def test_a_failed_connection_has_a_cause(
    scheme: str, answer: bytes, expected: list[str], tmp_path: Path
) -> None:
    """Never only the name of an exception."""
    with listener(answer) as port:
        found = capability(
            "name: x\ndescription: x\nnetwork: {allow_private: true}\nretry: {attempts: 1}\n"
            f"providers: {{primary: {{config: {{base_url: '{scheme}://127.0.0.1:{port}'}}}}}}\n"
        )
        async with executor(tmp_path, inside=LOCAL) as calls:
            text = text_of(await calls.call(found, {}))
    assert all(part in text for part in expected)
    assert "Error." not in text
    assert ": ." not in text


def test_the_innermost_cause_is_named() -> None:
    """Through the wrappers of HTTP libraries."""
    import httpx

    from mcpgw.capabilities.connection_errors import cause_of

    def chain(inner: Exception) -> Exception:
        outer = httpx.ConnectError("")
        outer.__cause__ = inner
        return outer

    refused = ConnectionRefusedError(111, "Connection refused")
    assert "connection refused" == cause_of(chain(refused), "http://a/")
    wrong = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1)")
    wrong.reason = "WRONG_VERSION_NUMBER"
    assert "wrong version number" in cause_of(chain(wrong), "https://a/")
    assert "plain http" in cause_of(chain(wrong), "https://a/")
    assert "during the handshake" in cause_of(httpx.ConnectError(""), "https://a/")


class TestFailuresWithSuccessStatus:
    @pytest.mark.parametrize(
        ("rule", "body", "expected"),
        [
            ("{path: ok, equals: false, message: error}", {"ok": False, "error": "no_x"}, "no_x"),
            ("{path: ok, equals: false}", {"ok": 0, "error": "no_x"}, None),
            ("{path: ok, equals: false}", {"ok": True}, None),
            ("{path: ok, equals: false}", {}, None),
            ("{path: code, not_equals: 0, message: msg}", {"code": 7, "msg": "bad"}, "bad"),
            ("{path: code, not_equals: 0}", {"code": False, "message": "m"}, "m"),
            ("{path: code, not_equals: 0}", {"code": 0}, None),
            ("{path: code, not_equals: 0}", {"other": 1}, None),
            ("{path: code, not_equals: [0, '0']}", {"code": "0"}, None),
            ("{path: code, not_equals: [0, '0']}", {"code": "1", "why": "w"}, '"why":"w"'),
            ("{path: error}", {"error": {"message": "broken"}}, "broken"),
            ("{path: error}", {"error": None}, None),
            ("{path: error}", {"error": []}, None),
            ("{path: error}", {"error": False}, None),
            ("{path: 'r[0].ok', equals: [false, null]}", {"r": [{"ok": False}]}, "ok"),
            ("{path: 'r[0].ok', equals: [false, null]}", {"r": []}, ""),
            ("{path: error}", "a text", None),
            ("{path: error}", [1, 2], None),
        ],
    )
    async def test_a_condition_makes_it_an_error(
        self, rule: str, body: Any, expected: str | None, stage: Playback, tmp_path: Path
    ) -> None:
        """`false` is not 0, a missing value is only null, and the message comes first."""
        stage.play = lambda _: Played.json(body)
        found = capability(
            "name: x\ndescription: x\nnetwork: {allow_private: true}\n"
            "cache: {strategy: exact, ttl: 60}\n"
            f"providers: {{primary: {{config: {{base_url: '{stage.url}', fails_when: {rule}}}}}}}\n"
        )
        async with executor(tmp_path, inside=LOCAL) as calls:
            for _ in range(2):
                result = await calls.call(found, {})
        if expected is None:
            assert not result["isError"]
            return
        assert result["isError"]
        assert "reported an error" in text_of(result)
        assert expected in text_of(result)
        assert 2 == len(stage.asked), "a failure must not be cached"

    def test_the_message_may_be_data(self) -> None:
        """It is shown as JSON."""
        assert '["a","b"] {"ok":false}' == explained({"ok": False, "errors": ["a", "b"]}, "errors")


class TestAdditions:
    @pytest.mark.parametrize("body", [{"a": 1}, [1, 2], "text"])
    async def test_headers_are_added(self, body: Any, stage: Playback, tmp_path: Path) -> None:
        """Only the named ones, to an object, or beside another result."""
        stage.play = lambda _: Played.json(body, **{"X-Total": "9", "X-Other": "no"})
        found = capability(
            "name: x\ndescription: x\nnetwork: {allow_private: true}\n"
            "schema: {output: {type: object, additionalProperties: false}}\n"
            f"providers: {{primary: {{config: {{base_url: '{stage.url}',"
            " response_headers: [X-Total, X-Missing]}}}\n"
            + ("response_transform: {project: [a]}\n" if isinstance(body, dict) else "")
        )
        async with executor(tmp_path, inside=LOCAL) as calls:
            result = await calls.call(found, {})
        value = value_of(result)
        assert {"X-Total": "9"} == value.pop("_headers")
        assert (body if isinstance(body, dict) else {"result": body}) == value
        from mcpgw.capabilities.tool_definition import tool_definition

        assert "_headers" in tool_definition(found)["outputSchema"]["properties"]

    @pytest.mark.parametrize(
        ("style", "link", "expected"),
        [
            ("link", '</x?cursor=c2&n=1>; rel="next"', "c2"),
            ("link", '</x?cursor=c2>; rel="next"; results="true"; cursor="c2"', "c2"),
            ("link", '</x?cursor=c2>; rel="next"; results="false"; cursor="c2"', None),
            ("link", '</x?cursor=c0>; rel="previous"', None),
            ("cursor", "", "n2"),
        ],
    )
    async def test_the_cursor_of_the_next_page(
        self, style: str, link: str, expected: str | None, stage: Playback, tmp_path: Path
    ) -> None:
        """It is in the result, though `response_path` or the header would have lost it."""
        stage.play = lambda _: Played.json({"items": [1], "next": "n2"}, link=link)
        found = capability(
            "name: x\ndescription: x\nnetwork: {allow_private: true}\n"
            f"providers: {{primary: {{config: {{base_url: '{stage.url}', response_path: items,"
            f" pagination: {{style: {style}, parameter: cursor, next: next,"
            " returned_as: next_cursor}}}}\n"
        )
        async with executor(tmp_path, inside=LOCAL) as calls:
            result = await calls.call(found, {})
        assert {"result": [1], "next_cursor": expected} == value_of(result)
        assert 1 == len(stage.asked)

    async def test_numbers_that_json_lacks(self, stage: Playback, tmp_path: Path) -> None:
        """They are null, in the text and the structured content."""
        content = b'{"a": NaN, "b": [Infinity, -Infinity, 1e999, 1.5], "c": "NaN"}'
        stage.play = lambda _: Played(200, content, {"content-type": "application/json"})
        found = capability(
            "name: x\ndescription: x\nnetwork: {allow_private: true}\n"
            "schema: {output: {type: object}}\n"
            f"providers: {{primary: {{config: {{base_url: '{stage.url}'}}}}}}\n"
        )
        async with executor(tmp_path, inside=LOCAL) as calls:
            result = await calls.call(found, {})
        expected = {"a": None, "b": [None, None, None, 1.5], "c": "NaN"}
        assert expected == result["structuredContent"]
        assert expected == json.loads(text_of(result), parse_constant=pytest.fail)
