"""Stored logins to APIs, and tokens of clients: renewed once, in time, and after a refusal."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import keyring
import keyring.backends.null
import pytest
import trio

from mcpgw.capabilities.api_logins import ApiLogin, read_login, write_login
from mcpgw.capabilities.credentials import Credentials
from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.model import Auth
from mcpgw.config.api_login import ApiLoginConfig
from mcpgw.config.problems import ConfigError
from mcpgw.oauth.fetch import Answer
from mcpgw.transports.address_policy import AllowedNetworks
from tests.support.capability_calls import capability, executor, text_of, value_of
from tests.support.playback import Asked, Playback, Played, playback

ENDPOINT = "https://login.example/token"
NETWORKS = AllowedNetworks()
LOCAL = ("127.0.0.0/8",)


@pytest.fixture(autouse=True)
def _no_keychain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave the keychain of the system alone."""
    monkeypatch.setenv("PATH", "/nonexistent")
    before = keyring.get_keyring()
    keyring.set_keyring(keyring.backends.null.Keyring())
    yield
    keyring.set_keyring(before)


class Rotating:
    """A token endpoint whose refresh tokens are valid once; reuse ends the login."""

    def __init__(self) -> None:
        self.count = 0
        self.forms: list[dict[str, str]] = []
        self.networks: list[AllowedNetworks] = []
        self.headers: list[dict[str, str]] = []
        self.failure: Exception | Answer | None = None
        self.reused = False

    async def __call__(
        self,
        url: str,
        form: Mapping[str, str],
        headers: Mapping[str, str],
        networks: AllowedNetworks,
    ) -> Answer:
        self.forms.append(dict(form))
        self.headers.append(dict(headers))
        self.networks.append(networks)
        await trio.sleep(0.02)
        if isinstance(self.failure, Answer):
            return self.failure
        if self.failure is not None:
            raise self.failure
        if form.get("refresh_token", f"refresh-{self.count}") != f"refresh-{self.count}":
            self.reused = True
            return Answer(400, {"error": "invalid_grant"})
        self.count += 1
        tokens = {"access_token": f"access-{self.count}", "refresh_token": f"refresh-{self.count}"}
        return Answer(200, {**tokens, "expires_in": 3600, "token_type": "Bearer"})


def keep(folder: Path, **fields: Any) -> None:
    defaults = {"access_token": "access-0", "refresh_token": "refresh-0", "client_id": "mine"}
    write_login(folder, "tea", ApiLogin(**{**defaults, "token_endpoint": ENDPOINT, **fields}))


def gateway(folder: Path, post: Any, **environ: str) -> Credentials:
    return Credentials(lambda: environ, folder, post)


class TestLogins:
    async def test_many_calls_of_several_gateways(self, tmp_path: Path) -> None:
        """All of them get the new token, and no refresh token is used twice."""
        keep(tmp_path, expires_at=1.0)
        endpoint = Rotating()
        gateways = [gateway(tmp_path, endpoint) for _ in range(3)]
        tokens: list[str] = []

        async def ask(found: Credentials) -> None:
            tokens.append(await found.look_up("oauth:tea"))

        async with trio.open_nursery() as nursery:
            for found in gateways * 5:
                nursery.start_soon(ask, found)
        assert ["access-1"] * 15 == tokens
        assert (1, False) == (endpoint.count, endpoint.reused)

    async def test_many_refused_calls(self, tmp_path: Path) -> None:
        """Calls whose token the API refused share one renewal, in all gateways."""
        keep(tmp_path)
        endpoint = Rotating()
        auth = Auth(key="oauth:tea")
        tokens: list[str] = []

        async def ask(found: Credentials) -> None:
            tokens.append(await found.of(auth, NETWORKS, rejected="access-0"))

        async with trio.open_nursery() as nursery:
            for found in [gateway(tmp_path, endpoint) for _ in range(3)] * 4:
                nursery.start_soon(ask, found)
        assert ["access-1"] * 12 == tokens
        assert 1 == endpoint.count

    async def test_a_cancelled_call_does_not_lose_the_login(self, tmp_path: Path) -> None:
        """The renewal ends, and its result is stored."""
        keep(tmp_path, expires_at=1.0)
        endpoint = Rotating()
        with trio.move_on_after(0.01):
            await gateway(tmp_path, endpoint).look_up("oauth:tea")
        login = read_login(tmp_path, "tea")
        assert login is not None
        assert ("access-1", "refresh-1") == (login.access_token, login.refresh_token)

    async def test_a_logout_elsewhere(self, tmp_path: Path) -> None:
        """It counts at once."""
        keep(tmp_path)
        found = gateway(tmp_path, Rotating())
        assert "access-0" == await found.look_up("oauth:tea")
        (tmp_path / "logins/tea.json").unlink()
        with pytest.raises(CallProblem, match="Run: mcp-gateway auth login tea"):
            await found.look_up("oauth:tea")

    @pytest.mark.parametrize(
        "failure", [CallProblem("down", again=True), Answer(503, None), Answer(429, None)]
    )
    async def test_a_provider_that_is_down(self, tmp_path: Path, failure: Any) -> None:
        """A token that is still valid is used; an expired one is an error that may pass."""
        endpoint = Rotating()
        endpoint.failure = failure
        keep(tmp_path, expires_at=time.time() + 30)
        assert "access-0" == await gateway(tmp_path, endpoint).look_up("oauth:tea")
        keep(tmp_path, expires_at=1.0)
        with pytest.raises(CallProblem) as raised:
            await gateway(tmp_path, endpoint).look_up("oauth:tea")
        assert raised.value.again
        assert "auth login" not in str(raised.value)

    @pytest.mark.parametrize("own", [True, False])
    async def test_where_a_renewal_may_go(self, tmp_path: Path, own: bool) -> None:
        """To an internal address only if the login itself names the endpoint."""
        keep(tmp_path, expires_at=1.0, token_endpoint="https://inside.example/t" if own else "")
        endpoint = Rotating()
        found = gateway(tmp_path, endpoint)
        await found.look_up("oauth:tea", token_endpoint=ENDPOINT)
        assert [("inside.example",) if own else ()] == [each.inside for each in endpoint.networks]

    @pytest.mark.parametrize(
        ("environ", "config", "stored", "sent"),
        [
            ({}, {}, "stored", "stored"),
            ({"TEA_CLIENT_ID": "mine", "TEA_CLIENT_SECRET": "newer"}, {}, "stored", "newer"),
            ({"TEA_CLIENT_ID": "other", "TEA_CLIENT_SECRET": "newer"}, {}, "stored", "stored"),
            ({"S": "newer"}, {"client_id": "mine", "client_secret": "env:S"}, "", "newer"),
            ({"I": "mine", "S": "n"}, {"client_id": "env:I", "client_secret": "env:S"}, "", "n"),
            ({}, {}, "", None),
        ],
    )
    async def test_the_client_of_a_renewal(
        self,
        tmp_path: Path,
        environ: dict[str, str],
        config: dict[str, str],
        stored: str,
        sent: str | None,
    ) -> None:
        """A configured secret of the same client comes before the stored one."""
        keep(tmp_path, expires_at=1.0, client_secret=stored)
        endpoint = Rotating()
        found = gateway(tmp_path, endpoint, **environ)
        found.clients = {"tea": ApiLoginConfig(**config)}
        await found.look_up("oauth:tea")
        assert ("mine", sent) == (
            endpoint.forms[0]["client_id"],
            endpoint.forms[0].get("client_secret"),
        )
        login = read_login(tmp_path, "tea")
        assert login is not None
        assert stored == login.client_secret

    @pytest.mark.parametrize(
        ("age", "lifetime", "good"),
        [(0, 40, True), (19, 40, True), (21, 40, False), (0, 3600, True), (3550, 3600, False)],
    )
    def test_when_a_token_is_renewed(self, age: float, lifetime: float, good: bool) -> None:
        """A minute before it expires, or after half of its lifetime: not with every call."""
        login = ApiLogin("a", expires_at=1000.0 + lifetime, updated_at=1000.0)
        assert good is login.good(1000.0 + age)

    async def test_what_is_stored(self, tmp_path: Path) -> None:
        """Only its owner can read it, and reprs do not show it."""
        login = ApiLogin("the-access", "the-refresh", client_secret="the-secret")
        write_login(tmp_path / "new", "tea", login)
        path = tmp_path / "new/logins/tea.json"
        assert [0o600, 0o700] == [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent)]
        assert login == read_login(tmp_path / "new", "tea")
        assert "the-" not in repr(login)

    @pytest.mark.parametrize("content", ["", "[]", "{}", '{"access_token": 7}', "null", "x"])
    async def test_files_without_a_login(self, tmp_path: Path, content: str) -> None:
        """They count as no login."""
        path = tmp_path / "logins/tea.json"
        path.parent.mkdir()
        path.write_text(content)
        assert read_login(tmp_path, "tea") is None


def own(**changes: Any) -> Auth:
    settings = {
        "type": "oauth2",
        "grant": "client_credentials",
        "token_endpoint": ENDPOINT,
        "client_id": "env:ID",
        "client_secret": "env:SECRET",
        "scopes": ("read", "write"),
    }
    return Auth(**{**settings, **changes})


FULL = (
    "grant: client_credentials, token_endpoint: 'https://a.example', client_id: a,"
    " client_secret: 'env:X'"
)
ENVIRON = {"ID": "robot", "SECRET": "s3cret-of-the-robot"}


class TestClientCredentials:
    async def test_a_token_is_shared_and_kept(self, tmp_path: Path) -> None:
        """Calls at the same time cause one request; other scopes cause another."""
        endpoint = Rotating()
        found = gateway(tmp_path, endpoint, **ENVIRON)
        tokens: list[str] = []

        async def ask() -> None:
            tokens.append(await found.of(own(), NETWORKS))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask)
        assert ["access-1"] * 5 == tokens
        assert {"grant_type": "client_credentials", "scope": "read write"} == endpoint.forms[0]
        assert endpoint.headers[0]["authorization"].startswith("Basic ")
        other = own(scopes=(), audience="https://api.example")
        assert "access-2" == await found.of(other, NETWORKS)
        expected = {"grant_type": "client_credentials", "audience": "https://api.example"}
        assert expected == endpoint.forms[1]
        assert {"s3cret-of-the-robot", "access-1", "access-2"} <= found.seen
        assert not (tmp_path / "logins").exists()

    async def test_a_refused_token_is_requested_once_more(self, tmp_path: Path) -> None:
        """However many calls it was refused to."""
        endpoint = Rotating()
        found = gateway(tmp_path, endpoint, **ENVIRON)
        first = await found.of(own(), NETWORKS)
        assert {"access-2"} == {await found.of(own(), NETWORKS, rejected=first) for _ in range(3)}

    @pytest.mark.parametrize("configured", ["", "client_secret_post", "client_secret_basic"])
    async def test_a_provider_that_takes_the_secret_in_the_form_only(
        self, tmp_path: Path, configured: str
    ) -> None:
        """It is found out, and remembered, unless the file says how."""
        seen: list[bool] = []

        async def post(url: str, form: Any, headers: Any, networks: Any) -> Answer:
            seen.append("client_secret" in form)
            if not seen[-1]:
                return Answer(401, {"error": "invalid_client"})
            return Answer(200, {"access_token": f"token-{len(seen)}"})

        found = gateway(tmp_path, post, **ENVIRON)
        auth = own(token_endpoint_auth_method=configured)
        if configured == "client_secret_basic":
            with pytest.raises(CallProblem, match="Check `client_id` and `client_secret`"):
                await found.of(auth, NETWORKS)
            assert [False] == seen
            return
        first = await found.of(auth, NETWORKS)
        await found.of(auth, NETWORKS, rejected=first)
        assert ([True, True] if configured else [False, True, True]) == seen

    async def test_faults(self, tmp_path: Path) -> None:
        """Each says what to do, without the secret."""
        with pytest.raises(CallProblem, match="variable ID is not set"):
            await gateway(tmp_path, Rotating()).of(own(), NETWORKS)
        endpoint = Rotating()
        endpoint.failure = Answer(
            400, {"error": "invalid_scope", "error_description": "s3cret-of-the-robot"}
        )
        with pytest.raises(CallProblem, match="invalid_scope") as raised:
            await gateway(tmp_path, endpoint, **ENVIRON).of(own(), NETWORKS)
        assert "s3cret" not in str(raised.value)
        assert not raised.value.again
        endpoint.failure = Answer(503, None)
        with pytest.raises(CallProblem) as raised:
            await gateway(tmp_path, endpoint, **ENVIRON).of(own(), NETWORKS)
        assert raised.value.again

    @pytest.mark.parametrize(
        ("auth", "key"),
        [
            ("grant: client_credentials", "token_endpoint"),
            ("grant: client_credentials, token_endpoint: 'http://a.example'", "token_endpoint"),
            (FULL.replace(" client_id: a,", ""), "client_id"),
            (FULL.replace("env:X", "sk-1234567890"), "client_secret"),
            (FULL.replace("env:X", "oauth:x"), "client_secret"),
            (f"{FULL}, key: 'env:Y'", "key"),
            ("grant: authorization_code, key: 'env:X'", "key"),
            ("grant: password", "grant"),
        ],
    )
    def test_settings_that_do_not_fit(self, auth: str, key: str) -> None:
        """The error names the key."""
        with pytest.raises(ConfigError, match=rf"auth\.{key}"):
            capability(api("https://api.example", f"{{{auth}}}"))


def api(url: str, auth: str) -> str:
    return (
        "name: example\ndescription: An example.\nnetwork: {allow_private: true}\n"
        f"providers: {{primary: {{config: {{base_url: '{url}', path: /v1, method: POST}}}}}}\n"
        f"auth: {auth}\n"
    )


class Api:
    """An API with a token endpoint; it refuses tokens that are not the newest."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.calls: list[str] = []
        self.always_refuses = False

    def __call__(self, asked: Asked) -> Played:
        if asked.target == "/token":
            assert "client_credentials" == parse_qs(asked.body.decode())["grant_type"][0]
            self.tokens.append(f"token-number-{len(self.tokens)}")
            return Played.json({"access_token": self.tokens[-1], "expires_in": 3600})
        token = asked.headers.get("authorization", "")
        self.calls.append(token)
        if self.always_refuses or token != f"Bearer {self.tokens[-1]}":
            return Played.json({"message": f"bad {token}"}, 401)
        return Played.json({"ok": True})


class TestCalls:
    @pytest.fixture
    def stage(self) -> Iterator[Playback]:
        """Run a local server."""
        with playback() as running:
            yield running

    async def test_a_client_of_its_own(self, stage: Playback, tmp_path: Path) -> None:
        """Also a POST is sent again after a 401, once: a refused request has no effect."""
        stage.play = server = Api()
        found = capability(
            api(
                stage.url,
                "{type: oauth2, grant: client_credentials, required: true, client_id: robot,"
                f" client_secret: 'env:SECRET', token_endpoint: '{stage.url}/token'}}",
            )
        )
        environ = {"SECRET": "s3cret-of-the-robot"}
        async with executor(tmp_path, environ, inside=LOCAL) as calls:
            for _ in range(2):
                assert {"ok": True} == value_of(await calls.call(found, {}))
            server.tokens.append("moved-on")  # the provider revoked the token
            assert {"ok": True} == value_of(await calls.call(found, {}))
            assert (4, 3) == (len(server.calls), len(server.tokens))
            server.always_refuses = True
            result = await calls.call(found, {})
            assert "HTTP 401" in text_of(result)
            assert 6 == len(server.calls)
            assert not [secret for secret in server.tokens if secret in text_of(result)]

    async def test_an_endpoint_inside_needs_permission(
        self, stage: Playback, tmp_path: Path
    ) -> None:
        """The token endpoint of a file is under the same rules as its API."""
        stage.play = Api()
        auth = (
            "{grant: client_credentials, required: true, client_id: robot,"
            f" client_secret: 'env:SECRET', token_endpoint: '{stage.url}/token'}}"
        )
        async with executor(tmp_path, {"SECRET": "s3cret"}) as calls:
            result = await calls.call(capability(api("https://api.example", auth)), {})
        assert "refused" in text_of(result)
        assert [] == stage.asked

    @pytest.mark.parametrize("source", ["file", "variable", "login"])
    async def test_a_credential_that_was_replaced(
        self, stage: Playback, tmp_path: Path, source: str
    ) -> None:
        """After a 401 it is looked up again where it is stored, and used if it is another one."""
        environ = {"KEY": "first-key"}
        file = tmp_path / "key"
        file.write_text("first-key")
        keep(tmp_path, access_token="first-key", refresh_token="")
        key = {"file": f"file:{file}:", "variable": "env:KEY", "login": "oauth:tea"}[source]
        seen: list[str] = []

        def play(asked: Asked) -> Played:
            seen.append(asked.headers["authorization"])
            if seen[-1] == "Bearer second-key":
                return Played.json({"ok": True})
            file.write_text("second-key")
            environ["KEY"] = "second-key"
            keep(tmp_path, access_token="second-key", refresh_token="")
            return Played.json({}, 401)

        stage.play = play
        found = capability(api(stage.url, f"{{key: '{key}', required: true}}"))
        async with executor(tmp_path, inside=LOCAL) as calls:
            calls.credentials.environ = lambda: environ
            assert {"ok": True} == value_of(await calls.call(found, {}))
        assert ["Bearer first-key", "Bearer second-key"] == seen

    async def test_the_same_credential_is_not_sent_again(
        self, stage: Playback, tmp_path: Path
    ) -> None:
        """A refused key that has not been replaced is an error at once."""
        stage.play = lambda asked: Played.json({}, 401)
        found = capability(api(stage.url, "{key: 'env:KEY', required: true}"))
        async with executor(tmp_path, {"KEY": "the-key"}, inside=LOCAL) as calls:
            assert "HTTP 401" in text_of(await calls.call(found, {}))
        assert 1 == len(stage.asked)

    async def test_without_a_login_the_command_is_named(
        self, stage: Playback, tmp_path: Path
    ) -> None:
        """The caller sees what to run."""
        found = capability(api(stage.url, "{key: 'oauth:tea', required: true}"))
        async with executor(tmp_path, inside=LOCAL) as calls:
            text = text_of(await calls.call(found, {}))
        assert "Run: mcp-gateway auth login tea." in text
        assert json.dumps(text)
