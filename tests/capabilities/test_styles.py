"""Styles, cookies and null in capability files that are written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.http_sender import HttpRequest
from mcpgw.capabilities.inputs import with_defaults
from mcpgw.capabilities.parsing import read_capability
from mcpgw.capabilities.requests import draft, values_of
from mcpgw.config.problems import ConfigError
from tests.support.capability_calls import capability

FILE = """
name: example
description: An example.
schema:
  input:
    type: object
    properties:
      ids: {type: array, items: {type: string}}
      point: {type: object}
      note: {type: [string, "null"]}
      state: {type: string, default: open}
      place: {"$ref": "#/$defs/place"}
    "$defs": {place: {anyOf: [{type: string}, {type: "null"}]}}
providers:
  primary:
    config:
      base_url: https://api.example
"""


def request(config: str, inputs: dict[str, Any], credential: str = "", **more: str) -> HttpRequest:
    """Return the request of a call; `config` is the rest of the provider's settings."""
    lines = "".join(f"      {line}\n" for line in config.strip().splitlines())
    extra = "".join(f"{key}: {value}\n" for key, value in more.items())
    made = capability(FILE + lines + extra)
    assert made.primary is not None
    values = with_defaults(made, inputs)
    return draft(made.primary, values, values_of(values, {}), made.auth, credential).outgoing()


@pytest.mark.parametrize(
    ("config", "inputs", "url"),
    [
        ("path: /a/{ids}", {"ids": ["a", "b/c"]}, "/a/a,b%2Fc"),
        ("path: /a{ids}\nstyles: {path: {ids: {style: matrix, explode: true}}}",
         {"ids": ["a", "b"]}, "/a;ids=a;ids=b"),
        ("path: /a{ids}\nstyles: {path: {ids: {style: LABEL}}}", {"ids": ["a", "b"]}, "/a.a,b"),
        ("params: {i: '{ids}'}\nstyles: {query: {i: {style: pipedelimited}}}",
         {"ids": ["a", "b"]}, "?i=a%7Cb"),
        ("params: {i: '{ids}'}\nstyles: {query: {i: {content_type: application/json}}}",
         {"ids": ["a"]}, "?i=%5B%22a%22%5D"),
        (("params: {i: '{ids}', p: '{point}'}\nstyles: {query: {p: {style: form}}}\n"
         "array_style: comma"), {"ids": ["a", "b"], "point": {"x": 1}}, "?i=a%2Cb&x=1"),
        ("params: {p: '{point}'}", {"point": {"x": [1, 2]}}, "?p%5Bx%5D%5B%5D=1&p%5Bx%5D%5B%5D=2"),
        ("params: {n: '{note}'}", {"note": None}, ""),
        ("params: {n: '{note}'}", {"note": ""}, "?n="),
        ("params: {n: 'a{note}'}", {}, ""),
        ("path: /x#y\nparams: {n: '{note}'}", {"note": "1"}, "/x?n=1"),
        ("path: /caf\u00e9/{note}", {"note": "\u00e9"}, "/caf%C3%A9/%C3%A9"),
    ],
)  # fmt: skip
def test_urls(config: str, inputs: dict[str, Any], url: str) -> None:
    """Each parameter is written in its own style."""
    assert f"https://api.example{url}" == request(config, inputs).url


@pytest.mark.parametrize(
    ("config", "url"),
    [
        ("path_selector: {parameter: note, default: a, paths: {a: /1, b: /2}}", "/1"),
        ("static_params: {note: all}", "?note=all"),
        ("param_map: {note: n}", ""),
        ("params: {n: '{note}'}\narray_style: json", ""),
        ("params: {n: '{note|x}'}", "?n=x"),
        ("params: {n: 'a-{note|x}'}", "?n=a-x"),
    ],
)
def test_null_in_a_url(config: str, url: str) -> None:
    """It counts as not given."""
    text = FILE.replace('note: {type: [string, "null"]}', "note: {enum: [a, b, null]}")
    lines = "".join(f"      {line}\n" for line in config.splitlines())
    made, _ = read_capability(
        Path("example.yaml"),
        (text + lines)
        .replace(
            "enum: [a, b, null]", "enum: [a, b]" if "selector" in config else "enum: [a, b, null]"
        )
        .encode(),
    )
    assert made.primary is not None
    values = values_of({"note": None}, {})
    sent = draft(made.primary, {"note": None}, values, made.auth, "").outgoing()
    assert f"https://api.example{url}" == sent.url


def test_cookies() -> None:
    """Each is sent if it has a value, beside the credential."""
    config = "cookies: {note: '{note}', ids: '{ids}'}\nstyles: {cookie: {ids: {explode: false}}}"
    assert "cookie" not in request(config, {}).headers
    assert "ids=a,b" == request(config, {"ids": ["a", "b"]}).headers["cookie"]
    for auth in ("{key: 'env:K', cookie: sid}", "{key: 'env:K', header: Cookie, prefix: sid=}"):
        made = request(config, {"note": "x; y"}, "t0k", auth=auth)
        assert "sid=t0k; note=x%3B%20y" == made.headers["cookie"]


@pytest.mark.parametrize("name", ["note", "place"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_null_in_a_body(name: str, method: str) -> None:
    """It is sent if the schema allows it, alone as well; otherwise it counts as not given."""
    config = f"method: {method}\nbody: {{ {name}: '{{{name}}}', ids: '{{ids}}' }}"
    made = request(config, {name: None, "ids": None})
    assert {name: None} == json.loads(made.content or b"")
    assert request(config, {}).content is None


@pytest.mark.parametrize(("method", "sent"), [("POST", True), ("PUT", True), ("PATCH", False)])
def test_defaults_in_a_body(method: str, sent: bool) -> None:
    """A partial update has none, which `cap validate` reports."""
    config = f"method: {method}\nbody: {{note: '{{note}}', state: '{{state}}'}}"
    state = {"state": "open"} if sent else {}
    assert {"note": "x", **state} == json.loads(request(config, {"note": "x"}).content or b"")
    lines = "".join(f"      {line}\n" for line in config.splitlines())
    _, warnings = read_capability(Path("example.yaml"), (FILE + lines).encode())
    assert sent == (not any("PATCH" in each.message for each in warnings))


def test_a_default_outside_of_the_body_of_a_patch() -> None:
    """Those of the URL are sent as always."""
    config = "method: PATCH\nparams: {s: '{state}'}\nbody: {note: '{note}', s: '{state}'}"
    assert request(config, {"note": "x"}).url.endswith("?s=open")


@pytest.mark.parametrize(
    ("config", "content"),
    [
        ("method: POST\nbody_required: true\nbody: {n: '{note}'}", b"{}"),
        ("method: POST\nbody: {n: '{note}'}", None),
        (("method: POST\nbody_content_type: application/x-www-form-urlencoded\n"
         "body: {i: '{ids}', p: '{point}'}\nstyles: {body: {p: {style: deepObject}}}"),
         b"i=a&i=b&p%5Bx%5D=1"),
    ],
)  # fmt: skip
def test_bodies(config: str, content: bytes | None) -> None:
    """A required body is sent empty; lists of a form are repeated keys."""
    inputs = {"ids": ["a", "b"], "point": {"x": 1}} if "ids" in config else {}
    assert content == request(config, inputs).content


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("params: {i: '{ids}'}\nstyles: {query: {i: {style: matrix}}}", "must be one of form"),
        ("params: {i: '{ids}'}\nstyles: {query: {i: {style: nosuch}}}", "must be one of simple"),
        ("params: {ids: '{ids}'}\nstyles: {query: {idz: {explode: true}}}", "Did you mean 'ids'"),
        ("params: {ids: '{ids}'}\nstyles: {query: {ids: {explod: true}}}", "explode"),
        ("params: {ids: '{ids}'}\nstyles: {qery: {ids: {explode: true}}}", "query"),
        ("path: /{ids}\nstyles: {path: {id: {explode: true}}}", "no such parameter in the path"),
        ("cookies: {a: '{nosuch}'}", "not a declared input"),
        (("method: POST\nbody_content_type: multipart/form-data\nbody: {f: '{ids}'}\n"
         "styles: {body: {f: {headers: {X: '{nosuch}'}}}}"), "not a declared input"),
    ],
)  # fmt: skip
def test_invalid_styles(config: str, message: str) -> None:
    """Each is reported with what is right."""
    lines = "".join(f"      {line}\n" for line in config.splitlines())
    with pytest.raises(ConfigError) as caught:
        read_capability(Path("example.yaml"), (FILE + lines).encode())
    assert any(message in f"{each.message} {each.hint}" for each in caught.value.problems)


@pytest.mark.parametrize(
    ("style", "value"),
    [("pipeDelimited", ["a|b"]), ("spaceDelimited", ["a b"]), ("tabDelimited", {"a": "\t"})],
)
def test_a_delimiter_within_an_item(style: str, value: Any) -> None:
    """It is refused, since it would add an item."""
    name = "point" if isinstance(value, dict) else "ids"
    config = f"params: {{i: '{{{name}}}'}}\nstyles: {{query: {{i: {{style: {style}}}}}}}"
    with pytest.raises(CallProblem, match="separates the items"):
        request(config, {name: value})
