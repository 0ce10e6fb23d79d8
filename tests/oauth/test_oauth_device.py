"""Logins with a code on another device."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from click.testing import CliRunner, Result

from mcpgw.cli.auth import command
from mcpgw.cli.exit_codes import FAILED, OK, UNAVAILABLE
from mcpgw.oauth.address_policy import LoginAddressPolicy
from mcpgw.oauth.device import GRANT, DeviceLogin
from mcpgw.oauth.errors import ErrorAnswer, OAuthProblem, Refused, Unreachable
from mcpgw.oauth.fetch import Answer, Fetcher
from mcpgw.oauth.model import Tokens
from mcpgw.transports.network import Network
from tests.oauth.servers import Reply, Running, Seen, reply, serving

CODES = {
    "device_code": "the-device-code",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://login.example/device",
    "expires_in": 600,
    "interval": 5,
}
PENDING = Answer(400, {"error": "authorization_pending"})
DONE = Answer(200, {"access_token": "the-token", "expires_in": 3600})


@attrs.define
class Server:
    """Answers the device endpoint, then the polls in order; notes when they come."""

    codes: Answer
    polls: list[Answer | Exception]
    forms: list[tuple[float, dict[str, str]]] = attrs.field(factory=list)

    async def post_form(self, url: str, form: Any, headers: Any) -> Answer:
        self.forms.append((trio.current_time(), dict(form)))
        if url.endswith("/device"):
            return self.codes
        answer = self.polls.pop(0) if len(self.polls) > 1 else self.polls[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def check(self, url: str) -> None:
        await Fetcher(Network({}), LoginAddressPolicy("https://8.8.8.8/")).check(url)


async def logged_in(server: Server) -> tuple[Tokens, list[tuple[str, str]]]:
    shown: list[tuple[str, str]] = []

    async def show(page: str, code: str) -> None:
        shown.append((page, code))

    login = DeviceLogin(
        server,  # type: ignore[arg-type]
        "https://login.example/device",
        "https://login.example/token",
        lambda form: ({**form, "client_id": "mine"}, {}),
    )
    return await login.tokens(("read", "write"), show), shown


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve all names of the tests."""

    async def resolve(host: str, port: int) -> list[Any]:
        from ipaddress import ip_address

        return [ip_address("127.0.0.1" if host == "localhost" else "8.8.8.8")]

    monkeypatch.setattr("mcpgw.oauth.address_policy.resolve", resolve)


async def test_polls_until_the_user_has_logged_in(autojump_clock: Any) -> None:
    """In the interval of the server, which grows when it says so or cannot be reached."""
    slow = Answer(400, {"error": "slow_down"})
    polls = [PENDING, slow, PENDING, Unreachable("down"), PENDING, DONE]
    server = Server(Answer(200, CODES), polls)
    tokens, shown = await logged_in(server)
    assert "the-token" == tokens.access_token
    assert [("https://login.example/device", "WDJB-MJHT")] == shown
    first = {"scope": "read write", "client_id": "mine"}
    assert first == server.forms[0][1]
    poll = {"grant_type": GRANT, "device_code": "the-device-code", "client_id": "mine"}
    assert [poll] * 6 == [form for _, form in server.forms[1:]]
    times = [when - server.forms[0][0] for when, _ in server.forms]
    assert pytest.approx([0, 5, 10, 20, 30, 50, 70]) == times


@pytest.mark.parametrize("key", ["verification_uri", "verification_url"])
async def test_pages(autojump_clock: Any, key: str) -> None:
    """The old name of the page is read too; a page that knows the code is preferred."""
    page = "https://login.example/d"
    codes = {**CODES, "verification_uri": None, key: page, "interval": None}
    server = Server(Answer(200, codes), [DONE])
    assert [(page, "WDJB-MJHT")] == (await logged_in(server))[1]
    server = Server(Answer(200, {**codes, "verification_uri_complete": f"{page}?c=W"}), [DONE])
    assert [(f"{page}?c=W", "WDJB-MJHT")] == (await logged_in(server))[1]


@pytest.mark.parametrize(
    ("codes", "polls", "error", "text"),
    [
        (Answer(200, CODES), [Answer(400, {"error": "access_denied"})], ErrorAnswer, "denied"),
        (Answer(200, CODES), [Answer(400, {"error": "expired_token"})], ErrorAnswer, "expired"),
        (Answer(200, CODES), [PENDING], Refused, "within 10 minutes"),
        (Answer(200, CODES), [Answer(200, {})], Refused, "no access token"),
        (Answer(400, {"error": "invalid_scope"}), [DONE], ErrorAnswer, "invalid_scope"),
        (Answer(404, None), [DONE], ErrorAnswer, "HTTP 404"),
        (Answer(200, {**CODES, "user_code": 7}), [DONE], ErrorAnswer, "HTTP 200"),
        (Answer(200, {**CODES, "user_code": "a\x1b[2J"}), [DONE], Refused, "cannot be shown"),
        (Answer(200, {**CODES, "verification_uri": "file:///x"}), [DONE], Refused, "not an https"),
        (
            Answer(200, {**CODES, "verification_uri": "http://login.example/"}),
            [DONE],
            Refused,
            "https",
        ),
        (Answer(200, {**CODES, "verification_uri": "https://localhost/"}), [DONE], Refused, "loop"),
    ],
)
async def test_faults(
    autojump_clock: Any, codes: Answer, polls: list[Any], error: type[OAuthProblem], text: str
) -> None:
    """Each is an error, and no unsafe page or code is shown."""
    with pytest.raises(error, match=text) as raised:
        await logged_in(Server(codes, polls))
    assert "the-device-code" not in str(raised.value)


@pytest.fixture
def provider() -> Iterator[Running]:
    """Run a provider whose user logs in at once."""

    def answer(seen: Seen) -> Reply:
        if seen.path == "/device":
            page = {"verification_uri": f"http://{seen.headers['host']}/page", "interval": 0.05}
            return reply(200, {**CODES, **page})
        polls = running.paths("POST").count("/token")
        if polls < 2:
            return reply(400, {"error": "authorization_pending"})
        return reply(200, {"access_token": "the-token", "refresh_token": "r", "expires_in": 60})

    with serving(answer) as running:
        yield running


@pytest.fixture
def shell(tmp_path: Path, provider: Running, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a function that runs `auth`."""
    monkeypatch.setenv("MCP_GATEWAY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", "/nonexistent")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str, device: str = f"{provider.url}/device") -> Result:
        file = tmp_path / "gateway.yaml"
        settings = {
            "client_id": "mine",
            "token_endpoint": f"{provider.url}/token",
            "device_authorization_endpoint": device,
            "authorization_endpoint": "" if device else f"{provider.url}/authorize",
            "scopes": ["read"],
        }
        capabilities = {"enabled": False, "logins": {"tea": settings}}
        backends = {"other": {"http_url": "https://other.example/mcp"}}
        file.write_text(json.dumps({"capabilities": capabilities, "backends": backends}))
        return CliRunner().invoke(command, [*words, "--config", str(file)])

    return run


def test_the_command(shell: Any, provider: Running, tmp_path: Path) -> None:
    """Page and code are printed, and the login is stored."""
    result = shell("login", "tea", "--device")
    assert OK == result.exit_code, result.output
    assert f"{provider.url}/page" in result.stderr
    assert "Code: WDJB-MJHT" in result.stderr
    assert f"Logged in to tea at {provider.url}/token; scopes read; token until" in result.stdout
    assert "the-" not in result.output
    stored = json.loads((tmp_path / "home/logins/tea.json").read_text())
    assert ("the-token", "r", "mine") == tuple(
        stored[key] for key in ("access_token", "refresh_token", "client_id")
    )


def test_ways_that_do_not_exist(shell: Any) -> None:
    """The errors say which way there is."""
    result = shell("login", "tea")
    assert FAILED == result.exit_code
    assert "only supports logins with --device" in result.stderr
    result = shell("login", "tea", "--device", device="")
    assert UNAVAILABLE == result.exit_code
    assert "`device_authorization_endpoint` under `capabilities.logins.tea`" in result.stderr
    result = shell("login", "other", "--device")
    assert FAILED == result.exit_code
