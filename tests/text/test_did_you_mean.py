"""Did you mean: which names are near, and in which order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.text.did_you_mean import did_you_mean, nearest

TOOLS = ["read_file", "write_file", "list_dir", "read_multiple_files", "create-issue", "search"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("raed_file", ["read_file"]),
        ("readFile", ["read_file"]),
        ("READ-FILE", ["read_file"]),
        ("createIssue", ["create-issue"]),
        ("create_isue", ["create-issue"]),
        ("serch", ["search"]),
        ("file_read", ["read_file"]),
        ("read", ["read_file", "read_multiple_files"]),
        ("search_tools", ["search"]),
        ("xyz", []),
        ("x", []),
        ("", []),
    ],
)
def test_near_names_are_suggested(wanted: str, expected: list[str]) -> None:
    """Slips, other separators, another order and parts of a name are understood."""
    assert expected == nearest(wanted, TOOLS)


def test_another_spelling_comes_before_a_slip_and_a_slip_before_a_part() -> None:
    """The likeliest meaning is the first suggestion; equals are ordered by name."""
    names = ["get_users_list", "getUser", "get_usr", "get_use", "get_user"]
    assert ["getUser", "get_user", "get_use", "get_usr", "get_users_list"] == nearest(
        "get-user", names, count=9
    )


def test_short_names_allow_few_edits() -> None:
    """A name of three letters is not everything else of three letters."""
    assert ["git"] == nearest("gti", ["git", "npm", "aws", "gcp"])
    assert [] == nearest("abc", ["xyc", "axy"])


def test_more_than_three_edits_are_another_name() -> None:
    """Long names do not come near by their length alone."""
    assert ["abcdefghijklmnop"] == nearest("abcdefghijklmxyz", ["abcdefghijklmnop"])
    assert [] == nearest("abcdefghijklwxyz", ["abcdefghijklmnop"])


def test_count_limits_the_suggestions() -> None:
    """At most `count` names are given, each once."""
    names = ["tool_a", "tool_b", "tool_c", "tool_d", "tool_a"]
    assert ["tool_a", "tool_b", "tool_c"] == nearest("tool_x", names)
    assert ["tool_a"] == nearest("tool_x", names, count=1)
    assert [] == nearest("tool_x", names, count=0)


def test_the_sentence_is_ready_to_append() -> None:
    """The text starts with a space, and nothing near gives nothing."""
    names = ["write_file", "read_file"]
    assert " Did you mean: read_file, write_file?" == did_you_mean("riad_file", names)
    assert "" == did_you_mean("zzz", TOOLS)


@given(st.text(max_size=12), st.lists(st.text(max_size=12), max_size=6))
def test_suggestions_do_not_depend_on_order(wanted: str, names: list[str]) -> None:
    """Any names are taken, and their order changes nothing."""
    found = nearest(wanted, names)
    assert found == nearest(wanted, reversed(names))
    assert set(found) <= set(names)
