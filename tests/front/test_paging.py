"""Cursors of paged lists."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.front.paging import LONGEST_CURSOR, PAGE, page
from mcpgw.protocol.errors import INVALID_PARAMS, RpcError

ENTRIES: list[dict[str, Any]] = [{"name": f"tool-{number}"} for number in range(2 * PAGE + 1)]


def test_all_pages_are_the_whole_list() -> None:
    """Each cursor leads to the next page, and the last page has none."""
    found: list[dict[str, Any]] = []
    params: dict[str, Any] = {}
    while True:
        result = page(ENTRIES, "tools", params)
        found += result["tools"]
        if "nextCursor" not in result:
            break
        assert len(result["nextCursor"]) <= LONGEST_CURSOR
        params = {"cursor": result["nextCursor"]}
    assert ENTRIES == found


def encoded(value: str) -> str:
    """Return a text as a cursor carries it."""
    return base64.urlsafe_b64encode(value.encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        encoded("[" * 100_000),
        encoded("[" * 100),
        encoded(json.dumps([True, "x"])),
        encoded(json.dumps([-1, "x"])),
        encoded(json.dumps({"a": 1})),
        encoded("1e999"),
        "%",
        "\ud800",
        7,
        [],
        {},
        "A" * 10_000_000,
    ],
    ids=lambda cursor: str(cursor)[:12],
)
def test_an_invented_cursor_is_refused(cursor: Any) -> None:
    """Whatever it holds and however deep it is, it is an invalid parameter."""
    with pytest.raises(RpcError) as caught:
        page(ENTRIES, "tools", {"cursor": cursor})
    assert INVALID_PARAMS == caught.value.code


@given(st.text() | st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode()))
def test_any_text_is_refused(cursor: str) -> None:
    """No text that the gateway did not issue is a cursor."""
    with pytest.raises(RpcError):
        page(ENTRIES, "tools", {"cursor": cursor})
