"""Response transforms."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcpgw.config.json_path import parse_path
from mcpgw.config.transforms import (
    RESPONSE,
    Format,
    Projection,
    Redaction,
    ResponseTransform,
)
from mcpgw.shaping.projection import project_nested, projected_keys
from mcpgw.shaping.response import ResponseShaper, project_result

ISSUE = {
    "id": 7,
    "title": "Broken",
    "author": {"name": "Ada", "mail": "ada@example.org"},
    "owner": {"name": "Bob"},
    "labels": [{"name": "bug", "id": 1}, {"name": "ui", "id": 2}],
}


def answer(*texts: str, **more: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text} for text in texts], **more}


def of_json(value: Any, **more: Any) -> dict[str, Any]:
    return answer(json.dumps(value, indent=2), **more)


def shaped(result: dict[str, Any], *settings: dict[str, Any]) -> dict[str, Any]:
    """Apply the settings as gateway.yaml has them, and check that the given result stays."""
    before = copy.deepcopy(result)
    after = ResponseShaper([RESPONSE.read(each) for each in settings]).apply(result)
    assert before == result
    return after


def text_of(result: dict[str, Any]) -> str:
    [block] = result["content"]
    return str(block["text"])


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["id", "title"], {"id": 7, "title": "Broken"}),
        (["author.name", "nothing", "author.age"], {"name": "Ada"}),
        (["author.name", "owner.name"], {"author.name": "Ada", "owner.name": "Bob"}),
        (
            ["author.name", "labels[].name", "title"],
            {"author.name": "Ada", "labels.name": ["bug", "ui"], "title": "Broken"},
        ),
        (["labels[].name", "labels[].id"], {"name": ["bug", "ui"], "id": [1, 2]}),
        (["labels[0].name", "labels[1].name"], {"labels[0].name": "bug", "labels[1].name": "ui"}),
        (["labels[-1].id"], {"id": 2}),
        (["labels[]"], {"labels": ISSUE["labels"]}),
        ([{"as": "who", "path": "author.name"}, "title"], {"who": "Ada", "title": "Broken"}),
        (
            [{"as": "name", "path": "title"}, "author.name"],
            {"name": "Broken", "author.name": "Ada"},
        ),
        (["nothing"], {}),
    ],
)
def test_project(paths: list[Any], expected: dict[str, Any]) -> None:
    """Keys are the shortest unique suffixes of the paths; missing values are left out."""
    assert expected == json.loads(text_of(shaped(of_json(ISSUE), {"project": paths})))


def test_paths_that_differ_in_brackets_only_are_told_apart() -> None:
    """Two ways of the same names have the whole path as key."""
    value = {"a": {"b": 1}}
    assert {"a.b": 1} == json.loads(text_of(shaped(of_json(value), {"project": ["a.b", "a[].b"]})))


def test_an_array_has_one_form() -> None:
    """A path with `[]` gives an array of one item too."""
    value = {"items": [{"id": 1}]}
    assert '{"id":[1]}' == text_of(shaped(of_json(value), {"project": ["items[].id"]}))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"a": "b", "b": "a"}, {"b": 1, "a": 2, "c": 3}),
        ({"a": "x", "z": "y"}, {"x": 1, "b": 2, "c": 3}),
        ({"a": "b"}, {"a": 1, "b": 2, "c": 3}),
        ({"a": "b", "b": "c", "c": "d"}, {"b": 1, "c": 2, "d": 3}),
        ({"a": "b", "b": "c"}, {"a": 1, "b": 2, "c": 3}),
        ({"some.a": "x"}, {"x": 1, "b": 2, "c": 3}),
    ],
)
def test_rename(names: dict[str, str], expected: dict[str, Any]) -> None:
    """Renames are done at once; none writes over a key that stays."""
    result = shaped(of_json({"a": 1, "b": 2, "c": 3}), {"rename": names})
    assert list(expected.items()) == list(json.loads(text_of(result)).items())


def test_redact_hides_fields_at_any_depth() -> None:
    """A name hides its value whatever it is; a name with dots means the end of the way."""
    value = {
        "password": {"a": 1},
        "list": [{"password": None, "user": {"name": "x"}}, {"name": "shown"}],
        "k8s.io/token": "t",
    }
    result = shaped(of_json(value), {"redact": ["password", "user.name", "k8s.io/token"]})
    assert {
        "password": "[REDACTED]",
        "list": [{"password": "[REDACTED]", "user": {"name": "[REDACTED]"}}, {"name": "shown"}],
        "k8s.io/token": "[REDACTED]",
    } == json.loads(text_of(result))


def test_redact_replaces_in_every_text() -> None:
    """Patterns go over all texts, JSON or not, and over the structured content; keys stay."""
    redact = {"redact": [{"pattern": r"sk-(\w)\w+", "replacement": r"\1***"}]}
    image = {"type": "image", "data": "sk-abc", "mimeType": "image/png"}
    result = answer("key sk-abc", '{"sk-abc": ["sk-xyz"]}', structuredContent={"a": "sk-abc"})
    result["content"].append(image)
    result["_meta"] = {"note": "sk-abc"}
    after = shaped(result, redact)
    assert ["key a***", '{"sk-abc":["x***"]}'] == [b["text"] for b in after["content"][:2]]
    assert {"a": "a***"} == after["structuredContent"]
    assert (image, {"note": "sk-abc"}) == (after["content"][2], after["_meta"])


def test_what_has_nothing_to_hide_stays_as_it_is() -> None:
    """Without a change the same result is returned, with its own formatting of JSON."""
    result = of_json({"price": 1.10, "name": "x"})
    assert result is shaped(result, {"redact": ["password", {"pattern": "sk-.+"}]})
    assert result is shaped(result, {"rename": {"other": "new"}})
    assert result is ResponseShaper([]).apply(result)


def test_a_new_name_does_not_undo_a_redaction() -> None:
    """A field is hidden by the backend's own name for it and by the one it is given."""
    value = {"user": {"password": "p", "pin": "1"}, "x": "2"}
    after = shaped(
        of_json(value),
        {
            "project": [{"as": "shown", "path": "user.password"}, "user.pin", "x"],
            "rename": {"x": "code"},
            "redact": ["password", "user.pin", "code"],
        },
    )
    assert {"shown": "[REDACTED]", "pin": "[REDACTED]", "code": "[REDACTED]"} == json.loads(
        text_of(after)
    )


def test_project_rename_redact_format_in_this_order() -> None:
    """Each step works on what the one before it has made."""
    after = shaped(
        of_json(ISSUE, structuredContent=ISSUE),
        {
            "format": {
                "type": "template",
                "template": "{{title}} by {{ who }}<{{no}}>: {{labels}}",
            },
            "redact": [{"pattern": "Broken", "replacement": "B."}],
            "rename": {"name": "who"},
            "project": ["title", "author.name", "labels[]"],
        },
    )
    assert 'B. by Ada<>: [{"name":"bug","id":1},{"name":"ui","id":2}]' == text_of(after)
    assert "structuredContent" not in after


def test_structured_content_follows_the_text() -> None:
    """A shaped object is in both places, and other texts that repeat it are dropped."""
    result = answer("Issue 7", "of many", structuredContent=ISSUE, _meta={"a": 1})
    after = shaped(result, {"project": ["id"]})
    assert answer('{"id":7}', structuredContent={"id": 7}, _meta={"a": 1}) == after
    bare = {"content": [], "structuredContent": ISSUE}
    assert answer('{"id":7}', structuredContent={"id": 7}) == shaped(bare, {"project": ["id"]})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": {"b": [1, {"c": 2}]}, "d": {}}, {"a.b[0]": 1, "a.b[1].c": 2, "d": {}}),
        ([{"a": 1}, 2], {"[0].a": 1, "[1]": 2}),
        ({"a.b": 1, "a": {"b": 2}}, {"a.b": [1, 2]}),
        ({}, {}),
    ],
)
def test_flat(value: Any, expected: dict[str, Any]) -> None:
    """A flat answer has one level, with paths as keys, and loses nothing."""
    assert expected == json.loads(text_of(shaped(of_json(value), {"format": {"type": "flat"}})))


def test_nested_is_as_it_is() -> None:
    """The format `nested` changes nothing."""
    result = of_json(ISSUE)
    assert result is shaped(result, {"format": {"type": "nested"}})


def test_a_template_takes_plain_text_where_it_names_it() -> None:
    """`{{text}}` is the whole text of a result that is not JSON; otherwise it is unchanged."""
    result = answer("first", "second")
    fill = {"format": {"type": "template", "template": "<{{ text }}>"}}
    assert answer("<first\nsecond>") == shaped(result, fill)
    other = {"format": {"type": "template", "template": "<{{ title }}>"}}
    assert result is shaped(result, other, {"project": ["a"]})


def test_transforms_follow_each_other() -> None:
    """The second transform works on the output of the first, even if that is text."""
    fill = {"format": {"type": "template", "template": "{{a}}!"}}
    again = {"format": {"type": "template", "template": "<{{text}}>"}, "redact": [{"pattern": "x"}]}
    result = shaped(of_json({"b": {"a": "xy"}}), {"project": ["b.a"]}, fill, again)
    assert "<[REDACTED]y!>" == text_of(result)


def test_errors_are_redacted_only() -> None:
    """An error keeps its form, and loses its secrets."""
    result = of_json({"message": "bad", "token": "t"}, isError=True)
    after = shaped(result, {"project": ["x"], "redact": ["token"], "format": {"type": "flat"}})
    assert {"message": "bad", "token": "[REDACTED]"} == json.loads(text_of(after))
    assert after["isError"] is True
    other = RESPONSE.read({"project": ["message"], "redact": ["token"]})
    assert after == ResponseShaper([other]).redact({**result, "isError": True})


def test_what_is_nested_too_deep_is_not_shown_unlooked_at() -> None:
    """Below the depth that is looked into, a redaction leaves nothing to see."""
    deep: Any = {"password": "p"}
    for _ in range(150):
        deep = {"a": deep}
    redact = {"redact": ["password"]}
    assert "password" not in text_of(shaped(of_json(deep), redact))
    unreadable = "[" * 100_000 + '{"password": "p"}' + "]" * 100_000
    assert "[nested too deep]" == text_of(shaped(answer(unreadable), redact))


def test_structured_content_of_an_odd_type() -> None:
    """A value that is neither object nor array is redacted, or dropped when reshaping."""
    odd = {"content": [], "structuredContent": "sk-abc"}
    redact = {"redact": [{"pattern": "sk-.+"}]}
    assert "sk-abc" not in json.dumps(shaped(odd, redact))
    assert {"content": []} == shaped(odd, {"project": ["a"]})


# -- the caller's own choice --------------------------------------------------------------


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["id", "author.name"], {"id": 7, "author": {"name": "Ada"}}),
        (["labels[].id"], {"labels": [{"id": 1}, {"id": 2}]}),
        (["labels[].id", "labels[0].name"], {"labels": [{"id": 1, "name": "bug"}, {"id": 2}]}),
        (["labels[-1].id"], {"labels": [{"id": 2}]}),
        (["labels[1].id", "labels[-1].name", "labels[9]"], {"labels": [{"id": 2, "name": "ui"}]}),
        (["labels[].no"], {"labels": []}),
        (["author", "author.name"], {"author": ISSUE["author"]}),
        (["", "id"], ISSUE),
        (["id.x", "title[]", "no"], {}),
    ],
)
def test_project_nested(paths: list[str], expected: Any) -> None:
    """Only what the paths lead to is left, each in its place."""
    assert expected == project_nested(ISSUE, [parse_path(path) for path in paths])


def test_the_caller_chooses_fields() -> None:
    """The chosen parts are the answer, as text and as structured content."""
    after = project_result(of_json(ISSUE, structuredContent=ISSUE), [parse_path("author.name")])
    value = {"author": {"name": "Ada"}}
    assert answer('{"author":{"name":"Ada"}}', structuredContent=value) == after
    whole = of_json(ISSUE)
    assert whole is project_result(whole, [])
    assert whole is project_result(whole, [parse_path("")])


@pytest.mark.parametrize(
    "result", [answer("plain"), answer('{"a": 1}', '{"a": 2}'), of_json(ISSUE, isError=True), {}]
)
def test_what_has_no_fields_stays(result: dict[str, Any]) -> None:
    """Plain text and errors are given whole, whatever was chosen."""
    assert result is project_result(result, [parse_path("id")])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (ISSUE, "the keys id, title, author, owner, labels."),
        (
            [ISSUE],
            "array of length 1 whose items (`[]`) have the keys id, title, author, owner, labels.",
        ),
        ({str(number): 1 for number in range(30)}, "18, 19 and 10 more."),
    ],
)
def test_a_choice_that_finds_nothing_is_told_what_there_is(value: Any, words: str) -> None:
    """A second text names the keys of the answer."""
    after = project_result(of_json(value), [parse_path("ids"), parse_path("titel")])
    said = after["content"][1]["text"]
    assert said.startswith("Nothing found at ids, titel.")
    assert said.endswith(words)


# -- anything -----------------------------------------------------------------------------

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(alphabet='ab."{[\ud800', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "b", "c", "a.b", "", "text"]), inner, max_size=4)
    ),
    max_leaves=15,
)
_BLOCK = st.one_of(
    _JSON,
    st.builds(lambda text: {"type": "text", "text": text}, _JSON),
    st.builds(lambda v: {"type": "text", "text": json.dumps(v)}, _JSON),
    st.builds(lambda v: {"type": "resource", "resource": v}, _JSON),
)
_RESULT = st.fixed_dictionaries(
    {"content": st.lists(_BLOCK, max_size=3) | _JSON},
    optional={"structuredContent": _JSON, "isError": st.booleans() | _JSON, "_meta": _JSON},
)
_PATHS = st.sampled_from(["a", "a.b", "b.a", "a[]", "a[].b", "[]", "[].a", "[0]", "c[-1].a", "b"])
_NAMES = st.sampled_from(["a", "b", "c", "d", "a.b"])
_TRANSFORM = st.builds(
    ResponseTransform,
    st.lists(st.builds(Projection, _PATHS), max_size=4, unique=True).map(tuple),
    st.dictionaries(_NAMES, _NAMES, max_size=3).map(
        lambda names: tuple({new: (old, new) for old, new in names.items()}.values())
    ),
    st.lists(
        _NAMES | st.builds(Redaction, st.sampled_from(["a+", "[.]"])), max_size=3, unique=True
    ).map(tuple),
    st.none()
    | st.builds(Format, st.sampled_from(["flat", "nested"]))
    | st.builds(Format, st.just("template"), st.sampled_from(["{{a}}", "{{text}} {{a[].b}}"])),
)


@given(result=_RESULT, transforms=st.lists(_TRANSFORM, max_size=2))
@settings(max_examples=400)
def test_any_result_can_be_shaped(
    result: dict[str, Any], transforms: list[ResponseTransform]
) -> None:
    """Whatever a backend answers, it is shaped without an error and the given result stays."""
    before = repr(result)
    shaper = ResponseShaper(transforms)
    after = shaper.apply(result)
    project_result(after, [parse_path("a[].b"), parse_path("c")])
    shaper.redact(result)
    assert before == repr(result)
    assert set(after) <= {*result, "content"}
    assert after.get("_meta") == result.get("_meta") or repr(result["_meta"]) == repr(
        after["_meta"]
    )


@given(value=_JSON, redact=st.sampled_from(["a", "b", "a.b"]))
def test_a_redacted_field_shows_nowhere(value: Any, redact: str) -> None:
    """After a redaction by name no such field has another value, at any depth."""

    def values(inner: Any) -> list[Any]:
        if isinstance(inner, dict):
            own = [inner[redact]] if redact in inner else []
            return own + [each for item in inner.values() for each in values(item)]
        return [each for item in inner for each in values(item)] if isinstance(inner, list) else []

    transform = ResponseTransform(redact=(redact,))
    after = ResponseShaper([transform]).apply({"content": [], "structuredContent": value})
    assert all(each == "[REDACTED]" for each in values(after["structuredContent"]))


@given(paths=st.lists(_PATHS | st.sampled_from(["x.a", "x.a.b", "x.c[0]"]), unique=True))
def test_keys_of_projections_are_distinct(paths: list[str]) -> None:
    """No two paths of a projection have one key."""
    keys = projected_keys([Projection(path) for path in paths])
    assert sorted(paths) == sorted(path.text for path in keys.values())


_MANY = st.sampled_from(["a", "a.b", "b.a", "a[]", "a[].b", "[]", "[].a", "c[].a", "b", "a[][].b"])


@given(value=_JSON, paths=st.lists(_MANY, min_size=1, max_size=4))
def test_a_nested_projection_holds_what_the_paths_select(value: Any, paths: list[str]) -> None:
    """Every value selected by a path is at the same path of the projection."""
    parsed = [parse_path(path) for path in paths]
    kept = project_nested(value, parsed)
    for path in parsed:
        assert repr(path.select(value)) == repr(path.select(kept))
