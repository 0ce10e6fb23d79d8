"""`mcp-gateway auth`, with a script as browser and a real authorization server."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mcpgw.cli.auth import command
from mcpgw.cli.exit_codes import FAILED, NOT_FOUND, OK, UNAVAILABLE
from mcpgw.oauth.browser import open_browser
from tests.oauth.authorization_server import AuthorizationPlace
from tests.oauth.servers import Resource
from tests.support.patience import PATIENCE


def pages(browser: Path) -> str:
    """Return the pages that the browser showed; it may end after the command."""
    ends = time.monotonic() + PATIENCE
    while not browser.exists() and time.monotonic() < ends:
        time.sleep(0.01)
    return browser.read_text()


class Shell:
    """Runs the command with a configuration of one network server and one program."""

    def __init__(self, folder: Path, resource: Resource) -> None:
        self.file = folder / "gateway.yaml"
        self.file.write_text(
            f"backends:\n  notes:\n    http_url: {resource.origin}/mcp\n"
            "  other:\n    http_url: https://other.example/mcp\n"
            "  program:\n    command: 'true'\n"
        )

    def __call__(self, *words: str) -> Result:
        """Run `auth` with these words."""
        return CliRunner().invoke(command, [*words, "--config", str(self.file)])


@pytest.fixture
def shell(tmp_path: Path, resource: Resource, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Give a shell whose state folder is the test's."""
    monkeypatch.setenv("MCP_GATEWAY_HOME", str(tmp_path / "home"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    return Shell(tmp_path, resource)


@pytest.mark.process
def test_login_status_logout(shell: Shell, browser: Path, place: AuthorizationPlace) -> None:
    """A login in the browser is seen by status and ended by logout; no token is printed."""
    logged_in = shell("login", "notes")
    assert OK == logged_in.exit_code, logged_in.output
    assert "Open this link" in logged_in.stderr
    assert f"Logged in to notes at {place.issuer}; token until " in logged_in.stdout
    assert "You are logged in" in pages(browser)
    status = shell("status", "notes", "--json")
    assert OK == status.exit_code
    told = json.loads(status.stdout)
    assert status.stdout == shell("status", "notes", "--format", "json").stdout
    assert ("valid", place.issuer, True) == (told["state"], told["issuer"], told["refreshable"])
    table = shell("status")
    assert OK == table.exit_code
    lines = table.stdout.splitlines()
    assert ["notes  valid", "other  none"] == [line[:12].rstrip() for line in lines]
    ended = shell("logout", "notes")
    assert "Logged out of notes; the tokens were revoked.\n" == ended.stdout
    assert all(token.revoked for token in place.tokens)
    assert "No login to notes found.\n" == shell("logout", "notes").stdout
    assert FAILED == shell("status", "notes").exit_code
    text = "".join(r.output for r in (logged_in, status, table, ended)) + browser.read_text()
    assert [] == [secret for secret in place.secrets() if secret in text]


@pytest.mark.process
def test_a_login_that_is_refused(shell: Shell, browser: Path, place: AuthorizationPlace) -> None:
    """The error contains that of the authorization server."""
    place.denies = True
    result = shell("login", "notes")
    assert UNAVAILABLE == result.exit_code
    assert "access_denied" in result.stderr
    assert "" == result.stdout


def test_a_server_that_wants_no_login(shell: Shell, resource: Resource) -> None:
    """The error says so, and no client is registered."""
    resource.metadata_path = None
    resource.open = True
    result = shell("login", "notes")
    assert UNAVAILABLE == result.exit_code
    assert "does not ask for a login" in result.stderr


@pytest.mark.parametrize(
    ("name", "status", "text"),
    [
        ("nots", NOT_FOUND, "Did you mean"),
        ("program", FAILED, "needs no login"),
    ],
)
def test_names_that_cannot_be_logged_in_to(shell: Shell, name: str, status: int, text: str) -> None:
    """An unknown name brings a suggestion; a program is named as such."""
    for words in (["login", name], ["logout", name], ["status", name]):
        result = shell(*words)
        assert status == result.exit_code
        assert text in result.stderr


def test_a_broken_configuration(shell: Shell) -> None:
    """The command fails with the problem of the file."""
    shell.file.write_text("backends: 3\n")
    result = shell("status")
    assert FAILED == result.exit_code
    assert "backends" in result.stderr


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://example.org/", "--version", "x"])
async def test_a_browser_opens_only_what_is_safe(browser: Path, url: str) -> None:
    """Other links than https, or of this machine, start nothing."""
    assert not await open_browser(url)
    assert [] == list(browser.parent.glob("seen"))


@pytest.mark.process
async def test_no_shell_sees_the_link(browser: Path, resource: Resource) -> None:
    """Shell syntax in a link is passed to the browser as one argument."""
    link = f"{resource.origin}/mcp?x=$(touch%20/tmp/x);`id`&y='1"
    resource.open = True
    assert await open_browser(link)
    assert link in [seen_link(seen, resource) for seen in resource.running.seen]


def seen_link(seen: object, resource: Resource) -> str:
    query = "&".join(f"{key}={value.replace(' ', '%20')}" for key, value in seen.query.items())
    return f"{resource.origin}{seen.path}?{query}"


async def test_without_a_screen_no_text_browser_is_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a machine without windows nothing is opened, and that is said."""
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert not await open_browser("https://example.org/")


ODD_URLS = (
    "https://[::1",
    "https://",
    "https://[v1.x]/authorize",
    "https://a.example:99999/x",
    "https://a.example:port/x",
    "https://user:pass@a.example/x",
    "https://a.example/\x1b[2J",
    "https://\u202ea.example/x",
    "javascript:alert(1)",
    "//a.example/x",
    "not a url",
    "",
    7,
    ["https://a.example/x"],
    {"url": "x"},
)


@pytest.mark.parametrize("url", ODD_URLS, ids=repr)
@pytest.mark.parametrize("name", ["authorization_endpoint", "issuer"])
def test_odd_urls_of_an_authorization_server(
    shell: Shell, place: AuthorizationPlace, name: str, url: object
) -> None:
    """A login fails in words, without a traceback and without control characters."""
    place.metadata[name] = url
    done = shell("login", "notes", "--no-browser")
    assert done.exit_code != OK
    assert isinstance(done.exception, SystemExit), done.exception
    assert "Error: " in done.stderr
    assert "Traceback" not in done.output
    assert "\x1b" not in done.output
    assert "\u202e" not in done.output
    assert "(--log-level debug" not in done.stderr, "the reason is known"
