"""Examples of the other gateway's README work here unchanged."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import trio

from mcpgw.capabilities.builtin import builtin_folder
from tests.support.http_gateway import HttpGateway, http_gateway
from tests.support.patience import PATIENCE
from tests.support.playback import Asked, Playback, Played, playback

pytestmark = pytest.mark.process

ON = {"MCP_GATEWAY_CAPABILITIES__ENABLED": "true", "HEYGEN_API_KEY": "heygen-key-of-the-test"}
SEED = Path(__file__).parents[2].parent / "shared/seed/readme.txt"
HEYGEN = (
    "video_agent_create",
    "video_create",
    "video_get",
    "video_download",
    "voice_list",
    "avatar_list",
)
MOVIE = bytes(range(256)) * 1024
"""Larger, as base64, than an answer that a model is shown in one piece."""


@pytest.fixture
def stage() -> Iterator[Playback]:
    """Run a local server that stands for an API."""
    with playback() as running:
        yield running


def local_copy(name: str, folder: Path, stage: Playback) -> None:
    """Copy a built-in file; its requests go to the local server, all else is as it is."""
    shipped = builtin_folder()
    assert shipped is not None
    (source,) = shipped.rglob(f"{name}.yaml")
    target = folder / source.relative_to(shipped)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(localised(source.read_text(), stage))


def localised(text: str, stage: Playback) -> str:
    """Return the text of a capability whose requests go to the local server."""
    text = re.sub(r"base_url: \S+", f"base_url: {stage.url}", text)
    return text + "network: {allow_private: true}\n"


def heygen(stage: Playback) -> list[str]:
    """Let the local server be HeyGen, by its public documentation; return what it is asked."""
    asked: list[str] = []
    states = ["processing", "completed"]

    def play(request: Asked) -> Played:
        asked.append(f"{request.method} {request.target}")
        if request.target == "/files/vid_1.mp4":
            assert "x-api-key" not in request.headers
            return Played(200, MOVIE, {"content-type": "video/mp4"})
        assert "heygen-key-of-the-test" == request.headers["x-api-key"]
        if request.method == "POST":
            assert "launch in 30 seconds" in request.json["prompt"]
            return Played.json({"data": {"session_id": "s", "video_id": "vid_1"}})
        state: dict[str, Any] = {"id": "vid_1", "status": states.pop(0), "video_url": None}
        if state["status"] == "completed":
            state["video_url"] = f"{stage.url}/files/vid_1.mp4"
        return Played.json({"data": state})

    stage.play = play
    return asked


WANTED = [
    "POST /v3/video-agents",
    "GET /v3/videos/vid_1",
    "GET /v3/videos/vid_1",
    "GET /files/vid_1.mp4",
]


async def one_call(client: httpx.AsyncClient, gateway: HttpGateway, tool: str, **args: str) -> Any:
    """Call a capability as a script does: one POST, no session, no revision."""
    params = {
        "name": "gateway_invoke",
        "arguments": {"backend": "capabilities", "tool": tool, "args": args},
    }
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    reply = await client.post(
        f"{gateway.base}/mcp", json=message, headers={"accept": "*/*"}, timeout=PATIENCE
    )
    assert 200 == reply.status_code
    return json.loads(reply.json()["result"]["content"][0]["text"])


async def test_heygen(stage: Playback, tmp_path: Path) -> None:
    """A video is ordered, waited for and downloaded, by single requests without a session."""
    asked = heygen(stage)
    for name in HEYGEN:
        local_copy(name, tmp_path / "capabilities", stage)
    settings = {"directories": ["./capabilities"], "allow_private": ["127.0.0.1"]}
    with trio.fail_after(PATIENCE):
        async with (
            http_gateway({}, folder=tmp_path, env=ON, capabilities=settings) as gateway,
            httpx.AsyncClient(trust_env=False) as client,
        ):
            prompt = "A presenter explaining our product launch in 30 seconds"
            made = await one_call(client, gateway, "video_agent_create", prompt=prompt)
            state = {}
            while state.get("status") != "completed":
                state = await one_call(client, gateway, "video_get", video_id=made["video_id"])
            movie = await one_call(client, gateway, "video_download", video_url=state["video_url"])
            assert ("video/mp4", len(MOVIE)) == (movie["mime_type"], movie["size"])
            assert MOVIE == base64.b64decode(movie["data"])
    assert WANTED == asked


@pytest.mark.skipif(not SEED.exists(), reason="needs ../shared/seed/readme.txt")
@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("jq") and shutil.which("bash")),
    reason="needs bash, curl and jq",
)
async def test_heygen_by_the_script_itself(stage: Playback, tmp_path: Path) -> None:
    """The script of the other README runs word for word, but for the port."""
    found = re.search(
        r"^# 1\. Create the video.*?> heygen-explainer\.mp4", SEED.read_text(), re.M | re.S
    )
    assert found is not None
    asked = heygen(stage)
    for name in HEYGEN:
        local_copy(name, tmp_path / "capabilities", stage)
    settings = {"directories": ["./capabilities"], "allow_private": ["127.0.0.1"]}
    with trio.fail_after(PATIENCE):
        async with http_gateway({}, folder=tmp_path, env=ON, capabilities=settings) as gateway:
            script = found[0].replace(":39401/", f":{gateway.port}/")
            assert script.count(f":{gateway.port}/mcp") == 3
            done = await trio.run_process(
                ["bash", "-c", script], cwd=tmp_path, capture_stderr=True, check=False
            )
            assert (0, b"") == (done.returncode, done.stderr)
    assert MOVIE == (tmp_path / "heygen-explainer.mp4").read_bytes()
    assert WANTED == asked


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `mcp-gateway` in a folder."""
    import os

    kept = {k: v for k, v in os.environ.items() if not k.startswith("MCP_GATEWAY_")}
    return subprocess.run(
        [sys.executable, "-m", "mcpgw", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**kept, "MCP_GATEWAY_HOME": str(folder / "home")},
        timeout=PATIENCE,
        check=False,
    )


async def test_first_steps(stage: Playback, tmp_path: Path) -> None:
    """`init`, `serve`, and a call of each of the two files that need no key."""
    done = await trio.to_thread.run_sync(command, tmp_path, "init", "--profile", "local")
    assert (0, "") == (done.returncode, done.stderr)
    files = {path.stem: path for path in (tmp_path / "capabilities").rglob("*.yaml")}
    assert {"weather_current", "public_holidays"} == set(files)

    def play(asked: Asked) -> Played:
        if urlsplit(asked.target).path == "/v1/forecast":
            assert ["60.17"] == asked.query["latitude"]
            assert ["celsius"] == asked.query["temperature_unit"]
            return Played.json({"current": {"temperature_2m": -3.5}})
        assert "/api/v3/PublicHolidays/2027/FI" == asked.target
        return Played.json([{"date": "2027-12-06", "name": "Independence Day"}])

    stage.play = play
    allowed = {"MCP_GATEWAY_CAPABILITIES__ALLOW_PRIVATE": '["127.0.0.1"]'}
    args = ("serve", "--port", "0", "-c", str(tmp_path / "gateway.yaml"))
    with trio.fail_after(PATIENCE):
        async with (
            http_gateway(
                {}, folder=tmp_path, args=args, env={**ON, **allowed}, config=False
            ) as gateway,
            httpx.AsyncClient(trust_env=False) as client,
        ):
            assert 200 == (await client.get(f"{gateway.base}/health")).status_code
            for path in files.values():  # while it runs: files are read again when they change
                path.write_text(localised(path.read_text(), stage))
            reload = {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "tools/call",
                "params": {"name": "gateway_reload_capabilities", "arguments": {}},
            }
            changes = (await client.post(f"{gateway.base}/mcp", json=reload)).json()
            assert "isError" not in changes["result"] or not changes["result"]["isError"]
            weather = await one_call(
                client, gateway, "weather_current", latitude="60.17", longitude="24.94"
            )
            assert {"temperature_2m": -3.5} == weather["current"]
            days = await one_call(
                client, gateway, "public_holidays", country_code="FI", year="2027"
            )
            assert "Independence Day" == days[0]["name"]


class TestInit:
    def test_overwrites_nothing(self, tmp_path: Path) -> None:
        """A file that is there stays, and nothing else is written then."""
        path = tmp_path / "capabilities/knowledge/public_holidays.yaml"
        path.parent.mkdir(parents=True)
        path.write_text("mine\n")
        done = command(tmp_path, "init")
        assert 1 == done.returncode
        assert "public_holidays.yaml already exists" in done.stderr
        assert "mine\n" == path.read_text()
        assert not (tmp_path / "gateway.yaml").exists()
        done = command(tmp_path, "init", "--no-examples")
        assert 0 == done.returncode
        assert ["gateway.yaml", "public_holidays.yaml"] == sorted(
            each.name for each in tmp_path.rglob("*.yaml")
        )
        again = command(tmp_path, "init", "--no-examples")
        assert (1, "") == (again.returncode, again.stdout)
        assert "Remove it first" in again.stderr

    def test_minimal_is_one_file(self, tmp_path: Path) -> None:
        """And what it writes is without a fault to the gateway."""
        done = command(tmp_path, "init", "--profile", "minimal", "-o", "deep/er/gateway.yaml")
        assert "Created deep/er/gateway.yaml" in done.stdout
        written = [each for each in tmp_path.rglob("*") if each.is_file()]
        assert [tmp_path / "deep/er/gateway.yaml"] == written
        listed = command(tmp_path, "tool", "list", "-c", "deep/er/gateway.yaml", "-f", "json")
        assert (0, "[]\n") == (listed.returncode, listed.stdout)
        assert "Warning: no servers are configured." in listed.stderr
        assert 1 == len(listed.stderr.splitlines())

    def test_a_file_in_the_way(self, tmp_path: Path) -> None:
        """It is named, not stumbled over."""
        (tmp_path / "deep").write_text("a file\n")
        done = command(tmp_path, "init", "-o", "deep/gateway.yaml")
        assert 1 == done.returncode
        assert "deep is a file" in done.stderr


def test_nobody_reads_to_the_end(tmp_path: Path) -> None:
    """A reader that leaves early, such as `head`, ends a command without a traceback."""
    words = f"'{sys.executable}' -m mcpgw tool list | head -n 1"
    env = {"PATH": "/usr/bin:/bin", "MCP_GATEWAY_HOME": str(tmp_path)}
    done = subprocess.run(
        ["sh", "-c", words], capture_output=True, text=True, env=env, cwd=tmp_path, check=False
    )
    assert done.stdout.startswith("SERVER")
    assert "Traceback" not in done.stderr
