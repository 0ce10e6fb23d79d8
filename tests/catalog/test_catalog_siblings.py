"""Differences between the tools of a family."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mcpgw.catalog.index import Hit
from mcpgw.catalog.siblings import differential


def hit(server: str, tool: str, description: Any) -> Hit:
    """Return a hit with this description."""
    return Hit(server, tool, 1.0, {"name": tool, "description": description}, ("name",))


def test_words_that_every_member_has_are_left_out() -> None:
    """The first eight words of its own remain of each, in order, with a capital."""
    found = differential(
        [
            hit("mail", "gmail_send", "Use the mail API to send a new message to recipients."),
            hit("mail", "gmail_search", "Use the mail API to find old mail by label."),
            hit("mail", "gmail_long", "use the mail API: to one two three four five six seven 8 9"),
        ]
    )
    assert {
        ("mail", "gmail_send"): "Send a new message recipients",
        ("mail", "gmail_search"): "Find old by label",
        ("mail", "gmail_long"): "One two three four five six seven 8",
    } == found


def test_a_family_is_of_one_server_and_of_two_members_at_least() -> None:
    """A single tool, a cousin on another server and a tool of another name have no siblings."""
    assert {} == differential(
        [
            hit("one", "file_read", "Read a file"),
            hit("two", "file_write", "Write a file"),
            hit("one", "folder_list", "List a folder"),
        ]
    )


def test_names_of_any_spelling_and_odd_descriptions_have_families() -> None:
    """The first word counts however names are joined; nothing own gives nothing."""
    found = differential(
        [
            hit("one", "getUser", None),
            hit("one", "get-team", "Team members"),
            hit("one", "GET.all", 7),
            hit("two", "run_a", "same text"),
            hit("two", "run_b", "same text"),
        ]
    )
    assert {("one", "get-team"): "Team members"} == found


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from(["x_1", "x_2", "y_1"]), st.text()),
        max_size=6,
    )
)
def test_the_answer_only_names_hits(rows: list[tuple[str, str, str]]) -> None:
    """Whatever the texts are, each answer belongs to a hit, is not empty and is short."""
    found = differential(hit(*row) for row in rows)
    assert set(found) <= {row[:2] for row in rows}
    assert all(0 < len(text.split()) <= 8 for text in found.values())
