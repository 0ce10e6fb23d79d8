"""Enforce the timeout of a call, including time in queues: `backends.<name>.timeout`."""

from __future__ import annotations

from typing import Final

import trio

from mcpgw.pipeline.call import Call, CallFailed, Proceed, Recovery
from mcpgw.protocol.peer import Params
from mcpgw.text.sentences import sentence

CEILING: Final = 20
"""Greatest multiple of its `timeout` that a tool may take if it reports progress (MCP 2025-11-25,
lifecycle, timeouts: progress may reset the clock, up to an absolute maximum)."""


async def deadline(call: Call, proceed: Proceed) -> Params:
    """Fail the call when it times out; the error has the state of the server.

    A cancellation by the client passes through: it belongs to the scope of the client's request.
    """
    timeout = call.timeout
    # A call that moves to the successor of its server keeps its clock.
    earlier: trio.CancelScope | None = call.deadline
    end = trio.current_time() + timeout if earlier is None else earlier.deadline
    call.deadline = trio.CancelScope(deadline=end)
    with call.deadline:
        return await proceed(call)
    if call.sent:
        noise = ""
        if call.connection is not None:
            call.connection.doubt(call.received)
            noise = call.connection.peer.noise.described(since=call.noise)
        raise CallFailed(
            Recovery.BACKEND_TIMEOUT,
            f"Server '{call.server}' did not answer '{call.name}' within {timeout:g} s;"
            f" the call was cancelled.{f' Meanwhile {noise}.' if noise else ''}",
            "The server may have answered with something that is not a message."
            if noise
            else f"Raise backends.{call.server}.timeout if it needs longer.",
            happened=not call.repeatable,
        )
    raise CallFailed(
        Recovery.BACKEND_TIMEOUT,
        f"'{call.name}' timed out after {timeout:g} s before being sent."
        f" {sentence(call.instance.situation())}",
        "gateway_list_servers shows its state.",
    )
