"""Retry calls interrupted by a lost connection, if repeating them is safe."""

from __future__ import annotations

import math
from typing import Final

import trio

from mcpgw.backends.backoff import delay
from mcpgw.pipeline.call import Call, CallFailed, Proceed, Recovery
from mcpgw.protocol.errors import ConnectionLost
from mcpgw.protocol.peer import Params

LONGEST_WAIT: Final = 10.0
"""Seconds that a call waits for a server that asked for a pause; for longer ones it fails."""


async def retry(call: Call, proceed: Proceed) -> Params:
    """Retry if the connection was lost before the call was sent, or if the tool is declared
    read-only or idempotent; otherwise report that the call may have taken effect."""
    settings = call.backend.failsafe.retry
    attempts = max(1, settings.max_attempts) if settings.enabled else 1
    attempt = 1
    while True:
        try:
            return await proceed(call)
        except ConnectionLost as lost:
            call.sent = lost.sent
            safe = not lost.sent or call.repeatable
            pause = lost.retry_after or 0.0
            longest = min(LONGEST_WAIT, call.deadline.deadline - trio.current_time())
            if not safe or lost.refused or attempt >= attempts or pause >= longest:
                if lost.retry_after is not None:
                    raise _busy(call, lost, lost.retry_after) from lost
                raise await _explain(call, lost, safe, attempt) from lost
        attempt += 1
        call.sent = False
        backoff = delay(
            attempt,
            initial=settings.initial_backoff,
            maximum=settings.max_backoff,
            multiplier=settings.multiplier,
        )
        await trio.sleep(max(pause, backoff))


def _busy(call: Call, lost: ConnectionLost, seconds: float) -> CallFailed:
    cause = lost.reason.rstrip(".")
    return CallFailed(
        Recovery.RATE_LIMITED,
        f"Server '{call.server}' did not take '{call.name}': {cause}.",
        f"Call again in {math.ceil(seconds)} s.",
        data={"retry_after_s": math.ceil(seconds)},
        happened=lost.sent and not call.repeatable,
    )


async def _explain(call: Call, lost: ConnectionLost, safe: bool, attempts: int) -> CallFailed:
    cause = lost.reason
    # A reason tells how this request failed, such as an HTTP status; the server may be well.
    what = f"Server '{call.server}' gave no usable response to '{call.name}'"
    then = "Check its effect before calling again."
    if not cause:
        what = f"The connection to server '{call.server}' was lost during '{call.name}'"
        then = "Check its effect before calling again; the server restarts automatically."
        await call.instance.settled()
        failure = call.instance.failure
        cause = failure.reason if failure else "its process ended"
    cause = cause.rstrip(".")
    if safe:
        return CallFailed(
            Recovery.BACKEND_ERROR,
            f"{what} ({_attempts(attempts)}): {cause}.",
            "gateway_list_servers shows its state.",
        )
    return CallFailed(
        Recovery.BACKEND_ERROR,
        f"{what}: {cause}."
        " The call may have taken effect and was not repeated, because the tool is not"
        " declared read-only or idempotent.",
        then,
        happened=True,
    )


def _attempts(count: int) -> str:
    return "1 attempt" if count == 1 else f"{count} attempts"
