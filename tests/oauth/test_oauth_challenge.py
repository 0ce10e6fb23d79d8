"""Reading challenges."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.oauth.challenge import Challenge, parse


@pytest.mark.parametrize(
    ("text", "challenges"),
    [
        ("Bearer", [("bearer", {})]),
        ('Bearer realm="a, b", scope="x y"', [("bearer", {"realm": "a, b", "scope": "x y"})]),
        (
            'Basic realm="x", Bearer error=e',
            [("basic", {"realm": "x"}), ("bearer", {"error": "e"})],
        ),
        ("Negotiate abc==, Bearer scope=x", [("negotiate", {}), ("bearer", {"scope": "x"})]),
        ("Negotiate, BEARER Scope = x", [("negotiate", {}), ("bearer", {"scope": "x"})]),
        (r'Bearer realm="say \"hi\""', [("bearer", {"realm": 'say "hi"'})]),
        ('Bearer scope="a", scope="b"', [("bearer", {"scope": "a"})]),
        (", ,Bearer scope=a,,", [("bearer", {"scope": "a"})]),
        ('Bearer scope="never ends', [("bearer", {})]),
        ("", []),
        ("=", []),
        ("Bearer a=https://h/p?q=1, b=c", [("bearer", {"a": "https://h/p?q=1", "b": "c"})]),
        ("Bearer a='https://h/p, q', b='c'", [("bearer", {"a": "https://h/p, q", "b": "c"})]),
        ("Bearer a=it's, b=c", [("bearer", {"a": "it's", "b": "c"})]),
        ("Bearer scope=read write, b=c", [("bearer", {"scope": "read write", "b": "c"})]),
        ("Bearer scope=read, write, b=c", [("bearer", {"scope": "read"}), ("write", {"b": "c"})]),
        ("Bearer a=, b=c", [("bearer", {"b": "c"})]),
        ("Bearer x=y, a=, b=c", [("bearer", {"x": "y", "a": "", "b": "c"})]),
        ("Bearer a=b; c=d;", [("bearer", {"a": "b", "c": "d"})]),
        ('Bearer a="b"c="d"', [("bearer", {"a": "b", "c": "d"})]),
        ('Basic a="b" Bearer c="d"', [("basic", {"a": "b"}), ("bearer", {"c": "d"})]),
        ('Bearer a="never ends, b=https://h', [("bearer", {"b": "https://h"})]),
        ("Bearer @@@ %%, b=c", [("bearer", {"b": "c"})]),
        (
            "Negotiate a/b+c, Negotiate d=, Bearer b=c",
            [*[("negotiate", {})] * 2, ("bearer", {"b": "c"})],
        ),
        ("Bearer\t b \t=\t c  ,\t d  = e", [("bearer", {"b": "c", "d": "e"})]),
    ],
)
def test_challenges(text: str, challenges: list[tuple[str, dict[str, str]]]) -> None:
    """Schemes and parameters are found; what is broken ends the reading quietly."""
    assert challenges == parse(text)


@given(st.text("ab'\"\\=, ;B") | st.text())
def test_any_text_can_be_read(text: str) -> None:
    """Nothing that a server sends raises an error."""
    assert isinstance(parse(text), list)


_words = st.text("abcdefXYZ-_.", min_size=1, max_size=8)


@given(
    _words, st.dictionaries(_words.map(str.lower), st.text('ab ,="\\:/', max_size=9), min_size=1)
)
def test_what_was_written_is_read(scheme: str, params: dict[str, str]) -> None:
    """Quoted values come back as they were, whatever they hold."""
    escaped = {key: value.replace("\\", r"\\").replace('"', r"\"") for key, value in params.items()}
    text = f"{scheme} " + ", ".join(f'{key}="{value}"' for key, value in escaped.items())
    assert [(scheme.lower(), params)] == parse(text)


def test_the_bearer_challenge_counts() -> None:
    """Metadata, scopes and error of the Bearer scheme are taken, each scope once."""
    header = 'Basic realm="x", Bearer resource_metadata="https://a/b", scope="r w r", error="e"'
    expected = Challenge(resource_metadata="https://a/b", scopes=("r", "w"), error="e")
    assert expected == Challenge.of({"www-authenticate": header})


def test_several_bearer_challenges_are_merged() -> None:
    """The first value of each parameter counts."""
    header = 'Bearer scope="a", Bearer scope="b", resource_metadata="https://h"'
    expected = Challenge(resource_metadata="https://h", scopes=("a",))
    assert expected == Challenge.of({"www-authenticate": header})


@pytest.mark.parametrize("before", ["", 'Bearer realm="x", '])
def test_metadata_of_another_scheme(before: str) -> None:
    """A scheme such as DPoP may carry the resource metadata (RFC 9728 section 5.1)."""
    header = f'{before}DPoP algs="ES256", resource_metadata="https://h"'
    assert Challenge(resource_metadata="https://h") == Challenge.of({"www-authenticate": header})


@pytest.mark.parametrize("piece", ['x="\\"', "a='x ", 'a="\\"', "a, ", "=", "a", "a=b c "])
def test_hostile_headers_take_little_time(piece: str) -> None:
    """The time does not grow with the square of the length."""
    start = time.perf_counter()
    parse(f"Bearer {piece * 9000}")
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize("headers", [{}, {"www-authenticate": "Basic"}])
def test_without_a_bearer_challenge_there_is_none(headers: dict[str, str]) -> None:
    """Other schemes are not for us."""
    assert Challenge.of(headers) is None
