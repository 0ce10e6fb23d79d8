"""A gateway that other machines reach: it needs a token, or a switch that says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.e2e.shell import Shell, shell_in
from tests.support.driver import fake
from tests.support.http_gateway import http_gateway
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

EVIL = {"Host": "evil.example"}


def serve(shell: Shell, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `serve`, or another command that listens, which has to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "mcpgw", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=shell.folder,
        env=shell.environment(**env),
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "0.0.0.0 in the file"])
def test_without_a_token_it_does_not_start(tmp_path: Path, host: str) -> None:
    """The exit status is 1, and the message has all ways out."""
    with shell_in(tmp_path, {}) as shell:
        words = ["serve", "--mode", "http", "--port", "0"]
        if host.endswith("file"):
            shell.configure({}, server={"host": "0.0.0.0"})
        else:
            words += ["--host", host]
        done = serve(shell, *words)
    assert 1 == done.returncode
    for way in ("auth.bearer_token", "127.0.0.1", "server.allow_unauthenticated: true"):
        assert way in done.stderr
    assert "--allow-unauthenticated" in done.stderr


def test_an_unset_token(tmp_path: Path) -> None:
    """A token from an unset variable does not count."""
    with shell_in(tmp_path, {}) as shell:
        shell.configure({}, auth={"enabled": True, "bearer_token": "env:NO_SUCH_TOKEN"})
        done = serve(shell, "serve", "--mode", "http", "--port", "0", "--host", "0.0.0.0")
    assert 1 == done.returncode
    assert "auth.bearer_token" in done.stderr


def test_a_bridge(tmp_path: Path) -> None:
    """A bridge has the same rule."""
    with shell_in(tmp_path, {}) as shell:
        words = ["bridge", "--stdio", " ".join(map(str, fake())), "--to", "http", "--port", "0"]
        done = serve(shell, *words, "--host", "0.0.0.0")
    assert 1 == done.returncode
    assert "--allow-unauthenticated" in done.stderr


@pytest.mark.parametrize("switch", ["option", "setting", "variable"])
async def test_with_the_switch(tmp_path: Path, switch: str) -> None:
    """It starts; `Host` may be an address or a name of `allowed_hosts`, and no other name."""
    args = ["serve", "--mode", "http", "--port", "0", "--host", "0.0.0.0"]
    server: dict[str, object] = {"allowed_hosts": ["mcp.example.org"]}
    env: dict[str, str] = {}
    if switch == "option":
        args.append("--allow-unauthenticated")
    elif switch == "setting":
        server["allow_unauthenticated"] = True
    else:
        env["MCP_GATEWAY_SERVER__ALLOW_UNAUTHENTICATED"] = "true"
    async with http_gateway({}, args=args, folder=tmp_path, env=env, server=server) as gateway:
        async with httpx.AsyncClient() as client:
            for host in ("192.0.2.7:8080", "[2001:db8::1]", "mcp.example.org", "localhost"):
                answer = await client.get(f"{gateway.base}/health", headers={"Host": host})
                assert 200 == answer.status_code, host
            for path in ("/health", "/openapi/x/openapi.json", "/mcp"):
                answer = await client.get(f"{gateway.base}{path}", headers=EVIL)
                assert 403 == answer.status_code, path
        assert "http.unauthenticated_listener" in gateway.log


async def test_with_a_token(tmp_path: Path) -> None:
    """With a token it starts as before, and any name may lead to it."""
    args = ["serve", "--mode", "http", "--port", "0", "--host", "0.0.0.0"]
    auth = {"enabled": True, "bearer_token": "words-of-a-token"}
    async with (
        http_gateway({}, args=args, folder=tmp_path, auth=auth) as gateway,
        httpx.AsyncClient() as client,
    ):
        answer = await client.get(f"{gateway.base}/health", headers=EVIL)
        assert 200 == answer.status_code
        answer = await client.get(f"{gateway.base}/mcp", headers=EVIL)
        assert 401 == answer.status_code


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have only 127.0.0.1")
async def test_all_loopback_addresses(tmp_path: Path) -> None:
    """127.0.0.2 is this machine too: it needs no token, and there is no warning."""
    args = ["serve", "--mode", "http", "--port", "0", "--host", "127.0.0.2"]
    async with http_gateway({}, args=args, folder=tmp_path) as gateway:
        assert "unauthenticated" not in gateway.log


def test_the_doctor_says_so(tmp_path: Path) -> None:
    """The doctor finds an exposed front before `serve` refuses it."""
    with shell_in(tmp_path, {}) as shell:
        shell.configure({}, server={"host": "0.0.0.0"})
        assert "[FAIL] Exposure" in shell.run("doctor").out
        shell.configure({}, server={"host": "0.0.0.0", "allow_unauthenticated": True})
        assert "[WARN] Exposure" in shell.run("doctor").out
        auth = {"enabled": True, "bearer_token": "words-of-a-token"}
        shell.configure({}, server={"host": "0.0.0.0"}, auth=auth)
        assert "Exposure" not in shell.run("doctor").out
        shell.configure({}, auth={"enabled": True, "bearer_token": "env:NOT_SET_ANYWHERE"})
        told = shell.run("doctor").out
        assert "[FAIL] Authentication: auth.bearer_token is env:NOT_SET_ANYWHERE, but" in told
