"""Start a real gateway process and drive it as a person's AI client would.

This module has all that most tests need; the parts are in the modules beside it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import trio

from tests.support.patience import PATIENCE

from .client import Gateway, Message, Pending, RpcError
from .fakes import (
    echo_command,
    example_command,
    fake,
    logged,
    logged_cancelled,
    logged_methods,
    pids_in,
    yaml_config,
)
from .processes import (
    MARK,
    WITHOUT_CAPABILITIES,
    alive,
    kill_all_with,
    open_descriptors,
    processes_with,
)

__all__ = [
    "MARK",
    "Gateway",
    "Message",
    "Pending",
    "RpcError",
    "alive",
    "echo_command",
    "example_command",
    "fake",
    "logged",
    "logged_cancelled",
    "logged_methods",
    "open_descriptors",
    "open_gateway",
    "pids_in",
    "processes_with",
    "yaml_config",
]


@asynccontextmanager
async def open_gateway(
    config_text: str | None = None,
    *,
    args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    command: Sequence[str] | None = None,
    grace: float = 3.0,
) -> AsyncIterator[Gateway]:
    """Start a gateway and give the client's end of it; nothing is left at the exit.

    `config_text` becomes `gateway.yaml` in `cwd` (a fresh folder when None), given with `-c`.
    `args` follow the command. `env` adds to the environment; a mark in it is kept, else a new
    one is made. `command` starts another program in place of the gateway. After `grace`
    seconds from the end of stdin it is killed, and so is every process that carries its mark:
    give two gateways that live at the same time two marks.
    """
    with ExitStack() as stack:
        folder = cwd or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        words = list(command or (sys.executable, "-m", "mcpgw", "serve", "--mode", "stdio"))
        if config_text is not None:
            path = folder / "gateway.yaml"
            path.write_text(config_text)
            words += ["-c", str(path)]
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("MCP_GATEWAY_")}
        mark = f"{os.getpid()}-{os.urandom(6).hex()}"
        own = {"MCP_GATEWAY_HOME": str(folder / "home"), MARK: mark}
        environment = {**inherited, **WITHOUT_CAPABILITIES, **own, **(env or {})}
        process = await trio.lowlevel.open_process(
            [*words, *args], stdin=-1, stdout=-1, stderr=-1, cwd=folder, env=environment
        )
        gateway = Gateway(process, environment[MARK], folder)
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(gateway.write_all)
            nursery.start_soon(gateway.read_errors)
            nursery.start_soon(gateway.read_all, nursery)
            try:
                yield gateway
            except Exception as error:  # noqa: BLE001 - raised again, outside of the nursery's group
                failure = error
            finally:
                with trio.CancelScope(shield=True):
                    await _stop(gateway, grace)
                nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure


async def _stop(gateway: Gateway, grace: float) -> None:
    """End the process politely, then not; then whatever carries its mark."""
    with suppress(TimeoutError):
        await gateway.end(timeout=grace)
    if gateway.process.returncode is None:
        gateway.process.kill()
        await gateway.process.wait()
    with trio.move_on_after(PATIENCE):
        # Killed processes that are not our children cannot be waited for, only looked for.
        while kill_all_with(gateway.mark):  # noqa: ASYNC110
            await trio.sleep(0.005)
