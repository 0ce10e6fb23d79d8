"""Foreign text for terminals: nothing in it controls one."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.observe.printable import printable, printable_json, printable_lines

anything = st.text(st.characters())
"""Texts with all characters, lone surrogates included."""


def controls(text: str) -> list[str]:
    """Return the characters of a text that control a terminal or the direction of text."""
    marks = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029"
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in marks]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, é 漢字 👍", "plain text, é 漢字 👍"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x1b[2J\x9b2J\x7f", r"\x1b[2J\x9b2J\x7f"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("\u202etxt.exe", r"\u202etxt.exe"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
    ],
)
def test_escapes(text: str, shown: str) -> None:
    """Each unsafe character as an escape; letters of all alphabets stay."""
    assert shown == printable(text)


@given(anything)
def test_no_control_is_left(text: str) -> None:
    """Whatever the text is, and a second pass changes nothing."""
    once = printable(text)
    assert [] == controls(once)
    assert once == printable(once)
    once.encode()


@given(anything)
def test_lines_stay(text: str) -> None:
    """Line breaks and tabs are kept by the other form, and nothing else."""
    shown = printable_lines(text)
    assert set(controls(shown)) <= {"\n", "\t"}
    assert text.count("\n") == shown.count("\n")


@given(st.recursive(anything, lambda inner: st.lists(inner) | st.dictionaries(anything, inner)))
def test_json_means_the_same(value: object) -> None:
    """JSON text has escapes of JSON, with the same value."""
    text = printable_json(json.dumps(value, indent=2, ensure_ascii=False))
    assert set(controls(text)) <= {"\n"}
    assert value == json.loads(text)
