"""From payloads to events."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.webhooks.mapping import (
    MISSING,
    Source,
    Template,
    event_data,
    event_type,
    template_problem,
)

PAYLOAD = {
    "action": "opened",
    "number": 7,
    "null": None,
    "issue": {"title": "A {number} title", "labels": [{"name": "bug"}, {"name": "ui"}]},
    "header": {"x": "of the payload"},
    "0": "zero",
}
SOURCE = Source(
    PAYLOAD, {"x-github-event": "issues", "authorization": "canary", "cookie": "canary"}
)


class TestTemplate:
    """The value of one template."""

    @pytest.mark.parametrize(
        ("template", "value"),
        [
            ("{action}", "opened"),
            ("{number}", 7),
            ("{null}", None),
            ("{issue.labels}", [{"name": "bug"}, {"name": "ui"}]),
            ("{issue.labels.1.name}", "ui"),
            ("{issue.labels[1].name}", "ui"),
            ("{0}", "zero"),
            ("{header.X-GitHub-Event}", "issues"),
            ("{header}", {"x": "of the payload"}),
            ("issue {number}: {action}", "issue 7: opened"),
            ("{issue.labels.0}!", '{"name":"bug"}!'),
            ("{missing|none}", "none"),
            ("{missing|}", ""),
            ("{null|none}", "none"),
            ("<{null|none}>", "<none>"),
            ("{number|9}", 7),
            ("plain", "plain"),
            ("", ""),
            ("{} {a b} {{", "{} {a b} {{"),
            ('{"a": "{action}"}', '{"a": "opened"}'),
            ("{issue.title}", "A {number} title"),
            ("-{issue.title}-", "-A {number} title-"),
        ],
    )
    def test_value(self, template: str, value: object) -> None:
        """A lone placeholder keeps its type; what was put in is not read again."""
        assert value == Template.of(template).value(SOURCE)

    @pytest.mark.parametrize(
        "template",
        [
            "{missing}",
            "a {missing} b",
            "a {null} b",
            "{action.x}",
            "{action.0}",
            "{issue.labels.2}",
            "{issue.labels.name}",
            "{issue.labels.999999999999}",
            "{header.x}",
            "{header.authorization}",
            "{header.Cookie}",
        ],
    )
    def test_missing(self, template: str) -> None:
        """A place that is not there has no value, and headers with credentials have none."""
        assert MISSING is Template.of(template).value(SOURCE)

    def test_bare_path(self) -> None:
        """In data, a path with a dot needs no braces; in a type it is text."""
        assert {"t": "A {number} title"} == event_data({"t": "issue.title"}, SOURCE)
        assert ("issue.title", True) == event_type(Template.of("issue.title"), "x", SOURCE)


class TestType:
    """The type of an event."""

    def test_template(self) -> None:
        """It is made of what the payload and the headers say."""
        template = Template.of("github.{header.x-github-event}.{action}")
        assert ("github.issues.opened", True) == event_type(template, "x", SOURCE)

    @pytest.mark.parametrize("text", ["github.{actoin}", "{null}", " \n", "{header.cookie}"])
    def test_fallback(self, text: str) -> None:
        """If a value is missing, or nothing is left, the result is the fallback."""
        assert ("webhook.a.b", False) == event_type(Template.of(text), "webhook.a.b", SOURCE)

    def test_none(self) -> None:
        """Without a template it is the fallback, which is not a failure."""
        assert ("webhook.a.b", True) == event_type(None, "webhook.a.b", SOURCE)

    def test_cleaned(self) -> None:
        """Control characters go, and the length is bounded."""
        source = Source({"a": "x\r\nevent: y\x00\u2028z\ud800", "b": "y" * 999})
        assert ("xevent: yz", True) == event_type(Template.of("{a}"), "f", source)
        assert ("y" * 200, True) == event_type(Template.of("{b}"), "f", source)

    def test_number(self) -> None:
        """A number becomes text."""
        assert ("7", True) == event_type(Template.of("{number}"), "f", SOURCE)


class TestData:
    """The data of an event."""

    def test_keys(self) -> None:
        """Missing keys are left out; null, constants and nested templates stay."""
        templates = {
            "number": "{number}",
            "gone": "{gone}",
            "null": "{null}",
            "text": "#{number}",
            "half": "#{gone}",
            "constant": 5,
            "empty": {},
            "nested": {"label": "{issue.labels.0.name}", "gone": "{gone}"},
            "all_gone": {"gone": "{gone}"},
            "list": ["{action}", "{gone}", True],
        }
        assert {
            "number": 7,
            "null": None,
            "text": "#7",
            "constant": 5,
            "empty": {},
            "nested": {"label": "bug"},
            "list": ["opened", True],
        } == event_data(templates, SOURCE)

    @pytest.mark.parametrize("templates", [{}, {"a": "{gone}"}, {"a": {"b": ["{gone}"]}}])
    def test_whole_payload(self, templates: dict[str, object]) -> None:
        """If no template has a value, the data is the whole payload."""
        assert PAYLOAD == event_data(templates, SOURCE)


class TestProblems:
    """Templates that a file must not have."""

    def test_too_deep(self) -> None:
        """Templates that are nested without end are refused."""
        tree: object = "{a}"
        for _ in range(50):
            tree = {"a": tree}
        assert "templates must not be nested more than 20 levels deep" == template_problem(tree)

    def test_credential(self) -> None:
        """A header that holds a credential is refused wherever it stands."""
        tree = {"a": ["x", {"b": "Bearer {header.Authorization|none}"}]}
        assert "`{header.Authorization|none}` may hold a credential" in template_problem(tree)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("ab0.", max_size=3), inner, max_size=4)
    ),
    max_leaves=15,
)
TEXT = st.text(max_size=30) | st.text("{}ab0.|[]- header", max_size=30)


@given(TEXT, JSON, st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
def test_any_template(text: str, payload: object, headers: dict[str, str]) -> None:
    """No template and no payload raises, and what comes out can be written as JSON."""
    source = Source(payload, headers)
    kind, _ = event_type(Template.of(text), "fallback", source)
    assert 1 <= len(kind) <= 200
    assert kind.isprintable() or not any(c < " " for c in kind)
    json.dumps(event_data({"a": text, "b": [text]}, source), allow_nan=False)


@given(JSON)
def test_inserted_text_stays(payload: object) -> None:
    """A text of the payload comes out as it is, braces and all."""
    for text in ("{a}", "{header.x}", "{a|b}", str(payload)):
        source = Source({"value": text, "a": "bad"}, {"x": "bad"})
        assert {"v": text, "w": f"<{text}>"} == event_data(
            {"v": "{value}", "w": "<{value}>"}, source
        )
