"""A gateway that is killed: its servers clean up after themselves, and the guardian lives."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.e2e.running import nobody_left, running, until
from tests.support.fakes import fake
from tests.support.patience import PATIENCE
from tests.support.processes import alive

pytestmark = [pytest.mark.process, pytest.mark.skipif(sys.platform != "linux", reason="uses /proc")]

BROWSER_SERVER = Path(__file__).parents[1] / "support" / "browser_server.py"


@pytest.mark.parametrize("when", ["eof", "term"])
async def test_servers_have_time_to_end_what_only_they_know(when: str) -> None:
    """A detached child of a server is left only if the server had no chance to end it."""
    command = [sys.executable, str(BROWSER_SERVER), when]
    async with running({"one": command}) as gateway:
        result = await gateway.invoke("one", "browse", {}, timeout=PATIENCE)
        assert alive(int(result["content"][0]["text"]))
        gateway.process.kill()
        assert -signal.SIGKILL == await gateway.wait(timeout=PATIENCE)
        await nobody_left(gateway)


async def test_a_guardian_that_is_killed_is_replaced() -> None:
    """The new one knows all process groups, so they end with the gateway."""
    async with running({"one": fake("--ignore-eof", "--grandchild")}) as gateway:
        await gateway.invoke("one", "echo", {}, timeout=PATIENCE)
        (old,) = guardians(gateway.pid)
        os.kill(old, signal.SIGKILL)
        await until(lambda: guardians(gateway.pid) not in ([], [old]), what="a new guardian")
        gateway.process.kill()
        assert -signal.SIGKILL == await gateway.wait(timeout=PATIENCE)
        await nobody_left(gateway)


def guardians(gateway: int) -> list[int]:
    """Return the shells among the live children of a process."""
    found = []
    for task in Path(f"/proc/{gateway}/task").iterdir():
        for child in (task / "children").read_text().split():
            name = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[0]
            if name == b"/bin/sh" and alive(int(child)):
                found.append(int(child))
    return found
