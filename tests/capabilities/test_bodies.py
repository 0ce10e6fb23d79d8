"""Bodies as they are on the wire: forms, parts, messages and numbers."""

from __future__ import annotations

import base64
import email
import json
from email.policy import default
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcpgw.capabilities.bodies import FILLER, files_of, with_files
from mcpgw.capabilities.body_encoding import Body, encode_body
from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.requests import values_of
from tests.capabilities.test_any_value import TEXTS, VALUES

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


def filled(template: Any, **inputs: Any) -> Any:
    """Fill a template with inputs."""
    return FILLER.fill(template, values_of(inputs, {}))


def parts(body: Body) -> list[Any]:
    """Return the parts of a multipart body, as another program reads them."""
    data = f"Content-Type: {body.type}\r\n\r\n".encode() + (body.content or b"")
    return list(email.message_from_bytes(data, policy=default).iter_parts())


def message(**fields: Any) -> Any:
    """Return an e-mail as its reader has it."""
    text = filled({"$email": {name: f"{{{name}}}" for name in fields}}, **fields)
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return email.message_from_bytes(data, policy=default)


class TestForms:
    def test_nested(self) -> None:
        """Maps and lists are written as most servers read them."""
        body = encode_body({"a": {"b": 1, "c": [True, "x y"]}, "d": [{"e": "é&="}]}, FORM)
        pairs = [("a[b]", "1"), ("a[c][]", "true"), ("a[c][]", "x y"), ("d[0][e]", "é&=")]
        assert pairs == parse_qsl((body.content or b"").decode(), strict_parsing=True)

    @settings(max_examples=150)
    @given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), TEXTS, max_size=4))
    def test_any_text(self, form: dict[str, str]) -> None:
        """Decoding an encoded form returns the same values."""
        try:
            values_of(form, {})
        except CallProblem:
            return
        content = encode_body(form, FORM).content or b""
        assert list(form.items()) == parse_qsl(content.decode(), keep_blank_values=True)


class TestParts:
    def test_files_and_fields(self) -> None:
        """A file has its name, type and bytes; names cannot break out of their header."""
        template = {
            "note": "{note}",
            "file": {"$file": {"data": "{data}", "name": "{name}", "type": "audio/mpeg"}},
        }
        data = bytes(range(256))
        value = filled(
            template,
            note="two\r\nlines",
            data=base64.b64encode(data).decode(),
            name='a"b\r\nX-Evil: 1.mp3',
        )
        note, file = parts(encode_body(value, MULTIPART))
        assert ("note", "two\nlines") == (
            *(note.get_param("name", header="content-disposition"),),
            note.get_payload(decode=True).decode().replace("\r\n", "\n").strip("\n"),
        )
        assert "X-Evil" not in file
        assert ("audio/mpeg", data) == (file.get_content_type(), file.get_payload(decode=True))
        assert not set('"\r\n') & set(str(file.get_filename()))

    def test_files_from_elsewhere(self) -> None:
        """They are named first, fetched by who may, and then put in with their type."""
        value = filled(
            {"file": {"$file": {"url": "{url}"}}}, url="https://a.example/b/song.mp3?x=1"
        )
        (file,) = files_of(value)
        assert "song.mp3" == file.name
        whole = with_files(value, {file.url: (b"abc", "audio/mpeg")})
        (part,) = parts(encode_body(whole, MULTIPART))
        assert ("audio/mpeg", b"abc") == (part.get_content_type(), part.get_payload(decode=True))

    def test_without_a_file(self) -> None:
        """An optional file without a value adds no part."""
        template = {"a": "1", "file": {"$file": {"url": "{url}"}}}
        assert ["a"] == list(filled(template))

    @pytest.mark.parametrize("data", ["!", "a", "é", "a b c"])
    def test_what_is_no_base64(self, data: str) -> None:
        """It is refused in words."""
        with pytest.raises(CallProblem, match="base64"):
            filled({"$base64": "{data}"}, data=data)


class TestMessages:
    def test_a_message(self) -> None:
        """Recipients, subject and text arrive as they were given, in any script."""
        found = message(to=["a@x.example", "b@x.example"], subject="Grüße", body="Zeile\n第二行\n")
        assert "a@x.example, b@x.example" == found["to"]
        assert "Grüße" == found["subject"]
        assert "Zeile\n第二行\n" == found.get_content().replace("\r\n", "\n")

    def test_html_beside_text(self) -> None:
        """Both forms of a text are in one message."""
        found = message(to="a@x.example", subject="s", body="plain", html="<b>x</b>")
        kinds = [part.get_content_type() for part in found.walk()]
        assert ["multipart/alternative", "text/plain", "text/html"] == kinds

    @pytest.mark.parametrize("name", ["to", "cc", "bcc", "subject"])
    def test_a_line_break_adds_no_header(self, name: str) -> None:
        """It is refused."""
        fields = {"to": "a@x.example", "subject": "s", "body": "b"}
        with pytest.raises(CallProblem, match="line break"):
            message(**(fields | {name: "a@x.example\r\nBcc: evil@x.example"}))

    @settings(max_examples=200)
    @given(to=TEXTS, subject=TEXTS, body=TEXTS)
    def test_any_text(self, to: str, subject: str, body: str) -> None:
        """It becomes a message with these headers alone, or is refused in words."""
        try:
            found = message(to=to, subject=subject, body=body)
        except CallProblem:
            return
        assert {name.lower() for name in found} <= {
            *("to", "subject", "content-type", "content-transfer-encoding", "mime-version"),
        }


class TestFunctions:
    @pytest.mark.parametrize(("text", "number"), [("1", 1), ("-2.5", -2.5), (" 3 ", 3), (4, 4)])
    def test_numbers(self, text: Any, number: float) -> None:
        """A text that is a number becomes one."""
        assert number == filled({"$number": "{n}"}, n=text)

    @pytest.mark.parametrize(
        "text", ["", "x", "NaN", "Infinity", "1e999", "true", "null", "[1]", '{"a": 1}', "[" * 9999]
    )
    def test_what_is_no_number(self, text: str) -> None:
        """It is refused: no other JSON comes in by it."""
        with pytest.raises(CallProblem, match="must be a number"):
            filled({"$number": "{n}"}, n=text)

    def test_each(self) -> None:
        """A list of values becomes a list of objects; one value a list of one."""
        template = {"$each": {"in": "{ids}", "as": {"id": "{item}", "kind": "{kind}"}}}
        assert [{"id": 1, "kind": "k"}, {"id": "b", "kind": "k"}] == filled(
            template, ids=[1, "b"], kind="k"
        )
        assert [{"id": "x"}] == filled(template, ids="x")

    @settings(max_examples=150)
    @given(VALUES)
    def test_json_within_json(self, value: Any) -> None:
        """`$json` is the text of a value, which reads back as that value."""
        try:
            text = filled({"$json": {"v": "{v}"}}, v=value)
        except CallProblem:
            return
        assert {"v": json.loads(json.dumps(value))} == json.loads(text)
