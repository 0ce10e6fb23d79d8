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

    A server with a call in flight is not pinged, since it may be too busy to answer, until a call
    has timed out during which it sent nothing at all. Any message proves that it is alive.
    """
    peer = connection.peer
    missed = 0
    while missed < MISSED:
        with trio.move_on_after(settings.interval if not missed else 0):
            await connection.doubted.wait()
        doubted = connection.doubted.is_set()
        if peer.pending and not doubted and not missed:
            continue
        received = peer.received
        with trio.move_on_after(settings.timeout):
            try:
                await connection.request("ping")
            except RpcError:
                pass  # an error is an answer, too
            except ConnectionLost:
                await trio.sleep_forever()  # the instance handles the end and cancels this
        if peer.received == received:
            missed += 1
        else:
            missed = 0
            if doubted:
                connection.doubted = trio.Event()
    return f"it did not answer {MISSED} pings within {settings.timeout:g} s each"
