"""Limit the rate of calls to a backend: `failsafe.rate_limit`."""

from __future__ import annotations

from mcpgw.backends.rate_limit import RateLimited
from mcpgw.pipeline.call import Call, CallFailed, Proceed, Recovery
from mcpgw.protocol.peer import Params


async def rate_limit(call: Call, proceed: Proceed) -> Params:
    """Take a token; refuse at once if the wait would exceed the call's timeout."""
    bucket = call.backend.bucket
    assert bucket is not None
    try:
        await bucket.take()
    except RateLimited as error:
        raise CallFailed(
            Recovery.RATE_LIMITED,
            f"Rate limit reached for server '{call.server}' (failsafe.rate_limit).",
            f"Call again in {error.retry_after:.1f} s.",
        ) from error
    return await proceed(call)
