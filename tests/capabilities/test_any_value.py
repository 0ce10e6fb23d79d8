"""Whatever a caller gives or an API answers: requests stay in form, and nothing falls over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.http_sender import HttpRequest, HttpResponse
from mcpgw.capabilities.parsing import read_capability
from mcpgw.capabilities.requests import draft, values_of
from mcpgw.capabilities.responses import Blob, compact, content_blocks, parse_response, pick
from mcpgw.config.json_path import PathError
from mcpgw.config.problems import ConfigError
from tests.capabilities.test_library_cache import text
from tests.support.capability_calls import capability

SECRETS = {"env.SECRET": "s3cret-of-the-operator", "keychain.k": "k3y-of-the-operator"}
NASTY = st.sampled_from(
    [
        *("{env.SECRET}", "{keychain.k}", "{+q}", "{q|x}", "../..", "..", ".", "", " ", "/", "//x"),
        *("a\r\nX-Evil: 1", "a\nb", "\x00", "%2e%2e%2f", "%0d%0a", "?a=b&c=d#e", "@evil.example"),
        *("\u2028", "\ud800", "é", "𝔘𝔫𝔦", "\u202e", "'\"<>\\", "{", "}", "null", "true", "1e999"),
    ]
)
TEXTS = NASTY | st.text(max_size=40)
SCALARS = TEXTS | st.integers() | st.floats(-1e12, 1e12) | st.booleans()
VALUES = st.recursive(
    SCALARS | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
FILE = capability(
    """
name: x
description: x
schema: {input: {type: object, properties: {q: {}, h: {}, p: {}, b: {}}}}
providers:
  primary:
    config:
      base_url: https://api.example
      path: /v1/{p}/end
      method: POST
      params: {q: "{q}", fixed: "{env.SECRET}"}
      headers: {X-Given: "a {h} b"}
      body: {whole: "{b}", mixed: "<{b}>", fixed: "{keychain.k}"}
"""
)


def outgoing(**inputs: Any) -> HttpRequest | None:
    """Return the request for these inputs, None where it is refused in words."""
    assert FILE.primary is not None
    try:
        values = values_of(inputs, SECRETS)
        return draft(FILE.primary, inputs, values, FILE.auth, "").outgoing()
    except CallProblem as problem:
        said = str(problem)
    assert said
    assert "s3cret" not in said
    return None


def words(value: Any) -> str:
    """Return a value as it appears in a text."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else compact(value)


@settings(max_examples=300)
@given(p=SCALARS, q=SCALARS, h=SCALARS, b=VALUES)
def test_requests_keep_their_form(p: Any, q: Any, h: Any, b: Any) -> None:
    """A value replaces its placeholder only, and nothing in it is read as a template; values
    that cannot be there are refused."""
    made = outgoing(p=p, q=q, h=h, b=b)
    if made is None:
        return
    parts = urlsplit(made.url)
    assert ("https", "api.example") == (parts.scheme, parts.netloc)
    head, *segments = parts.path.split("/")
    assert ("", ["v1", "end"]) == (head, [segments[0], segments[-1]])
    assert 3 == len(segments)
    assert words(p) == unquote(segments[1])
    assert segments[1] not in (".", "..", "")
    assert "" == parts.fragment
    query = dict(parse_qsl(parts.query, keep_blank_values=True, errors="strict"))
    assert "s3cret-of-the-operator" == query.pop("fixed")
    assert {"q": words(q)} == query
    given = next(value for name, value in made.headers.items() if name.lower() == "x-given")
    assert given.isascii()
    assert f"a {words(h)} b" == given or f"a {words(h)} b" == unquote(given)
    assert not set(given) & set("\r\n\0")
    body = json.loads(made.content or b"")
    assert "k3y-of-the-operator" == body["fixed"]
    assert json.loads(compact(b)) == body["whole"]
    assert ("mixed" in body) == (b is not None)
    if b is not None:
        assert f"<{words(b)}>" == body["mixed"]
    whole = made.url + given + (made.content or b"").decode()
    assert 1 == whole.count("s3cret-of-the-operator") == whole.count("k3y-of-the-operator")
    # It can be written by HTTP/1.1 as it is.
    headers = [("host", "api.example"), ("content-length", str(len(made.content or b"")))]
    headers += [(name, value.encode("latin-1", "replace")) for name, value in made.headers.items()]  # type: ignore[misc]
    h11.Request(method=made.method, target=f"{parts.path}?{parts.query}", headers=headers)


KINDS = st.sampled_from(
    [
        *("application/json", "application/problem+json", "text/xml", "application/xml", ""),
        *("text/plain", "text/html; charset=latin-1", "text/plain; charset=no-such", "image/png"),
        *("image/svg+xml", "application/pdf", "application/octet-stream", "nonsense", "audio/x"),
    ]
)
BODIES = (
    st.binary(max_size=200)
    | VALUES.map(lambda value: json.dumps(value).encode())
    | TEXTS.map(lambda value: value.encode("utf-8", "replace"))
    | st.sampled_from(
        [
            *(b"\xef\xbb\xbf{}", b"<a/>", b"<a><b c='d'>e</b></a>", b"<!DOCTYPE a [", b"[" * 9000),
            *(b"<a>" * 3000, b"NaN", b'{"a":' * 3000, b"1" * 5000, b"\xff\xfe{\x00}\x00"),
        ]
    )
)
FORMS = st.sampled_from(["auto", "json", "xml", "text", "binary", "resource"])


@settings(max_examples=400)
@given(content=BODIES, kind=KINDS, form=FORMS)
def test_any_answer_is_read_or_refused(content: bytes, kind: str, form: str) -> None:
    """It becomes content that can be sent on as JSON, or an error in words."""
    answer = HttpResponse(200, {"content-type": kind}, content, "https://api.example/")
    try:
        value = parse_response(answer, form)
    except CallProblem as problem:
        value, said = None, str(problem)
        assert said
    blocks = content_blocks(value, "capability://x")
    json.dumps(blocks).encode()
    if isinstance(value, Blob):
        assert content == value.data
    for block in blocks:
        assert block["type"] in ("text", "image", "audio", "resource")


@settings(max_examples=300)
@given(value=VALUES, path=TEXTS | st.from_regex(r"[a-z$]?(\.[a-z0-9]{1,2}|\[[0-9]?\]){0,4}"))
def test_any_path_into_any_value(value: Any, path: str) -> None:
    """The path may exist, be missing, or be invalid."""
    try:
        pick(value, path)
    except PathError:
        return


@settings(max_examples=200)
@given(
    data=st.binary(max_size=300)
    | TEXTS.map(lambda t: text("x", json.dumps(t)).encode("utf-8", "replace"))
)
def test_any_file_is_read_or_refused(data: bytes) -> None:
    """An invalid file is an error that names the file."""
    try:
        read_capability(Path("x.yaml"), data)
    except ConfigError as error:
        said = str(error)
    else:
        return
    assert said.startswith("x.yaml")


@pytest.mark.parametrize("value", ["\ud800", "a\ud83d", {"\udfff": "\ud800"}])
def test_half_a_character(value: Any) -> None:
    """Lone surrogates are refused, and crash nothing."""
    for name in ("p", "q", "h", "b"):
        inputs = {"p": "p", "q": "q", "h": "h", "b": "b"} | {name: value}
        made = outgoing(**inputs)
        assert made is None or isinstance(made.content, bytes)
