"""Counts of live objects in a gateway, to find leaks of ended sessions."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import attrs
import trio

from tests.support.patience import PATIENCE

HOOK = Path(__file__).with_name("census_hook")
FILE = "census.json"

OF_SESSIONS = (
    "mcpgw.front.session.Session",
    "mcpgw.front.http.sessions.HttpSession",
    "mcpgw.front.http.session_channel.SessionChannel",
    "mcpgw.front.http.event_buffer.EventBuffer",
    "mcpgw.front.http.websocket.SocketChannel",
    "mcpgw.pipeline.session_state.SessionState",
)
"""Objects that exist only while there are sessions."""
OF_CONNECTIONS = ("mcpgw.front.http.connection.Connection", "mcpgw.front.http.connection.Inbox")
TASK = "trio.lowlevel.Task"


@attrs.frozen
class Census:
    """Objects by their kinds: all there were, and those that a garbage collection has left."""

    before: dict[str, int]
    after: dict[str, int]

    def left(self, kinds: tuple[str, ...]) -> dict[str, int]:
        """Return those of these kinds that wait for a garbage collection."""
        return {kind: self.after[kind] for kind in kinds if self.after.get(kind)}

    def waiting(self, kinds: tuple[str, ...]) -> dict[str, int]:
        """Return those of these kinds that wait for a garbage collection."""
        found = {kind: self.before.get(kind, 0) - self.after.get(kind, 0) for kind in kinds}
        return {kind: count for kind, count in found.items() if count}


def environment(folder: Path) -> dict[str, str]:
    """Return what the environment of a process needs so that its objects can be counted."""
    return {"PYTHONPATH": str(HOOK), "MCPGW_TEST_CENSUS": str(folder / FILE)}


async def census(pid: int, folder: Path) -> Census:
    """Have a process that was started with `environment(folder)` count its objects."""
    path = folder / FILE
    path.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR1)
    with trio.fail_after(PATIENCE):
        while not path.exists():  # noqa: ASYNC110 - another process writes it
            await trio.sleep(0.02)
    counted = json.loads(path.read_text())
    return Census(counted["before"], counted["after"])
