"""Counts with their noun."""

from __future__ import annotations

import pytest

from mcpgw.text.plural import plural


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 servers"), (1, "1 server"), (2, "2 servers"), (1200, "1,200 servers")],
)
def test_only_one_is_singular(count: int, expected: str) -> None:
    """Zero takes the plural, and thousands are separated."""
    assert expected == plural(count, "server")


def test_irregular_plurals_are_given() -> None:
    """The plural form is used for every count but one."""
    counted = [plural(count, "entry", "entries") for count in (0, 1, 2)]
    assert ["0 entries", "1 entry", "2 entries"] == counted
