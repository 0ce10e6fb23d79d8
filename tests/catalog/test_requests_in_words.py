"""Requests as people write them: other languages, contractions, names, and deprecated tools."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from mcpgw.catalog.corpus import Part
from mcpgw.catalog.fields import is_deprecated
from mcpgw.catalog.index import ToolIndex
from mcpgw.catalog.scoring import _summed
from mcpgw.text.words import prose_tokens, without_contractions


def tool(name: str, description: str) -> dict[str, Any]:
    """Return a definition."""
    return {"name": name, "description": description, "inputSchema": {"type": "object"}}


WORDS = (
    "area param word parks dish paper table record index folder weather order group person"
    " market minute winter better where letter message issue"
)


@pytest.fixture
def index() -> ToolIndex:
    """Tools for many things; nearly every short word resembles some of their words."""
    made = ToolIndex()
    tools = [tool(f"get_{word}", f"Get the {word} of a project.") for word in WORDS.split()]
    made.replace("things", [*tools, tool("list_new_parks", "List new parks and their trees.")])
    return made


@pytest.mark.parametrize(
    "query",
    [
        "wie wird das Wetter morgen",
        "para que sirve esta cosa",
        "kannst du mir bitte sagen wie spät es gerade in der stadt ist",
        "quel temps fera t il demain matin dans le sud",
        "hoe wordt het weer morgen voor mijn reis",
    ],
)
def test_a_request_in_another_language_is_not_taken_for_typos(index: ToolIndex, query: str) -> None:
    """Its short words are not repaired, and resemblance alone is not reported as a fit."""
    found = index.search(query)
    assert [] == [word for word in found.corrections if len(word) < 6]
    assert not found.fits


@pytest.mark.parametrize(
    ("query", "expected"), [("get wether", "get_weather"), ("serach isues", "get_issue")]
)
def test_typos_are_repaired_as_before(index: ToolIndex, query: str, expected: str) -> None:
    """A short query of misspelt words is not in another language."""
    found = index.search(query)
    assert expected == found.hits[0].tool
    assert found.fits


@pytest.mark.parametrize(
    ("query", "repaired"),
    [
        ("find good restaurants in Paris please, as soon as you can", False),
        ("weather in Paris", False),
        ("weather in paris", True),
        ("Weather In Paris", True),
        ("Paris weather", True),
    ],
)
def test_a_name_inside_a_sentence_is_not_repaired(
    index: ToolIndex, query: str, repaired: bool
) -> None:
    """A capital marks a name, unless every word has one or it begins the sentence."""
    assert repaired == ("paris" in index.search(query).corrections)


@pytest.mark.parametrize("quote", ["'", "\u2019"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I'm sure", "I sure"),
        ("They aren't here", "They are here"),
        ("what's new", "what new"),
        ("we've won't can't don't", "we will can do"),
        ("HE'LL DON'T", "HE DO"),
        ("the user's rock 'n' roll 'm' x'y", "the user rock n roll m x y"),
    ],
)
def test_contractions_leave_one_word(text: str, words: str, quote: str) -> None:
    """The rest of a contraction is not a word of its own."""
    assert words.split() == prose_tokens(without_contractions(text.replace("'", quote)))


def test_contractions_are_not_corrected(index: ToolIndex) -> None:
    """`aren't` is not `area`, and `I'm` is not `m`."""
    found = index.search("I'm sure there aren't many, what's the record we've got")
    assert {} == found.corrections
    assert "get_record" == found.hits[0].tool


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DEPRECATED: Use read_text_file instead. Reads a file.", True),
        ("**Deprecated.** Reads a file.", True),
        ("Read a file. This tool is deprecated; use another.", True),
        ("[deprecated] Read a file", True),
        ("Read a file (deprecated since 2.0)", True),
        ("Read a file. It has been deprecated.", True),
        ("List the deprecated packages of a project.", False),
        ("Mark a package as deprecated.", False),
        ("Read a file", False),
    ],
)
def test_which_tools_are_deprecated(text: str, expected: bool) -> None:
    """A tool says so of itself."""
    assert expected == is_deprecated({"name": "x", "description": text})
    assert is_deprecated({"name": "x", "description": "Read", "deprecated": True})
    assert is_deprecated({"name": "x", "annotations": {"title": "Deprecated: x"}})


def test_a_deprecated_tool_is_below_its_successor() -> None:
    """Its own name still finds it first."""
    index = ToolIndex()
    index.replace(
        "fs",
        [
            tool("read_file", "Read a file as text. DEPRECATED: Use read_text_file instead."),
            tool("read_old", "Read the complete text of a file (deprecated)."),
            tool("read_text_file", "Read the complete text of a file."),
            tool("write_file", "Write a file."),
        ],
    )
    found = [hit.tool for hit in index.search("read the text of a file").hits]
    assert "read_text_file" == found[0]
    assert found.index("read_text_file") < found.index("read_old")
    assert "read_file" == index.search("read_file").hits[0].tool


def test_a_part_without_worth_adds_nothing() -> None:
    """It is not divided by."""
    nothing = Part([{1: 0.5, 2: 0.5}], 2, 0.0)
    some = attrs.evolve(nothing, postings=[{1: 0.5}], count=1, worth=2.0)
    assert ({}, 1.0) == _summed([nothing])
    assert ({1: 0.5}, 2.0) == _summed([nothing, some])
