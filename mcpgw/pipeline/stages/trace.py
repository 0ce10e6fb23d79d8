"""Give the call an id that stands in its answer and in the log."""

from __future__ import annotations

from mcpgw.pipeline.call import Call, Proceed, new_trace_id
from mcpgw.protocol.peer import Params


async def trace(call: Call, proceed: Proceed) -> Params:
    """Mint the trace id; carry it to the backend, and put it into the answer.

    It stands in `_meta` both ways, and in the answer also at the top.
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
