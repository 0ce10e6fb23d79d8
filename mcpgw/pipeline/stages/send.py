"""Send the request to the backend, and pass its progress to the client."""

from __future__ import annotations

import trio

from mcpgw.backends.connection import Connection
from mcpgw.config.schema import BuiltinConfig
from mcpgw.pipeline.call import Call
from mcpgw.pipeline.stages.deadline import CEILING
from mcpgw.protocol.peer import Params


async def send(call: Call) -> Params:
    """Send the request as soon as the backend is ready, and return its result.

    Raises:
      Unavailable: the backend cannot be reached.
      ConnectionLost: the connection or the request was lost.
      RpcError: the backend answered with a JSON-RPC error.
    """
    instance = call.instance
    connection = instance.connection or await instance.connected()
    call.sent = True
    call.connection = connection
    call.incarnation = instance.incarnation
    call.sent_at = trio.current_time()
    call.received = connection.peer.received
    call.noise = connection.peer.noise.lines
    instance.calls += 1
    try:
        result = await _ask(call, connection)
        instance.restarts.answers += 1
        return result
    finally:
        instance.calls -= 1
        instance.last_used = trio.current_time()


async def _ask(call: Call, connection: Connection) -> Params:
    if not isinstance(call.backend.config, BuiltinConfig):
        return await _request(call, connection)
    # The built-in server bounds its waits by the deadline, and has a response cache of its own.
    left = call.deadline.deadline - trio.current_time()
    meta = {**(call.params.get("_meta") or {}), "mcpgw/seconds_left": round(left, 3)}
    call.params = {**call.params, "_meta": meta}
    result = await _request(call, connection)
    call.cached = "gateway/cached_for_s" in (result.get("_meta") or {})
    return result


async def _request(call: Call, connection: Connection) -> Params:
    client_request = call.client_request
    wanted = client_request is not None and client_request.progress_token is not None
    if call.transparent and not wanted:
        return await connection.request(call.method, call.params, context=call)

    # Progress is requested even if the client does not want it: a server that reports some has
    # more time (MCP 2025-11-25, lifecycle, timeouts).
    latest = call.sent_at + call.timeout * CEILING

    def progressed(params: Params) -> None:
        if not call.open_questions:
            call.deadline.deadline = min(latest, trio.current_time() + call.timeout)
        if client_request is not None:
            client_request.send_progress(params)

    return await connection.request(call.method, call.params, on_progress=progressed, context=call)
