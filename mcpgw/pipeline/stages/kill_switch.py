"""Refuse calls to a server that an operator has disabled."""

from __future__ import annotations

from mcpgw.pipeline.call import Call, CallFailed, Proceed, Recovery
from mcpgw.protocol.peer import Params


async def kill_switch(call: Call, proceed: Proceed) -> Params:
    """Refuse the call if its server is killed; otherwise proceed."""
    if call.backend.killed:
        raise CallFailed(
            Recovery.SERVER_DISABLED,
            f"Server '{call.server}' is currently disabled by operator kill switch.",
            "gateway_revive_server enables it again.",
        )
    return await proceed(call)
