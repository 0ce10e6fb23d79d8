"""Paths into JSON data: parsing, selecting, resolving and replacing."""

from __future__ import annotations

from typing import Any

import pytest

from mcpgw.config.json_path import PathError, parse_path, replaced, resolve, selected

DATA = {"a": [{"b": 1}, {"b": None}, {}], "0": "zero"}


@pytest.mark.parametrize(
    ("path", "picked"),
    [
        ("", DATA),
        ("a[0].b", 1),
        ("a[-2].b", None),
        ("a[3]", "-"),
        ("a.b", "-"),
        ("a[].b", [1, None]),
        ("0", "zero"),
    ],
)
def test_a_path_picks_what_it_leads_to(path: str, picked: Any) -> None:
    """Missing values are left out; one value is given as it is."""
    assert picked == parse_path(path).pick(DATA, "-")


@pytest.mark.parametrize("text", ["a..b", "a.", "[x]", "a[1", ".a"])
def test_a_text_that_is_not_a_path_is_refused(text: str) -> None:
    """The error quotes the text."""
    with pytest.raises(PathError, match=r"^'"):
        parse_path(text)


def test_keys_of_digits_may_be_indexes() -> None:
    """A digit key is an index in arrays only, and only if asked for."""
    assert resolve(DATA, ("a", "0", "b"), digit_keys=True) == 1
    assert resolve(DATA, ("0",), digit_keys=True) == "zero"
    assert resolve(DATA, ("a", "0", "b"), "missing") == "missing"


def test_resolving_all_items_keeps_one_value_for_each() -> None:
    """Missing values are replaced by the default."""
    assert resolve(DATA, ("a", None, "b"), "-") == [1, None, "-"]
    assert resolve(DATA, ("0", None)) == []


def test_a_step_selects_keys_and_indexes() -> None:
    """Negative indexes are counted from the end; a step of another kind selects nothing."""
    assert list(selected(["x", "y"], None)) == [0, 1]
    assert list(selected(["x", "y"], -1)) == [1]
    assert list(selected({"x": 1}, 0)) == []
    assert list(selected(["x"], "x")) == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", "new"),
        ("a.b", {"a": {"b": "new"}, "c": [{"d": 1}]}),
        ("c[0].d", {"a": {"b": 1}, "c": [{"d": "new"}]}),
        ("c.0.d", {"a": {"b": 1}, "c": [{"d": "new"}]}),
        ("c[1].d", {"a": {"b": 1}, "c": [{"d": 1}]}),
        ("c[].d", {"a": {"b": 1}, "c": [{"d": 1}]}),
    ],
)
def test_a_value_is_replaced_in_a_copy(path: str, expected: Any) -> None:
    """The data itself stays as it was."""
    data = {"a": {"b": 1}, "c": [{"d": 1}]}
    assert expected == replaced(data, parse_path(path).steps, "new")
    assert data == {"a": {"b": 1}, "c": [{"d": 1}]}
