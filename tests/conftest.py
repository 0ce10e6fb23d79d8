"""Fixtures for all tests: where the npm servers and clients are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Protocol

import pytest

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


class NpmServer(Protocol):
    """Gives the command of an npm server."""

    def __call__(self, name: str, *args: str) -> list[str]:
        """Return the command of `@modelcontextprotocol/NAME` with these arguments."""


@pytest.fixture(scope="session")
def npm_server() -> NpmServer:
    """Give commands of the npm servers that scripts/node_servers.py installs.

    The tests that ask for it are skipped here, before Trio runs, so that the reason is told.
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
