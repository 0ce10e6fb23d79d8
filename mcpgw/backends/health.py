"""Health checks: pings to a server that is ready."""

from __future__ import annotations

from typing import Final

import trio

from mcpgw.backends.connection import Connection
from mcpgw.config.failsafe import HealthCheckConfig
from mcpgw.protocol.errors import ConnectionLost, RpcError

MISSED: Final = 2
"""Pings in a row without an answer after which a server is considered dead."""


async def probe(connection: Connection, settings: HealthCheckConfig) -> str:
    """Ping a server at intervals; return the reason when it is considered dead.

    A server with a call in flight is not pinged: it may be too busy to answer.
    """
    missed = 0
    while missed < MISSED:
        await trio.sleep(settings.timeout if missed else settings.interval)
        if connection.peer.pending:
            continue
        with trio.move_on_after(settings.timeout) as waiting:
            try:
                await connection.request("ping")
            except RpcError:
                pass  # an error is an answer, too
            except ConnectionLost:
                await trio.sleep_forever()  # the instance handles the end and cancels this
        missed = missed + 1 if waiting.cancelled_caught else 0
    return f"it did not answer {MISSED} pings within {settings.timeout:g} s each"
