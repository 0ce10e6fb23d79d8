"""Bytes to lines."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.protocol.jsonrpc import Malformed
from mcpgw.transports.framing import LineSplitter


def split(chunks: list[bytes], limit: int = 1000) -> list[bytes | Malformed]:
    splitter = LineSplitter(limit)
    lines: list[bytes | Malformed] = []
    for chunk in chunks:
        lines += splitter.feed(chunk)
    return lines + splitter.end()


@given(
    st.lists(
        st.binary(max_size=40)
        .map(lambda b: b.replace(b"\n", b""))
        .filter(lambda b: not b.lower().startswith(b"content-")),
        max_size=12,
    ),
    st.lists(st.integers(1, 30), min_size=1),
)
def test_any_split_into_chunks_gives_the_same_lines(lines: list[bytes], sizes: list[int]) -> None:
    """Chunk boundaries make no difference; blank lines are dropped, \\r belongs to the end."""
    data = b"".join(line + b"\n" for line in lines)
    chunks, position = [], 0
    while position < len(data):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(data[position : position + size])
        position += size

    expected = [s for line in lines if (s := line.strip(b" \t\r"))]

    assert expected == split([data])
    assert expected == split(chunks)


def test_unicode_line_separators_are_no_line_ends() -> None:
    """U+2028, U+0085 and a form feed stay inside a line."""
    line = '{"a":"x\u2028y\u0085z\x0c"}'.encode()

    assert [line] == split([line + b"\n"])


def test_a_last_line_without_a_newline_counts() -> None:
    """A file that lacks its last newline loses nothing."""
    assert [b"{}", b"{1}"] == split([b"{}\r\n{", b"1}"])


@given(st.integers(1, 400), st.integers(1, 50))
def test_a_line_over_the_limit_is_replaced_and_the_next_is_kept(over: int, chunk: int) -> None:
    """Only the line that is too large is lost, in whatever chunks it comes."""
    data = b'{"id":5,"x":"' + b"y" * (100 + over) + b'"}\n{"id":6}\n'
    chunks = [data[i : i + chunk] for i in range(0, len(data), chunk)]

    big, small = split(chunks, limit=100)

    assert isinstance(big, Malformed)
    assert 5 == big.id
    assert b'{"id":6}' == small


def test_a_line_of_the_limit_is_kept() -> None:
    """The limit itself is allowed."""
    assert [b"x" * 100] == split([b"x" * 100 + b"\n"], limit=100)


@given(
    bodies=st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6),
    ends=st.lists(st.sampled_from([b"", b"\n", b"\r\n"]), min_size=6, max_size=6),
    sizes=st.lists(st.integers(1, 30), min_size=1),
)
def test_messages_with_a_length_header_are_read_whole(
    bodies: list[bytes], ends: list[bytes], sizes: list[int]
) -> None:
    """The framing of the Language Server Protocol, which some clients speak out of habit."""
    bodies = [b"{" + body + b"}" for body in bodies]
    data = b"".join(
        b"Content-Length: %d\r\nContent-Type: application/vscode-jsonrpc\r\n\r\n" % len(body)
        + body
        + end
        for body, end in zip(bodies, ends, strict=False)
    )
    splitter = LineSplitter(1000)
    found: list[bytes | Malformed] = []
    position = 0
    for size in itertools.cycle(sizes):
        found += splitter.feed(data[position : position + size])
        position += size
        if position >= len(data):
            break
    assert bodies == found + splitter.end()
    assert splitter.framed


@pytest.mark.parametrize(
    "header", [b"Content-Length: 99", b"content-length:99\r", b"Content-Type: application/json"]
)
def test_a_stray_header_line_is_skipped(header: bytes) -> None:
    splitter = LineSplitter(1000)
    assert splitter.feed(header + b'\n{"a":1}\n{"b":2}\n') == [b'{"a":1}', b'{"b":2}']
    assert not splitter.framed


def test_text_that_only_looks_like_a_header_is_a_line() -> None:
    splitter = LineSplitter(1000)
    assert splitter.feed(b"Connected to 3 peers\nContent is ready\n") == [
        b"Connected to 3 peers",
        b"Content is ready",
    ]


def test_many_small_messages_with_headers_in_one_chunk() -> None:
    """Neither deep recursion nor quadratic work."""
    splitter = LineSplitter(1000)
    count = 20_000
    assert splitter.feed(b"Content-Length: 2\r\n\r\n{}" * count) == [b"{}"] * count


def test_a_message_with_a_header_over_the_limit_is_replaced() -> None:
    splitter = LineSplitter(10)
    lines = splitter.feed(b"Content-Length: 20\r\n\r\n" + b"{" * 20 + b'\n{"a":1}\n')
    assert isinstance(lines[0], Malformed)
    assert lines[1:] == [b'{"a":1}']
