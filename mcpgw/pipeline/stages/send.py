"""Send the request to the backend, and pass its progress to the client."""

from __future__ import annotations

import trio

from mcpgw.backends.connection import Connection
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
    call.sent, call.sent_at = True, trio.current_time()
    call.connection = connection
    instance.deadlines.add(call.deadline)
    try:
        return await _ask(call, connection)
    finally:
        instance.deadlines.discard(call.deadline)
        instance.last_used = trio.current_time()


async def _ask(call: Call, connection: Connection) -> Params:
    client_request = call.client_request
    if client_request is None or client_request.progress_token is None:
        return await connection.request(call.method, call.params, context=call)

    timeout = call.backend.config.timeout
    latest = trio.current_time() + timeout * CEILING

    def progressed(params: Params) -> None:
        call.deadline.deadline = min(latest, trio.current_time() + timeout)
        client_request.send_progress(params)

    return await connection.request(call.method, call.params, on_progress=progressed, context=call)
