"""Limit the calls in flight of a backend: `failsafe.concurrency`."""

from __future__ import annotations

from mcpgw.pipeline.call import Call, Proceed
from mcpgw.protocol.peer import Params


async def concurrency(call: Call, proceed: Proceed) -> Params:
    """Acquire a slot in order of arrival, and release it afterwards."""
    limit = call.backend.concurrency
    assert limit is not None
    await limit.acquire()
    try:
        return await proceed(call)
    finally:
        limit.release()
