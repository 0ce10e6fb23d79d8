"""Templates: what is put in is never read again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.capabilities.bodies import FILLER
from mcpgw.capabilities.body_encoding import encode_body
from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.model import Auth, Provider, ProviderConfig
from mcpgw.capabilities.requests import draft, values_of
from mcpgw.capabilities.templating import MISSING, Missing, fill_text, fill_value, parse

SECRETS = {"env.KEY": "s3cret-value", "keychain.k": "from-keychain"}


def values(**inputs: Any) -> Any:
    """Return inputs beside two secrets."""
    return values_of(inputs, SECRETS)


@pytest.mark.parametrize(
    ("template", "inputs", "filled"),
    [
        ("v1/{q}", {"q": "x"}, "v1/x"),
        ("{q|ten}", {}, "ten"),
        ("{q|}", {}, ""),
        ("{a.b[1].c}", {"a": {"b": [0, {"c": 7}]}}, "7"),
        ("{flag} {n} {list}", {"flag": True, "n": 2.0, "list": [1, "a"]}, 'true 2 [1,"a"]'),
        ("{env.KEY}:{keychain.k}", {}, "s3cret-value:from-keychain"),
        ("{env.NOT_SET|none}", {}, "none"),
        ("query { viewer { id } }", {}, "query { viewer { id } }"),
        ("{}{ x }{1a}", {}, "{}{ x }{1a}"),
    ],
)
def test_texts(template: str, inputs: dict[str, Any], filled: str) -> None:
    """Inputs and secrets are filled in; all other braces are text."""
    assert filled == fill_text(template, values(**inputs))


@pytest.mark.parametrize("template", ["{q}", "a{q}b", "{q.deep}", "{env.NOT_SET}"])
def test_without_a_value_there_is_no_text(template: str) -> None:
    """A request with a missing value is not sent; null does not count as a value."""
    assert isinstance(fill_text(template, values(q=None)), Missing)


@pytest.mark.parametrize(
    "attack", ["{env.KEY}", "{keychain.k}", "{+env.KEY}", "{q}", "{{env.KEY}}"]
)
def test_an_argument_is_no_template(attack: str) -> None:
    """Text in an argument that resembles a placeholder stays text."""
    assert attack == fill_text("{q}", values(q=attack))
    assert attack == fill_value("{q}", values(q=attack))
    body = FILLER.fill({"a": "x {q}", "b": ["{q}"], "c": {"$json": {"d": "{q}"}}}, values(q=attack))
    assert "s3cret" not in str(body)
    assert f"x {attack}" == body["a"]


@given(st.text(), st.dictionaries(st.sampled_from("abq"), st.text() | st.none() | st.integers()))
def test_any_text_is_a_template(template: str, inputs: dict[str, Any]) -> None:
    """Taking apart and filling never raise, and text without placeholders comes out as it is."""
    filled = fill_text(template, values(**inputs))
    assert isinstance(filled, (str, Missing))
    if all(isinstance(part, str) for part in parse(template)):
        assert template == filled


def test_bodies_keep_types_and_leave_out_what_is_not_given() -> None:
    """A placeholder alone keeps its JSON type; what has no value goes, and what is left empty."""
    template = {
        "n": "{n}",
        "text": "n={n}",
        "list": "{list}",
        "gone": "{gone}",
        "deep": {"gone": "{gone}"},
        "empty": {},
        "items": ["{gone}", "{n}", {"x": "{gone}"}],
        "fixed": 0,
    }
    assert {
        "n": 5,
        "text": "n=5",
        "list": [1],
        "empty": {},
        "items": [5],
        "fixed": 0,
    } == FILLER.fill(template, values(n=5, list=[1]))
    assert MISSING is FILLER.fill({"only": "{gone}"}, values())


def test_each_item_of_a_list() -> None:
    """A list of values becomes a list of objects."""
    template = {"$each": {"in": "{ids}", "as": {"id": "{item}", "zone": "{zone}"}}}
    filled = FILLER.fill(template, values(ids=["a", "b"], zone="UTC"))
    assert [{"id": "a", "zone": "UTC"}, {"id": "b", "zone": "UTC"}] == filled


def test_a_mail_has_one_line_for_each_header() -> None:
    """A line break in the subject cannot begin another header."""
    with pytest.raises(CallProblem, match="line break"):
        FILLER.fill(
            {"$email": {"to": "{to}", "subject": "{s}", "body": "x"}},
            values(to="a@b.c", s="Hi\r\nBcc: everybody@b.c"),
        )


@pytest.mark.parametrize(
    ("style", "query"),
    [
        ("repeat", "a=1&a=2"),
        ("comma", "a=1%2C2"),
        ("brackets", "a%5B%5D=1&a%5B%5D=2"),
        ("json", "a=%5B1%2C2%5D"),
    ],
)
def test_lists_in_a_query(style: str, query: str) -> None:
    """Each API has its own way to write a list."""
    config = ProviderConfig(base_url="https://a.example", params={"a": "{a}"}, array_style=style)
    made = draft(Provider(config=config), {}, values(a=[1, 2]), Auth(), "").outgoing()
    assert f"https://a.example?{query}" == made.url


def test_forms_and_parts() -> None:
    """Nested values have their place in a form; a file is a part of its own."""
    form = encode_body(
        {"a": {"b": "x y"}, "l": ["1", "2"], "o": [{"p": 1}]}, "application/x-www-form-urlencoded"
    )
    assert b"a%5Bb%5D=x+y&l=1&l=2&o%5B0%5D%5Bp%5D=1" == form.content
    parts = FILLER.fill(
        {"f": {"$file": {"data": "aGk=", "name": 'a"\r\nb'}}, "t": "{t}"}, values(t="x")
    )
    made = encode_body(parts, "multipart/form-data")
    assert made.content is not None
    assert b'filename="a___b"' in made.content
    assert b"\r\n\r\nhi\r\n" in made.content
    assert made.type.startswith("multipart/form-data; boundary=")
