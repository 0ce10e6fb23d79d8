"""Settings of Hypothesis, guard of the `process` marker, reset of the log, and npm servers."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from traceback import walk_stack
from typing import Any, Protocol

import pytest
from hypothesis import settings

from mcpgw.observe import log

# No deadlines: how long an example takes says more about the machine than about the code.
# CI draws the same examples each time, so that it fails only because of the change.
settings.register_profile("local", deadline=None, print_blob=True)
settings.register_profile("ci", settings.get_profile("local"), derandomize=True)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "local")
)

NPM = Path(__file__).parent.parent / ".cache" / "npm" / "node_modules" / "@modelcontextprotocol"

SERVERS = ("server-everything", "server-filesystem", "server-memory")


def node22() -> str:
    """Return the Node.js that scripts/node_servers.py installs; skip where it or the clients are
    missing."""
    found = sorted(NPM.parent.glob("node-*/bin/node"))
    missing = [name for name in ("sdk", "inspector") if not (NPM / name).is_dir()]
    if not found or missing:
        pytest.skip("Node.js 22 and the npm clients are missing: run scripts/node_servers.py")
    return str(found[0])


PROCESS_EVENTS = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system")
"""Audit events of the standard library at the start of a process."""
_unmarked: str | None = None
"""The test that runs now, if it must not start a process."""
_started: list[str] = []
"""Commands that it started in spite of that."""


def _watch_processes(event: str, args: tuple[Any, ...]) -> None:
    if _unmarked is None or event not in PROCESS_EVENTS:
        return
    if any(frame.f_globals["__name__"] == "ctypes.util" for frame, _ in walk_stack(None)):
        return  # Searches for a shared library with ldconfig or gcc when keyring is imported.
    _started.append(str(args[1] if event == "subprocess.Popen" else event))
    # Not an `Exception`, so that the code under test does not handle it.
    pytest.fail(f"{_unmarked} starts a process and lacks @pytest.mark.process")


sys.addaudithook(_watch_processes)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Let only tests with the marker `process` start processes, their fixtures included."""
    global _unmarked
    _unmarked = None if item.get_closest_marker("process") else item.nodeid
    _started.clear()
    try:
        return (yield)
    finally:
        _unmarked = None


@pytest.fixture(autouse=True)
def only_marked_tests_start_processes() -> Iterator[None]:
    """Fail an unmarked test even if the error at its process was swallowed."""
    yield
    assert [] == _started, "mark this test with @pytest.mark.process"


@pytest.fixture(autouse=True)
def default_log() -> Iterator[None]:
    """Undo what a test, or a command that it ran, configured for the log of this process."""
    yield
    log.configure(level="warning")


class NpmServer(Protocol):
    """Gives the command of an npm server."""

    def __call__(self, name: str, *args: str) -> list[str]:
        """Return the command of `@modelcontextprotocol/NAME` with these arguments."""


@pytest.fixture(scope="session")
def npm_server() -> NpmServer:
    """Return the commands of the npm servers that scripts/node_servers.py installs.

    Without them the tests are skipped here, before Trio runs, so that pytest shows the reason.
    """
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    scripts = {name: NPM / name / "dist" / "index.js" for name in SERVERS}
    missing = [name for name, script in scripts.items() if not script.exists()]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: run scripts/node_servers.py")

    def command(name: str, *args: str) -> list[str]:
        return [node, str(scripts[name]), *args]

    return command
