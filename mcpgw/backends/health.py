"""Whether a server that is ready still answers."""

from __future__ import annotations

from typing import Final

import trio

from mcpgw.backends.connection import Connection
from mcpgw.config.failsafe import HealthCheckConfig
from mcpgw.protocol.errors import ConnectionLost, RpcError

MISSED: Final = 2
"""Pings in a row without an answer after which a server is taken for dead."""


async def probe(connection: Connection, settings: HealthCheckConfig) -> str:
    """Ping while nothing else proves that the server lives; return why it is taken for dead.

    A server that works on a call is left alone: it may have no time for a ping.
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
                pass  # an answer, if an odd one
            except ConnectionLost:
                await trio.sleep_forever()  # the end is the supervisor's matter
        missed = missed + 1 if waiting.cancelled_caught else 0
    return f"it did not answer {MISSED} pings within {settings.timeout:g} s each"
