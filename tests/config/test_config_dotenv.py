"""Files of NAME=value lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.config.dotenv import parse_dotenv


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("A=", ""),
        ("  A = b c  ", "b c"),
        ("export A=b", "b"),
        ("export\tA=b", "b"),
        ("A=b # why", "b"),
        ("A=b#c", "b#c"),
        ("A=# why", ""),
        ("A='b # \\n \"c\"'", 'b # \\n "c"'),
        ('A="b\\n\\"c\\" \\\\ \\$d" # why', 'b\n"c" \\ $d'),
        ('A="two\nlines"', "two\nlines"),
        ("A='two\nlines'\r\n", "two\nlines"),
        ("\ufeffA=b", "b"),
        ("A=b=c", "b=c"),
        ("A=${HOME}", "${HOME}"),
        ("A=it's", "it's"),
        ("A=1\nA=2", "2"),
    ],
)
def test_understood(line: str, value: str) -> None:
    """Each form of a line gives the value that a shell user expects; nothing is expanded."""
    parsed = parse_dotenv(line)
    assert ({"A": value}, ()) == (parsed.variables, parsed.faults)


def test_bad_lines_are_told_with_their_numbers_and_passed_over() -> None:
    """A malformed line does not take its neighbours with it, and its text is not repeated."""
    text = "# note\n\nA=1\nsecret words\nB='2' secret\nC=\"open\nD=4\n1X=5\n"
    parsed = parse_dotenv(text)
    assert {"A": "1", "D": "4"} == parsed.variables
    assert [4, 5, 6, 8] == [line for line, _ in parsed.faults]
    assert "secret" not in str(parsed)


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    """Any text at all is read to its end."""
    parsed = parse_dotenv(text)
    assert all(name and "=" not in name for name in parsed.variables)


@given(st.text(st.characters(blacklist_characters="\r", codec="utf-8")))
def test_any_value_can_be_written_in_double_quotes(value: str) -> None:
    """Double quotes with backslashes before quotes and backslashes keep every value."""
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    assert {"A": value} == parse_dotenv(f'A="{quoted}"\n').variables
