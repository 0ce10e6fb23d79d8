"""Synonym files: their format, errors, and effect on a search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcpgw.catalog.index import ToolIndex
from mcpgw.catalog.synonyms import BUILT_IN, SynonymError, load


def tool(name: str, description: str = "") -> dict[str, Any]:
    """Return a tool definition without parameters."""
    return {"name": name, "description": description, "inputSchema": {"type": "object"}}


def written(folder: Path, text: str) -> Path:
    """Return a synonym file with this text."""
    path = folder / "words.yaml"
    path.write_text(text, "utf-8")
    return path


def names(index: ToolIndex, query: str) -> list[str]:
    """Return the names of the hits of a query."""
    return [hit.tool for hit in index.search(query).hits]


def test_words_of_a_group_stand_for_each_other_and_narrower_ones_do_not(tmp_path: Path) -> None:
    """A group works both ways, `narrower` only from left to right; all is kept by stems."""
    path = written(
        tmp_path,
        "groups:\n  - [Deleting, remove, remove]\n  - [pull request, pr]\n"
        "narrower:\n  weather: [forecast, weather]\n",
    )
    table = load([path], built_in=None)
    assert {
        ("delet",): (("remov",),),
        ("remov",): (("delet",),),
        ("pull", "request"): (("pr",),),
        ("pr",): (("pull", "request"),),
        ("weather",): (("forecast",),),
    } == table.others
    assert 2 == table.longest
    assert () == table.of(("forecast",))


def test_nothing_is_carried_from_one_group_to_the_next(tmp_path: Path) -> None:
    """Two groups that share a word do not become one, and cycles end."""
    path = written(tmp_path, "groups: [[get, read], [read, view]]\nnarrower: {a1: [b1], b1: [a1]}")
    table = load([path], built_in=None)
    assert (("read",),) == table.of(("get",))
    assert (("get",), ("view",)) == table.of(("read",))
    assert (("b1",),) == table.of(("a1",))


@pytest.mark.parametrize("text", ["", "groups:\n", "narrower:\n", "groups: []\n", "groups: [[x]]"])
def test_an_empty_file_holds_nothing(tmp_path: Path, text: str) -> None:
    """An empty file is valid."""
    assert {} == load([written(tmp_path, text)], built_in=None).others


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("groups:\n  - delete\n", 2, "must be a list of words, as in `[delete, remove]`"),
        ("groups:\n  - [a, [b]]\n", 2, "['b'] must be a string; if it is a word, quote it"),
        ("groups:\n  - [a, b]\n  - [true, on]\n", 3, "True must be a string"),
        ("groups: delete\n", 1, "`groups` must be a list of lists of words"),
        ("\nnarrower: [a]\n", 2, "`narrower` must map a word to a list of words"),
        ("narrower:\n  a: b\n", 2, "must be a list of words"),
        ("group: []\n", 1, "unknown key 'group'; use `groups` and `narrower`"),
        (
            "groups:\n  - [one two three four five, b]\n",
            2,
            "has 5 words; a phrase must have at most 4",
        ),
        ("groups:\n  - [a, b\n", 3, "is not closed by ']'"),
    ],
)
def test_a_faulty_file_says_where_and_what(
    tmp_path: Path, text: str, line: int, message: str
) -> None:
    """The error names the file, the line, what is wrong and what is right."""
    path = written(tmp_path, text)
    with pytest.raises(SynonymError) as caught:
        load([path], built_in=None)
    assert f"Synonym file {path}, line {line}: " in str(caught.value)
    assert message in str(caught.value)


def test_a_file_that_is_no_map_or_missing_or_binary_is_named(tmp_path: Path) -> None:
    """Errors without a line have the file and the reason."""
    path = written(tmp_path, "- a\n")
    with pytest.raises(SynonymError, match=r"words\.yaml: must be a map with `groups`"):
        load([path])
    with pytest.raises(SynonymError, match=r"none\.yaml cannot be read: No such file"):
        load([tmp_path / "none.yaml"])
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SynonymError, match="cannot be read: the text is not UTF-8"):
        load([path])


def test_the_built_in_file_is_sound() -> None:
    """The built-in file is valid and has everyday words."""
    table = load()
    assert table is load()
    assert ("remov",) in table.of(("delet",))
    assert len(table.others) > 300
    assert BUILT_IN.name == "synonyms.yaml"


def test_a_synonym_finds_a_tool_that_says_the_same_in_other_words() -> None:
    """Neither word of the query is in the catalog, and the tool is found without a correction."""
    index = ToolIndex()
    index.replace("store", [tool("remove_document"), tool("list_folders"), tool("paint_wall")])
    found = index.search("erase folder")
    assert "remove_document" in {hit.tool for hit in found.hits}
    assert {} == found.corrections


def test_a_users_file_adds_to_the_built_in_words(tmp_path: Path) -> None:
    """Words and phrases of a user's file work in both directions, after the built-in ones."""
    path = written(tmp_path, "groups: [[widget, gizmo], [zap down, wibble]]")
    index = ToolIndex(synonym_files=[path])
    index.replace("shop", [tool("show_gizmo"), tool("wibble_it"), tool("remove_it")])
    assert ["show_gizmo"] == names(index, "widget")
    assert ["wibble_it"] == names(index, "zap down")
    assert ["remove_it"] == names(index, "delete")


def test_a_phrase_finds_what_holds_all_its_words() -> None:
    """An abbreviation finds the words it is short for if one tool has them all."""
    index = ToolIndex()
    index.replace("code", [tool("open_pull_request"), tool("pull_image"), tool("request_review")])
    assert "open_pull_request" == names(index, "pr")[0]
    assert "pull_image" not in names(index, "pr")


def test_a_bad_file_leaves_the_table_in_use(tmp_path: Path) -> None:
    """After an error searches go on as before it."""
    path = written(tmp_path, "groups: [[widget, gizmo]]")
    index = ToolIndex(synonym_files=[path])
    index.replace("shop", [tool("show_gizmo")])
    path.write_text("groups: [widget", "utf-8")
    with pytest.raises(SynonymError):
        index.use_synonyms([path])
    assert ["show_gizmo"] == names(index, "widget")
    index.use_synonyms([])
    assert [] == names(index, "widget")


WORDS = ["alpha", "beta", "gamma", "delta", "kappa"]


@given(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True),
    st.sampled_from(WORDS),
    st.sampled_from(WORDS),
    st.integers(min_value=0, max_value=6),
    st.integers(min_value=0, max_value=6),
)
@settings(max_examples=60)
def test_the_very_word_wins_over_its_synonym(
    rest: list[str], word: str, other: str, of_word: int, of_other: int
) -> None:
    """Of two tools that differ in one word, the one with the word typed comes first."""
    if word == other or {word, other} & set(rest):
        return
    index = ToolIndex()
    index._synonyms = load(built_in=None)
    index._synonyms = type(index._synonyms)({(word,): ((other,),), (other,): ((word,),)})
    index.replace("a", [tool("_".join([other, *rest]), other)])
    index.replace("b", [tool("_".join([word, *rest]), word)])
    # However common or rare the two words are elsewhere.
    index.replace("c", [tool(f"{word}_x{number}", "many") for number in range(of_word)])
    index.replace("d", [tool(f"{other}_x{number}", "many") for number in range(of_other)])
    found = [hit for hit in index.search(" ".join([word, *rest])).hits if hit.server in "ab"]
    assert ["b", "a"] == [hit.server for hit in found]
