"""Count the call once it has ended."""

from __future__ import annotations

import attrs
import trio

from mcpgw.observe.log import get_logger
from mcpgw.observe.stats import Stats
from mcpgw.pipeline.call import Call, CallFailed, Proceed
from mcpgw.protocol.errors import RpcError
from mcpgw.protocol.peer import Params

log = get_logger("mcpgw.call")


@attrs.frozen
class Remember:
    """The stage that keeps counters. Calls cancelled by the client are not counted."""

    stats: Stats

    async def __call__(self, call: Call, proceed: Proceed) -> Params:
        """Count the call and how it ended."""
        began = trio.current_time()
        try:
            result = await proceed(call)
        except (CallFailed, RpcError) as error:
            seconds = trio.current_time() - began
            self.stats.record(call.server, call.name, seconds=seconds, failed=True)
            log.info(
                "call.failed",
                server=call.server,
                tool=call.name,
                trace_id=call.trace_id,
                reason=str(error),
            )
            raise
        self.stats.record(
            call.server,
            call.name,
            seconds=trio.current_time() - began,
            failed=result.get("isError") is True,
        )
        return result
