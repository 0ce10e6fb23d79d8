"""Known secrets are replaced in every form, and ordinary text stays as it is."""

from __future__ import annotations

import base64
import html
import json
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mcpgw.observe.redact import PLACEHOLDER
from mcpgw.observe.redactor import ERROR_LIMIT, REMEMBERED, Redactor, counts
from mcpgw.observe.secret_forms import SecretForms

SECRET = "q7/Zp+3=xW&'\"k9é\\Lm2"
PEM = "\n".join(("-----BEGIN PRIVATE KEY-----", "Q" + "a1B2" * 15, "R" + "c3D4" * 15, "-----END"))


def _double_json(text: str) -> str:
    return json.dumps(json.dumps({"k": text}))


ENCODERS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "percent": lambda s: quote(s, safe=""),
    "percent, slashes kept": quote,
    "percent, lower case": lambda s: re.sub("%..", lambda m: m[0].lower(), quote(s, safe="")),
    "percent, twice": lambda s: quote(quote(s, safe="")),
    "form": quote_plus,
    "JSON": json.dumps,
    "JSON, not ASCII": lambda s: json.dumps(s, ensure_ascii=False),
    "JSON in JSON": _double_json,
    "JSON of Go": lambda s: json.dumps(s).replace("&", "\\u0026"),
    "JSON of .NET": lambda s: re.sub("[&'+]", lambda m: f"\\u{ord(m[0]):04X}", json.dumps(s)),
    "JSON of PHP": lambda s: json.dumps(s).replace("/", "\\/"),
    "repr": repr,
    "HTML": html.escape,
    "hex": lambda s: s.encode().hex(),
    "HEX": lambda s: s.encode().hex().upper(),
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64url": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    "base64, no padding": lambda s: base64.b64encode(s.encode()).decode().rstrip("="),
    "folded": lambda s: f"{s[:6]}\n{s[6:]}",
    "folded and indented": lambda s: f"{s[:6]}\r\n   {s[6:]}",
    "folded in JSON": lambda s: json.dumps(f"{s[:6]}\n{s[6:]}"),
    "quoted mail": lambda s: f"{s[:6]}=\n{s[6:]}",
}


def pieces_of(secret: str, length: int = 7) -> set[str]:
    """Return all parts of a secret of a length, of which none may be left."""
    return {secret[start : start + length] for start in range(len(secret) - length + 1)}


class TestForms:
    """Every form in which a text may hold a secret."""

    @pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
    @pytest.mark.parametrize("secret", [SECRET, "plain-token-0123456789", "abcdefghijkl1"])
    def test_no_form_is_left(self, encoder: Callable[[str], str], secret: str) -> None:
        """A text with an encoded secret loses it; the text around it stays."""
        encoded = encoder(secret)
        text = SecretForms.of([secret]).text(f"before {encoded} after {encoded}.")
        assert text.startswith("before ")
        assert " after " in text
        assert text.endswith(".")
        inner = encoded.strip("\"'")
        assert inner not in text
        assert PLACEHOLDER in text

    @pytest.mark.parametrize("before", ["", "a", "ab", "abc", "user:"])
    @pytest.mark.parametrize("after", ["", "z", "zz", ":more"])
    @pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
    def test_base64_at_every_alignment(
        self, before: str, after: str, encode: Callable[[bytes], bytes]
    ) -> None:
        """A secret within a longer base64 text is found wherever it starts."""
        encoded = encode(f"{before}{SECRET}{after}".encode()).decode()
        left = SecretForms.of([SECRET]).text(encoded)
        assert PLACEHOLDER in left
        core = encode(SECRET.encode()).decode()
        assert not any(part in left for part in pieces_of(core, 5))

    def test_folded_base64(self) -> None:
        """A base64 text with lines of 20 characters, as MIME has them, is found."""
        encoded = base64.b64encode(SECRET.encode() * 3).decode()
        folded = "\n".join(encoded[i : i + 20] for i in range(0, len(encoded), 20))
        assert PLACEHOLDER in SecretForms.of([SECRET]).text(folded)

    def test_a_key_of_several_lines(self) -> None:
        """Whole, escaped, without its line breaks, and each of its long lines."""
        forms = SecretForms.of([PEM])
        body = PEM.splitlines()[1]
        for text in (PEM, json.dumps(PEM), PEM.replace("\n", ""), f"at {body} end"):
            assert body not in forms.text(text)
        assert "-----BEGIN PRIVATE KEY-----" == forms.text("-----BEGIN PRIVATE KEY-----")

    def test_longest_first(self) -> None:
        """Of two secrets of which one contains the other, nothing of the longer one is left."""
        forms = SecretForms.of(["abcdefgh1", "abcdefgh1-more"])
        assert "[redacted]!" == forms.text("abcdefgh1-more!")

    def test_values_keep_their_identity(self) -> None:
        """A JSON value without a secret is returned as the same object."""
        value = {"a": [1, {"b": "text"}], "c": None}
        assert SecretForms.of([SECRET]).value(value) is value

    def test_values_and_keys(self) -> None:
        """Texts at every depth are redacted, and keys too."""
        forms = SecretForms.of(["0123abcd4567"])
        value: Any = {"a": ["x0123abcd4567y"], "0123abcd4567": {"b": 1}, "n": 1.5}
        assert {"a": ["x[redacted]y"], "[redacted]": {"b": 1}, "n": 1.5} == forms.value(value)

    def test_endless_depth(self) -> None:
        """Values that are nested too deeply are replaced as a whole."""
        value: Any = "0123abcd4567"
        for _ in range(5_000):
            value = [value]
        assert "0123abcd4567" not in str(_innermost(SecretForms.of(["0123abcd4567"]).value(value)))

    @given(st.text(max_size=40), st.text(min_size=8, max_size=30), st.text(max_size=40))
    @example("a\n", "0\n1\n2\n3\n4", "b")
    @example("\\n", "ab\\ncdefgh", "")
    def test_any_secret(self, before: str, secret: str, after: str) -> None:
        """No given secret is left, whatever surrounds it, and a second pass changes nothing."""
        forms = SecretForms.of([secret])
        once = forms.text(before + secret + after)
        if not set(secret) <= set(PLACEHOLDER):
            assert secret not in once.replace(PLACEHOLDER, "\0")
            assert once == forms.text(once)


def _innermost(value: Any) -> Any:
    while isinstance(value, list):
        value = value[0]
    return value


class TestWhatCounts:
    """Values that count as secrets, and others."""

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "1",
            "true",
            "8080",
            "debug",
            "info",
            "utf-8",
            "123456",
            "secure",
            "production",
            "read-only",
            "Development",
            "localhost",
            "00000000",
            "[redacted]",
            "aaaaaaaaaa",
        ],
    )
    def test_ordinary_values(self, value: str) -> None:
        """Flags, numbers, short words and plain words of settings do not count."""
        assert not counts(value)
        text = f"the {value} of production, true on 8080, info"
        assert text == Redactor((value,), (value,)).known(text)

    @pytest.mark.parametrize("value", ["hunter2", "correcthorse", "12345678", "pa ss wo rd"])
    def test_secrets(self, value: str) -> None:
        """From 6 characters on with letters and digits, from 8 characters on else."""
        assert "it is [redacted]" == Redactor((value,)).known(f"it is {value}")

    def test_suspects_stay_in_results(self) -> None:
        """Suspected values are replaced in errors, but not in results."""
        redactor = Redactor(("certain-1234",), ("acme-corp",))
        assert ["[redacted]", "acme-corp"] == redactor.result(["certain-1234", "acme-corp"])
        assert "[redacted] [redacted]" == redactor.known("certain-1234 acme-corp")


class TestRenewedTokens:
    """Secrets that change while the gateway runs."""

    def test_old_and_new(self) -> None:
        """A new token counts at once, and the old ones still do, up to a limit."""
        current = ["token-one-1111"]
        redactor = Redactor(current=lambda: current)
        assert redactor
        assert "[redacted]" == redactor.known("token-one-1111")
        current[0] = "token-two-2222"
        assert "[redacted] [redacted]" == redactor.known("token-one-1111 token-two-2222")
        for number in range(REMEMBERED):
            current[0] = f"token-number-{number}"
            redactor.known("")
        assert "token-one-1111" == redactor.known("token-one-1111")


class TestForeignTexts:
    """Texts of errors: cut, then redacted."""

    @pytest.mark.parametrize("offset", range(-30, 31, 3))
    def test_a_secret_at_the_limit(self, offset: int) -> None:
        """A secret that the cut goes through leaves no part."""
        limit = 200
        text = "x " * ((limit + offset) // 2) + SECRET + " y" * 2000
        shown = Redactor((SECRET,)).foreign(text, limit)
        assert len(shown) <= limit
        assert not any(part in shown for part in pieces_of(SECRET, 5))

    @pytest.mark.parametrize("fill", ["a", "ab ", "[redacted] ", f"{SECRET} ", f"{SECRET[:9]} "])
    def test_no_part_at_the_end(self, fill: str) -> None:
        """Also where replacements before it have moved the end of the text."""
        text = fill * 3000
        shown = Redactor((SECRET,)).foreign(text, 300)
        assert len(shown) <= 300
        assert SECRET not in shown

    def test_a_huge_text(self) -> None:
        """The time for 9 MB is that of the part that is kept."""
        text = "Authorization: Bearer abcdef123456 " * 270_000
        began = time.process_time()
        shown = Redactor((SECRET,)).foreign(text)
        assert time.process_time() - began < 0.5
        assert len(shown) <= ERROR_LIMIT
        assert "abcdef123456" not in shown

    def test_data_of_an_error(self) -> None:
        """Texts are cut and redacted, the shape stays, and what is too large is left out."""
        redactor = Redactor((SECRET,))
        data = {"password": "short", "list": [SECRET, 1, None], "n": {"m": "x" * 100_000}}
        shown = redactor.error(data)
        assert ["[redacted]", 1, None] == shown["list"]
        assert "[redacted]" == shown["password"]
        assert len(shown["n"]["m"]) <= ERROR_LIMIT
        assert len(json.dumps(redactor.error([["x" * 50] * 1000] * 1000))) < 200_000
        assert {"supported": ["2025-11-25"]} == redactor.error({"supported": ["2025-11-25"]})


def test_cost_of_a_result() -> None:
    """A result of 20 kB is searched for the forms of five secrets in a few milliseconds."""
    redactor = Redactor(tuple(f"s3cr3t-{number}/{number * 7919}" for number in range(5)))
    result = {"content": [{"type": "text", "text": "some plain words of a result " * 700}]}
    began = time.process_time()
    for _ in range(20):
        assert redactor.result(result) is result
    assert (time.process_time() - began) / 20 < 0.01
