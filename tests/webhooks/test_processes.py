"""Real processes that use one state file at once, and some that are killed."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mcpgw.state.database import Database
from mcpgw.webhooks.store import WebhookStore
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

RECEIVER = """
import json, sys
from pathlib import Path
import trio
from mcpgw.state.database import Database
from mcpgw.webhooks.definition import endpoint
from mcpgw.webhooks.receiver import Receiver
from mcpgw.webhooks.store import WebhookStore

path, sessions, first, last, prefix = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]

def deliver(event):
    if sessions:
        print(json.dumps(event.data["n"]), flush=True)
    return sessions

async def main():
    to = Receiver(deliver=deliver, store=WebhookStore(Database(Path(path))), rate_limit=0)
    to.replace([endpoint("demo", "hook", {"path": "/hook", "signature": "none"}, {}.get,
                         base_path="/webhooks", require_signature=False)])
    print("ready", flush=True)
    await trio.to_thread.run_sync(sys.stdin.readline)
    for number in range(first, last):
        headers = {"webhook-id": f"{prefix}{number}"}
        body = json.dumps({"n": number}).encode()
        while True:
            answer = await to.receive("POST", "/webhooks/hook", headers, body)
            if answer.status == 200:
                break
            assert answer.status in (409, 503), answer
            await trio.sleep(0.01)

trio.run(main)
"""

DRAINER = """
import json, sys
from pathlib import Path
import trio
from mcpgw.state.database import Database
from mcpgw.webhooks.receiver import Receiver
from mcpgw.webhooks.store import WebhookStore

path = sys.argv[1]

def take(event):
    print(json.dumps(event.data["n"]), flush=True)
    return True

async def main():
    to = Receiver(deliver=lambda event: 0, store=WebhookStore(Database(Path(path))))
    print("ready", flush=True)
    await trio.to_thread.run_sync(sys.stdin.readline)
    while await to.drain(take) or await to.store_waits():
        pass

Receiver.store_waits = lambda self: trio.to_thread.run_sync(lambda: bool(self.store.waiting()))
trio.run(main)
"""


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a process, and wait until it is ready; a line on its stdin lets it go."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "ready\n" == process.stdout.readline()
    return process


def finish(processes: list[subprocess.Popen[str]]) -> list[list[int]]:
    """Let processes go, wait for their ends and return the numbers that each printed."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    found = []
    for process in processes:
        output, errors = process.communicate(timeout=PATIENCE)
        assert (0, "") == (process.returncode, errors)
        found.append([json.loads(line) for line in output.split()])
    return found


def test_same_deliveries(tmp_path: Path) -> None:
    """A delivery that reaches two gateways notifies once."""
    path = tmp_path / "state.db"
    told = finish([start(RECEIVER, path, 1, 0, 100, "d") for _ in range(2)])
    assert list(range(100)) == sorted(told[0] + told[1])


def test_queue(tmp_path: Path) -> None:
    """Events that two gateways put into the queue at once all reach sessions of two others."""
    path = tmp_path / "state.db"
    finish([start(RECEIVER, path, 0, 100 * n, 100 * n + 100, f"{n}-") for n in range(2)])
    assert {"/webhooks/hook": 200} == WebhookStore(Database(path)).waiting()
    told = finish([start(DRAINER, path) for _ in range(2)])
    assert list(range(200)) == sorted(told[0] + told[1])
    assert {} == WebhookStore(Database(path)).waiting()


def test_killed(tmp_path: Path) -> None:
    """A gateway that is killed at any moment loses nothing that it had answered for.

    The sender tries again what had no answer; the one delivery that was at work then may have
    to wait until its claim has run out.
    """
    path = tmp_path / "state.db"
    chance = random.Random(5)
    for _ in range(5):
        process = start(RECEIVER, path, 0, 0, 10_000, "d")
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        before = sum(WebhookStore(Database(path)).waiting().values())
        end = time.monotonic() + PATIENCE
        while sum(WebhookStore(Database(path)).waiting().values()) < before + 5 + chance.randrange(
            5
        ):
            assert time.monotonic() < end
            assert process.poll() is None
        process.kill()
        process.communicate(timeout=PATIENCE)
        # A claim of the one that was killed would hold up the next for half a minute.
        WebhookStore(Database(path)).database.write(
            lambda c: c.execute("DELETE FROM webhook_deliveries WHERE done = 0")
        )
    store = WebhookStore(Database(path))
    numbers = [each.event.data["n"] for each in store.exchange("x", want=1000)]  # type: ignore[index]
    assert list(range(len(numbers))) == numbers
    assert 25 <= len(numbers)
