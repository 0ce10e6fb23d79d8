"""Give the call its time: `backends.<name>.timeout`, waiting in line included."""

from __future__ import annotations

from typing import Final

import trio

from mcpgw.pipeline.call import Call, CallFailed, Proceed, Recovery
from mcpgw.protocol.peer import Params

CEILING: Final = 20
"""A tool that reports progress may take this many times its `timeout` (MCP 2025-11-25,
lifecycle, timeouts: progress may reset the clock, under an absolute maximum)."""


async def deadline(call: Call, proceed: Proceed) -> Params:
    """Fail the call when its time is up; the error reports what it waited for.

    A client's cancellation passes through: it belongs to the scope of the client's request.
    """
    timeout = call.patience or call.backend.config.timeout
    call.deadline = trio.CancelScope(deadline=trio.current_time() + timeout)
    with call.deadline:
        return await proceed(call)
    if call.sent:
        raise CallFailed(
            Recovery.BACKEND_TIMEOUT,
            f"Server '{call.server}' did not answer '{call.name}' within {timeout:g} s;"
            " the call was cancelled.",
            f"Raise backends.{call.server}.timeout if it needs longer.",
            happened=not call.repeatable,
        )
    raise CallFailed(
        Recovery.BACKEND_TIMEOUT,
        f"'{call.name}' waited {timeout:g} s and was not sent. {call.instance.situation()}.",
        "gateway_list_servers shows its state.",
    )
