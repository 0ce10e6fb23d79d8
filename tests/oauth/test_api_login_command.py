"""`mcp-gateway auth` for APIs, with a script as browser and a real authorization server."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backends.null
import pytest
from click.testing import CliRunner, Result

from mcpgw.cli.auth import command
from mcpgw.cli.exit_codes import FAILED, NOT_FOUND, OK, UNAVAILABLE
from tests.oauth.authorization_server import AuthorizationPlace

SECRET = "s3cret-of-my-own-client"
FILE = """
name: {name}
description: Notes.
providers: {{primary: {{config: {{base_url: "https://api.example", path: /v1}}}}}}
auth:
  required: true
  key: oauth:{provider}
  scopes: [{scopes}]
  {more}
"""


class Shell:
    """Runs the command with capability files whose provider is the test's server."""

    def __init__(self, folder: Path, place: AuthorizationPlace) -> None:
        self.folder, self.place = folder, place
        self.home = folder / "home"
        (folder / "capabilities").mkdir()
        self.capability("one", "notes:read")
        self.capability("two", "notes:write, notes:read")
        self.settings = "    notes-api: {client_id: mine, client_secret: 'env:MY_SECRET'}\n"
        self.server = "  other: {http_url: 'https://other.example/mcp'}\n"

    def capability(
        self, name: str, scopes: str, provider: str = "notes-api", more: str = ""
    ) -> None:
        """Write a capability file."""
        endpoints = (
            f"authorization_endpoint: {self.place.issuer}/authorize\n"
            f"  token_endpoint: {self.place.issuer}/token"
        )
        text = FILE.format(name=name, scopes=scopes, provider=provider, more=more or endpoints)
        (self.folder / "capabilities" / f"{name}.yaml").write_text(text)

    def __call__(self, *words: str) -> Result:
        """Run `auth` with these words."""
        file = self.folder / "gateway.yaml"
        file.write_text(
            f"capabilities:\n  directories: [capabilities]\n  logins:\n{self.settings}"
            f"backends:\n{self.server}"
        )
        return CliRunner().invoke(command, [*words, "--config", str(file)])

    def stored(self) -> dict[str, object]:
        """Return the stored login."""
        login: dict[str, object] = json.loads((self.home / "logins/notes-api.json").read_text())
        return login


@pytest.fixture
def shell(
    tmp_path: Path, place: AuthorizationPlace, browser: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shell]:
    """Give a shell whose state folder and browser are the test's."""
    monkeypatch.setenv("MCP_GATEWAY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MY_SECRET", SECRET)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    place.add_client(
        "mine",
        SECRET,
        redirect_uris=[],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method="client_secret_basic",
    ).check_redirect_uri = lambda uri: uri.startswith("http://127.0.0.1:")
    before = keyring.get_keyring()
    keyring.set_keyring(keyring.backends.null.Keyring())
    yield Shell(tmp_path, place)
    keyring.set_keyring(before)


@pytest.mark.process
def test_login_status_logout(shell: Shell, place: AuthorizationPlace) -> None:
    """The scopes of all files are requested, with PKCE; the login is stored for its owner only."""
    assert ["notes-api  none", "other      none"] == sorted(shell("status").stdout.splitlines())
    logged_in = shell("login", "notes-api")
    assert OK == logged_in.exit_code, logged_in.output
    assert f"Logged in to notes-api at {place.issuer}/token; scopes notes:read" in logged_in.stdout
    assert logged_in.stdout.endswith(", renewed when used.\n")
    (asked,) = [seen.query for seen in place.running.seen if seen.path == "/authorize"]
    assert {"notes:read", "notes:write"} == set(asked["scope"].split())
    assert "S256" == asked["code_challenge_method"]
    assert "resource" not in asked
    file = shell.home / "logins/notes-api.json"
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert SECRET not in file.read_text()
    status = shell("status", "notes-api", "--json")
    told = json.loads(status.stdout)
    assert ("valid", True, "mine") == (told["state"], told["refreshable"], told["client_id"])
    assert "notes-api  valid" in shell("status").stdout
    ended = shell("logout", "notes-api")
    assert (
        "Logged out of notes-api. The tokens were deleted here but not revoked.\n" == ended.stdout
    )
    assert not file.exists()
    assert FAILED == shell("status", "notes-api").exit_code
    assert "No login to notes-api found.\n" == shell("logout", "notes-api").stdout
    text = "".join(result.output for result in (logged_in, status, ended))
    assert [] == [secret for secret in place.secrets() if secret in text]


@pytest.mark.process
def test_a_logout_revokes_where_that_is_known(shell: Shell, place: AuthorizationPlace) -> None:
    """With a revocation endpoint the provider forgets the tokens."""
    place.clients["mine"].metadata["token_endpoint_auth_method"] = "client_secret_post"
    shell.settings = (
        "    notes-api:\n"
        f"      revocation_endpoint: {place.issuer}/revoke\n"
        "      token_endpoint_auth_method: client_secret_post\n"
        "      scopes: [notes:read]\n"
        "      parameters: {access_type: offline}\n"
    )
    environ = {"NOTES_API_CLIENT_ID": "mine", "NOTES_API_CLIENT_SECRET": SECRET}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        logged_in = shell("login", "oauth:notes-api")
    assert OK == logged_in.exit_code, logged_in.output
    (asked,) = [seen.query for seen in place.running.seen if seen.path == "/authorize"]
    assert ("offline", "notes:read") == (asked["access_type"], asked["scope"])
    assert SECRET == shell.stored()["client_secret"], "a gateway that starts elsewhere needs it"
    assert "the tokens were revoked" in shell("logout", "notes-api").stdout
    assert all(token.revoked for token in place.tokens)


@pytest.mark.process
def test_scopes_on_the_command_line(shell: Shell, place: AuthorizationPlace) -> None:
    """They replace those of the files."""
    assert OK == shell("login", "notes-api", "--scope", "notes:read", "--scope", "x").exit_code
    (asked,) = [seen.query for seen in place.running.seen if seen.path == "/authorize"]
    assert "notes:read x" == asked["scope"]
    refused = shell("login", "other", "--scope", "x")
    assert FAILED == refused.exit_code
    assert "`backends.other.oauth`" in refused.stderr


@pytest.mark.process
def test_a_login_that_is_refused(shell: Shell, place: AuthorizationPlace) -> None:
    """The error is that of the provider, and nothing is stored."""
    place.denies = True
    result = shell("login", "notes-api")
    assert UNAVAILABLE == result.exit_code
    assert "access_denied" in result.stderr
    assert not (shell.home / "logins/notes-api.json").exists()


def test_without_a_client_the_error_says_how_to_get_one(shell: Shell) -> None:
    """It names the variables, the settings and the redirect URI."""
    shell.settings = "    notes-api: {callback_port: 7777}\n"
    result = shell("login", "notes-api")
    assert UNAVAILABLE == result.exit_code
    for text in (
        "NOTES_API_CLIENT_ID and NOTES_API_CLIENT_SECRET",
        "`capabilities.logins.notes-api`",
        "http://127.0.0.1:7777/oauth/callback",
    ):
        assert text in result.stderr


@pytest.mark.parametrize("provider", ["google", "spotify"])
def test_the_providers_of_the_built_in_capabilities(
    shell: Shell, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the client is missing, and the error says where to make one."""
    monkeypatch.delenv(f"{provider.upper()}_CLIENT_ID", raising=False)
    (shell.folder / "gateway.yaml").write_text("backends: {}\n")
    result = CliRunner().invoke(
        command, ["login", provider, "--config", str(shell.folder / "gateway.yaml")]
    )
    assert UNAVAILABLE == result.exit_code
    assert f"{provider.upper()}_CLIENT_ID" in result.stderr
    assert "https://" in result.stderr


def test_files_that_contradict_each_other(shell: Shell) -> None:
    """A file cannot direct the login of another to its own endpoint."""
    shell.capability("three", "x", more="token_endpoint: https://evil.example/token")
    result = shell("login", "notes-api")
    assert UNAVAILABLE == result.exit_code
    assert "different values of `token_endpoint`" in result.stderr


def test_a_file_cannot_move_a_known_provider(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoints of google are those of Google, whatever a file says."""
    from mcpgw.capabilities.api_providers import find_provider
    from mcpgw.capabilities.library import Library

    shell.capability("three", "x", provider="google")
    library = Library()
    library.use((shell.folder / "capabilities",))
    library.refresh()
    found = find_provider("google", library, {})
    assert found is not None
    assert "https://oauth2.googleapis.com/token" == found.token_endpoint
    assert "https://accounts.google.com/o/oauth2/v2/auth" == found.authorization_endpoint
    assert (("x",), ("three",)) == (found.scopes, found.files)


def test_an_endpoint_that_nobody_names(shell: Shell) -> None:
    """The error names the settings."""
    shell.capability("three", "x", provider="bare", more="description: none")
    result = shell("login", "bare")
    assert UNAVAILABLE == result.exit_code
    assert "`authorization_endpoint` under `capabilities.logins.bare`" in result.stderr


@pytest.mark.parametrize(("name", "text"), [("note-api", "notes-api"), ("zzz", "APIs: notes-api.")])
def test_unknown_names(shell: Shell, name: str, text: str) -> None:
    """Providers of APIs are among the suggestions."""
    for words in (["login", name], ["logout", name], ["status", name]):
        result = shell(*words)
        assert NOT_FOUND == result.exit_code
        assert text in result.stderr


@pytest.mark.process
def test_a_server_and_an_api_of_the_same_name(shell: Shell, place: AuthorizationPlace) -> None:
    """The server comes first; a prefix means the API."""
    shell.server = "  notes-api: {command: 'true'}\n"
    assert "needs no login" in shell("login", "notes-api").stderr
    assert OK == shell("login", "oauth:notes-api").exit_code
    assert "oauth:notes-api  valid" in shell("status").stdout


@pytest.mark.parametrize(
    "settings",
    [
        "{client_secret: plain-secret}",
        "{token_endpoint: 'http://example.org/token'}",
        "{authorization_endpoint: 'https://[::1'}",
        "{callback_host: example.org}",
        "{token_endpoint_auth_method: none}",
        "{scopes: a}",
    ],
)
def test_settings_that_are_refused(shell: Shell, settings: str) -> None:
    """The error names the key and the line."""
    shell.settings = f"    notes-api: {settings}\n"
    result = shell("login", "notes-api")
    assert FAILED == result.exit_code
    assert "gateway.yaml:4" in result.stderr
    assert f"notes-api.{settings[1:].partition(':')[0]}" in result.stderr
