"""Secrets in settings: which values are, and that no problem shows one."""

from __future__ import annotations

import pytest

from mcpgw.config.secrets import has_password, looks_generated, names_secret, secrets_of
from tests.config.conftest import Faults, LoadYaml

KEY = "0f3c9a7e5b1d4c8896aa0123456789ab"


@pytest.mark.parametrize(
    "name",
    [
        "GITHUB_TOKEN",
        "apiKey",
        "DB_PASS",
        "X-Api-Key",
        "client_secret",
        "PGPASSWORD",
        "--api-key",
        "githubtoken",
        "SLACK_SIGNING_SECRET",
        "AWS_SECRET_ACCESS_KEY",
        "Authorization",
        "pat",
    ],
)
def test_names_of_secrets(name: str) -> None:
    """Names in all common spellings."""
    assert names_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "AWS_REGION",
        "MAX_TOKENS",
        "TOKENIZER",
        "KEYBOARD",
        "LOG_LEVEL",
        "SECRET_NAME",
        "KEY_FILE",
        "DATABASE_URL",
        "",
        "X-Request-Id",
        "monkey",
        "User-Agent",
        "TOKEN_COUNT",
    ],
)
def test_other_names(name: str) -> None:
    """Words that only contain the name of a secret, and names of places of secrets."""
    assert not names_secret(name)


@pytest.mark.parametrize(
    "value", [KEY, "sk-abc123def456ghi", "s3cr3t-value", "A1b2C3d4E5f6", "SUPERSECRETKEY123456789"]
)
def test_generated_values(value: str) -> None:
    """Letters and digits as no word mixes them."""
    assert looks_generated(value)


@pytest.mark.parametrize(
    "value",
    [
        "us-east-1",
        "gpt-4o-mini",
        "claude-3-5-sonnet-20241022",
        "production",
        "8080",
        "v1.2.3",
        "http2",
        "a long text of 12 words",
        "2025-11-25",
        "python3.11",
        "my-project-42",
        "utf8mb4",
    ],
)
def test_values_made_of_words(value: str) -> None:
    """Regions, models, versions and dates."""
    assert not looks_generated(value)


ENVIRON = {"TOK": "value-of-tok", "ACME": "value-of-acme", "MY_REGION": "eu-central-1x"}


@pytest.mark.parametrize(
    ("settings", "secret"),
    [
        ("command: x, env: {GITHUB_TOKEN: words-of-a-token}", "words-of-a-token"),
        (f"command: x, env: {{PLAIN: {KEY}}}", KEY),
        ("command: x, env: {PLAIN: '${TOK}'}", "value-of-tok"),
        ("command: x, env: {PLAIN: '${ACME}'}", "value-of-acme"),
        ("command: x, env: {DATABASE_URL: 'postgres://u:p%40ss-word@db/x'}", "p@ss-word"),
        ("command: x, env: {CONN: 'host=db;user=u;password=pass-word'}", "pass-word"),
        ('command: x, env: {HEADERS: \'{"Authorization": "Bearer a-b-c-d"}\'}', "a-b-c-d"),
        ('command: x, env: {CONFIG: \'{"a": [{"api_key": "words-of-key"}]}\'}', "words-of-key"),
        ("command: [x, --api-key, words-of-a-key]", "words-of-a-key"),
        ("command: [x, --api-key=words-of-a-key]", "words-of-a-key"),
        ("command: 'x --token ${ACME}'", "value-of-acme"),
        ("command: x, args: ['${ACME}']", "value-of-acme"),
        ("command: x, args: ['--dsn=mysql://u:pass-word@h/x']", "pass-word"),
        ("command: x, args: [-e, API_TOKEN=words-of-a-token]", "words-of-a-token"),
        ("command: x, args: [--header, 'Authorization: Bearer a-b-c-d']", "a-b-c-d"),
        ("command: x, args: [--header, 'X-Api-Key:${ACME}']", "value-of-acme"),
        ("http_url: 'https://h/x', headers: {Authorization: Bearer a-b-c-d}", "a-b-c-d"),
        ("http_url: 'https://h/x', headers: {Authorization: Basic dXNlcjpwYXNz}", "user:pass"),
        ("http_url: 'https://h/x', headers: {X-Acme: words-of-acme}", "words-of-acme"),
        ("http_url: 'https://h/x', headers: {Cookie: 'sid=a-b-c-d; x=1'}", "a-b-c-d"),
        ("http_url: 'https://me:pass-word@h/x'", "pass-word"),
        ("http_url: 'https://h/x?api_key=words-of-key'", "words-of-key"),
        ("http_url: 'https://h/x?q=%2Babc123def456'", "+abc123def456"),
        ("http_url: 'https://h/s/SUPERSECRETKEY12345/mcp'", "SUPERSECRETKEY12345"),
        ("http_url: 'https://h/s/${ACME}/mcp'", "value-of-acme"),
        ("ws_url: 'wss://h/x?token=words-of-key'", "words-of-key"),
        (
            "http_url: 'https://h/x', oauth: {client_id: a, client_secret: words-of-key}",
            "words-of-key",
        ),
    ],
)
def test_secrets_of_a_backend(load_yaml: LoadYaml, settings: str, secret: str) -> None:
    """Each place in the settings of a backend that can hold a secret."""
    loaded = load_yaml(f"backends: {{a: {{{settings}}}}}", ENVIRON)
    assert secret in secrets_of(loaded.config.backends["a"]).certain


@pytest.mark.parametrize(
    "settings",
    [
        "command: x, env: {LOG_LEVEL: information, AWS_REGION: us-east-1, MODE: production}",
        "command: x, env: {REGION: '${MY_REGION}', MODEL: gpt-4o-mini-2024-07-18}",
        "command: x, env: {ROOT: /srv/data/files, TOKEN_FILE: /run/secrets/token, HOME: ~/x}",
        "command: x, env: {BASE_URL: 'https://api.example.org/v3', PORT: '8080', DEBUG: 'true'}",
        "command: [npx, -y, '@acme/server-postgres@1.2.3', --region, eu-central-1, /srv/data]",
        "http_url: 'https://mcp.example.org/v1/acme-corp/mcp?profile=acme-corp'",
        "http_url: 'https://h/x', headers: {User-Agent: acme-agent, Accept-Language: en-GB}",
        "http_url: 'https://h/x', headers: {X-Title: A title}",
        "command: [x, --message, 'fatal: the key of the door was refused']",
    ],
)
def test_ordinary_settings(load_yaml: LoadYaml, settings: str) -> None:
    """Values that results may hold for good reason are no certain secrets."""
    loaded = load_yaml(f"backends: {{a: {{{settings}}}}}", ENVIRON)
    assert frozenset() == secrets_of(loaded.config.backends["a"]).certain


@pytest.mark.parametrize(
    ("url", "expected"),
    [("http://u:p@proxy:3128", True), ("u:p@proxy:3128", True), ("http://proxy:3128", False)],
)
def test_passwords_in_proxies(url: str, expected: bool) -> None:
    """Proxies are written with and without a scheme."""
    assert expected is has_password(url)


class TestHeaders:
    """Values of headers are checked when the file is loaded."""

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r", " \n", "\n\n", "\t"])
    def test_a_line_break_at_the_end(self, load_yaml: LoadYaml, end: str) -> None:
        """It belongs to the file that the value was read from."""
        text = "backends: {a: {http_url: 'https://h/x', headers: {X-Api-Key: '${K}'}}}"
        loaded = load_yaml(text, {"K": f"{KEY}{end}"})
        assert {"X-Api-Key": KEY} == loaded.config.backends["a"].headers
        assert () == loaded.warnings

    @pytest.mark.parametrize(
        ("value", "fault"),
        [
            (f"{KEY[:9]}\n{KEY[9:]}", "has a line break within it"),
            (f"{KEY[:9]}\r\nX-Other: 1", "has a line break within it"),
            (f"{KEY[:9]}é", "has a character that is not ASCII"),
            (f"{KEY[:9]}\u2013x", "has a character that is not ASCII"),
            (f"{KEY[:9]}\x07", "has a control character"),
            (f"{KEY[:9]}\x7f", "has a control character"),
        ],
    )
    @pytest.mark.parametrize("source", ["variable", "file", "dotenv"])
    def test_what_no_header_may_hold(
        self, faults: Faults, value: str, fault: str, source: str, tmp_path: object
    ) -> None:
        """The message names file, line, header and variable, and never the value."""
        escaped = value.encode("unicode_escape").decode().replace("\\x7f", "\\u007f")
        if source == "file":
            yaml, environ, variable = f'"{escaped}"', {}, ""
        elif source == "variable":
            yaml, environ, variable = '"Bearer ${K}"', {"K": value}, " (with the variable K)"
        else:
            dotenv = f"{tmp_path}/secrets.env"
            with open(dotenv, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123
                file.write(f"K='{value}'\n")
            yaml, environ, variable = "${K}", {}, " (with the variable K)"
        text = "backends:\n  a:\n    http_url: https://h/x\n    headers:\n      X-Api-Key: " + yaml
        if source == "dotenv":
            if "\r" in value:
                value = value.replace("\r\n", "\n")
            text += f"\nenv_files: [{dotenv}]"
        problem = str(faults(text, environ))
        assert f":5: backends.a.headers.X-Api-Key: the value{variable} {fault}" in problem
        assert KEY[:9] not in problem

    def test_the_name_of_a_header(self, faults: Faults) -> None:
        """A name with a blank or colon is refused too."""
        text = "backends: {a: {http_url: 'https://h/x', headers: {'X-Api-Key:': v}}}"
        assert "is not a valid name of a header" in str(faults(text))

    @pytest.mark.parametrize("value", ["tab\tinside", "", "Bearer x.y~z+/=", "a, b;q=0.5"])
    def test_valid_values(self, load_yaml: LoadYaml, value: str) -> None:
        """Valid values of headers are kept unchanged."""
        text = "backends: {a: {http_url: 'https://h/x', headers: {X-A: '${K}'}}}"
        assert {"X-A": value} == load_yaml(text, {"K": value}).config.backends["a"].headers


class TestUrls:
    """URLs that contain a variable are checked like headers."""

    def test_a_line_break_at_the_end(self, load_yaml: LoadYaml) -> None:
        """A key from a file, at the end of the URL."""
        loaded = load_yaml("backends: {a: {http_url: 'https://h/${K}'}}", {"K": f"{KEY}\n"})
        assert f"https://h/{KEY}" == loaded.config.backends["a"].http_url

    @pytest.mark.parametrize("inside", ["\n", " ", "\x00", "\x1b", "\u0085"])
    def test_inside(self, faults: Faults, inside: str) -> None:
        """Anything else is refused, without the value."""
        problem = str(faults("backends: {a: {http_url: 'https://h/${K}/x'}}", {"K": KEY + inside}))
        assert "backends.a.http_url" in problem
        assert KEY not in problem


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        (f"backends: {{a: {{command: x, timeout: '{KEY}'}}}}", {}),
        (f"backends: {{a: {{command: x, enabled: '{KEY}'}}}}", {}),
        (f"backends: {{a: {{command: x, scope: '{KEY}'}}}}", {}),
        (f"backends: {{a: {{command: x, env: {KEY}}}}}", {}),
        (f"backends: {{a: {{command: x, headers: ['{KEY}']}}}}", {}),
        (f"backends: {{a: {{http_url: '{KEY}'}}}}", {}),
        (f"server: {{port: '{KEY}'}}", {}),
        (f"backends: {{a: {{command: x, oauth: {{callback_host: {KEY}}}}}}}", {}),
        ("auth: {bearer_token: 3141592653}", {}),
        ("backends: {a: {command: x, oauth: {client_secret: 3141592653}}}", {}),
        ("", {"MCP_GATEWAY_SERVER__PORT": KEY}),
        ("", {"MCP_GATEWAY_SERVER__SHUTDOWN_TIMEOUT": "hunter"}),
        ("", {"MCP_GATEWAY_AUTH__ENABLED": "hunter"}),
    ],
)
def test_type_errors_show_no_secret(faults: Faults, text: str, environ: dict[str, str]) -> None:
    """A secret at the wrong key, or in the wrong variable, is not quoted."""
    problem = str(faults(text, environ))
    assert not any(secret in problem for secret in (KEY, "hunter", "3141592653"))


@pytest.mark.parametrize(
    ("value", "shown"),
    [("30", "'30'"), ("30 secs", "'30 secs'"), ("on", "'on'"), ("read-only", "'read-only'")],
)
def test_type_errors_show_honest_mistakes(faults: Faults, value: str, shown: str) -> None:
    """A value that looks like a number, a flag or a word is quoted, which helps."""
    assert shown in str(faults(f"backends: {{a: {{command: x, enabled: '{value}'}}}}"))
