"""Fixtures for all tests: where the npm servers are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Protocol

import pytest

NPM = Path(__file__).parent.parent / ".cache" / "npm" / "node_modules" / "@modelcontextprotocol"


class NpmServer(Protocol):
    """Gives the command of an npm server, or skips the test."""

    def __call__(self, name: str, *args: str) -> list[str]:
        """Return the command of `@modelcontextprotocol/NAME` with these arguments."""


@pytest.fixture(scope="session")
def npm_server() -> NpmServer:
    """Give commands of the npm servers that scripts/node_servers.py installs."""
    node = shutil.which("node")

    def command(name: str, *args: str) -> list[str]:
        script = NPM / name / "dist" / "index.js"
        if node is None:
            pytest.skip("Node.js is not installed")
        if not script.exists():
            pytest.skip(f"{name} is not installed: run scripts/node_servers.py")
        return [node, str(script), *args]

    return command
