"""A running gateway for the tests here: opened with marked backends, and looked over at the end."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from tests.support.driver import (
    MARK,
    Gateway,
    Message,
    open_gateway,
    processes_with,
    yaml_config,
)
from tests.support.patience import PATIENCE

Backends = Mapping[str, Mapping[str, Any] | list[str]]
NO_RATE_LIMIT = {"rate_limit": {"enabled": False}}


def new_mark() -> str:
    """Return a mark for the processes of one gateway."""
    return f"e2e-{os.getpid()}-{os.urandom(6).hex()}"


@asynccontextmanager
async def running(
    backends: Backends,
    *,
    folder: Path | None = None,
    args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    command: Sequence[str] | None = None,
    capabilities: Message | None = None,
    initialize: bool = True,
    tidy: bool = True,
    **sections: Any,
) -> AsyncIterator[Gateway]:
    """Run a gateway with these backends; the other keywords are sections of gateway.yaml.

    At the exit it has to end by itself with status 0 and leave no process; with `tidy` its
    stdout must have held nothing but messages, each answer once.
    """
    mark = new_mark()
    async with open_gateway(
        yaml_config(backends, mark=mark, **sections),
        args=args,
        env={MARK: mark, **(env or {})},
        cwd=folder,
        command=command,
        grace=15,
    ) as gateway:
        if initialize:
            await gateway.initialize(capabilities, timeout=PATIENCE)
        yield gateway
        if gateway.process.returncode is None:
            assert 0 == await gateway.end(timeout=PATIENCE), gateway.describe()
        await nobody_left(gateway)
        assert [] == gateway.duplicates
        if tidy:
            assert ([], []) == (gateway.garbage, gateway.strays)


async def nobody_left(gateway: Gateway, *, timeout: float = PATIENCE) -> None:
    """Fail unless every process of the gateway's tree is gone soon."""
    with trio.move_on_after(timeout):
        while processes_with(gateway.mark):  # noqa: ASYNC110 - the kernel tells nobody
            await trio.sleep(0.02)
    left = {pid: _command_line(pid) for pid in processes_with(gateway.mark)}
    assert {} == left, gateway.describe()


async def until(
    condition: Callable[[], bool], *, what: str = "the condition", timeout: float = PATIENCE
) -> None:
    """Wait until a condition that another process brings about holds."""
    with trio.move_on_after(timeout):
        while not condition():  # noqa: ASYNC110 - nobody tells us
            await trio.sleep(0.02)
        return
    raise TimeoutError(f"after {timeout:g} s: not yet {what}")


def payload(result: Message) -> Any:
    """Return what a meta-tool answered: JSON in its first text."""
    return json.loads(result["content"][0]["text"])


def text(result: Message) -> str:
    """Return the first text of a tool's result."""
    found: str = result["content"][0]["text"]
    return found


async def servers(gateway: Gateway) -> dict[str, Message]:
    """Return the entries of gateway_list_servers by name."""
    listed = payload(await gateway.call("gateway_list_servers", timeout=PATIENCE))
    return {entry["name"]: entry for entry in listed["servers"]}


async def found(gateway: Gateway, query: str) -> list[tuple[str, str]]:
    """Return server and tool of each hit of a search, best first."""
    result = await gateway.call("gateway_search_tools", {"query": query}, timeout=PATIENCE)
    return [(match["server"], match["tool"]) for match in payload(result)["matches"]]


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return "gone"
