"""The nursery tree: what runs in a gateway, and who waits for whom.

serve_stdio
├── stdio channel       writes what is queued
├── signals             SIGTERM, SIGINT and SIGHUP end the session
├── front: stdio        the session; a task for each request in flight
└── core                begins after the first answer (mcpgw.core)
    ├── backends        a supervised task for each backend
    │   └── NAME        process, reader, writer, stderr, lists, health, idle stop
    ├── watcher         gateway.yaml and its env files
    ├── announcer       tells the client once of many changes
    └── warm start      what `meta_mcp.warm_start` names
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import trio

from mcpgw.front.session import END_GRACE, Session
from mcpgw.observe.log import get_logger
from mcpgw.transports.stdio import take_stdio

log = get_logger("mcpgw.gateway")

SIGNAL_GRACE: Final = 1.0
"""Seconds that calls in flight have after SIGTERM, SIGINT or SIGHUP."""
MESSAGE_LIMIT: Final = 10 * 1024 * 1024
"""Largest message, in bytes, until the configuration is loaded (`server.max_body_size`)."""


async def serve_stdio(config_path: Path | None, environ: Mapping[str, str]) -> int:
    """Serve one client over the process's stdin and stdout until its end of input.

    Args:
      config_path: gateway.yaml; None to look in the usual places. Where it is missing the
        defaults are used, and it is loaded when it appears.
      environ: the environment of the process.

    Returns:
      The exit status: 0, or 1 where the configuration could not be loaded.
    """
    channel = take_stdio(limit=MESSAGE_LIMIT)
    session = Session(channel, end_grace=END_GRACE)
    problem = ""

    async def core() -> None:
        nonlocal problem
        # Its imports take longer than all else; the first answer goes out before them.
        await session.greeted.wait()
        from mcpgw.core import Gateway

        gateway = Gateway(config_path, environ, must_exist=False, sessions=[session])
        try:
            await gateway.run()
        finally:
            problem = gateway.problem

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.run)
            nursery.start_soon(_end_on_signal, session)
            nursery.start_soon(core)
            await session.run()
            with trio.move_on_after(SIGNAL_GRACE):
                await channel.flush()
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await channel.aclose()
    return 1 if problem else 0


async def _end_on_signal(session: Session) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as received:
        async for number in received:
            log.info("gateway.ending", signal=signal.Signals(number).name)
            session.peer.finish(SIGNAL_GRACE)
