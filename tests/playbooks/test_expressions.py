"""References in the arguments of steps, and conditions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.playbooks.conditions import ConditionError, parse_condition
from mcpgw.playbooks.expressions import interpolate, lookup

SCOPE: dict[str, Any] = {
    "inputs": {
        "city": "Oslo",
        "n": 3,
        "deep": {"er": [1, 2]},
        "nothing": None,
        "a-key": "hyphen",
        "größe": 9,
    },
    "search": {"items": [{"id": 7, "name": "a"}, {"id": 8}], "total": 2},
    "prev": "last words",
    "odd": {
        "yes": True,
        "code": "007",
        "id": 9007199254740993,
        "none": "None",
        "grouped": "1_0",
        "a-key": 1,
    },
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$inputs.city", "Oslo"),
        ("$inputs.n", 3),
        ("${inputs.n}", 3),
        ("$inputs.deep", {"er": [1, 2]}),
        ("$search.items[0].id", 7),
        ("$search.items[-1].id", 8),
        ("$search.items[].id", [7, 8]),
        ("$search.items[].name", "a"),
        ("$search.items[9].id", None),
        ("$prev", "last words"),
        ("to $inputs.city!", "to Oslo!"),
        ("$inputs.city.", "Oslo."),
        ("${inputs.n}x$inputs.n", "3x3"),
        ("all: $inputs.deep", 'all: {"er": [1, 2]}'),
        ("none: $inputs.nothing.", "none: ."),
        ("none: $inputs.missing", "none: "),
        ("$5 and $HOME and $unknown.path", "$5 and $HOME and $unknown.path"),
        ("$$inputs.city", "$inputs.city"),
        ("$inputs.n-$inputs.city-01", "3-Oslo-01"),
        ("${inputs.a-key}", "hyphen"),
        ("${inputs.größe}", 9),
        ("", ""),
    ],
)
def test_references_in_text(text: str, value: Any) -> None:
    """A single reference keeps its type; inside a text it becomes text; other text is unchanged."""
    assert value == interpolate(text, SCOPE)


def test_references_at_any_depth() -> None:
    """References in lists and maps are replaced; other values and keys are unchanged."""
    given_value = {"a": ["$inputs.n", {"b": "$prev"}], "$prev": 1.5, "c": None}
    assert {"a": [3, {"b": "last words"}], "$prev": 1.5, "c": None} == interpolate(
        given_value, SCOPE
    )


@given(st.text(alphabet="$${}[].-_abinputsprev0 19é\n", max_size=60) | st.text(max_size=60))
def test_no_text_is_refused(text: str) -> None:
    """Interpolation does not fail for any argument."""
    interpolate(text, SCOPE)
    interpolate(f"${text}", SCOPE)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("$inputs.city", True),
        ("not $inputs.city", False),
        ("$inputs.nothing", False),
        ("$missing.at.all", False),
        ("$inputs.city == 'Oslo'", True),
        ('$inputs.city != "Oslo"', False),
        ("$inputs.n >= 3", True),
        ("$inputs.n > 3", False),
        ("$inputs.n <= 2.5", False),
        ("$inputs.n == 3", True),
        ("$inputs.n == '3'", True),
        ("$inputs.nothing == null", True),
        ("$search.items | length > 1", True),
        ("$search.items | length == 2 and $inputs.n < 1", False),
        ("$inputs.n < 1 or $search.total == 2", True),
        ("$inputs.city > 'Aachen'", True),
        ("$inputs.city > 5", False),
        ("not $inputs.n == 3 or not $inputs.nothing", True),
        ("$odd.yes == 'true'", True),
        ("$odd.code == '7'", False),
        ("$odd.code == 7", True),
        ("$odd.id == 9007199254740992", False),
        ("$odd.none == null", False),
        ("$odd.grouped == 10", False),
        ("$missing == ''", False),
        ("${odd.a-key} == 1", True),
    ],
)
def test_conditions(text: str, holds: bool) -> None:
    """Truth, comparison, length, not, and, or."""
    assert holds is parse_condition(text).holds(SCOPE)


@pytest.mark.parametrize(
    "text",
    ["", "inputs.n", "$inputs.n =", "$inputs.n > ", "$inputs.n | size > 3", "$a and", "$a $b",
     "$a..b > 1", "$a.b] == 1", "$a. == 1", "$a.b-c == 1", f"$a > {'1' * 5000}",
     "$inputs.n > $search.total", "$a == yes", "($a)", "$inputs.n => 3"],
)  # fmt: skip
def test_what_is_no_condition(text: str) -> None:
    """A condition that is not understood is refused, with the text and the place."""
    with pytest.raises(ConditionError):
        parse_condition(text)


@given(st.text(alphabet="$${}[].'\"|<>=! abinotrd01-", max_size=40))
def test_a_condition_is_read_or_refused(text: str) -> None:
    """No text does anything else, and what is read can be asked."""
    try:
        condition = parse_condition(text)
    except ConditionError:
        return
    assert condition.holds(SCOPE) in (True, False)


def test_the_place_of_a_fault_is_that_of_the_word() -> None:
    """Spaces before it are not counted to it."""
    with pytest.raises(ConditionError, match=r"unexpected '\$b', at character 6$"):
        parse_condition("$a   $b")


def test_lookup_of_nothing() -> None:
    """A reference with an unknown root gives None."""
    assert lookup("$nobody.x", SCOPE) is None
