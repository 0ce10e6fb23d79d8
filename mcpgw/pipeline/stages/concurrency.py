"""Keep to the number of calls that a backend may have in flight: `failsafe.concurrency`."""

from __future__ import annotations

from mcpgw.pipeline.call import Call, Proceed
from mcpgw.protocol.peer import Params


async def concurrency(call: Call, proceed: Proceed) -> Params:
    """Wait for a place in order of arrival, and give it back."""
    limit = call.backend.concurrency
    assert limit is not None
    await limit.acquire()
    try:
        return await proceed(call)
    finally:
        limit.release()
