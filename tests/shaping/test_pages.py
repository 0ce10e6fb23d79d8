"""Long answers in pages."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.shaping.pages import NoSuchResult, ResultPages


def answer(*texts: str, **more: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text} for text in texts], **more}


def place(result: dict[str, Any]) -> dict[str, Any]:
    return result["_meta"]["gateway/page"]


def read_all(pages: ResultPages, page: dict[str, Any], limit: int) -> str:
    """Follow the way on to the end and put the pages together."""
    text = page["content"][0]["text"]
    while (following := place(page)["next_offset"]) is not None:
        assert following > place(page)["offset"]
        page = pages.read(place(page)["id"], following, limit=limit)
        text += page["content"][0]["text"]
    assert 1 == len([block for block in page["content"] if block["type"] == "text"])
    return text


@pytest.mark.parametrize(
    "result",
    [
        answer("x" * 100),
        answer("x" * 49, "y" * 50),
        answer(),
        {"content": []},
        {},
        {"content": "odd"},
        {"content": [None, {"type": "resource", "text": "x" * 200}]},
        {"content": [{"type": "image", "data": "x" * 200}]},
    ],
)
def test_what_fits_is_not_touched(result: dict[str, Any]) -> None:
    """An answer within the limit is the very object that was given, and nothing is kept."""
    pages = ResultPages()
    assert result is pages.cut(result, 100, origin="s:t")
    with pytest.raises(NoSuchResult, match="Results kept: none;"):
        pages.read("r1", limit=100)


def test_the_first_page_says_how_to_read_on() -> None:
    """The second text of a page holds the exact call that gives the next one."""
    pages = ResultPages()
    page = pages.cut(answer("x" * 250, _meta={"mine": 1}), 100, origin="files:read")
    assert "x" * 100 == page["content"][0]["text"]
    note = page["content"][1]["text"]
    assert "files:read" in note
    call = json.loads(re.search(r"\{.*\}\}", note)[0])  # type: ignore[index]
    assert {
        "server": "gateway",
        "tool": "read_result",
        "arguments": {"id": "r1", "offset": 100},
    } == call
    assert {
        "mine": 1,
        "gateway/page": {"id": "r1", "offset": 0, "next_offset": 100, "total": 250},
    } == page["_meta"]
    last = pages.read("r1", 200, limit=100)
    assert [{"type": "text", "text": "x" * 50}] == last["content"]
    assert {"id": "r1", "offset": 200, "next_offset": None, "total": 250} == place(last)


def test_other_blocks_stay() -> None:
    """Images and links stay as they are; texts of resources are text; structured content goes."""
    image = {"type": "image", "data": "AAAA", "mimeType": "image/png"}
    result = answer("one " * 20, structuredContent={"a": 1}, isError=False)
    result["content"] += [
        image,
        {"type": "resource", "resource": {"uri": "file:///a", "text": "two " * 20}},
        {"type": "resource", "resource": {"uri": "file:///b", "blob": "AAAA"}},
    ]
    before = copy.deepcopy(result)
    pages = ResultPages()
    page = pages.cut(result, 50, origin="s:t")
    assert before == result
    assert [image, result["content"][3]] == page["content"][2:]
    assert "structuredContent" not in page
    assert "Its structured content is left out." in page["content"][1]["text"]
    assert page["isError"] is False
    assert "one " * 20 + "\n" + "two " * 20 == read_all(pages, page, 50)


def test_structured_content_without_a_text_is_the_text() -> None:
    """A long answer that is structured content alone is cut as its JSON."""
    result = {"content": [], "structuredContent": {"a": "x" * 100}}
    pages = ResultPages()
    page = pages.cut(result, 50, origin="s:t")
    assert result["structuredContent"] == json.loads(read_all(pages, page, 50))
    short = {"content": [], "structuredContent": {"a": 1}}
    assert short is pages.cut(short, 50, origin="s:t")


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("a" * 95 + "\n" + "b" * 50, 96),
        ("a" * 92 + "\nbb cc" + "b" * 50, 93),
        ("a" * 95 + " " + "b" * 50, 96),
        ("a" * 50 + "\n" + "b" * 100, 100),
        ("a" * 99 + "e\u0301" + "b" * 50, 99 + 0),
        ("a" * 98 + "\U0001f469\u200d\U0001f680" + "b" * 50, 98),
        ("a" * 99 + "\r\n" + "b" * 50, 99),
    ],
)
def test_a_page_ends_where_something_ends(text: str, first: int) -> None:
    """A line's end near the limit is best, then a word's; a sign is not torn apart."""
    page = ResultPages().cut(answer(text), 100, origin="s:t")
    assert first == place(page)["next_offset"]


@given(
    texts=st.lists(
        st.text(alphabet=st.sampled_from("ab \n\r\u0301\u200d\U0001f469\ud800\udc00")),
        min_size=1,
        max_size=4,
    ),
    limit=st.integers(1, 60),
)
def test_the_pages_together_are_the_whole(texts: list[str], limit: int) -> None:
    """Whatever the text and the limit, nothing is lost or repeated."""
    pages = ResultPages()
    result = answer(*texts)
    page = pages.cut(result, limit, origin="s:t")
    whole = "\n".join(texts)
    if page is result:
        assert len(whole) <= limit
    else:
        assert len(whole) == place(page)["total"]
        assert whole == read_all(pages, page, limit)
        assert all(
            len(pages.read("r1", at, limit=limit)["content"][0]["text"]) <= limit
            for at in range(len(whole))
        )


def test_the_beginning_of_an_error_is_never_cut() -> None:
    """The first 2,000 characters of an error come whole, however small the limit."""
    pages = ResultPages()
    short = answer("e" * 2_000, isError=True)
    assert short is pages.cut(short, 10, origin="s:t")
    page = pages.cut(answer("some words " * 1_000, isError=True), 10, origin="s:t")
    assert page["isError"] is True
    assert 2_000 <= len(page["content"][0]["text"]) <= 2_250


def test_the_oldest_results_go_first() -> None:
    """The number of results is limited; the error for a dropped one lists those kept."""
    pages = ResultPages(most_results=2)
    for letter in "abc":
        pages.cut(answer(letter * 20), 10, origin="s:t")
    with pytest.raises(NoSuchResult, match=r"'r1'\. Results kept: r2, r3; older ones were dropped"):
        pages.read("r1", limit=10)
    assert "b" * 10 == pages.read("r2", limit=10)["content"][0]["text"]


def test_only_so_much_is_kept() -> None:
    """The characters of all results together have a bound; one that is longer is not kept."""
    pages = ResultPages(most_characters=50)
    first = pages.cut(answer("a" * 30), 10, origin="s:t")
    pages.cut(answer("b" * 30), 10, origin="s:t")
    with pytest.raises(NoSuchResult, match="Results kept: r2;"):
        pages.read(place(first)["id"], limit=10)
    huge = pages.cut(answer("c" * 51), 10, origin="s:t")
    assert {"id": None, "offset": 0, "next_offset": None, "total": 51} == place(huge)
    assert "Ask the tool for less" in huge["content"][1]["text"]
    assert "gateway_invoke" not in huge["content"][1]["text"]
    assert "b" * 10 == pages.read("r2", 20, limit=10)["content"][0]["text"]


@pytest.mark.parametrize("offset", [-1, 30, 31, 10**20])
def test_an_offset_outside_of_the_text(offset: int) -> None:
    """A wrong offset is refused with the length of the text."""
    pages = ResultPages()
    pages.cut(answer("a" * 30), 10, origin="s:t")
    with pytest.raises(NoSuchResult, match=f"{offset} is outside .* 30 characters.* 0 to 29"):
        pages.read("r1", offset, limit=10)
