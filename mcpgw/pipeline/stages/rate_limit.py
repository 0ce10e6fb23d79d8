"""Keep to the rate that a backend allows: `failsafe.rate_limit`."""

from __future__ import annotations

from mcpgw.backends.rate_limit import RateLimited
from mcpgw.pipeline.call import Call, CallFailed, Proceed, Recovery
from mcpgw.protocol.peer import Params


async def rate_limit(call: Call, proceed: Proceed) -> Params:
    """Wait for a token; refuse at once where the wait is longer than the call may take."""
    bucket = call.backend.bucket
    assert bucket is not None
    try:
        await bucket.take()
    except RateLimited as error:
        raise CallFailed(
            Recovery.RATE_LIMITED,
            f"Server '{call.server}' has its limit of calls for now"
            f" (failsafe.rate_limit); a place is free in {error.retry_after:.1f} s.",
            "Call again then.",
        ) from error
    return await proceed(call)
