"""The tool index: what is found, in which order, and what stays the same through changes."""

from __future__ import annotations

import random
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from mcpgw.catalog import shard
from mcpgw.catalog.index import SearchResult, ToolIndex


def tool(name: str, description: str = "", **properties: str) -> dict[str, Any]:
    """Return a tool definition whose parameters have these descriptions."""
    schema = {
        "type": "object",
        "properties": {
            key: {"type": "string", "description": text} for key, text in properties.items()
        },
    }
    return {"name": name, "description": description, "inputSchema": schema}


FILES = [
    tool("read_file", "Return the contents of a file.", path="Where the file is"),
    tool("write_file", "Overwrite a file.", path="Where", content="What to write"),
    tool("list_directory", "List what a folder holds.", path="The folder"),
]
MAIL = [
    tool("send_email", "Send a message to recipients.", to="Addresses", body="The text"),
    tool("search_messages", "Find messages in the mailbox.", query="Words to look for"),
]
WEATHER = [
    tool("getForecast", "Weather for the coming days.", city="Name of the town"),
    tool("查询天气", "查询指定城市的天气预报"),
]


@pytest.fixture
def index() -> ToolIndex:
    """An index of three small servers."""
    made = ToolIndex()
    made.replace("files", FILES)
    made.replace("mail", MAIL, description="Corporate mailbox and calendar")
    made.replace("weather", WEATHER)
    return made


def names(result: SearchResult) -> list[str]:
    """Return the hits as `server:tool`."""
    return [f"{hit.server}:{hit.tool}" for hit in result.hits]


def first(index: ToolIndex, query: str) -> str:
    """Return the first hit as `server:tool`, "" for none."""
    return next(iter(names(index.search(query))), "")


def test_listing_needs_no_search(index: ToolIndex) -> None:
    """Counts, definitions and order are known without any word being cut."""
    assert 7 == len(index)
    assert ("files", "mail", "weather") == index.servers
    assert tuple(FILES) == index.tools("files")
    assert MAIL[0] == index.get("mail", "send_email")
    assert index.get("mail", "read_file") is None
    assert index.get("nobody", "read_file") is None
    assert () == index.tools("nobody")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("read a file", "files:read_file"),
        ("sending emails", "mail:send_email"),
        ("weather forecast", "weather:getForecast"),
        ("what does this folder hold", "files:list_directory"),
        ("town", "weather:getForecast"),
        ("天气", "weather:查询天气"),
        ("气", "weather:查询天气"),
        ("mailbox calendar search", "mail:search_messages"),
    ],
)
def test_words_of_every_field_find_a_tool(index: ToolIndex, query: str, expected: str) -> None:
    """Name, description, parameters and the server's own description all count."""
    assert expected == first(index, query)


@pytest.mark.parametrize(
    ("query", "expected", "corrections"),
    [
        ("raed fiel", "files:read_file", {"raed": "read", "fiel": "file"}),
        ("xorecast", "weather:getForecast", {"xorecast": "forecast"}),
        ("forec", "weather:getForecast", {"forec": "forecast"}),
        ("searchmessages", "mail:search_messages", {}),
        ("serchmessages", "mail:search_messages", {"serchmessages": "searchmessages"}),
        ("mailboxmessages", "mail:search_messages", {"mailboxmessages": "mailbox messages"}),
    ],
)
def test_unknown_words_are_read_as_known_ones(
    index: ToolIndex, query: str, expected: str, corrections: dict[str, str]
) -> None:
    """Swapped letters, a damaged first letter, beginnings and joined words are understood."""
    assert expected == first(index, query)
    assert corrections == index.search(query).corrections


@pytest.mark.parametrize("query", ["", "   ", "the of and", "?!", "zzqqxxyy", "_"])
def test_a_query_without_meaning_finds_nothing(index: ToolIndex, query: str) -> None:
    """No word that means anything here gives no hit and no error."""
    assert SearchResult((), 0, {}, fits=False) == index.search(query)


@pytest.mark.parametrize(
    "query", ["get", "GET", "other get", "other:get", "other/get", "Other.Get", " get "]
)
def test_the_name_itself_comes_first(query: str) -> None:
    """A query that is a tool's name, with or without its server, puts that tool first."""
    index = ToolIndex()
    index.replace("many", [tool(f"get_{word}", "get get get") for word in ("other", "gets")])
    index.replace("other", [tool("get", "unlike the rest " * 30)])
    assert "other:get" == first(index, query)


def test_the_same_spelling_wins_over_another_one() -> None:
    """Of two names that differ in spelling alone, the one typed comes first."""
    index = ToolIndex()
    index.replace("one", [tool("readFile")])
    index.replace("two", [tool("read_file")])
    assert ["two:read_file", "one:readFile"] == names(index.search("read_file"))
    assert ["one:readFile", "two:read_file"] == names(index.search("readFile"))


def test_a_name_of_stop_words_is_found_by_itself() -> None:
    """A name without any indexed word is found when typed exactly."""
    index = ToolIndex()
    index.replace("me", [tool("who_am_i"), tool("whoami"), tool("!!")])
    assert "me:who_am_i" == first(index, "who_am_i")
    assert "me:!!" == first(index, "!!")


def test_equal_scores_are_ordered_by_server_then_tool() -> None:
    """Ties never depend on the order in which servers came."""
    index = ToolIndex()
    for server in ("b", "a"):
        index.replace(server, [tool("ping_y", "twin"), tool("ping_x", "twin")])
    assert ["a:ping_x", "a:ping_y", "b:ping_x", "b:ping_y"] == names(index.search("twin"))


def test_the_limit_cuts_hits_but_not_the_total(index: ToolIndex) -> None:
    """`total` counts every tool that matched."""
    everything = index.search("file path mail message weather", limit=50)
    few = index.search("file path mail message weather", limit=2)
    assert everything.hits[:2] == few.hits
    assert everything.total == few.total == len(everything.hits)
    assert () == index.search("file", limit=0).hits


def test_matched_names_the_fields_that_hold_the_words(index: ToolIndex) -> None:
    """A reader can see why a tool was found."""
    hit = index.search("file contents").hits[0]
    assert ("name", "description", "parameter_descriptions", "server") == hit.matched
    assert FILES[0] is hit.definition
    assert hit.score > 0
    # `town` in the text is a synonym of the parameter's name.
    assert ("parameters", "parameter_descriptions") == index.search("city").hits[0].matched


ODD: list[Any] = [
    None,
    "text",
    {},
    {"name": None, "description": "nameless zebra"},
    {"name": 7, "description": ["zebra"]},
    {"name": "no_text", "description": None, "inputSchema": None, "annotations": "x"},
    {"name": "list_schema", "inputSchema": [1, 2]},
    {"name": "odd_properties", "inputSchema": {"properties": ["zebra"]}},
    {"name": "odd_property", "inputSchema": {"properties": {"zebra": None, 5: {}, "y": "z"}}},
    {"name": "odd_enum", "inputSchema": {"properties": {"a": {"enum": [{}, None, "zebra"]}}}},
    {"name": "odd_any", "inputSchema": {"anyOf": "x", "items": [1], "$defs": []}},
    {"name": "titled", "annotations": {"title": "Zebra crossing"}},
    {"name": "twice"},
    {"name": "twice"},
]


def test_odd_definitions_are_indexed_as_far_as_they_go() -> None:
    """Nothing that a server lists raises, and what can be read is found."""
    index = ToolIndex()
    index.replace("odd", ODD)
    found = {hit.tool for hit in index.search("zebra").hits}
    assert {"", "odd_property", "odd_enum", "titled"} == found
    assert len(ODD) - 2 == len(index)
    assert index.get("odd", "twice") is ODD[-2]
    assert 2 == len(index.search("twice").hits)


def test_a_bottomless_or_huge_schema_is_read_in_part() -> None:
    """Depth and number of properties are bounded, so that no schema costs much."""
    nested: dict[str, Any] = {"type": "object"}
    nested["properties"] = {"again": nested, "inner": {"type": "array", "items": nested}}
    wide = {"properties": {f"field{number}": {} for number in range(100_000)}}
    index = ToolIndex()
    index.replace("deep", [{"name": "deep", "inputSchema": nested}])
    index.replace("wide", [{"name": "wide", "inputSchema": wide}])
    assert "deep:deep" == first(index, "inner")
    assert "wide:wide" == first(index, "field")
    assert len(index.search("wide").hits[0].definition["inputSchema"]["properties"]) == 100_000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["properties", "items", "anyOf", "enum", "description", "$defs", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["name", "title", "description", "inputSchema", "annotations"]),
            json_values,
        ),
        max_size=4,
    ),
    st.text(max_size=20),
)
@settings(max_examples=60)
def test_no_definition_and_no_query_raises(tools: list[dict[str, Any]], query: str) -> None:
    """Whatever JSON a server lists and whatever is asked, a search answers."""
    index = ToolIndex()
    index.replace("any", tools)
    assert len(tools) == len(index)
    assert index.search(query).total <= len(tools)


WORDS = ["read", "write", "file", "files", "list", "send", "mail", "get", "天气", "note", "code"]
SERVERS = ["alpha", "beta", "gamma"]
changes = st.lists(
    st.tuples(
        st.sampled_from(SERVERS),
        st.none() | st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3), max_size=5),
        st.booleans(),
    ),
    max_size=8,
)
QUERIES = ["read file", "raed flie", "wea", "send a mail", "天气", "get", "alpha list", "nte cdoe"]


@given(changes)
@settings(max_examples=60)
def test_any_history_gives_the_results_of_a_fresh_build(
    history: list[tuple[str, list[list[str]] | None, bool]],
) -> None:
    """Results depend on the current lists, not on their history."""
    index = ToolIndex()
    final: dict[str, list[dict[str, Any]]] = {}
    for server, wanted, search_between in history:
        if wanted is None:
            index.remove(server)
            final.pop(server, None)
        else:
            tools = [tool("_".join(words), " ".join(reversed(words))) for words in wanted]
            index.replace(server, tools)
            final[server] = tools
        if search_between:
            index.search("read")
    fresh = ToolIndex()
    for server in sorted(final, reverse=True):
        fresh.replace(server, final[server])
    for query in QUERIES:
        assert fresh.search(query) == index.search(query)


def test_the_same_query_gives_the_same_answer(index: ToolIndex) -> None:
    """Repeating a search, also one with typos, changes nothing."""
    for query in ("raed fiel", "weather", "mesages"):
        assert index.search(query) == index.search(query)


def test_removing_a_server_forgets_its_words(index: ToolIndex) -> None:
    """After a removal nothing of the server is found, corrected to, or counted."""
    index.search("warm up the index")
    index.remove("weather")
    index.remove("weather")
    assert SearchResult((), 0, {}, fits=False) == index.search("forecastt")
    assert ("files", "mail") == index.servers
    assert 5 == len(index)


def many(count: int, word: str) -> list[dict[str, Any]]:
    """Return tools that differ in their number alone."""
    return [tool(f"{word}_{number}", word) for number in range(count)]


async def test_prepare_builds_what_is_pending_and_bears_changes() -> None:
    """Searches, replacements and removals during `prepare` leave the index as listed last."""
    index = ToolIndex()
    for number in range(4):
        index.replace(f"server{number}", many(3 * shard.BATCH, f"word{'abcd'[number]}"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(index.prepare)
        await trio.lowlevel.checkpoint()
        index.replace("server0", many(2, "other"))
        index.remove("server1")
        assert 3 * shard.BATCH == index.search("wordc").total
    await index.prepare()
    assert 2 == index.search("other").total
    assert 2 + 6 * shard.BATCH == len(index)
    assert "server1" not in {hit.server for hit in index.search("wordb", limit=50).hits}


def damaged(word: str, rng: random.Random) -> str:
    """Return a word with one letter replaced, inserted, deleted, or swapped with the next."""
    place = rng.randrange(len(word) - 1)
    letter = rng.choice("abcdefghijklmnopqrstuvwxyz")
    return rng.choice(
        [
            word[:place] + letter + word[place + 1 :],
            word[:place] + letter + word[place:],
            word[:place] + word[place + 1 :],
            word[:place] + word[place + 1] + word[place] + word[place + 2 :],
        ]
    )


def test_damaged_names_are_still_found() -> None:
    """With one damaged letter in each word, nine of ten queries still hit the right name."""
    rng = random.Random(11)
    verbs = ["create", "delete", "fetch", "update", "convert", "publish", "archive", "send"]
    kinds = ["daily", "shared", "remote", "pending", "hidden", "monthly", "public", "static"]
    things = ["invoice", "calendar", "ticket", "payment", "folder", "weather", "channel", "route"]
    wanted = [(rng.choice(verbs), rng.choice(kinds), rng.choice(things)) for _ in range(400)]
    words = verbs + kinds + things
    index = ToolIndex()
    index.replace(
        "made",
        [
            tool("_".join([*name, str(number)]), " ".join(rng.choices(words, k=12)))
            for number, name in enumerate(wanted)
        ],
    )
    right = 0
    for name in wanted[:200]:
        hits = index.search(" ".join(damaged(word, rng) for word in name), limit=1).hits
        right += bool(hits) and hits[0].tool.rsplit("_", 1)[0] == "_".join(name)
    assert right >= 180
