"""Splitting of compound requests, and the words for their literals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.catalog.clauses import MAX_CLAUSES, Clause, clauses


def parts(request: str) -> list[str]:
    """Return the texts of a request's parts, spaces evened out."""
    return [" ".join(part.text.split()) for part in clauses(request, short=6, longest=4_000)]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("read and write a file", ["read and write a file"]),
        (
            "Read the sales report, then draw a bar chart and finally mail it to Anna Miller.",
            ["Read the sales report", "draw a bar chart", "mail it to Anna Miller"],
        ),
        (
            "Fetch the newest release notes; after that translate them into plain French",
            ["Fetch the newest release notes", "translate them into plain French"],
        ),
        (
            "Search and replace every old address inside the customer document",
            ["Search replace every old address inside the customer document"],
        ),
        (
            "查询北京天气，然后发送邮件 给 我 的 经理 和 同事",
            ["查询北京天气", "然后发送邮件 给 我 的 经理 和 同事"],
        ),
        ("version 2.5 of the package at example.org has which known security holes", None),
    ],
)
def test_requests_come_apart_where_a_reader_pauses(
    request_: str, expected: list[str] | None
) -> None:
    """Sentences and joining words part; short requests and single words stay with others."""
    assert ([request_] if expected is None else expected) == parts(request_)


def test_paths_and_addresses_come_apart_as_literals() -> None:
    """A literal's words follow the word for its kind, and its text is out of the way."""
    assert [Clause("save it to   ", ("file", "home", "notes", "md"))] == clauses(
        "save it to /home/notes.md ", short=6, longest=99
    )
    assert [Clause("open   ", ("url", "example", "org", "page"))] == clauses(
        "open https://example.org/page ", short=6, longest=99
    )
    assert [Clause("create/update a/b")] == clauses("create/update a/b", short=6, longest=99)


def test_pasted_data_is_left_out() -> None:
    """Pasted data does not outweigh the question, wherever it is."""
    data = "iVBORw0KGgo" * 900
    assert ["What does this image show?"] == parts(f"What does {data}\nthis image show?")


def test_there_are_never_too_many_parts() -> None:
    """A long list of wishes ends in one part that holds the rest."""
    wishes = ", ".join(f"buy item number{'abcdefghijklmno'[n]}" for n in range(15))
    found = parts(wishes)
    assert MAX_CLAUSES == len(found)
    assert found[-1].endswith("numbero")


@given(st.text(max_size=300))
def test_any_text_has_parts(text: str) -> None:
    """No text raises, and something is always left to search with."""
    found = clauses(text, short=6, longest=200)
    assert 1 <= len(found) <= MAX_CLAUSES
