"""Gateway without a client, for commands that use the configured servers directly."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import trio

from mcpgw.cli.app import settle
from mcpgw.cli.exit_codes import FAILED, INTERRUPTED, USAGE
from mcpgw.cli.output import say_lines
from mcpgw.cli.standard_streams import leaves
from mcpgw.meta.context import GatewayContext, ToolRequest
from mcpgw.pipeline.session_state import SessionState
from mcpgw.protocol.errors import INVALID_PARAMS, RpcError
from mcpgw.text.sentences import without_meta_tools

LEARNING: Final = 60.0
"""Seconds that a command waits for servers whose tools are not yet known."""
NOTICE: Final = 5.0
"""Seconds after which a command tells which servers it is waiting for."""
_COMMANDS: Final = {
    "gateway_list_tools": "`mcp-gateway tool list`",
    "gateway_search_tools": "`mcp-gateway search`",
}
"""The commands that a person uses in place of meta-tools."""

Function = TypeVar("Function", bound=Callable[..., Any])


def timeout_option(function: Function) -> Function:
    """Add the option for the time to wait for servers."""
    return click.option(
        "--timeout",
        type=click.FloatRange(min=0),
        default=None,
        metavar="SECONDS",
        help=f"Time to wait for servers whose tools are not yet known ({LEARNING:g}).",
    )(function)


def at_terminal(text: str) -> str:
    """Return a message of the gateway as a person at a terminal needs it."""
    return without_meta_tools(text, _COMMANDS)


def with_context(
    ctx: click.Context,
    options: Mapping[str, Any],
    run: Callable[[GatewayContext], Awaitable[int]],
) -> int:
    """Run a gateway without a client until `run` returns; return its exit status."""
    path = settle(ctx, **options, level="warning")

    async def main() -> int:
        from mcpgw.gateway.gateway import Gateway

        gateway = Gateway(Path(path).expanduser() if path else None, dict(os.environ))
        async with trio.open_nursery() as nursery:
            await nursery.start(gateway.run)
            try:
                if gateway.problem:
                    say_lines(f"Error: {gateway.problem}", err=True)
                    return FAILED
                return await run(gateway.context)
            except Stop as stop:
                say_lines(f"Error: {at_terminal(stop.message)}", err=True)
                return stop.status
            except RpcError as error:
                say_lines(f"Error: {at_terminal(error.message)}", err=True)
                return USAGE if error.code == INVALID_PARAMS else FAILED
            finally:
                nursery.cancel_scope.cancel()
        raise AssertionError("unreachable")

    status: int = FAILED
    unwritten: OSError | None = None
    try:
        status = trio.run(main)
    except* KeyboardInterrupt:
        status = INTERRUPTED
    except* OSError as group:
        unwritten = next(each for each in leaves(group) if isinstance(each, OSError))
    if unwritten is not None:
        raise unwritten  # not in a group: stdout is full, or closed as by `| head`
    return status


class Stop(Exception):
    """Ends the command with an error message and an exit status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


async def learn(
    context: GatewayContext,
    timeout: float | None,
    *,
    only: str | None = None,
    enough: float | None = None,
    waiting: Callable[[list[str]], None] | None = None,
) -> None:
    """Start servers whose tools are not yet known, and wait for them.

    Args:
      context: the gateway.
      timeout: the longest wait, in seconds; None for the default.
      only: the one server to learn about; all if None.
      enough: seconds after which the tools of some servers are enough, if no timeout was given.
      waiting: called once, after a few seconds, with the servers that have not answered.
    """
    done = trio.Event()

    def missing() -> list[str]:
        servers = [each for each in context.pool if only in (None, each.name)]
        return [each.name for each in servers if not each.known and each.failure is None]

    def some_known() -> bool:
        return any(each.known for each in context.pool if each.config.transport != "builtin")

    async def run() -> None:
        patience = LEARNING if timeout is None else timeout
        await context.pool.learn(patience=patience, only=only, thorough=True)
        done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        with trio.move_on_after(NOTICE):
            await done.wait()
        if not done.is_set():
            if waiting is not None and (names := missing()):
                waiting(names)
            if enough is not None and timeout is None:
                with trio.move_on_after(max(0.0, enough - NOTICE)):
                    await done.wait()
                while not done.is_set() and not some_known():
                    with trio.move_on_after(1.0):
                        await done.wait()
            else:
                await done.wait()
        nursery.cancel_scope.cancel()


def ask(context: GatewayContext, arguments: Mapping[str, Any]) -> ToolRequest:
    """Return a request to a meta-tool from the command line."""
    return ToolRequest(context, SessionState(id="command-line"), dict(arguments))
