"""Gateway without a client, for commands that use the configured servers directly."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click
import trio

from mcpgw.cli.app import settle
from mcpgw.cli.exit_codes import FAILED, INTERRUPTED
from mcpgw.cli.output import say_lines
from mcpgw.meta.context import GatewayContext, ToolRequest
from mcpgw.pipeline.session_state import SessionState

LEARNING: Final = 60.0
"""Seconds that a command waits for servers whose tools are not yet known."""


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
                say_lines(f"Error: {stop.message}", err=True)
                return stop.status
            finally:
                nursery.cancel_scope.cancel()
        raise AssertionError("unreachable")

    status: int = FAILED
    broken_pipe: BrokenPipeError | None = None
    try:
        status = trio.run(main)
    except* KeyboardInterrupt:
        status = INTERRUPTED
    except* BrokenPipeError as group:
        broken_pipe = next(
            error for error in group.exceptions if isinstance(error, BrokenPipeError)
        )
    if broken_pipe is not None:
        raise broken_pipe  # not in a group, so that click handles it; caused by `| head`
    return status


class Stop(Exception):
    """Ends the command with an error message and an exit status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def ask(context: GatewayContext, arguments: Mapping[str, Any]) -> ToolRequest:
    """Return a request to a meta-tool from the command line."""
    return ToolRequest(context, SessionState(id="command-line"), dict(arguments))
