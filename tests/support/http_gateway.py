"""A gateway that serves by HTTP, as a process of its own."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio

from tests.support.patience import PATIENCE
from tests.support.processes import WITHOUT_CAPABILITIES

from .fakes import yaml_config
from .processes import MARK, kill_all_with, processes_with


@attrs.define(eq=False)
class HttpGateway:
    """A running gateway: where it listens, and what it has written to stderr."""

    process: trio.Process
    folder: Path
    mark: str
    port: int = 0
    stderr: bytearray = attrs.field(factory=bytearray)
    _heard: trio.Event = attrs.field(factory=trio.Event)

    @property
    def base(self) -> str:
        """The address without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """Its stderr so far."""
        return self.stderr.decode(errors="replace")

    async def read_errors(self) -> None:
        """Keep what comes on stderr, and find the port in it; a task."""
        assert self.process.stderr is not None
        async for chunk in self.process.stderr:
            self.stderr += chunk
            if not self.port and b"http.listening" in self.stderr:
                line = next(li for li in self.log.splitlines() if "http.listening" in li)
                self.port = int(line.split("url=")[1].split("/mcp")[0].rpartition(":")[2])
                self._heard.set()
        self._heard.set()

    async def listening(self) -> None:
        """Wait until it listens."""
        with trio.move_on_after(PATIENCE):
            await self._heard.wait()
        assert self.port, f"it does not listen:\n{self.log}"

    async def end(self) -> int:
        """Ask it to end, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        with trio.move_on_after(PATIENCE):
            return await self.process.wait()
        raise AssertionError(f"it does not end:\n{self.log[-3000:]}")


@asynccontextmanager
async def http_gateway(
    backends: Mapping[str, object],
    *,
    args: Sequence[str] = ("serve", "--mode", "http", "--port", "0"),
    folder: Path,
    env: Mapping[str, str] | None = None,
    config: bool = True,
    **sections: object,
) -> AsyncIterator[HttpGateway]:
    """Run a gateway on a free port; it has to end with status 0 and leave no process."""
    mark = f"http-{os.getpid()}-{os.urandom(6).hex()}"
    words = [sys.executable, "-m", "mcpgw", *args]
    if config:
        path = folder / "gateway.yaml"
        path.write_text(yaml_config(backends, mark=mark, **sections))  # type: ignore[arg-type]
        words += ["-c", str(path)]
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MCP_GATEWAY_")}
    home = {"MCP_GATEWAY_HOME": str(folder / "home"), MARK: mark}
    environ = {**inherited, **WITHOUT_CAPABILITIES, **home, **(env or {})}
    process = await trio.lowlevel.open_process(
        words, stdin=-3, stdout=-3, stderr=-1, cwd=folder, env=environ
    )
    gateway = HttpGateway(process, folder, mark)
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gateway.read_errors)
        try:
            await gateway.listening()
            yield gateway
            if process.returncode is None:
                assert 0 == await gateway.end(), gateway.log
            with trio.move_on_after(PATIENCE):
                while processes_with(mark):  # noqa: ASYNC110 - the kernel tells nobody
                    await trio.sleep(0.02)
            assert [] == processes_with(mark)
            assert "Traceback" not in gateway.log, gateway.log
        except Exception as error:  # noqa: BLE001 - raised again, outside of the nursery's group
            failure = error
        finally:
            with trio.CancelScope(shield=True):
                if process.returncode is None:
                    process.kill()
                await process.wait()
                kill_all_with(mark)
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
