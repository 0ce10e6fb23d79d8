"""Blanking of credentials."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mcpgw.observe.redact import PLACEHOLDER, redact

FRAGMENTS = (
    *"aZ09_-=:;,.\"'\\ \n\t@/{}[]<>$é",
    "password",
    "token",
    "secret_key",
    "api-key",
    "--token ",
    "Authorization: ",
    "Bearer ",
    "://",
    "sk-",
    "ghp_",
    "AKIA0123456789ABCDEF",
    "xoxb-",
    "eyJhbGciOi.eyJzdWIi.",
    "-----BEGIN PRIVATE KEY-----",
    "-----END PRIVATE KEY-----",
    "0123456789abcdef",
    "null",
    "${",
    r"\n",
    r"\"",
    PLACEHOLDER,
    "[redac",
    "ted]",
    "S3CRET-VALUE",
)
PRIVATE_KEY = (
    "-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: AES-128-CBC,AB\n\nabc=\n"
    "-----END RSA PRIVATE KEY-----"
)
hostile_text = st.lists(st.sampled_from(FRAGMENTS), max_size=30).map("".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abc.def-123456", "Authorization: Bearer [redacted]"),
        ('{"authorization":"Basic dXNlcjpwYXNz"}', '{"authorization":"Basic [redacted]"}'),
        (
            "{'Authorization': 'Bearer x1234567', 'Accept': 'a'}",
            "{'Authorization': 'Bearer [redacted]', 'Accept': 'a'}",
        ),
        ("Authorization: Oddest s3cr3t x", "Authorization: [redacted] x"),
        ("sent bearer 0123456789abcdef ok", "sent bearer [redacted] ok"),
        ("key sk-proj-abc123def456ghi789.", "key [redacted]."),
        ("ghp_0123456789abcdefghij0123 github_pat_0123456789abcdefghij", "[redacted] [redacted]"),
        ("AKIAIOSFODNN7EXAMPLE/x", "[redacted]/x"),
        ("xoxb-1234567890-abc, xoxp-1234567890", "[redacted], [redacted]"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSM", "[redacted]"),
        (r"one\nghp_0123456789abcdefghij", r"one\n[redacted]"),
        ("password=hunter2 user=bob", "password=[redacted] user=bob"),
        ("DB_PASSWORD: hunter2", "DB_PASSWORD: [redacted]"),
        ("AWS_SECRET_ACCESS_KEY=wJal/K7MD+x", "AWS_SECRET_ACCESS_KEY=[redacted]"),
        ('"token": "two words", "n": 1', '"token": "[redacted]", "n": 1'),
        (r'"{\"api_key\": \"abc\", \"n\": 2}"', r'"{\"api_key\": \"[redacted]\", \"n\": 2}"'),
        (r"password='a\'b' c", "password='[redacted]' c"),
        ("clientSecret => 'x y'", "clientSecret => '[redacted]'"),
        ("https://api.example/?api_key=abc&x=1", "https://api.example/?api_key=[redacted]&x=1"),
        ("--github-token abc1 -v", "--github-token [redacted] -v"),
        ("['--api-key', 'abc123', '-v']", "['--api-key', '[redacted]', '-v']"),
        ("postgres://u:p@ss@db:5432/x", "postgres://[redacted]@db:5432/x"),
        (f"a\n{PRIVATE_KEY}\nb", "a\n[redacted]\nb"),
        (r'"-----BEGIN PRIVATE KEY-----\nMIIE\n', '"[redacted]'),
    ],
)
def test_credential_shapes(text: str, expected: str) -> None:
    """Credentials are redacted, and the text around them is kept."""
    assert (expected, expected) == (redact(text), redact(expected))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Bearer authentication failed; basic authentication is off",
        "the disk-full-error-on-node-4711-abcdef of task-sk-abc",
        "max_tokens=400 token_count: 5 TOKEN_URL=https://a.example/c",
        '"progressToken": 7, "tokenizer": "bpe"',
        "invalid token: expired. Run with --token to log in",
        "secretary=bob",
        "token: ${TOKEN}, Authorization: Bearer ${TOKEN}",
        "https://example.org:8080/a:b@c",
        "password=''",
    ],
)
def test_plain_text_is_kept(text: str) -> None:
    """Text that only talks about credentials stays as it is."""
    assert text == redact(text)


class TestAnyText:
    """Rules that hold for every text."""

    @given(hostile_text)
    @example("AKIA0123456789ABCDEFsk-0123456789abcdef")
    @example("-----BEGIN PRIVATE KEY-----a-----END PRIVATE KEY-----sk-0123456789abcdef")
    def test_a_second_pass_changes_nothing(self, text: str) -> None:
        """Redacted text stays as it is."""
        once = redact(text)
        assert once == redact(once)

    @pytest.mark.parametrize(
        "unit",
        [
            "a",
            "-sk-",
            "eyJaaaaaa.",
            "password",
            "secret_",
            'password="',
            r"token\":\"",
            "bearer ",
            "://a:",
            "-----BEGIN PRIVATE KEY-----",
            "-",
            "--a-",
            "authorization:a ",
            "\\",
            " ",
        ],
    )
    def test_a_long_hostile_line(self, unit: str) -> None:
        """A line of a megabyte that is made to go wrong comes back, and is stable."""
        line = unit * (1_000_000 // len(unit))
        once = redact(line)
        assert once == redact(once)
        assert 'password="[redacted]' == redact(f'password="{line}')[:20]
