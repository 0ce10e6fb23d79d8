"""Arguments are checked against a tool's schema, and coerced if only their types are wrong."""

from __future__ import annotations

import copy
import http.server
import threading
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from mcpgw.protocol.argument_schema import MAX_DEPTH, compile_schema
from mcpgw.protocol.arguments import ArgumentChecker, InvalidArguments, compiled
from mcpgw.protocol.plain_schema import plain_schema

TEXT: dict[str, Any] = {"type": "string"}
WHOLE: dict[str, Any] = {"type": "integer"}
NUMBER: dict[str, Any] = {"type": "number"}
FLAG: dict[str, Any] = {"type": "boolean"}
WHOLES: dict[str, Any] = {"type": "array", "items": WHOLE}
TEXTS: dict[str, Any] = {"type": "array", "items": TEXT}
NULL: dict[str, Any] = {"type": "null"}


def form(*required: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def checker(schema: object) -> ArgumentChecker:
    found = compiled(schema)
    assert found.checker is not None, found.problem
    return found.checker


def check(schema: object, **arguments: Any) -> dict[str, Any]:
    return checker(schema).check(arguments)


def refused(schema: object, **arguments: Any) -> InvalidArguments:
    with pytest.raises(InvalidArguments) as caught:
        check(schema, **arguments)
    return caught.value


FILTER = form("a", a=WHOLE, b=TEXT)
BY_KIND = {
    "anyOf": [
        form("kind", "size", kind={"const": "box"}, size=WHOLE),
        form("kind", "name", kind={"const": "tag"}, name=TEXT),
    ]
}


class TestCoercion:
    @pytest.mark.parametrize(
        ("schema", "given", "wanted"),
        [
            (WHOLE, "5", 5),
            (WHOLE, " -5 ", -5),
            (WHOLE, "5.0", 5),
            (NUMBER, "5", 5),
            (NUMBER, "5.5", 5.5),
            (NUMBER, "1e3", 1000.0),
            (FLAG, "true", True),
            (FLAG, "False", False),
            (TEXT, 5, "5"),
            (TEXT, 5.5, "5.5"),
            (TEXT, True, "true"),
            ({"type": ["integer", "null"]}, "null", None),
            ({"type": ["integer", "null"]}, "", None),
            ({"anyOf": [WHOLE, NULL]}, "", None),
            ({"anyOf": [NULL, WHOLE]}, "7", 7),
            ({"anyOf": [{"type": "string", "minLength": 1}, NULL]}, "", None),
            ({"anyOf": [{"type": "string", "pattern": "^[a-z]+$"}, WHOLE]}, "7", 7),
            ({"anyOf": [TEXTS, WHOLE]}, "7", 7),
            ({"oneOf": [WHOLE, FLAG]}, "true", True),
            (TEXTS, '["a"]', ["a"]),
            (TEXTS, "a", ["a"]),
            (WHOLES, "5", [5]),
            (WHOLES, ["1", 2, "3"], [1, 2, 3]),
            ({"anyOf": [WHOLES, NULL]}, "5", [5]),
            ({"anyOf": [WHOLES, NULL]}, "null", None),
            ({"type": "array", "items": FILTER}, {"a": 1}, [{"a": 1}]),
            (FILTER, '{"a": 1}', {"a": 1}),
            (FILTER, '{"a": "1"}', {"a": 1}),
            ({"anyOf": [FILTER, NULL]}, '{"a": "1"}', {"a": 1}),
            ({"enum": ["csv", "Json"]}, "JSON", "Json"),
            ({"enum": [1, 2]}, "2", 2),
            ({"enum": ["1", "2"]}, 2, "2"),
            ({"type": "string", "enum": ["1", "2"]}, 2, "2"),
            ({"const": "on"}, "ON", "on"),
            (BY_KIND, {"kind": "Box", "size": "3"}, {"kind": "box", "size": 3}),
            (BY_KIND, {"kind": "tag", "name": 3}, {"kind": "tag", "name": "3"}),
            (form(x=form(y=form(z=WHOLES))), {"x": {"y": {"z": "[1]"}}}, {"x": {"y": {"z": [1]}}}),
            ({"allOf": [WHOLE, {"minimum": 3}]}, "3", 3),
            (form(b=TEXT), {"b": None}, {}),
        ],
    )
    def test_what_was_meant(self, schema: dict[str, Any], given: Any, wanted: Any) -> None:
        """A value becomes what is wanted if it plainly means the same; programs must send that."""
        with pytest.raises(InvalidArguments):
            checker(form("x", x=schema)).check({"x": given}, exact=True)
        found = check(form("x", x=schema), x=given)["x"]
        assert (wanted, type(wanted)) == (found, type(found))

    @pytest.mark.parametrize(
        ("schema", "given"),
        [
            (WHOLE, "ten"),
            (WHOLE, "5.5"),
            (WHOLE, "1,000"),
            (WHOLE, ""),
            (WHOLE, True),
            (WHOLE, "9" * 5000),
            (NUMBER, "nan"),
            (NUMBER, "1e999"),
            (FLAG, "yes"),
            (FLAG, 1),
            (TEXT, ["a"]),
            (TEXT, {"a": 1}),
            (TEXT, None),
            ({"enum": ["Aa", "AA"]}, "aa"),
            (WHOLES, "ten"),
            (WHOLES, "[1, NaN]"),
            (FILTER, '{"b": "x"}'),
            (TEXTS, "[[], []]"),
            (FILTER, "[" * 100_000),
            ({"type": "integer", "minimum": 9}, "5"),
            ({"type": "string", "maxLength": 1}, 55),
            ({"type": "array", "items": WHOLE, "minItems": 2}, "5"),
        ],
    )
    def test_what_cannot_be_meant(self, schema: dict[str, Any], given: Any) -> None:
        """Nothing is invented: a value that means something else is refused."""
        assert refused(form("x", x=schema), x=given).problems

    def test_draft_4_tells_3_from_its_decimal(self) -> None:
        """If 3.0 is not an integer, as in draft 4, it becomes one."""
        schema = {"$schema": "http://json-schema.org/draft-04/schema#", "properties": {"x": WHOLE}}
        assert int is type(check(schema, x=3.0)["x"])

    def test_null_for_nothing(self) -> None:
        """Null for an optional argument counts as not given, but not for a required one."""
        schema = form("a", a=TEXT, b=TEXT, c={"type": ["string", "null"]})
        assert {"a": "x", "c": None} == check(schema, a="x", b=None, c=None)
        assert "'a' must be a string, not null" == str(refused(schema, a=None, b=None))

    def test_null_in_a_list_stays(self) -> None:
        """Null is not taken out of a list, whose other items would move."""
        assert "'x[1]' must be a string, not null" == str(refused(form(x=TEXTS), x=["a", None]))

    def test_defaults_are_not_filled_in(self) -> None:
        """A default of the schema is the backend's to apply."""
        assert {"x": 1} == check(form(x=WHOLE, y={**WHOLE, "default": 5}), x="1")

    def test_other_arguments_stay(self) -> None:
        """Arguments that the schema does not describe are passed on if it allows them."""
        assert {"x": 1, "y": "2"} == check({"properties": {"x": WHOLE}}, x="1", y="2")

    def test_references(self) -> None:
        """Coercion follows references, including recursive ones."""
        node = {
            "type": "object",
            "properties": {"value": WHOLE, "next": {"$ref": "#/$defs/node"}},
            "additionalProperties": False,
        }
        schema = {"$ref": "#/$defs/node", "$defs": {"node": node}}
        given = {"value": "1", "next": {"value": "2", "next": '{"value": "3"}'}}
        wanted = {"value": 1, "next": {"value": 2, "next": {"value": 3}}}
        assert wanted == check(schema, **given)

    def test_many_values(self) -> None:
        """A long list of numbers as strings is coerced."""
        assert list(range(800)) == check(form(x=WHOLES), x=[str(n) for n in range(800)])["x"]

    def test_nullable_of_openapi(self) -> None:
        """`nullable: true` allows null, with and without a type."""
        schema = form(
            "x",
            "y",
            x={"type": "string", "enum": ["a"], "nullable": True},
            y={"allOf": [TEXT], "nullable": True},
        )
        given = {"x": None, "y": None}
        assert checker(schema).check(given) is given

    def test_format_is_an_annotation(self) -> None:
        """`format` does not refuse what a backend may accept, in any draft."""
        for draft in ("http://json-schema.org/draft-07/schema#", None):
            schema = form(x={"type": "string", "format": "uri"})
            arguments = {"x": "example.com"}
            schema |= {"$schema": draft} if draft else {}
            assert checker(schema).check(arguments) is arguments


class TestProblems:
    @pytest.mark.parametrize(
        ("schema", "given", "problem"),
        [
            (WHOLE, "ten", "'x' must be an integer, not 'ten'"),
            (FLAG, [1], "'x' must be true or false, not [1]"),
            ({"type": ["string", "null"]}, [1], "'x' must be a string, not [1]"),
            ({"anyOf": [WHOLE, TEXTS]}, {}, "'x' must be an integer or an array, not {}"),
            ({"enum": ["a", "b", None]}, "pdf", "'x' must be one of a, b, null, not 'pdf'"),
            (
                {"enum": ["csv", "json"]},
                "jsn",
                "'x' must be one of csv, json, not 'jsn' (did you mean 'json'?)",
            ),
            ({"const": 3}, 4, "'x' must be 3, not 4"),
            ({"minimum": 1}, 0, "'x' must be at least 1, not 0"),
            ({"exclusiveMaximum": 9}, 9, "'x' must be less than 9, not 9"),
            ({"multipleOf": 5}, 7, "'x' must be a multiple of 5, not 7"),
            ({"pattern": "^a+$"}, "b", "'x' must match ^a+$, not 'b'"),
            ({"minLength": 2}, "b", "'x' must have at least 2 characters, not 1"),
            ({"maxItems": 1}, [1, 2], "'x' must have at most 1 item, not 2"),
            ({"minProperties": 1}, {}, "'x' must have at least 1 field, not 0"),
            ({"uniqueItems": True}, [1, 1], "'x' must not have duplicate items"),
            ({"contains": WHOLE}, ["a"], "'x' must have an item of the required kind"),
            (
                {"oneOf": [{}, {}]},
                1,
                "'x' must fit exactly one of the schema's alternatives, fits several",
            ),
            (False, 1, "'x' must not be given"),
            (
                {"type": "array", "items": FILTER},
                [{"a": "y"}],
                "'x[0].a' must be an integer, not 'y'",
            ),
            (BY_KIND, {"kind": "bag"}, "'x.kind' must be 'box' or 'tag', not 'bag'"),
            (BY_KIND, {"kind": "box", "size": "big"}, "'x.size' must be an integer, not 'big'"),
            (BY_KIND, {"kind": "box"}, "'x.size' is missing"),
            (WHOLES, "ten", "'x' must be an array, not 'ten'"),
            (WHOLE, "a" * 100, f"'x' must be an integer, not '{'a' * 59}…'"),
            (WHOLE, "a\n\x1bb", "'x' must be an integer, not 'a b'"),
        ],
    )
    def test_sentences(self, schema: Any, given: Any, problem: str) -> None:
        """A problem names the argument, what is wanted and what was given."""
        assert (problem,) == refused(form(x=schema), x=given).problems

    def test_rare_words(self) -> None:
        """Other problems are explained in the library's words, without the value."""
        text = str(refused(form(x={"not": TEXT}), x="visible"))
        assert (True, False) == (text.startswith("'x': "), "visible" in text)

    def test_missing(self) -> None:
        """Missing arguments are named, also deep inside and if alternatives differ by them."""
        either = {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}
        assert ("'x' is missing",) == refused(form("x", x=TEXT)).problems
        assert ("'x.a' is missing",) == refused(form(x=FILTER), x={}).problems
        assert ("one of 'a', 'b' is missing",) == refused(either).problems

    def test_coerced_values_are_not_problems(self) -> None:
        """Only what coercion cannot fix is reported."""
        error = refused(form(x=WHOLE, y=WHOLE), x="1", y="ten")
        assert ("'y' must be an integer, not 'ten'",) == error.problems

    @pytest.mark.parametrize("name", ["password", "apiKey", "access_token"])
    def test_secret_names(self, name: str) -> None:
        """The value of an argument with the name of a secret is not repeated."""
        schema = form(**{name: WHOLE})
        assert f"'{name}' must be an integer" == str(refused(schema, **{name: "hunter two"}))

    def test_secret_looks(self) -> None:
        """A value that looks like a credential is not repeated, nor one inside an object."""
        token = "ghp_" + "a1" * 12
        assert "'x' must be an integer" == str(refused(form(x=WHOLE), x=token))
        assert "'x' must be an integer" == str(refused(form(x=WHOLE), x={"token": "abc123xyz"}))

    def test_many_problems(self) -> None:
        """A long list of problems is cut."""
        error = refused(form(x=WHOLES), x=["a"] * 100)
        assert (9, "and more") == (len(error.problems), error.problems[-1])


class TestMisspelt:
    def test_a_closed_form(self) -> None:
        """If no other names are allowed, an unknown one is reported with the nearest."""
        error = refused(form(limit=WHOLE), limt=5)
        assert "unknown argument 'limt' (did you mean 'limit'?)" == str(error)
        assert {"limt": "limit"} == error.misspelt

    def test_a_required_one(self) -> None:
        """If others are allowed, an unknown name counts as a missing one misspelt."""
        error = refused({"properties": {"query": TEXT}, "required": ["query"]}, Querry="x", z=1)
        assert "unknown argument 'Querry' (did you mean 'query'?)" == str(error)
        assert {"Querry": "query"} == error.misspelt

    def test_a_part_of_the_name(self) -> None:
        """A name that is a part of the right one is near to it."""
        assert {"path": "file_path"} == refused(
            form("file_path", file_path=TEXT), path="x"
        ).misspelt

    def test_nothing_near(self) -> None:
        """No guess is better than a wild one."""
        error = refused(form("q", q=TEXT), zz=1)
        assert ("unknown argument 'zz'", "'q' is missing") == error.problems
        assert {} == error.misspelt

    def test_inside(self) -> None:
        """Names inside an object are reported by their path."""
        schema = {"properties": {"x": {"$ref": "#/$defs/F"}}, "$defs": {"F": form(limit=WHOLE)}}
        assert {"x.limits": "limit"} == refused(schema, x={"limits": 1}).misspelt

    def test_an_open_form_without_gaps(self) -> None:
        """An unknown name that may be one more argument is passed on."""
        arguments = {"limit": 1, "limits": 2}
        assert checker({"properties": {"limit": WHOLE}}).check(arguments) is arguments


class TestOf:
    @pytest.mark.parametrize(
        "schema",
        [
            None,
            {},
            {"type": "object"},
            {"type": "object", "properties": {}},
            {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "title": "x"},
        ],
    )
    def test_nothing_to_check(self, schema: object) -> None:
        """A schema that accepts anything needs no checker, which is not a problem."""
        assert (None, "") == (compiled(schema).checker, compiled(schema).problem)

    @pytest.mark.parametrize(
        ("schema", "word"),
        [
            ([], "list"),
            ({"type": "strin"}, "strin"),
            ({"required": "x"}, "required"),
            ({"$schema": "https://example.com/own", **WHOLE}, "meta-schema"),
            ({"$ref": "https://example.com/a.json"}, "outside itself"),
            ({"properties": {"x": {"$ref": "file:///etc/hostname"}}}, "outside itself"),
            ({"properties": {"x": {"$ref": "other.json"}}}, "outside itself"),
            ({"$ref": "#/$defs/none"}, "leads nowhere"),
            ({"allOf": [{"$ref": "#"}]}, "circle"),
            ({"$dynamicRef": "#x"}, "$dynamicRef"),
            ({"oneOf": [{"pattern": "("}]}, "pattern"),
            ({"patternProperties": {"(": {}}}, "patternProperties"),
            ({"properties": {1: TEXT}}, "key"),
            ({"properties": {"x": {"default": object()}}}, "type"),
            ({"allOf": [{"properties": {"x": {"pattern": "a"}}}] * 201}, "201 patterns"),
        ],
    )
    def test_a_schema_that_cannot_be_used(self, schema: Any, word: str) -> None:
        """There is a reason for the log, and the backend judges."""
        assert (None, True) == (compiled(schema).checker, word in compiled(schema).problem)

    def test_too_deep(self) -> None:
        """A schema that is nested endlessly is not followed."""
        schema: dict[str, Any] = {"type": "string"}
        for _ in range(10_000):
            schema = {"properties": {"x": schema}}
        endless: dict[str, Any] = {"properties": {}}
        endless["properties"]["x"] = endless
        assert "deeper" in compiled(schema).problem
        assert "deeper" in compiled(endless).problem

    def test_references_that_multiply(self) -> None:
        """A short schema that asks for endless work is not used."""
        names: dict[str, Any] = {
            f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(30)
        }
        names["a30"] = TEXT
        schema = {"properties": {"x": {"$ref": "#/$defs/a0"}}, "$defs": names}
        assert "multiply" in compiled(schema).problem

    def test_nothing_is_fetched(self, tmp_path: Path) -> None:
        """A reference is followed neither to the network nor to an existing file."""
        asked: list[str] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b'{"type": "string"}')

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        place = tmp_path / "schema.json"
        place.write_text('{"type": "string"}', encoding="utf-8")
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{server.server_port}/schema.json"
            for reference in (url, place.as_uri()):
                schema = {"properties": {"x": {"$ref": reference}}}
                assert compiled(schema).checker is None
                assert compiled({**schema, "$id": reference.rpartition("/")[0]}).checker is None
                assert compiled({"$schema": reference, **form(x=TEXT)}).checker is None
                # The library itself refuses too, for references that take another form.
                with pytest.raises(ValueError, match="disabled"):
                    jsonschema_rs.validator_for(schema, offline=True)
            server.shutdown()
        assert [] == asked


class TestPatterns:
    def test_a_pattern_that_explodes_elsewhere(self) -> None:
        """A pattern that takes others exponential time takes linear time here."""
        schema = form(x={"type": "string", "pattern": "^(a+)+$"})
        assert refused(schema, x="a" * 4_000 + "!").problems

    def test_look_ahead(self) -> None:
        """Patterns with look-ahead are judged, for texts of the usual length."""
        schema = form(x={"type": "string", "pattern": r"^(?=.*\d)(?!admin).{4,}$"})
        fine = {"x": "abc1"}
        assert checker(schema).check(fine) is fine
        assert refused(schema, x="admin1").problems

    @pytest.mark.parametrize("text", ["ab" * 100, "a" * 30_000])
    def test_what_takes_too_many_steps_is_not_judged(self, text: str) -> None:
        """If a bounded matcher gives up, or would be slow, the backend judges."""
        schema = form(x={"pattern": r"^(?=(?:a|a|ab|b|ba)*(?!x)c)(?:(?:a|a|b)(?!x))*d"})
        arguments = {"x": text}
        assert checker(schema).check(arguments) is arguments

    def test_a_foreign_pattern(self) -> None:
        """A pattern that cannot be compiled is dropped, and all else is still checked."""
        schema = form(x={"type": "string", "pattern": "(?#comment"}, y=WHOLE)
        assert {"x": "anything", "y": 1} == check(schema, x="anything", y="1")

    def test_the_schema_stays_as_it_is(self) -> None:
        """Dropping a pattern, or rewriting `nullable`, changes only a copy."""
        schema = form(x={"type": "string", "pattern": "(", "nullable": True})
        before = copy.deepcopy(schema)
        checker(schema)
        assert before == schema


class TestOddArguments:
    def test_deep_arguments(self) -> None:
        """Arguments deeper than a recursive schema can be followed safely are not judged."""
        schema = {"properties": {"x": {"$ref": "#"}}, "additionalProperties": False}
        deep: dict[str, Any] = {"y": 1}
        for _ in range(MAX_DEPTH + 2):
            deep = {"x": deep}
        assert checker(schema).check(deep) is deep

    @pytest.mark.parametrize("value", [object(), {1: 2}, "\ud800", {"\ud800": 1}])
    def test_values_that_are_not_json(self, value: Any) -> None:
        """Values that cannot be sent anyway are passed on."""
        arguments = {"x": value}
        assert checker(form(x=WHOLE)).check(arguments) is arguments

    def test_large_arguments(self) -> None:
        """Very large arguments are left to the backend: listing their errors takes too long."""
        arguments = {"x": ["1"] * 20_000}
        assert checker(form(x=WHOLES)).check(arguments) is arguments

    def test_alternatives_that_multiply(self) -> None:
        """Alternatives in a recursive schema do not take exponential time; the backend judges."""
        branch = {"type": "object", "properties": {"x": {"$ref": "#/$defs/node"}}}
        node = {"anyOf": [branch, {**branch, "required": ["x"]}, WHOLE]}
        schema = {"properties": {"x": {"$ref": "#/$defs/node"}}, "$defs": {"node": node}}
        short: dict[str, Any] = {"x": {"x": "a"}}
        assert refused(schema, x=short).problems
        deep: Any = "a"
        for _ in range(50):
            deep = {"x": deep}
        assert checker(schema).check(deep) is deep


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
JSON = st.recursive(
    SCALARS | st.sampled_from(["5", "true", "null", '["1"]', '{"a": "1"}', ""]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(["a", "b", "c"])


def _composed(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return (
        st.builds(lambda items: {"type": "array", "items": items}, inner)
        | st.builds(lambda parts: {"anyOf": parts}, st.lists(inner, min_size=1, max_size=3))
        | st.builds(lambda parts: {"oneOf": parts}, st.lists(inner, min_size=1, max_size=3))
        | st.builds(lambda part: {"not": part}, inner)
        | st.builds(
            lambda fields, required, closed: {
                "type": "object",
                "properties": fields,
                "required": sorted(required),
                "additionalProperties": not closed,
            },
            st.dictionaries(NAMES, inner, max_size=3),
            st.sets(NAMES, max_size=2),
            st.booleans(),
        )
    )


SCHEMAS = st.recursive(
    st.sampled_from([TEXT, WHOLE, NUMBER, FLAG, NULL, {"type": ["integer", "null"]}])
    | st.sampled_from([{"enum": ["A", "b", 5]}, {"const": "x"}, {"minLength": 2}, {"maximum": 3}])
    | st.sampled_from([{"type": "string", "nullable": True}, {"pattern": "^(?=a)"}]),
    _composed,
    max_leaves=6,
)
KEYWORDS = [
    *("type", "properties", "items", "$ref", "allOf", "anyOf", "not", "enum", "pattern", "$id"),
    *("$defs", "required", "$schema", "minimum", "nullable", "additionalProperties"),
]
JUNK = st.dictionaries(
    st.sampled_from(KEYWORDS),
    JSON | st.sampled_from(["#", "#/$defs/a", "string", "(", "http://json-schema.org/schema#"]),
)
ARGUMENTS = st.dictionaries(NAMES, JSON, max_size=3)
RELAXED = settings(max_examples=150, suppress_health_check=list(HealthCheck))


def outcome(made: ArgumentChecker, arguments: dict[str, Any]) -> Any:
    try:
        return made.check(arguments)
    except InvalidArguments as error:
        return error


VALUES = st.text(max_size=3) | st.booleans() | st.integers(-9, 9) | st.floats() | st.none()
PLAIN = st.one_of(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["string", "boolean", "integer", "number", "array"])},
        optional={"description": st.just("d"), "default": VALUES, "format": st.just("date")},
    ),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["integer", "number", "string"])},
        optional={"minimum": st.integers(-9, 9), "maximum": st.floats(-9, 9)},
    ),
    st.fixed_dictionaries({"type": st.just("string"), "enum": st.lists(st.text(max_size=2))}),
)


class TestProperties:
    @RELAXED
    @given(st.dictionaries(NAMES, SCHEMAS, max_size=3), st.sets(NAMES), ARGUMENTS)
    def test_check(self, fields: Any, required: set[str], arguments: dict[str, Any]) -> None:
        """Valid arguments stay the same object; coerced ones fit; the given ones never change."""
        schema = {"type": "object", "properties": fields, "required": sorted(required)}
        made = compiled(schema).checker
        assume(made is not None)
        assert made is not None
        before = copy.deepcopy(arguments)
        ready = compile_schema(schema)
        assert ready is not None
        judge = ready.validator
        fits = judge.is_valid(arguments)
        result = outcome(made, arguments)
        assert repr(before) == repr(arguments)
        if isinstance(result, InvalidArguments):
            assert (False, True) == (fits, bool(result.problems) and all(result.problems))
        else:
            assert (fits, True) == (result is arguments, judge.is_valid(result))

    @RELAXED
    @given(
        st.dictionaries(NAMES, PLAIN, max_size=3),
        st.sets(NAMES),
        st.booleans(),
        st.dictionaries(NAMES, VALUES, max_size=4),
    )
    def test_plain(
        self, fields: Any, required: set[str], open_: bool, arguments: dict[str, Any]
    ) -> None:
        """Arguments that a plain schema accepts are valid; only the full schema refuses."""
        schema = {
            "type": "object",
            "properties": fields,
            "required": sorted(required),
            "additionalProperties": open_,
        }
        plain = plain_schema(schema)
        assume(plain is not None)
        assert plain is not None
        judge = jsonschema_rs.validator_for(schema, offline=True)
        if plain.fits(arguments):
            assert judge.is_valid(arguments)
        if all(isinstance(value, (str, bool, int)) for value in arguments.values()):
            assert judge.is_valid(arguments) is plain.fits(arguments)

    @RELAXED
    @given(JUNK | JSON, ARGUMENTS)
    def test_junk(self, schema: object, arguments: dict[str, Any]) -> None:
        """No schema makes a checker fail except by refusing."""
        made = compiled(schema).checker
        result = outcome(made, arguments) if made is not None else arguments
        assert str(result)
