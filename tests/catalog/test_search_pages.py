"""Pages of hits: compound requests, variety, what does not fit, and scripts without spaces."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcpgw.catalog.index import SearchResult, ToolIndex


def tool(name: str, description: str = "", **properties: str) -> dict[str, Any]:
    """Return a tool definition whose parameters have these descriptions."""
    schema = {"properties": {key: {"description": text} for key, text in properties.items()}}
    return {"name": name, "description": description, "inputSchema": schema}


OFFICE = {
    "files": [
        tool("read_file", "Return the contents of a file."),
        tool("write_file", "Overwrite a file with new contents."),
        tool("move_file", "Give a file another name or folder."),
        tool("list_directory", "List the files that a folder holds."),
        tool("file_info", "Size and date of a file."),
    ],
    "mail": [
        tool("send_email", "Send a message to recipients."),
        tool("search_messages", "Find messages in the mailbox."),
    ],
    "charts": [
        tool("bar_chart", "Draw a bar chart from a table of numbers."),
        tool("pie_chart", "Draw a pie chart from a table of numbers."),
    ],
    "weather": [
        tool("get_forecast", "Weather for the coming days in a town."),
        tool("get_alerts", "Storm warnings for a region."),
    ],
}


@pytest.fixture
def index() -> ToolIndex:
    """An index of a small office."""
    made = ToolIndex()
    for server, tools in OFFICE.items():
        made.replace(server, tools)
    return made


def names(result: SearchResult, count: int = 99) -> list[str]:
    """Return the names of the first hits."""
    return [hit.tool for hit in result.hits[:count]]


def test_each_part_of_a_compound_request_has_its_tool_near_the_top(index: ToolIndex) -> None:
    """One search for several things finds a tool for each, not five for the first."""
    found = index.search(
        "Read the file with the sales numbers, then draw a pie chart of them, look at the weather"
        " forecast for Lisbon, and finally send an email to Anna Miller with the chart"
    )
    assert {"read_file", "pie_chart", "get_forecast", "send_email"} <= set(names(found, 5))
    scores = [hit.score for hit in found.hits]
    assert sorted(scores, reverse=True) == scores
    assert found.fits


def test_the_order_of_the_parts_matters_little(index: ToolIndex) -> None:
    """The same wishes in another order have the same tools at the top."""
    one = index.search("send an email to the whole team and then draw a bar chart of the numbers")
    two = index.search("draw a bar chart of the numbers and then send an email to the whole team")
    assert {"send_email", "bar_chart"} == set(names(one, 2)) == set(names(two, 2))


def test_data_and_paths_in_a_question_do_not_hide_what_is_asked(index: ToolIndex) -> None:
    """A pasted image and a long path leave the request readable."""
    blob = "QWxhZGRpbjpvcGVuIHNlc2FtZQ" * 300
    assert "send_email" == names(index.search(f"send an email with this image {blob} to all"), 1)[0]
    assert "write_file" == names(index.search("write it to /var/reports/weather.md"), 1)[0]


def test_twins_of_one_name_leave_room_for_others() -> None:
    """The second server's tool of the same name comes after those it would crowd out."""
    index = ToolIndex()
    for server in "abcdef":
        index.replace(server, [tool("get_time", "Tell the time in a city.")])
    index.replace("zones", [tool("convert_time_zone", "Tell the time of one city in another.")])
    found = index.search("what time is it in the city", limit=3)
    assert "convert_time_zone" in names(found)
    assert "get_time" == names(found)[0]


def test_a_name_typed_shows_all_that_have_it() -> None:
    """A query by name returns every tool with that name before any other."""
    index = ToolIndex()
    for server in "abc":
        index.replace(server, [tool("get_time"), tool("get_time_zone")])
    assert ["get_time"] * 3 == names(index.search("get_time"), 3)


def test_a_crowd_of_siblings_leaves_room_for_other_servers() -> None:
    """Tools of one large server do not push every other server that fits off the page."""
    index = ToolIndex()
    index.replace("big", [tool(f"note_{n}", "Keep a short note about work.") for n in range(20)])
    index.replace("small", [tool("jot", "Keep a short note about this and that and more work.")])
    found = index.search("keep a short note about work", limit=10)
    assert "jot" in names(found)
    family = index.search("big note", limit=10)
    assert ["big"] * 10 == [hit.server for hit in family.hits]


@pytest.mark.parametrize(
    "query",
    [
        "read a file",
        "send an email to Anna",
        "weather in Lisbon tomorrow",
        "bar chart",
        "move file",
        "get_alerts",
        "Please look up the forecast for me and tell me what to wear on Sunday",
    ],
)
def test_honest_queries_fit(index: ToolIndex, query: str) -> None:
    """A page fits if a tool answers the query."""
    assert index.search(query).fits


@pytest.mark.parametrize(
    "query",
    [
        "brew me an espresso",
        "perform knee surgery on the goalkeeper",
        "teleport the whole brigade to saturn",
        "knit a woollen scarf",
        "zorp quibble wuggle",
    ],
)
def test_absurd_queries_do_not_fit(index: ToolIndex, query: str) -> None:
    """A page does not fit if its best hits share almost nothing with the query."""
    assert not index.search(query).fits


ASIA = [
    tool("query_weather", "查询指定城市的天气预报"),
    tool("send_mail", "メールを送信する"),
    tool("translate_text", "텍스트를 다른 언어로 번역합니다"),
    tool("find_hotel", "ค้นหาโรงแรมในเมือง"),
    tool("buy_ticket", "购买火车票并选择座位"),
]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("天气", "query_weather"),
        ("北京 天气", "query_weather"),
        ("请查询北京的天气。", "query_weather"),
        ("城市、天气?", "query_weather"),
        ("火车票 座位", "buy_ticket"),
        ("我想购买火车票，然后选择座位！", "buy_ticket"),
        ("メール 送信", "send_mail"),
        ("「メール」を送信", "send_mail"),
        ("번역", "translate_text"),
        ("언어, 번역!", "translate_text"),
        ("โรงแรม", "find_hotel"),
        ("โรงแรม เมือง", "find_hotel"),
        ("weather 天气", "query_weather"),
    ],
)
def test_scripts_without_spaces_are_found(query: str, expected: str) -> None:
    """Words of Chinese, Japanese, Korean and Thai are found, however they are set off."""
    index = ToolIndex()
    index.replace("asia", ASIA)
    assert expected == names(index.search(query), 1)[0]


def test_explanations_are_given_when_asked_for(index: ToolIndex) -> None:
    """Each hit has its relevance on request, and otherwise no ranking."""
    hit = index.search("read file", explain=True).hits[0]
    assert hit.ranking is not None
    assert {"relevance"} == set(hit.ranking)
    assert index.search("read file").hits[0].ranking is None


WORDS = [
    "read",
    "file",
    "send",
    "mail",
    "chart",
    "draw",
    "and",
    "then",
    ",",
    "weather",
    "zzz",
    "天气",
]


@given(st.lists(st.sampled_from(WORDS), max_size=24), st.integers(min_value=0, max_value=12))
@settings(max_examples=80)
def test_pages_of_any_request_are_in_order(words: list[str], limit: int) -> None:
    """No request raises; scores never rise, no hit is there twice, and asking again is the same."""
    index = ToolIndex()
    for server, tools in OFFICE.items():
        index.replace(server, tools)
    query = " ".join(words)
    found = index.search(query, limit=limit)
    scores = [hit.score for hit in found.hits]
    assert sorted(scores, reverse=True) == scores
    assert len({(hit.server, hit.tool) for hit in found.hits}) == len(found.hits) <= limit
    assert len(found.hits) <= found.total
    assert found == index.search(query, limit=limit)
