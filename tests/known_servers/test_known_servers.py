"""The registry of known servers: sound data, found by name, and looked up again."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from mcpgw.config import loader
from mcpgw.known_servers import (
    DATA,
    KnownServer,
    backend_settings,
    find,
    known_servers,
    missing_env,
    nearest_names,
    search,
)
from tests.support.playback import Asked, Played, playback

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """Import the script that looks them up."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        yield importlib.import_module("check_known_servers")
    finally:
        sys.path.remove(str(SCRIPTS))


def test_there_are_enough() -> None:
    """Each name and alias refers to one server."""
    names = [name for each in known_servers() for name in (each.name, *each.aliases)]
    assert len(names) == len(set(names))
    assert len(known_servers()) >= 60


@pytest.mark.parametrize("server", known_servers(), ids=lambda each: each.name)
def test_each_is_sound(server: KnownServer, tmp_path: Path) -> None:
    """Its entry makes a gateway.yaml that loads, without the value of any secret."""
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", server.name)
    assert server.description.endswith(".")
    assert server.home.startswith("https://") or server.home.startswith("http://")
    if server.transport == "http":
        assert server.url.startswith("https://")
        assert ("", "") == (server.package, server.verified)
    else:
        assert ("npx" if server.registry == "npm" else "uvx") == server.command
        assert server.package in server.args
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", server.verified)
    settings = backend_settings(server, [hint.name for hint in server.args_hint if hint.required])
    assert all(re.fullmatch(r"\$\{[A-Z0-9_]+\}", v) for v in settings.get("env", {}).values())
    path = tmp_path / "gateway.yaml"
    path.write_text(json.dumps({"backends": {server.name: settings}}))
    environ = dict.fromkeys((*server.required_env, *server.optional_env), "x")
    backend = loader.load(path, environ=environ).config.backends[server.name]
    assert server.transport == backend.transport


def test_finding() -> None:
    """By name and alias in any case, by words, and by what was nearly written."""
    github, postgres = find("GitHub"), find("postgresql")
    assert github is not None
    assert postgres is not None
    assert "postgres" == postgres.name
    assert find("nothing-like-it") is None
    assert "tavily" in nearest_names("tavly")
    assert "tavily" == search("tavily")[0].name
    assert {"postgres", "sqlite"} <= {each.name for each in search("database")}
    assert ["TAVILY_API_KEY"] == missing_env(find("tavily") or postgres, {})


async def test_looking_up(script: ModuleType) -> None:
    """Missing, deprecated and unreachable ones are distinguished."""

    def play(asked: Asked) -> Played:
        if "tavily" in asked.target:
            return Played(404)
        if "exa" in asked.target:
            return Played.json({"version": "1", "deprecated": "use another"})
        if "fetch" in asked.target:
            return Played.json({"info": {"version": "2"}})
        return Played(500)

    with playback() as stage:
        stage.play = play
        servers = [find(name) for name in ("tavily", "exa", "fetch", "git")]
        found = await script.check(servers, npm=stage.url, pypi=stage.url)
    states = {each.server.name: each.state for each in found}
    assert {"tavily": "gone", "exa": "deprecated", "fetch": "there", "git": "unknown"} == states


def test_renewing(script: ModuleType) -> None:
    """Only the day of those that were found is another one."""
    text = DATA.read_text("utf-8")
    fresh = script.renewed(text, {"git"}, "2030-01-01")
    lines = [
        pair for pair in zip(text.split("\n"), fresh.split("\n"), strict=True) if len(set(pair)) > 1
    ]
    assert 1 == len(lines)
    assert "2030-01-01" in lines[0][1]
