"""Differences between the tools of a family."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mcpgw.catalog.index import Hit
from mcpgw.catalog.siblings import LONGEST, differential


def hit(server: str, tool: str, description: Any) -> Hit:
    """Return a hit with this description."""
    return Hit(server, tool, 1.0, {"name": tool, "description": description}, ("name",))


def test_the_sentence_that_no_sibling_has_is_shown() -> None:
    """It is a whole sentence of the description, other than the first."""
    found = differential(
        [
            hit("mail", "mail_send", "Send mail. Use the mail API. Attachments may have 25 MB."),
            hit(
                "mail", "mail_find", "Find mail. Use the mail API. Labels, e.g. 'inbox', narrow it."
            ),
            hit("mail", "mail_move", "Move mail. Use the mail API."),
            hit("mail", "mail_list", "Lists every mail in a folder, newest first"),
        ]
    )
    assert {
        ("mail", "mail_send"): "Attachments may have 25 MB.",
        ("mail", "mail_find"): "Labels, e.g. 'inbox', narrow it.",
    } == found


def test_fragments_are_not_shown() -> None:
    """Headings, items of lists, half sentences and very long ones are no help."""
    text = "Read a file.\n\n## Args\n- path: where it is\n  limit (int): most lines\nToo short."
    assert {} == differential(
        [
            hit("fs", "read_file", text),
            hit("fs", "read_folder", "Read a folder. " + "And so on, " * 40 + "at length."),
        ]
    )


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
            hit("one", "get-team", "Team members. Guests are included."),
            hit("one", "GET.all", 7),
            hit("two", "run_a", "same text"),
            hit("two", "run_b", "same text"),
        ]
    )
    assert {("one", "get-team"): "Guests are included."} == found


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
    descriptions = {row[:2]: [r[2] for r in rows if r[:2] == row[:2]] for row in rows}
    for key, sentence in found.items():
        assert any(sentence in text for text in descriptions[key])
        assert sentence[-1] in ".!?"
        assert len(sentence) <= LONGEST
