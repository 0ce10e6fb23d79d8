"""Watching processes from outside: who lives, who is left, and what is open (Linux, /proc)."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

MARK = "MCPGW_TEST_MARK"
"""Environment variable that marks the processes of one test."""
WITHOUT_CAPABILITIES = {"MCP_GATEWAY_CAPABILITIES__ENABLED": "false"}
"""Leaves the built-in capabilities out, for tests that count servers and tools."""


def alive(pid: int) -> bool:
    """Tell whether a process exists and is more than a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    # The name in parentheses may itself hold spaces and parentheses.
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def processes_with(marker: str) -> list[int]:
    """Return the live processes whose environment holds MCPGW_TEST_MARK=marker."""
    wanted = f"{MARK}={marker}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                variables = (entry / "environ").read_bytes().split(b"\0")
            except OSError:  # Gone meanwhile, or another user's.
                continue
            if wanted in variables and alive(int(entry.name)):
                found.append(int(entry.name))
    return sorted(found)


def open_descriptors(pid: int) -> int:
    """Return how many file descriptors a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def kill_all_with(marker: str) -> int:
    """Kill what a test has left behind, by its own mark, and return how many there were."""
    left = processes_with(marker)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(left)
