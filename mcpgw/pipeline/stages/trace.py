"""Assign a trace id to the call, for its result and the log."""

from __future__ import annotations

from mcpgw.pipeline.call import Call, Proceed, new_trace_id
from mcpgw.protocol.peer import Params


async def trace(call: Call, proceed: Proceed) -> Params:
    """Generate a trace id and add it to the request and the result.

    It is in `_meta` of both, and also at the top level of the result.
    """
    call.trace_id = trace_id = new_trace_id()
    call.params.setdefault("_meta", {})["gateway/trace_id"] = trace_id
    result = await proceed(call)
    meta = result.get("_meta")
    result["_meta"] = (
        {**meta, "gateway/trace_id": trace_id} if meta else {"gateway/trace_id": trace_id}
    )
    result["trace_id"] = trace_id
    return result
