"""Requests that the OpenAPI specification defines, for `scripts/openapi_oracle`.

The expected values are written from the text of the specification (OpenAPI 3.1.1, 4.8.12 to
4.8.15 and the table of style examples; RFC 6570; RFC 7578), not from the code that is checked.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

SERVER = "https://api.example.com/v1"
COLORS: Mapping[str, Any] = {
    "empty": "",
    "string": "blue",
    "array": ["blue", "black", "brown"],
    "object": {"R": 100, "G": 200, "B": 150},
}
SCHEMAS: Mapping[str, Any] = {
    "empty": {"type": "string"},
    "string": {"type": "string"},
    "array": {"type": "array", "items": {"type": "string"}},
    "object": {
        "type": "object",
        "properties": {name: {"type": "integer"} for name in "RGB"},
    },
}
# The table of style examples: style, explode, and the texts for an empty string, a string, an
# array and an object; None where the table has "n/a".
STYLES = [
    (
        *("path", "matrix", False, ";color", ";color=blue"),
        *(";color=blue,black,brown", ";color=R,100,G,200,B,150"),
    ),
    (
        *("path", "matrix", True, ";color", ";color=blue"),
        *(";color=blue;color=black;color=brown", ";R=100;G=200;B=150"),
    ),
    ("path", "label", False, ".", ".blue", ".blue,black,brown", ".R,100,G,200,B,150"),
    ("path", "label", True, ".", ".blue", ".blue.black.brown", ".R=100.G=200.B=150"),
    ("path", "simple", False, None, "blue", "blue,black,brown", "R,100,G,200,B,150"),
    ("path", "simple", True, None, "blue", "blue,black,brown", "R=100,G=200,B=150"),
    ("header", "simple", False, "", "blue", "blue,black,brown", "R,100,G,200,B,150"),
    ("header", "simple", True, "", "blue", "blue,black,brown", "R=100,G=200,B=150"),
    (
        *("query", "form", False, "color=", "color=blue"),
        *("color=blue,black,brown", "color=R,100,G,200,B,150"),
    ),
    (
        *("query", "form", True, "color=", "color=blue"),
        *("color=blue&color=black&color=brown", "R=100&G=200&B=150"),
    ),
    (
        *("query", "spaceDelimited", False, None, None),
        *("color=blue%20black%20brown", "color=R%20100%20G%20200%20B%20150"),
    ),
    (
        *("query", "pipeDelimited", False, None, None),
        *("color=blue%7Cblack%7Cbrown", "color=R%7C100%7CG%7C200%7CB%7C150"),
    ),
    (
        *("query", "deepObject", True, None, None, None),
        "color%5BR%5D=100&color%5BG%5D=200&color%5BB%5D=150",
    ),
    (
        *("cookie", "form", False, "color=", "color=blue"),
        *("color=blue,black,brown", "color=R,100,G,200,B,150"),
    ),
    # Appendix D of OpenAPI 3.2.0: `&` does not separate cookies, so that a cookie is sent for each.
    (
        *("cookie", "form", True, "color=", "color=blue"),
        *("color=blue; color=black; color=brown", "R=100; G=200; B=150"),
    ),
]
TEXT = "a b/c?d&e=f,g;h#i%j+é"
TEXT_ENCODED = "a%20b%2Fc%3Fd%26e%3Df%2Cg%3Bh%23i%25j%2B%C3%A9"
"""`TEXT` with all but unreserved characters percent-encoded (RFC 3986, 2.3)."""
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
BYTES = bytes(range(40))
BASE64 = base64.b64encode(BYTES).decode()


@dataclass(frozen=True)
class Part:
    """A part of a multipart body."""

    name: str
    content: bytes
    kind: str = ""
    file: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """An operation, arguments, and the request that must be made of them.

    Args:
      name: name of the case.
      operation: the operation.
      arguments: the arguments of the call.
      target: path and query after the server, None if the call must be refused.
      method: HTTP method, in lower case.
      path: path of the operation.
      headers: headers that must be there; None for one that must not.
      body: the body: bytes, or JSON data, or the pairs of a form, or parts.
      kind: content type without parameters, "" without a body.
      item: keys of the path item.
      document: keys of the document.
      server: the expected server.
      peer: whether openapi-core reads the request as well.
    """

    name: str
    operation: Mapping[str, Any]
    arguments: Mapping[str, Any]
    target: str | None
    method: str = "get"
    path: str = "/x"
    headers: Mapping[str, str | None] = field(default_factory=dict)
    body: Any = None
    kind: str = ""
    item: Mapping[str, Any] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)
    server: str = SERVER
    peer: bool = True


def cases() -> Iterator[Case]:
    """Yield all cases."""
    yield from styles()
    yield from texts()
    yield from swagger_collections()
    yield from parameters()
    yield from json_bodies()
    yield from forms()
    yield from multiparts()
    yield from other_bodies()
    yield from servers()
    yield from references()


def _parameter(location: str, schema: Any, **more: Any) -> dict[str, Any]:
    required = {"required": True} if location == "path" else {}
    return {"name": "color", "in": location, "schema": schema, **required, **more}


def _placed(location: str, text: str) -> dict[str, Any]:
    """Return where a serialized parameter must be."""
    if location == "path":
        return {"path": "/x{color}/y", "target": f"/x{text}/y"}
    if location == "query":
        return {"target": f"/x?{text}"}
    return {
        "target": "/x",
        "headers": {location: text} if location == "cookie" else {"color": text},
    }


def styles() -> Iterator[Case]:
    """Yield each style with each kind of value, declared and by default."""
    for location, style, explode, *expected in STYLES:
        for (kind, value), text in zip(COLORS.items(), expected, strict=True):
            if text is None:
                continue
            for declared in ({"style": style, "explode": explode}, None):
                if declared is None and not _is_default(location, style, explode):
                    continue
                parameter = _parameter(location, SCHEMAS[kind], **(declared or {}))
                yield Case(
                    f"{location} {style} explode={explode} {kind}{'' if declared else ' default'}",
                    {"parameters": [parameter]},
                    {"color": value},
                    **_placed(location, text),
                    peer=_peer_reads(location, style, explode, kind),
                )


def _is_default(location: str, style: Any, explode: Any) -> bool:
    return (style, explode) == (
        ("form", True) if location in ("query", "cookie") else ("simple", False)
    )


def _peer_reads(location: Any, style: Any, explode: Any, kind: str) -> bool:
    """Return whether openapi-core reads a serialization as the specification writes it."""
    if location == "cookie":
        return kind == "string"
    if kind == "empty":
        return False
    if (location == "path" and style != "simple") or style == "spaceDelimited":
        return False
    if location == "query" and style == "form" and explode and kind == "object":
        return False
    return style != "pipeDelimited" or kind == "array"


def texts() -> Iterator[Case]:
    """Yield values with reserved characters, which must not change the request around them."""
    for style, prefix in (("simple", ""), ("label", "."), ("matrix", ";color=")):
        yield Case(
            f"path {style} reserved characters",
            {"parameters": [_parameter("path", {"type": "string"}, style=style)]},
            {"color": TEXT},
            **_placed("path", prefix + TEXT_ENCODED),
            peer=False,
        )
    array = SCHEMAS["array"]
    for explode, text in (
        (False, f"color={TEXT_ENCODED},x"),
        (True, f"color={TEXT_ENCODED}&color=x"),
    ):
        yield Case(
            f"query form explode={explode} reserved characters",
            {"parameters": [_parameter("query", array, explode=explode)]},
            {"color": [TEXT, "x"]},
            **_placed("query", text),
            peer=explode,
        )
    yield Case(
        "query deepObject reserved characters",
        {"parameters": [_parameter("query", {"type": "object"}, style="deepObject", explode=True)]},
        {"color": {"a]b": TEXT}},
        target=f"/x?color%5Ba%5Db%5D={TEXT_ENCODED}",
        peer=False,
    )
    yield Case(
        "query allowReserved",
        {"parameters": [_parameter("query", {"type": "string"}, allowReserved=True)]},
        {"color": "/a:b?c@d!e$f'(g)*,;=%20é&x=1#f"},
        target="/x?color=/a:b?c@d!e$f'(g)*,;=%20%C3%A9%26x=1%23f",
        peer=False,
    )
    for style in ("spaceDelimited", "pipeDelimited"):
        sign = " " if style == "spaceDelimited" else "|"
        yield Case(
            f"query {style} item with the delimiter",
            {"parameters": [_parameter("query", array, style=style, explode=False)]},
            {"color": [f"a{sign}b", "c"]},
            target=None,
        )
    yield Case(
        "header with a line break",
        {"parameters": [_parameter("header", {"type": "string"})]},
        {"color": "x\r\nX-Admin: 1"},
        target=None,
    )
    yield Case(
        "header list item with a comma",
        {"parameters": [_parameter("header", array)]},
        {"color": ["a,b", "c"]},
        target="/x",
        headers={"color": "a%2Cb,c"},
        peer=False,
    )
    yield Case(
        "cookie with a semicolon",
        {"parameters": [_parameter("cookie", {"type": "string"})]},
        {"color": "x; admin=1"},
        target="/x",
        headers={"cookie": "color=x%3B%20admin=1"},
        peer=False,
    )
    for value in ("..", "."):
        yield Case(
            f"path {value}",
            {"parameters": [_parameter("path", {"type": "string"})]},
            {"color": value},
            target=None,
            path="/x/{color}",
        )


def swagger_collections() -> Iterator[Case]:
    """Yield the collection formats of Swagger 2.0."""
    separators = {"csv": ",", "ssv": "%20", "tsv": "%09", "pipes": "%7C"}
    base = {"swagger": "2.0", "host": "api.example.com", "basePath": "/v1", "schemes": ["https"]}
    for name, location in itertools.product(
        (None, *separators, "multi"), ("query", "path", "header")
    ):
        if name == "multi" and location != "query":
            continue
        sign = separators.get(name or "csv", ",")
        if location == "header":
            sign = {"%20": " ", "%09": "\t", "%7C": "|"}.get(sign, sign)
        text = "color=a&color=b" if name == "multi" else f"a{sign}b"
        text = text if location != "query" or name == "multi" else f"color={text}"
        parameter = {"name": "color", "in": location, "type": "array", "items": {"type": "string"}}
        parameter |= {"collectionFormat": name} if name else {}
        parameter |= {"required": True} if location == "path" else {}
        yield Case(
            f"Swagger {location} {name}",
            {"parameters": [parameter]},
            {"color": ["a", "b"]},
            **_placed(location, text),
            document=base,
            peer=False,
        )
    for name, text in ((None, "color=a,b"), ("multi", "color=a&color=b"), ("pipes", "color=a%7Cb")):
        parameter = {
            "name": "color",
            "in": "formData",
            "type": "array",
            "items": {"type": "string"},
        }
        yield Case(
            f"Swagger form {name}",
            {
                "parameters": [parameter | ({"collectionFormat": name} if name else {})],
                "consumes": [FORM],
            },
            {"color": ["a", "b"]},
            "/x",
            "post",
            body=text.encode(),
            kind=FORM,
            document=base,
            peer=False,
        )


def parameters() -> Iterator[Case]:
    """Yield combinations of parameters, `content`, optional ones and null."""
    array = SCHEMAS["array"]
    yield Case(
        "each its own style",
        {
            "parameters": [
                {"name": "a", "in": "query", "schema": array, "explode": False},
                {"name": "b", "in": "query", "schema": array},
                {"name": "c", "in": "query", "schema": array, "style": "pipeDelimited"},
            ]
        },
        {"a": ["1", "2"], "b": ["3", "4"], "c": ["5", "6"]},
        "/x?a=1,2&b=3&b=4&c=5%7C6",
    )
    for location, where in (
        ("query", {"target": "/x?color=%7B%22a%22%3A%5B1%5D%7D"}),
        ("header", {"target": "/x", "headers": {"color": '{"a":[1]}'}}),
        ("path", {"path": "/x/{color}", "target": "/x/%7B%22a%22%3A%5B1%5D%7D"}),
    ):
        parameter = _parameter(
            location, None, content={"application/json": {"schema": {"type": "object"}}}
        )
        del parameter["schema"]
        yield Case(
            f"{location} content",
            {"parameters": [parameter]},
            {"color": {"a": [1]}},
            **where,
            peer=location != "path",
        )
    parameter = {
        "name": "color",
        "in": "query",
        "content": {"application/json": {"schema": {"type": "string"}}},
    }
    yield Case(
        "query content string", {"parameters": [parameter]}, {"color": "x"}, "/x?color=%22x%22"
    )
    two = [
        {"name": name, "in": "cookie", "schema": {"type": "string"}} for name in ("first", "second")
    ]
    yield Case(
        "one of two cookies",
        {"parameters": two},
        {"second": "2"},
        "/x",
        headers={"cookie": "second=2"},
    )
    yield Case("no cookie", {"parameters": two}, {}, "/x", headers={"cookie": None})
    three = [
        {"name": "id", "in": place, "schema": {"type": "string"}}
        | ({"required": True} if place == "path" else {})
        for place in ("query", "path", "header", "cookie")
    ]
    yield Case(
        "one name in four places",
        {"parameters": three},
        {"id": "p", "id_query": "q", "id_header": "h", "id_cookie": "c"},
        "/x/p?id=q",
        path="/x/{id}",
        headers={"id": "h", "cookie": "id=c"},
    )
    nullable = {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]}
    yield Case(
        "null is not sent in a query",
        {"parameters": [_parameter("query", nullable, explode=False)]},
        {"color": None},
        "/x",
    )
    yield Case(
        "a default is not sent in a query",
        {"parameters": [_parameter("query", {"type": "integer", "default": 20})]},
        {},
        "/x",
    )
    yield Case(
        "a nullable list",
        {
            "parameters": [
                _parameter("query", {"type": ["array", "null"], "items": {}}, explode=False)
            ]
        },
        {"color": ["a", "b"]},
        "/x?color=a,b",
        peer=False,
    )
    empty = _parameter("query", {"type": "boolean"}, allowEmptyValue=True)
    for value, text in (("", "color="), (True, "color=true")):
        yield Case(f"allowEmptyValue {value}", {"parameters": [empty]}, {"color": value},
                   f"/x?{text}", peer=False)  # fmt: skip
    plain = {"parameters": [_parameter("query", {"type": "string"})]}
    for name, path, target in (
        ("a fragment in the path", "/x#other", "/x?color=b"),
        ("a query in the path", "/x?action=list", "/x?action=list&color=b"),
    ):
        yield Case(name, plain, {"color": "b"}, target, path=path, peer=False)
    yield Case("a path that is not ASCII", {}, {}, "/caf%C3%A9%20au", path="/café au", peer=False)
    for kind, value, text in (
        (FORM, {"a": "1 2", "b": ["x", "y"]}, "a=1%202&b=x&b=y"),
        ("application/json", {"a": 1}, "%7B%22a%22%3A1%7D"),
    ):
        parameter = {
            "name": "q",
            "in": "querystring",
            "content": {kind: {"schema": {"type": "object"}}},
        }
        yield Case(
            f"querystring {kind}",
            {"parameters": [parameter]},
            {"q": value},
            f"/x?{text}",
            document={"openapi": "3.2.0"},
            peer=False,
        )


def _body(kind: str, schema: Any, *, required: bool = True, **media: Any) -> dict[str, Any]:
    return {"requestBody": {"required": required, "content": {kind: {"schema": schema, **media}}}}


def json_bodies() -> Iterator[Case]:
    """Yield JSON bodies: null, left-out fields, defaults, empty and whole ones."""
    json = "application/json"
    fields = {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "note": {"type": ["string", "null"]},
            "state": {"type": "string", "default": "open"},
            "secret": {"type": "string", "readOnly": True},
        },
    }
    for method, (name, arguments, body) in itertools.product(
        ("post", "put", "patch"),
        [
            ("one field", {"title": "x"}, {"title": "x"}),
            ("null alone", {"note": None}, {"note": None}),
            ("null beside", {"title": "x", "note": None}, {"title": "x", "note": None}),
            ("empty string", {"title": ""}, {"title": ""}),
            ("nothing", {}, {}),
        ],
    ):
        yield Case(
            f"JSON {method} {name}",
            _body(json, fields),
            arguments,
            "/x",
            method,
            body=body,
            kind=json,
        )
    yield Case("JSON optional, nothing", _body(json, fields, required=False), {}, "/x", "post")
    for name, schema, value in (
        ("array", {"type": "array", "items": {"type": "integer"}}, [1, 2]),
        ("string", {"type": "string"}, "x"),
        ("map", {"type": "object", "additionalProperties": {"type": "integer"}}, {"a": 1}),
        ("null", {"type": ["string", "null"]}, None),
        (
            "choice",
            {"oneOf": [{"type": "object", "properties": {"a": {}}}, {"type": "integer"}]},
            5,
        ),
    ):
        yield Case(
            f"JSON whole {name}",
            _body(json, schema),
            {"body": value},
            "/x",
            "post",
            body=value,
            kind=json,
        )
    yield Case(
        "JSON suffix",
        _body("application/merge-patch+json", fields),
        {"note": None},
        "/x",
        "patch",
        body={"note": None},
        kind="application/merge-patch+json",
        peer=False,
    )
    yield Case(
        "a field beside a parameter of its name",
        {
            **_body(json, {"type": "object", "properties": {"id": {"type": "string"}}}),
            "parameters": [{"name": "id", "in": "query", "schema": {"type": "string"}}],
        },
        {"id": "q", "id_body": "b"},
        "/x?id=q",
        "post",
        body={"id": "b"},
        kind=json,
    )


def forms() -> Iterator[Case]:
    """Yield forms with and without encoding objects."""
    point = {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}}
    array = {"type": "array", "items": {"type": "string"}}
    for name, schema, encoding, value, text in (
        ("string", {"type": "string"}, None, TEXT, f"v={TEXT_ENCODED}".replace("%20", "+")),
        ("empty string", {"type": "string"}, None, "", "v="),
        ("boolean", {"type": "boolean"}, None, True, "v=true"),
        ("array", array, None, ["a", "b"], "v=a&v=b"),
        ("object", point, None, {"x": 1}, "v=%7B%22x%22%3A1%7D"),
        ("array of objects", {"type": "array", "items": point}, None, [{"x": 1}, {"x": 2}],
         "v=%7B%22x%22%3A1%7D&v=%7B%22x%22%3A2%7D"),
        ("array not exploded", array, {"explode": False}, ["a", "b"], "v=a,b"),
        ("array of pipes", array, {"style": "pipeDelimited"}, ["a", "b"], "v=a%7Cb"),
        ("array of spaces", array, {"style": "spaceDelimited"}, ["a", "b"], "v=a+b"),
        ("object of form", point, {"style": "form"}, {"x": 1, "y": 2}, "x=1&y=2"),
        ("object not exploded", point, {"explode": False}, {"x": 1, "y": 2}, "v=x,1,y,2"),
        ("deep object", point, {"style": "deepObject", "explode": True}, {"x": 1, "y": 2},
         "v%5Bx%5D=1&v%5By%5D=2"),
        ("JSON", point, {"contentType": "application/json"}, {"x": 1}, "v=%7B%22x%22%3A1%7D"),
    ):  # fmt: skip
        media = {"encoding": {"v": encoding}} if encoding else {}
        yield Case(
            f"form {name}",
            _body(FORM, {"type": "object", "properties": {"v": schema}}, **media),
            {"v": value},
            "/x",
            "post",
            body=text.encode(),
            kind=FORM,
            peer=name in ("string", "array", "boolean"),
        )
    yield Case(
        "form nothing",
        _body(FORM, {"type": "object", "properties": {"v": array}}),
        {},
        "/x",
        "post",
        body=b"",
        kind=FORM,
        peer=False,
    )


def multiparts() -> Iterator[Case]:
    """Yield multipart bodies in the forms of OpenAPI 3.0 and 3.1."""
    binary = {"type": "string", "format": "binary"}
    raw = {"type": "string", "contentMediaType": "application/octet-stream"}
    octets = "application/octet-stream"
    array = {"type": "array", "items": {"type": "string"}}
    for name, schema, encoding, value, parts in (
        ("string", {"type": "string"}, None, "é", [Part("v", "é".encode())]),
        ("number", {"type": "integer"}, None, 5, [Part("v", b"5")]),
        ("array", array, None, ["a", "b"], [Part("v", b"a"), Part("v", b"b")]),
        ("object", {"type": "object"}, None, {"a": 1}, [Part("v", b'{"a":1}', "application/json")]),
        ("array of objects", {"type": "array", "items": {"type": "object"}}, None, [{"a": 1}, {}],
         [Part("v", b'{"a":1}', "application/json"), Part("v", b"{}", "application/json")]),
        ("file 3.0", binary, None, BASE64, [Part("v", BYTES, octets, file=True)]),
        ("file 3.1", raw, None, BASE64, [Part("v", BYTES, octets, file=True)]),
        ("file typed", {"type": "string", "contentMediaType": "image/png"}, None, BASE64,
         [Part("v", BYTES, "image/png", file=True)]),
        ("file of base64 3.0", {"type": "string", "format": "byte"}, None, BASE64,
         [Part("v", BASE64.encode(), octets, file=True)]),
        ("file of base64 3.1", {"type": "string", "contentEncoding": "base64"}, None, BASE64,
         [Part("v", BASE64.encode(), octets, True, {"Content-Transfer-Encoding": "base64"})]),
        ("files 3.0", {"type": "array", "items": binary}, None, [BASE64, "aGk="],
         [Part("v", BYTES, octets, file=True), Part("v", b"hi", octets, file=True)]),
        ("files 3.1", {"type": "array", "items": raw}, None, [BASE64],
         [Part("v", BYTES, octets, file=True)]),
        ("file or null", {"anyOf": [raw, {"type": "null"}]}, None, BASE64,
         [Part("v", BYTES, octets, file=True)]),
        ("content type", {"type": "string"}, {"contentType": "text/csv"}, "a,b",
         [Part("v", b"a,b", "text/csv")]),
        ("content type of a file", binary, {"contentType": "image/png, image/jpeg"}, BASE64,
         [Part("v", BYTES, "image/png", file=True)]),
        ("JSON suffix", {"type": "object"}, {"contentType": "application/ld+json"}, {"a": 1},
         [Part("v", b'{"a":1}', "application/ld+json")]),
    ):  # fmt: skip
        media = {"encoding": {"v": encoding}} if encoding else {}
        yield Case(
            f"multipart {name}",
            _body(MULTIPART, {"type": "object", "properties": {"v": schema}}, **media),
            {"v": value},
            "/x",
            "post",
            body=parts,
            kind=MULTIPART,
            peer=False,
        )
    point = {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}}
    json = Part("v", b'{"x":1,"y":2}', "application/json")
    for name, schema, encoding, version, value, parts in (
        ("array not exploded", array, {"explode": False}, "3.1.1", ["a", "b"],
         [Part("v", b"a,b")]),
        ("array exploded", array, {"style": "form"}, "3.1.1", ["a", "b"],
         [Part("v", b"a"), Part("v", b"b")]),
        ("object exploded", point, {"style": "form"}, "3.1.1", {"x": 1, "y": 2},
         [Part("x", b"1"), Part("y", b"2")]),
        ("object of a style that 3.0 ignores", point, {"style": "form"}, "3.0.3",
         {"x": 1, "y": 2}, [json]),
    ):  # fmt: skip
        yield Case(
            f"multipart {name}",
            _body(
                MULTIPART, {"type": "object", "properties": {"v": schema}}, encoding={"v": encoding}
            ),
            {"v": value},
            "/x",
            "post",
            body=parts,
            kind=MULTIPART,
            document={"openapi": version},
            peer=False,
        )
    yield Case(
        "multipart header",
        _body(
            MULTIPART,
            {"type": "object", "properties": {"v": binary}},
            encoding={"v": {"headers": {"X-Rate": {"schema": {"type": "integer"}}}}},
        ),
        {"v": BASE64, "v_X-Rate": 7},
        "/x",
        "post",
        body=[Part("v", BYTES, octets, True, {"X-Rate": "7"})],
        kind=MULTIPART,
        peer=False,
    )


def other_bodies() -> Iterator[Case]:
    """Yield bodies of bytes and text."""
    for kind, schema in (
        ("application/octet-stream", {"type": "string", "format": "binary"}),
        ("image/png", {}),
        ("application/pdf", {"contentMediaType": "application/pdf"}),
    ):
        yield Case(f"bytes {kind}", _body(kind, schema), {"body": BASE64}, "/x", "put",
                   body=BYTES, kind=kind, peer=False)  # fmt: skip
    for kind in ("text/plain", "application/xml", "application/x-ndjson"):
        yield Case(f"text {kind}", _body(kind, {"type": "string"}), {"body": "<a>é</a>"}, "/x",
                   "post", body="<a>é</a>".encode(), kind=kind, peer=False)  # fmt: skip
    yield Case(
        "QUERY",
        _body("application/json", {"type": "object", "properties": {"a": {"type": "integer"}}}),
        {"a": 1},
        "/x",
        "query",
        body={"a": 1},
        kind="application/json",
        document={"openapi": "3.2.0"},
        peer=False,
    )


def servers() -> Iterator[Case]:
    """Yield servers of the document, the path item and the operation."""
    one, two = {"url": "http://a.example/v1"}, {"url": "https://b.example/v1"}
    scheme = {
        "url": "{scheme}://{host}.example",
        "variables": {
            "scheme": {"default": "http", "enum": ["http", "https"]},
            "host": {"default": "c"},
        },
    }
    for name, document, item, operation, server in (
        ("https before http", [one, two], None, None, "https://b.example/v1"),
        ("only http", [one], None, None, "http://a.example/v1"),
        ("of the path item", [one], [two], None, "https://b.example/v1"),
        ("of the operation", [one], [one], [two], "https://b.example/v1"),
        ("with variables", [scheme], None, None, "https://c.example"),
        ("relative", [{"url": "/v9"}], None, None, "https://doc.example/v9"),
        ("relative to the folder", [{"url": "../v9"}], None, None, "https://doc.example/v9"),
        ("none", None, None, None, "https://doc.example"),
    ):
        yield Case(
            f"server {name}",
            {"servers": operation} if operation else {},
            {},
            "/x",
            item={"servers": item} if item else {},
            document={"servers": document},
            server=server,
            peer=False,
        )


def references() -> Iterator[Case]:
    """Yield references to each kind of component."""
    components = {
        "parameters": {"Color": _parameter("query", {"$ref": "#/components/schemas/Colors"})},
        "schemas": {
            "Colors": {"type": "array", "items": {"$ref": "#/components/schemas/Name"}},
            "Name": {"type": "string"},
            "Node": {
                "type": "object",
                "properties": {
                    "name": {"$ref": "#/components/schemas/Name"},
                    "next": {"$ref": "#/components/schemas/Node"},
                    "seen": {"type": "boolean", "readOnly": True},
                },
            },
        },
        "requestBodies": {"Node": _body_of("#/components/schemas/Node")},
        "pathItems": {
            "X": {"get": {"parameters": [{"$ref": "#/components/parameters/Color"}]}},
        },
    }
    document = {"openapi": "3.1.1", "components": components}
    reference = {"$ref": "#/components/parameters/Color"}
    colors = {"color": ["a", "b"]}
    yield Case("a parameter by reference", {"parameters": [reference]}, colors,
               "/x?color=a&color=b", document=document)  # fmt: skip
    node = {"name": "a", "next": {"name": "b", "next": {"name": "c"}}}
    yield Case(
        "a body by reference",
        {"requestBody": {"$ref": "#/components/requestBodies/Node"}},
        node,
        "/x",
        "post",
        body=node,
        kind="application/json",
        document=document,
        peer=False,
    )
    paths = {"/x": {"$ref": "#/components/pathItems/X"}}
    yield Case("a path item by reference", {}, colors, "/x?color=a&color=b",
               document={**document, "paths": paths}, peer=False)  # fmt: skip


def _body_of(reference: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": reference}}}
    return {"required": True, "content": content}
