"""Schemas of documents become JSON Schemas that allow the same values."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcpgw.openapi_import import convert
from mcpgw.openapi_import.merging import merged, with_null
from mcpgw.openapi_import.writing import rendered
from tests.openapi_import.documents import SOURCE, body, document, field_of, imported, input_of

BASE = {"type": "object", "properties": {"id": {"type": "integer"}, "name": {"type": "string"}}}
COMPONENTS = {"schemas": {"Base": BASE}}
REFERENCE = {"$ref": "#/components/schemas/Base"}


def allows(schema: dict[str, Any], value: Any) -> bool:
    """Return whether a schema allows a value."""
    return jsonschema_rs.validator_for(schema).is_valid(value)


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
@pytest.mark.parametrize(
    ("schema", "other"),
    [
        ({"type": "string"}, "x"),
        ({"type": "string", "enum": ["x", "y"]}, "x"),
        ({"enum": ["x", "y"]}, "x"),
        ({"allOf": [REFERENCE]}, {"id": 1}),
        ({"allOf": [REFERENCE, {"type": "object", "required": ["id"]}]}, {"id": 1}),
        ({"oneOf": [REFERENCE, {"type": "integer"}]}, 5),
        ({"anyOf": [REFERENCE, {"type": "integer"}]}, {"name": "x"}),
        ({"type": "object", "anyOf": [{"required": ["id"]}]}, {"id": 1}),
        (REFERENCE, {"id": 1}),
        ({"type": "array", "items": {"type": "string", "nullable": True}}, ["a", None]),
        ({"const": 5}, 5),
        ({"not": {"type": "string"}}, 5),
    ],
)
def test_nullable(schema: dict[str, Any], other: Any, version: str) -> None:
    """`nullable` allows null beside every other keyword, and nothing else."""
    made = field_of({**schema, "nullable": True}, openapi=version, components=COMPONENTS)
    assert allows(made, None)
    assert allows(made, other)
    plain = field_of(schema, openapi=version, components=COMPONENTS)
    assert allows(plain, None) == ("not" in schema)


class TestAllOf:
    def test_required_of_other_parts(self) -> None:
        """A part may require the properties of another one."""
        schema = {
            "allOf": [
                REFERENCE,
                {"required": ["extra", "id"], "properties": {"extra": {"type": "string"}}},
                {"required": ["name"]},
            ]
        }
        made = input_of(imported(body(schema), components=COMPONENTS))
        assert {"id", "name", "extra"} == set(made["properties"]) == set(made["required"])

    def test_bounds_and_choices_of_both_parts(self) -> None:
        """The narrower bound counts; two choices are both kept."""
        made = field_of(
            {
                "allOf": [
                    {"type": "integer", "minimum": 1, "maximum": 9, "anyOf": [{"minimum": 2}]},
                    {"minimum": 3, "maximum": 12, "anyOf": [{"maximum": 7}]},
                ]
            }
        )
        assert [3, 7] == [n for n in range(14) if allows(made, n)][::4]

    def test_a_closed_part_is_opened(self) -> None:
        """Two closed parts with different properties would allow nothing."""
        parts = [
            {"properties": {name: {"type": "string"}}, "additionalProperties": False}
            for name in "ab"
        ]
        assert allows(field_of({"type": "object", "allOf": parts}), {"a": "x", "b": "y"})

    @pytest.mark.parametrize("key", ["anyOf", "oneOf", "allOf"])
    def test_a_closed_schema_with_parts(self, key: str) -> None:
        """The properties of its parts are allowed."""
        schema = {
            "type": "object",
            "properties": {"a": {"type": "string"}},
            "additionalProperties": False,
            key: [{"properties": {"b": {"type": "string"}}}],
        }
        assert allows(field_of(schema), {"a": "x", "b": "y"})

    def test_a_base_that_lists_its_extensions(self) -> None:
        """An extension is not a choice of itself."""
        pet = {"$ref": "#/components/schemas/Pet"}
        cat = {"allOf": [pet, {"type": "object", "properties": {"claws": {"type": "integer"}}}]}
        schemas = {
            "Pet": {
                "type": "object",
                "properties": {"kind": {"type": "string"}},
                "oneOf": [{"$ref": "#/components/schemas/Cat"}],
                "discriminator": {"propertyName": "kind"},
            },
            "Cat": cat,
        }
        made = input_of(imported(body(pet), components={"schemas": schemas}))
        assert allows(made, {"body": {"kind": "cat", "claws": 4}})
        assert not allows(made, {"body": {"kind": "cat", "claws": "many"}})


def test_a_choice_that_several_alternatives_fit() -> None:
    """Without read-only properties, alternatives of `oneOf` may be the same."""
    alternatives = [
        {"type": "object", "properties": {"a": {}, name: {"type": "string", "readOnly": True}}}
        for name in ("left", "right")
    ]
    assert allows(field_of({"oneOf": alternatives}), {"a": 1})


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "array", "prefixItems": [{"type": "string"}], "items": False}, ["a"], ["a", 1]),
        ({"type": "array", "items": [{"type": "string"}, {"type": "integer"}]}, ["a", 1], [1, 1]),
        (
            {"type": "object", "patternProperties": {"^x": {"type": "string"}}},
            {"x": "a"},
            {"x": 1},
        ),
        ({"type": "object", "properties": {"a": {}}, "additionalProperties": False}, {}, {"b": 1}),
        ({"type": "string", "not": {"enum": ["x"]}}, "y", "x"),
        ({"type": "object", "dependentRequired": {"a": ["b"]}}, {"b": 1}, {"a": 1}),
        ({"type": "object", "propertyNames": {"maxLength": 1}}, {"a": 1}, {"ab": 1}),
        ({"if": {"const": 1}, "then": False, "else": True}, 2, 1),
        ({"type": "integer", "minimum": 0, "exclusiveMinimum": True}, 1, 0),
        ({"type": "integer", "exclusiveMinimum": 0}, 1, 0),
        ({"type": "array", "contains": {"const": 1}}, [1], [2]),
        ({"type": "array", "items": {"type": "string"}, "enum": ["a", "b"]}, ["a"], ["c"]),
        ({"type": "integer", "enum": ["1", "2"]}, 1, "x"),
    ],
)
@pytest.mark.parametrize("version", ["3.0.3", "3.1.0", "3.2.0"])
def test_keywords(schema: dict[str, Any], good: Any, bad: Any, version: str) -> None:
    """Each keyword still tells the same values apart."""
    made = field_of(schema, openapi=version)
    assert allows(made, good)
    assert not allows(made, bad)


def test_recursion_keeps_its_shape() -> None:
    """A schema that contains itself is checked at every level."""
    node = {
        "type": "object",
        "required": ["value"],
        "properties": {
            "value": {"type": "integer"},
            "children": {"type": "array", "items": {"$ref": "#/components/schemas/Node"}},
        },
    }
    made = input_of(imported(body(REFERENCE | {"$ref": "#/components/schemas/Node"}),
                             components={"schemas": {"Node": node}}))  # fmt: skip
    deep: dict[str, Any] = {"value": 1, "children": [{"value": 2, "children": [{"value": 3}]}]}
    assert allows(made, deep)
    deep["children"][0]["children"][0] = {"value": "x"}
    assert not allows(made, deep)


def test_components_that_only_refer_to_each_other() -> None:
    """A loop of references allows anything, and ends."""
    schemas = {
        "A": {"$ref": "#/components/schemas/B"},
        "B": {"$ref": "#/components/schemas/A"},
        "C": {"anyOf": [{"$ref": "#/components/schemas/D"}, {"type": "string"}]},
        "D": {"anyOf": [{"$ref": "#/components/schemas/C"}, {"type": "integer"}]},
    }
    properties = {name: {"$ref": f"#/components/schemas/{name}"} for name in schemas}
    made = input_of(
        imported(
            body({"type": "object", "properties": properties}), components={"schemas": schemas}
        )
    )
    assert allows(made, {"C": "x", "D": 5})


def test_read_only_properties() -> None:
    """They are neither inputs nor required, wherever they are declared."""
    schema = {
        "allOf": [
            {
                "type": "object",
                "required": ["id", "name"],
                "properties": {"id": {"type": "string", "readOnly": True}, "name": {}},
            },
            {"required": ["id"]},
        ]
    }
    made = input_of(imported(body(schema)))
    assert (["name"], {"name"}) == (made["required"], set(made["properties"]))


def test_defaults_are_described() -> None:
    """A default is part of the description, and of nothing that a client would fill in."""
    assert {"type": "string", "description": "Which state. Default: open."} == field_of(
        {"type": "string", "description": "Which state.", "default": "open"}
    )
    assert "false" in field_of({"type": "boolean", "default": False})["description"]
    assert "default" not in field_of({"type": "object", "properties": {"a": {"default": 1}}})


@pytest.mark.parametrize("extra", [{"type": "file"}, {"pattern": "("}, {"minLength": -1}])
def test_invalid_keywords_are_dropped(extra: dict[str, Any]) -> None:
    """One invalid keyword does not lose the operation."""
    assert allows(field_of({"type": "string", **extra}), "x")


SCALARS = st.sampled_from([None, 1, 2, "a", "b", True, [], {}, {"a": 1}, {"b": "a"}, [1]])
SCHEMAS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["integer", "string", "object", ["string", "null"]]),
        "minimum": st.integers(0, 3),
        "maximum": st.integers(0, 3),
        "required": st.lists(st.sampled_from("ab"), max_size=2, unique=True),
        "properties": st.dictionaries(
            st.sampled_from("ab"), st.sampled_from([{}, {"type": "integer"}, {"minimum": 1}])
        ),
        "anyOf": st.just([{"type": "string"}, {"type": "object"}]),
        "not": st.just({"const": "b"}),
    },
)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(SCHEMAS, SCHEMAS, SCALARS)
def test_merging(one: dict[str, Any], other: dict[str, Any], value: Any) -> None:
    """A value that both schemas allow is allowed by their merger."""
    if allows(one, value) and allows(other, value):
        assert allows(merged(one, other), value)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(SCHEMAS, SCALARS)
def test_null_as_a_further_type(schema: dict[str, Any], value: Any) -> None:
    """It changes nothing for other values."""
    assert allows(with_null(schema), None)
    if value is not None:
        assert allows(schema, value) == allows(with_null(schema), value)


def test_outputs_stay_small() -> None:
    """Responses that refer to most of a document do not repeat it for each operation."""
    count = 120
    schemas = {
        f"S{n}": {
            "type": "object",
            "properties": {
                f"p{k}": {"$ref": f"#/components/schemas/S{(n * 3 + k) % count}"} for k in range(6)
            },
        }
        for n in range(count)
    }
    media = {"application/json": {"schema": {"$ref": "#/components/schemas/S0"}}}
    operation = {"responses": {"200": {"description": "Done.", "content": media}}}
    found = convert(
        document({"/x": {"get": operation}}, components={"schemas": schemas}), source=SOURCE
    )
    output = found.capabilities[0].document["schema"]["output"]
    assert len(output["$defs"]) <= 40
    assert allows(output, {"p0": {"p1": {"p2": None}}})


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": ["object", "null"], "properties": {"a": {}}}, "object"),
        ({"type": "object", "nullable": True, "properties": {"a": {}}}, "object"),
        ({"type": "array", "items": {"type": "integer"}}, "array"),
        ({"type": ["object", "array"], "items": {}}, None),
    ],
)
def test_the_type_of_an_output(schema: dict[str, Any], kind: str | None) -> None:
    """It is one type, by which structured content is wrapped or not."""
    media = {"application/json": {"schema": schema}}
    made = imported({"responses": {"200": {"description": "Done.", "content": media}}}, "get")
    assert kind == made.document["schema"]["output"].get("type")


def test_huge_inputs_are_cut_with_a_note() -> None:
    """A schema that no model can use still allows every value, and fits into a file."""
    count = 150
    schemas = {
        f"S{n}": {
            "type": "object",
            "properties": {
                **{f"f{k}": {"type": "string", "description": "d" * 400} for k in range(20)},
                **{
                    f"p{k}": {"$ref": f"#/components/schemas/S{(n * 3 + k) % count}"}
                    for k in range(6)
                },
            },
        }
        for n in range(count)
    }
    made = imported(body({"$ref": "#/components/schemas/S0"}), components={"schemas": schemas})
    assert len(rendered(made)) < 1_000_000
    assert ["its schema is too large: components deep within it allow any value"] == list(
        made.notes
    )
    assert {f"f{k}" for k in range(20)} <= set(input_of(made)["properties"])
    assert allows(input_of(made), {"p0": {"p1": {"p2": {"p3": {"any": 1}}}}})
