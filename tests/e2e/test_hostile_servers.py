"""A server's nonsense, on any transport and in any era, ends nothing but itself."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running import NO_RATE_LIMIT, running, servers, text
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

SERVER = Path(__file__).parents[1] / "support" / "hostile_server.py"
CALLS = 25


@contextmanager
def listening(transport: str, seed: int, *era: str) -> Iterator[str]:
    """Run the server over the network; give its address."""
    command = [sys.executable, str(SERVER), transport, "0", str(seed), *era]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            yield f"127.0.0.1:{int(process.stdout.readline())}/mcp"
        finally:
            process.kill()


async def nothing(_params: Any) -> dict[str, Any]:
    return {}


@pytest.mark.parametrize("era", [[], ["modern"]], ids=["handshake", "stateless"])
@pytest.mark.parametrize("seed", range(4))
async def test_every_call_is_answered(seed: int, era: list[str]) -> None:
    """Neither the gateway nor a connection ends, and no handler fails."""
    command = [sys.executable, str(SERVER), "stdio", str(seed), *era]
    with listening("http", seed, *era) as web, listening("ws", seed, *era) as socket:
        backends = {
            "pipe": {"command": command},
            "web": {"http_url": f"http://{web}"},
            "socket": {"ws_url": f"ws://{socket}"},
        }
        capabilities = {"elicitation": {}, "sampling": {}, "roots": {}}
        async with running(
            backends,
            capabilities=capabilities,
            failsafe=NO_RATE_LIMIT,
            tidy=False,
        ) as gateway:
            for method in ("elicitation/create", "sampling/createMessage", "roots/list"):
                gateway.on_request[method] = nothing
            for _ in range(CALLS):
                for name in backends:
                    result = await gateway.invoke(name, "echo", {}, timeout=PATIENCE)
                    assert "fine" == text(result), gateway.describe()
            states = await servers(gateway)
            assert dict.fromkeys(backends, "ready") == {
                name: states[name]["state"] for name in backends
            }
            log = gateway.stderr
    assert [] == re.findall(r"^.*(?:Traceback|crashed|backend\.failed).*$", log, re.MULTILINE)
