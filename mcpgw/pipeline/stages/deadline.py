"""Give the call its time: `backends.<name>.timeout`, waiting in line included."""

from __future__ import annotations

from typing import Final

import trio

from mcpgw.pipeline.call import Call, CallAbandoned, CallFailed, Proceed, Recovery
from mcpgw.protocol.peer import Params

CEILING: Final = 20
"""A tool that reports progress may take this many times its `timeout` (MCP 2025-11-25,
lifecycle, timeouts: progress may reset the clock, under an absolute maximum)."""


async def deadline(call: Call, proceed: Proceed) -> Params:
    """Fail the call when its time is up, saying what it waited for; end it when the client
    cancels it."""
    timeout = call.patience or call.backend.config.timeout
    call.deadline = scope = trio.CancelScope(deadline=trio.current_time() + timeout)
    client_request = call.client_request
    outer = None
    if client_request is not None:
        # One scope for both: a scope more would be a tenth of what a call costs.
        outer, client_request.cancel_scope = client_request.cancel_scope, scope
        if client_request.cancelled:
            scope.cancel()
    try:
        with scope:
            return await proceed(call)
    finally:
        if outer is not None and client_request is not None:
            client_request.cancel_scope = outer
    if client_request is not None and client_request.cancelled:
        raise CallAbandoned
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
