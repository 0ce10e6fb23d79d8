"""A tool's input in one short line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.catalog.summary import MAX_LENGTH, input_summary


def of(required: Any = None, **properties: Any) -> dict[str, Any]:
    """Return an object schema with these properties."""
    return {"type": "object", "properties": properties, "required": required}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (
            of(["query"], limit={"type": "integer"}, query={"type": "string"}),
            "query*: string, limit: integer",
        ),
        (of(mode={"enum": ["fast", "slow"]}), "mode: fast|slow"),
        (of(level={"enum": [1, 2.5, None, True, "x"]}), "level: 1|2.5|null|true|…"),
        (of(kind={"const": "a"}), "kind: a"),
        (of(place={"type": "object", "properties": {"x": {}}}), "place: object"),
        (of(place={"$ref": "#/$defs/place"}), "place: object"),
        (of(tags={"type": "array", "items": {"type": "string"}}), "tags: string[]"),
        (of(tags={"type": "array"}), "tags: array"),
        (of(name={"type": ["string", "null"]}), "name: string"),
        (of(name={"anyOf": [{"type": "string"}, {"type": "number"}]}), "name: string|number"),
        (of(name={"oneOf": [{"anyOf": []}, {"type": "null"}]}), "name: object"),
        (of(name={}), "name: any"),
        (of(name=True), "name: any"),
        (of("name", name={"type": 5}), "name: any"),
        (of({"name": 1}, name={"enum": "x", "type": "string"}), "name: string"),
        ({"properties": {5: {}, "a": {"type": "string"}}}, "a: string"),
        ({"properties": []}, ""),
        ({"type": "object"}, ""),
        ({}, ""),
        (None, ""),
        ("text", ""),
    ],
)
def test_summaries(schema: object, expected: str) -> None:
    """The summary shows required and optional parameters, also for odd schemas."""
    assert expected == input_summary(schema)


def test_what_does_not_fit_is_counted() -> None:
    """A long list ends in the number of parameters left out, required ones come first."""
    schema = of(["field49"], **{f"field{number}": {"type": "string"} for number in range(50)})
    summary = input_summary(schema)
    assert summary.startswith("field49*: string, field0: string, ")
    shown = summary.count(": string")
    assert summary.endswith(f", +{50 - shown} more")
    assert len(summary) <= MAX_LENGTH


@given(
    st.dictionaries(
        st.text(max_size=200),
        st.dictionaries(
            st.sampled_from(["type", "enum", "items", "anyOf", "const"]),
            st.text(max_size=60)
            | st.lists(st.text(max_size=60) | st.none(), max_size=9)
            | st.dictionaries(st.just("type"), st.text(max_size=60)),
        ),
        max_size=30,
    )
)
def test_a_summary_is_one_short_line(properties: dict[str, Any]) -> None:
    """No schema gives a long text or a line break."""
    summary = input_summary({"properties": properties, "required": list(properties)})
    assert len(summary) <= MAX_LENGTH
    assert summary.splitlines() in ([summary], [])


ID = {"properties": {"id": {"type": "integer"}}, "required": ["id"]}
NAME = {"properties": {"name": {"type": "string"}}, "required": ["name"]}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object", "anyOf": [ID, NAME]}, "id*: integer or name*: string"),
        ({"type": "object", "oneOf": [ID, ID]}, "id*: integer"),
        (
            {"properties": {"all": {"type": "boolean"}}, "anyOf": [ID, NAME]},
            "id*: integer, all: boolean or name*: string, all: boolean",
        ),
        ({"allOf": [ID, NAME]}, "id*: integer, name*: string"),
        (
            {"$defs": {"A": ID}, "oneOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}, NAME]},
            "id*: integer or name*: string",
        ),
        (
            {
                "properties": {**ID["properties"], **NAME["properties"]},
                "anyOf": [{"required": ["id"]}, {"required": ["name"]}],
            },
            "id: integer, name: string",
        ),
        (
            {"anyOf": [{"properties": {f"a{number}": {}}} for number in range(5)]},
            "a0: any or a1: any or a2: any or +2 more",
        ),
        ({"anyOf": "x", "allOf": 7, "oneOf": [None, 3]}, ""),
    ],
)
def test_alternatives_of_the_whole_schema(schema: dict[str, Any], expected: str) -> None:
    """A schema whose parameters are in its alternatives is not one without parameters."""
    assert expected == input_summary(schema)
