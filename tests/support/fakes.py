"""Helpers for tests that use the fake server: its command, configurations, and its log."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .processes import MARK

FAKE_SERVER = Path(__file__).with_name("fake_server.py")
ECHO_SERVER = Path(__file__).with_name("echo_server.py")


def fake(*flags: object) -> list[str]:
    """Return the command of a fake server with these flags."""
    return [sys.executable, str(FAKE_SERVER), *map(str, flags)]


def echo_command() -> list[str]:
    """Return the command of the lean echo server."""
    return [sys.executable, str(ECHO_SERVER)]


def example_command() -> list[str]:
    """Return the command of the example server that ships with the product."""
    return [sys.executable, "-m", "mcpgw.example"]


def yaml_config(
    backends: Mapping[str, Mapping[str, Any] | list[str]],
    *,
    mark: str | None = None,
    **sections: Any,
) -> str:
    """Return a gateway.yaml; JSON is YAML.

    A backend may be given as its command alone. `mark` puts MCPGW_TEST_MARK into the
    environment of each backend with a command, so that `processes_with` finds its processes
    although a gateway hands only little of its own environment on.
    """
    written: dict[str, dict[str, Any]] = {}
    for name, given in backends.items():
        backend: dict[str, Any] = {"command": given} if isinstance(given, list) else {**given}
        if mark is not None and "command" in backend:
            backend["env"] = {MARK: mark, **backend.get("env", {})}
        written[name] = backend
    return json.dumps({**sections, "backends": written}, indent=2)


def logged(path: Path) -> list[dict[str, Any]]:
    """Return the messages that a fake server with `--log` has received so far."""
    return [json.loads(line) for line in _lines(path) if line.startswith("{")]


def logged_methods(path: Path) -> list[str]:
    """Return the methods of the messages received so far, in order; answers have none."""
    return [message["method"] for message in logged(path) if "method" in message]


def logged_cancelled(path: Path) -> list[object]:
    """Return the ids of the calls that a fake server has cancelled."""
    word = "cancelled "
    return [json.loads(line.removeprefix(word)) for line in _lines(path) if line.startswith(word)]


def pids_in(path: Path) -> list[int]:
    """Return the pids in a file of `--pid-file` or `--pidfile`; none while it does not exist."""
    return [int(line) for line in _lines(path)]


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return []
    # A line without its end is still being written.
    return text[: text.rfind("\n") + 1].split("\n")[:-1]
