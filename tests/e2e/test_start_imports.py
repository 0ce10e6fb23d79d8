"""Cost of a start: modules loaded before the first answer, no child before a call."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.e2e.running import payload, running, servers, text, until
from tests.support.driver import fake, pids_in
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

TOO_SLOW_TO_LOAD = (
    "httpx",
    "structlog",
    "click",
    "asyncio",
    "ruamel.yaml",
    "rapidfuzz",
    "trio_websocket",
    "cattrs",
    "sqlite3",
    "importlib.metadata",
)
SPY = """
import json, os, sys

write = os.write
told = False

def spy(descriptor, data):
    global told
    if not told and bytes(data).startswith(b'{"jsonrpc"'):
        told = True
        write(2, b"modules: " + json.dumps(sorted(sys.modules)).encode() + b"\\n")
    return write(descriptor, data)

os.write = spy
before = set(sys.modules)
write(2, b"before: " + json.dumps(sorted(before)).encode() + b"\\n")
sys.argv[0] = "mcp-gateway"
from mcpgw.__main__ import main
main()
"""
needs_proc = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="processes are looked at through Linux's /proc"
)


def children(pid: int) -> list[int]:
    """Return the child processes of a process, whichever of its threads started them."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:  # gone meanwhile
                continue
            # The name in parentheses may itself hold spaces and parentheses.
            if int(stat.rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.name))
    return sorted(found)


def _listed(stderr: str, word: str) -> set[str]:
    lines = [line for line in stderr.splitlines() if line.startswith(f"{word}: ")]
    assert 1 == len(lines), stderr
    modules: list[str] = json.loads(lines[0].removeprefix(f"{word}: "))
    return set(modules)


class TestImports:
    @pytest.mark.parametrize("first", ["initialize", "ping"])
    async def test_nothing_slow_is_loaded_before_the_first_answer(
        self, first: str, tmp_path: Path
    ) -> None:
        """The modules that take long to load are not among those that the first answer needs."""
        wrapper = tmp_path / "wrapper.py"
        wrapper.write_text(SPY)
        command = [sys.executable, str(wrapper), "serve", "--mode", "stdio"]
        async with running({"one": fake()}, command=command, initialize=False) as gateway:
            if first == "ping":
                assert {} == await gateway.request("ping", timeout=PATIENCE)
            await gateway.initialize(timeout=PATIENCE)
            await until(lambda: "modules: " in gateway.stderr, what="told of the modules")
            loaded = _listed(gateway.stderr, "modules") - _listed(gateway.stderr, "before")
            assert "mcpgw.front.session" in loaded
            assert [] == sorted(loaded.intersection(TOO_SLOW_TO_LOAD))
            # What was put off is there for whoever needs it.
            result = await gateway.invoke("one", "echo", {"text": "hello"}, timeout=PATIENCE)
            assert "hello" == text(result)

    async def test_the_spy_would_see_them(self, tmp_path: Path) -> None:
        """A module of the list that is loaded too early is found, so the guard can fail."""
        wrapper = tmp_path / "wrapper.py"
        wrapper.write_text(SPY.replace("from mcpgw", "import click, sqlite3\nfrom mcpgw"))
        command = [sys.executable, str(wrapper), "serve", "--mode", "stdio"]
        async with running({}, command=command) as gateway:
            await until(lambda: "modules: " in gateway.stderr, what="told of the modules")
            loaded = _listed(gateway.stderr, "modules") - _listed(gateway.stderr, "before")
            assert {"click", "sqlite3"} <= loaded


@needs_proc
class TestChildren:
    async def test_no_child_before_it_is_wanted(self, tmp_path: Path) -> None:
        """50 backends cost no process until one is called, and then one."""
        pids = tmp_path / "pids"
        backends = {f"backend-{number}": fake("--pid-file", pids) for number in range(50)}
        async with running(backends) as gateway:
            tools = (await gateway.request("tools/list", timeout=PATIENCE))["tools"]
            described = {tool["name"]: tool["description"] for tool in tools}
            assert "50" in described["gateway_list_servers"]
            states = await servers(gateway)
            assert {"idle"} == {entry["state"] for entry in states.values()}
            assert [] == children(gateway.pid)
            assert [] == pids_in(pids)
            await gateway.invoke("backend-7", "echo", timeout=PATIENCE)
            assert 1 == len(pids_in(pids))
            assert pids_in(pids)[0] in _tree(gateway.pid)

    async def test_warm_start(self, tmp_path: Path) -> None:
        """The servers of `meta_mcp.warm_start` start by themselves, and no others."""
        pids = tmp_path / "pids"
        backends = {name: fake("--pid-file", pids) for name in ("one", "two", "three")}
        async with running(backends, meta_mcp={"warm_start": ["two"]}) as gateway:
            await until(lambda: bool(pids_in(pids)), what="started")
            await gateway.invoke("two", "echo", timeout=PATIENCE)
            running_ones = [name for name, entry in (await servers(gateway)).items()
                            if entry["running"]]  # fmt: skip
            assert ["two"] == running_ones
            assert 1 == len(pids_in(pids))
            found = payload(await gateway.call("gateway_list_tools", {"server": "two"}))
            assert ["echo"] == [tool["name"] for tool in found["tools"]]


def _tree(pid: int) -> set[int]:
    """Return a process's children, their children, and so on."""
    below: set[int] = set()
    rest = children(pid)
    while rest:
        child = rest.pop()
        if child not in below:
            below.add(child)
            rest += children(child)
    return below
