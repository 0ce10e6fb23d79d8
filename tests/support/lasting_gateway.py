"""A gateway by HTTP that outlives one test: started and ended without an event loop."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs

from tests.support.patience import PATIENCE
from tests.support.processes import WITHOUT_CAPABILITIES

from .fakes import yaml_config
from .processes import MARK, alive, kill_all_with, processes_with

_LISTENING = re.compile(r"http\.listening.*url=http://[^/]*:(\d+)/mcp")


@attrs.define(eq=False)
class LastingGateway:
    """A running gateway: where it listens, and what it has written to stderr."""

    process: subprocess.Popen[bytes]
    folder: Path
    mark: str
    port: int = 0

    @property
    def pid(self) -> int:
        """The process."""
        return self.process.pid

    @property
    def log(self) -> str:
        """Its stderr so far."""
        return (self.folder / "stderr").read_text(errors="replace")

    @property
    def is_alive(self) -> bool:
        """True while it runs."""
        return alive(self.pid)

    def rss(self) -> int:
        """Return its resident memory in bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cpu(self) -> float:
        """Return the seconds of processor time that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def lasting_gateway(
    backends: Mapping[str, object],
    *,
    folder: Path,
    env: Mapping[str, str] | None = None,
    **sections: object,
) -> Iterator[LastingGateway]:
    """Run a gateway on a free port; it has to end with status 0, leave no process, and log no
    traceback."""
    mark = f"lasting-{os.getpid()}-{os.urandom(6).hex()}"
    path = folder / "gateway.yaml"
    path.write_text(yaml_config(backends, mark=mark, **sections))  # type: ignore[arg-type]
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MCP_GATEWAY_")}
    home = {"MCP_GATEWAY_HOME": str(folder / "home"), MARK: mark}
    environ = {**inherited, **WITHOUT_CAPABILITIES, **home, **(env or {})}
    words = [sys.executable, "-m", "mcpgw", "serve", "--mode", "http", "--port", "0"]
    with (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(
            [*words, "-c", str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd=folder,
            env=environ,
        )
    gateway = LastingGateway(process, folder, mark)
    try:
        _wait_until_it_listens(gateway)
        yield gateway
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(PATIENCE), gateway.log[-3000:]
        deadline = time.monotonic() + PATIENCE
        while processes_with(mark) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert [] == processes_with(mark)
        assert "Traceback" not in gateway.log, gateway.log[-3000:]
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        kill_all_with(mark)


def _wait_until_it_listens(gateway: LastingGateway) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and gateway.process.poll() is None:
        if found := _LISTENING.search(gateway.log):
            gateway.port = int(found[1])
            return
        time.sleep(0.02)
    raise AssertionError(f"it does not listen:\n{gateway.log}")
