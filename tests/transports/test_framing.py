"""Bytes to lines."""

from __future__ import annotations

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
    st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"")), max_size=12),
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
