"""The measured programs: their commands, and discovery of the optional ones."""

from __future__ import annotations

import importlib.util
import json
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ECHO = (sys.executable, str(ROOT / "tests" / "support" / "echo_server.py"))
GATEWAY = (sys.executable, "-m", "mcpgw", "serve", "--mode", "stdio")
NPM = ROOT / ".cache" / "npm" / "node_modules" / "@modelcontextprotocol"


@attrs.frozen
class Setup:
    """The settings of a run.

    Args:
      quick: few turns.
      fastmcp: an interpreter that has FastMCP, or None to leave it out.
      servers: the commands of the real servers found, by name.
      embedding_python: an interpreter that has the embedding model, or None.
    """

    quick: bool
    fastmcp: str | None
    servers: Mapping[str, Sequence[str]]
    embedding_python: str | None = None


def find_setup(
    *,
    quick: bool,
    peers: bool,
    fastmcp_python: str | None,
    embedding_python: str | None,
    servers: Sequence[str],
) -> Setup:
    """Find the optional programs; print which are left out."""
    if not peers:
        return Setup(quick, None, {})
    fastmcp = str(Path(fastmcp_python).absolute()) if fastmcp_python else None
    if fastmcp is None and importlib.util.find_spec("fastmcp") is not None:
        fastmcp = sys.executable
    if fastmcp is None:
        print("FastMCP is left out: not installed here (use --fastmcp-python)")
    found = _python_servers() | _npm_servers() | dict(_given(text) for text in servers)
    for name in ("time", "git", "everything", "filesystem", "memory"):
        if name not in found:
            print(f"The server {name!r} is left out: not found (use --server {name}=COMMAND)")
    return Setup(quick, fastmcp, found, embedding_python)


def _python_servers() -> dict[str, list[str]]:
    modules = {"time": "mcp_server_time", "git": "mcp_server_git"}
    return {
        name: [sys.executable, "-m", module]
        for name, module in modules.items()
        if importlib.util.find_spec(module) is not None
    }


def _npm_servers() -> dict[str, list[str]]:
    node = shutil.which("node")
    if node is None:
        return {}
    scripts = {
        name: NPM / f"server-{name}" / "dist" / "index.js"
        for name in ("everything", "filesystem", "memory")
    }
    found = {name: [node, str(path)] for name, path in scripts.items() if path.exists()}
    if "filesystem" in found:
        found["filesystem"].append(".")  # the folder it may read: its working directory
    return found


def _given(text: str) -> tuple[str, list[str]]:
    name, equals, command = text.partition("=")
    if not equals or not command.strip():
        raise SystemExit(f"Error: --server must have the form NAME=COMMAND, not {text!r}")
    return name, shlex.split(command)


def gateway(
    folder: Path, backends: Mapping[str, Sequence[str]]
) -> tuple[list[str], dict[str, str]]:
    """Write a configuration; return the command and the environment of a gateway with it.

    The rate limit, 100 calls a second by default, is disabled, because it would cap the results.
    """
    path = folder / "gateway.yaml"
    config: dict[str, Any] = {
        "backends": {name: {"command": list(command)} for name, command in backends.items()},
        "failsafe": {"rate_limit": {"enabled": False}},
    }
    path.write_text(json.dumps(config), "utf-8")
    return [*GATEWAY, "-c", str(path)], home(folder)


def home(folder: Path) -> dict[str, str]:
    """Return the environment variables that keep a gateway's state in a folder."""
    return {"MCP_GATEWAY_HOME": str(folder / "home")}


def fastmcp_proxy(python: str, servers: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the command of FastMCP's proxy in front of servers."""
    named = {
        name: {"command": words[0], "args": list(words[1:])} for name, words in servers.items()
    }
    return [python, str(HERE / "fastmcp_proxy.py"), json.dumps(named)]


FASTMCP_ENV: Final = {"FASTMCP_CHECK_FOR_UPDATES": "off"}
"""Disables the check for a newer version over the network."""
