"""Secrets from where a person keeps them: found by reference, renewed, and never shown."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keyring
import keyring.backend
import keyring.errors
import pytest
import trio

from mcpgw.capabilities.credentials import Credentials, is_reference
from mcpgw.capabilities.errors import CallProblem
from mcpgw.oauth.fetch import Answer
from mcpgw.transports.address_policy import AllowedNetworks

TOKEN = "https://login.example/token"


class Chain(keyring.backend.KeyringBackend):
    """A keychain in memory."""

    priority = 1  # type: ignore[assignment]

    def __init__(self, kept: Mapping[tuple[str, str], str], *, locked: bool = False) -> None:
        self.kept, self.locked = dict(kept), locked

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise keyring.errors.KeyringLocked("it is locked")
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@pytest.fixture(autouse=True)
def chain(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chain]:
    """Put a keychain in place of the system's, and leave out the system's tools."""
    monkeypatch.setenv("PATH", "/nonexistent")
    before, made = keyring.get_keyring(), Chain({("api", "mcpgw"): "from-the-keychain"})
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


def secrets(folder: Path, post: Any = None, **environ: str) -> Credentials:
    """Return credentials with these variables."""
    return Credentials(lambda: environ, folder, post)


async def refused(found: Credentials, reference: str, **options: Any) -> str:
    """Return why there is nothing for a reference."""
    with pytest.raises(CallProblem) as caught:
        await found.look_up(reference, **options)
    return str(caught.value)


class TestVariables:
    @pytest.mark.parametrize(
        "reference", ["env:API_KEY", "API_KEY", "{env.API_KEY}", "env.API_KEY"]
    )
    async def test_forms(self, tmp_path: Path, reference: str) -> None:
        """All forms of a variable lead to its value, which is noted to be hidden."""
        found = secrets(tmp_path, API_KEY="s3cret-value")
        assert "s3cret-value" == await found.look_up(reference)
        assert {"s3cret-value"} == found.seen
        assert "s3cret" not in repr(found)

    @pytest.mark.parametrize("environ", [{}, {"API_KEY": ""}])
    async def test_unset(self, tmp_path: Path, environ: dict[str, str]) -> None:
        """It is named, with how to get it; in a template it is just not there."""
        found = secrets(tmp_path, **environ)
        said = await refused(found, "env:API_KEY", hint="Ask the API's owner.")
        assert "API_KEY is not set" in said
        assert said.endswith("Ask the API's owner.")
        assert await found.optional("env.API_KEY") is None

    @pytest.mark.parametrize(
        "text", ["sk-live-a-secret-by-mistake-123456", "token abc", "Bearer x"]
    )
    async def test_what_is_no_reference(self, tmp_path: Path, text: str) -> None:
        """It is refused, and shown in part only: it may be the secret itself."""
        assert not is_reference(text)
        said = await refused(secrets(tmp_path), text)
        assert "unknown kind of credential reference" in said
        assert text[20:] == "" or text[20:] not in said


class TestFiles:
    @pytest.mark.parametrize(
        ("field", "value"), [("a", "text"), ("b.c", "7"), ("b.d", "1.5"), ("", '{"a": "text", ')]
    )
    async def test_fields(self, tmp_path: Path, field: str, value: str) -> None:
        """A field of a JSON file, however deep, or the whole file."""
        path = tmp_path / "k:eys.json"
        path.write_text('{"a": "text", "b": {"c": 7, "d": 1.5, "e": true, "f": [1]}}')
        found = await secrets(tmp_path).look_up(
            f"file:{path}:{field}" if field else f"file:{path}:"
        )
        assert found == value or found.startswith(value)

    async def test_home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """`~` is the home folder."""
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / "key.json").write_text('{"k": "v"}')
        assert "v" == await secrets(tmp_path).look_up("file:~/key.json:k")

    @pytest.mark.parametrize(
        ("content", "field", "said"),
        [
            (None, "a", "cannot be read"),
            (b"\xff", "a", "not UTF-8"),
            (b"{", "a", "is not valid JSON"),
            (b"[" * 99_999, "a", "is not valid JSON"),
            (b'{"a": true}', "a", "no string or number at 'a'"),
            (b'{"a": {"b": 1}}', "a", "no string or number"),
            (b'{"a": "x"}', "a.b", "no string or number"),
            (b"[1]", "0", "no string or number"),
            (b"x" * 2_000_000, "a", "larger than"),
        ],
    )
    async def test_faults(
        self, tmp_path: Path, content: bytes | None, field: str, said: str
    ) -> None:
        """Each problem names its file."""
        path = tmp_path / "key.json"
        if content is not None:
            path.write_bytes(content)
        assert said in await refused(secrets(tmp_path), f"file:{path}:{field}")


class TestKeychain:
    @pytest.mark.parametrize("reference", ["keychain:api", "{keychain.api}", "keychain.api"])
    async def test_forms(self, tmp_path: Path, chain: Chain, reference: str) -> None:
        """All forms lead there, and it is asked once."""
        found = secrets(tmp_path)
        assert "from-the-keychain" == await found.look_up(reference)
        chain.kept.clear()
        assert "from-the-keychain" == await found.look_up(reference)

    @pytest.mark.parametrize("locked", [False, True])
    async def test_nothing_there(self, tmp_path: Path, chain: Chain, locked: bool) -> None:
        """It says how to put it there; a keychain that is locked is like one without it."""
        chain.locked = locked
        said = await refused(secrets(tmp_path), "keychain:other")
        assert "`keyring set other mcpgw`" in said

    @pytest.mark.process
    async def test_a_tool_of_the_system_is_asked_too(
        self, tmp_path: Path, chain: Chain, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`secret-tool` prints what `keyring` does not have; a failing tool is passed over."""
        tool = tmp_path / "secret-tool"
        tool.write_text('#!/bin/sh\n[ "$3" = there ] && echo "from $1 $2 $3"\n')
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        assert "from lookup service there" == await secrets(tmp_path).look_up("keychain:there")
        await refused(secrets(tmp_path), "keychain:missing")


class Endpoint:
    """A token endpoint that gives token after token."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), []  # type: ignore[var-annotated]

    async def __call__(
        self,
        url: str,
        form: Mapping[str, str],
        headers: Mapping[str, str],
        networks: AllowedNetworks,
    ) -> Answer:
        self.asked.append((url, {**form, **headers}))
        await trio.sleep(0.01)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        found = answer() if callable(answer) else answer
        return Answer(400 if "error" in found else 200, found)


def login(folder: Path, **fields: Any) -> Path:
    """Keep a login of the provider `p`."""
    path = folder / "logins/p.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(fields))
    return path


class TestLogins:
    async def test_a_token_that_lasts(self, tmp_path: Path) -> None:
        """It is used as it is; one without an end too."""
        for until in (time.time() + 600, None):
            login(tmp_path, access_token="now", expires_at=until)
            assert "now" == await secrets(tmp_path).look_up("oauth:p")

    async def test_renewal(self, tmp_path: Path) -> None:
        """An expired token is renewed once, however many ask; what came is kept, by the owner
        only, and the refresh token stays where none came."""
        path = login(tmp_path, access_token="old", refresh_token="r1", expires_at=1, client_id="c")
        path.chmod(0o600)
        endpoint = Endpoint({"access_token": "fresh-t0ken", "expires_in": 3600})
        found = secrets(tmp_path, endpoint)
        tokens: list[str] = []

        async def ask() -> None:
            tokens.append(await found.look_up("oauth:p", token_endpoint=TOKEN))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask)
        assert ["fresh-t0ken"] * 5 == tokens
        form = {"grant_type": "refresh_token", "refresh_token": "r1", "client_id": "c"}
        assert [(TOKEN, form)] == endpoint.asked
        kept = json.loads(path.read_text())
        assert ("fresh-t0ken", "r1", "c") == tuple(
            kept[name] for name in ("access_token", "refresh_token", "client_id")
        )
        assert 0o600 == stat.S_IMODE(path.stat().st_mode)
        assert {"fresh-t0ken", "r1"} <= found.seen
        assert "fresh-t0ken" not in repr(found)

    async def test_another_gateway_was_first(self, tmp_path: Path) -> None:
        """Its token is used where ours is refused."""
        login(tmp_path, access_token="old", refresh_token="r1", expires_at=1)

        def lost() -> Mapping[str, Any]:
            login(tmp_path, access_token="theirs", refresh_token="r2", expires_at=time.time() + 600)
            raise CallProblem("invalid_grant")

        found = secrets(tmp_path, Endpoint(lost))
        assert "theirs" == await found.look_up("oauth:p", token_endpoint=TOKEN)

    async def test_a_secret_of_the_client(self, tmp_path: Path, chain: Chain) -> None:
        """It comes from the login, else from the keychain."""
        chain.set_password("p-client-secret", "mcpgw", "kept-secret")
        endpoint = Endpoint({"access_token": "new"})
        login(tmp_path, refresh_token="r1", token_endpoint="https://own.example/token")
        await secrets(tmp_path, endpoint).look_up("oauth:p", token_endpoint=TOKEN)
        ((url, form),) = endpoint.asked
        assert ("https://own.example/token", "kept-secret") == (url, form["client_secret"])

    async def test_what_cannot_be_kept(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is used all the same, for as long as the process runs."""

        def full(*_: Any, **__: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("mcpgw.state.files.write_atomically", full)
        login(tmp_path, refresh_token="r1")
        found = secrets(tmp_path, Endpoint({"access_token": "new"}))
        assert "new" == await found.look_up("oauth:p", token_endpoint=TOKEN)
        assert "new" == await found.look_up("oauth:p", token_endpoint=TOKEN)

    @pytest.mark.parametrize(
        ("fields", "answer", "said"),
        [
            (None, None, "no login to 'p'. Run: mcp-gateway auth login p."),
            ({}, None, "no login to 'p'"),
            ({"access_token": "x", "expires_at": 1}, None, "has expired; log in again"),
            ({"refresh_token": "refresh-1"}, {}, "could not be renewed"),
            ({"refresh_token": "refresh-1"}, {"access_token": 7}, "could not be renewed"),
            (
                {"refresh_token": "refresh-1"},
                {"error": "invalid_grant"},
                "answered 'invalid_grant'",
            ),
            (
                {"refresh_token": "refresh-1"},
                {"error": "invalid_grant"},
                "Run: mcp-gateway auth login p.",
            ),
            ({"refresh_token": "refresh-1"}, CallProblem("down", again=True), "down"),
        ],
    )
    async def test_faults(
        self, tmp_path: Path, fields: dict[str, Any] | None, answer: Any, said: str
    ) -> None:
        """Each says what to do."""
        if fields is not None:
            login(tmp_path, **fields)
        found = secrets(tmp_path, Endpoint(answer))
        assert said in await refused(found, "oauth:p", token_endpoint=TOKEN)

    @pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "a b", "é"])
    async def test_names(self, tmp_path: Path, name: str) -> None:
        """A provider must not be a path."""
        assert "is not a valid name of an OAuth provider" in await refused(
            secrets(tmp_path), f"oauth:{name}"
        )
