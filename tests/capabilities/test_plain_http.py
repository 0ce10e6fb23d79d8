"""Credentials over http: only to private addresses that both the file and the operator allow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from mcpgw.transports.address_policy import AllowedNetworks, Unreachable
from tests.capabilities.test_executor import Names
from tests.support.capability_calls import capability, executor, text_of, value_of
from tests.support.playback import Playback, Played, playback

KEYS = {"KEY": "secret-123", "HOME_URL": ""}
AUTH = 'auth: {required: true, key: "env:KEY"}\n'


@pytest.fixture
def stage() -> Iterator[Playback]:
    """Run a local server."""
    with playback() as running:
        running.play = lambda _: Played.json({"ok": 1})
        yield running


def device(url: str, allow: bool = True, more: str = AUTH, config: str = "") -> Any:
    """Return a capability of a device."""
    return capability(
        f"name: x\ndescription: x\nnetwork: {{allow_private: {str(allow).lower()}}}\n"
        f"retry: {{attempts: 1}}\n"
        f"providers: {{primary: {{timeout: 1, config: {{{config}base_url: '{url}'}}}}}}\n{more}"
    )


@pytest.mark.parametrize(
    ("address", "allow", "inside", "expected"),
    [
        ("127.0.0.1", True, ("device.example",), ""),
        ("127.0.0.1", True, ("127.0.0.0/8",), ""),
        ("127.0.0.1", False, ("device.example",), "https"),
        ("127.0.0.1", True, (), "https"),
        ("127.0.0.1", True, ("10.0.0.0/8",), "refused"),
        ("93.184.216.34", True, ("device.example", "*"), "public address"),
        ("93.184.216.34", False, ("*",), "https"),
    ],
)
@pytest.mark.parametrize(
    ("more", "config"),
    [
        (AUTH, ""),
        ("", "headers: {X-Key: '{env.KEY}'}, "),
        ("", "params: {key: '{env.KEY}'}, "),
        ("", "method: POST, body: {key: 'x{env.KEY}'}, "),
    ],
)
async def test_both_have_to_allow_it(
    address: str,
    allow: bool,
    inside: tuple[str, ...],
    expected: str,
    more: str,
    config: str,
    stage: Playback,
    tmp_path: Path,
) -> None:
    """Whatever carries the credential, and only if the address really is private."""
    trio.socket.set_custom_hostname_resolver(Names({"device.example": [address]}))
    found = device(f"http://device.example:{stage.port}", allow, more, config)
    async with executor(tmp_path, KEYS, inside=inside) as calls:
        result = await calls.call(found, {})
    if expected:
        assert expected in text_of(result)
        assert [] == stage.asked
    else:
        assert {"ok": 1} == value_of(result)


async def test_without_a_credential_http_is_allowed(stage: Playback, tmp_path: Path) -> None:
    """A public API without a key may use http."""
    trio.socket.set_custom_hostname_resolver(Names({"api.example": ["93.184.216.34"]}))
    found = device("http://api.example", False, "")
    async with executor(tmp_path, KEYS) as calls:
        assert "https" not in text_of(await calls.call(found, {}))


async def test_an_address_from_the_environment_is_no_secret(
    stage: Playback, tmp_path: Path
) -> None:
    """It is neither redacted nor a reason for https."""
    found = device("{env.HOME_URL}/x", True, "")
    async with executor(tmp_path, {"HOME_URL": stage.url}, inside=("127.0.0.0/8",)) as calls:
        stage.play = lambda _: Played.json({"at": stage.url})
        assert {"at": stage.url} == value_of(await calls.call(found, {}))


async def test_a_url_with_a_token_is_a_secret(stage: Playback, tmp_path: Path) -> None:
    """It is redacted, such as that of an incoming webhook."""
    hook = f"{stage.url}/hooks/token-123456"
    found = device("{env.HOME_URL}", True, "")
    async with executor(tmp_path, {"HOME_URL": hook}, inside=("127.0.0.0/8",)) as calls:
        stage.play = lambda _: Played.json({"at": hook})
        assert "token-123456" not in text_of(await calls.call(found, {}))


async def test_files_may_come_from_elsewhere(stage: Playback, tmp_path: Path) -> None:
    """A file in the body is fetched without the credential, so its address may be public."""
    names = Names({"device.example": ["127.0.0.1"], "files.example": ["93.184.216.34"]})
    trio.socket.set_custom_hostname_resolver(names)
    url = f"http://device.example:{stage.port}"
    found = device(url, True, AUTH, "method: POST, body: {$file: {url: 'http://files.example'}}, ")
    async with executor(tmp_path, KEYS, inside=("127.0.0.0/8",)) as calls:
        said = text_of(await calls.call(found, {}))
    assert "public address" not in said
    assert "files.example" in said


async def test_a_proxy_would_resolve_the_name() -> None:
    """So its address cannot be checked; a literal one can."""
    policy = AllowedNetworks(("10.0.0.0/8",), private_only=True)
    await policy.check_literal("10.1.2.3")
    for host in ("device.example", "93.184.216.34"):
        with pytest.raises(Unreachable):
            await policy.check_literal(host)
