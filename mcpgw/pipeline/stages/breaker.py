"""Refuse at once what a failing backend would only fail: its circuit breaker."""

from __future__ import annotations

import trio

from mcpgw.backends.states import Replaced, Unavailable
from mcpgw.pipeline.call import Call, CallFailed, Proceed, Recovery
from mcpgw.pipeline.stages.resolve import unreachable
from mcpgw.protocol.errors import ConnectionLost, RpcError
from mcpgw.protocol.peer import Params


async def breaker(call: Call, proceed: Proceed) -> Params:
    """Ask the breaker, and tell it how the call went.

    A time-out counts as a failure, and so does a request that is lost by itself, such as by an
    HTTP status of 500 or a cut line; those that are lost together count once. A lost connection
    is counted by the backend itself, once and not by every call that it took along. An error
    answer is an answer: the server lives.
    """
    backend = call.backend
    permit = backend.breaker.admit()
    if permit is None:
        raise _refusal(call)
    try:
        result = await proceed(call)
        permit.success()
        return result
    except RpcError:
        permit.success()
        raise
    except ConnectionLost as lost:
        if lost.reason and lost.sent:
            permit.failure(lost.reason, common=True)
        raise
    except Replaced:
        raise
    except Unavailable as error:
        raise unreachable(backend, error) from error
    except trio.Cancelled:
        if call.sent and call.timed_out:
            permit.failure(f"no answer within {backend.config.timeout:g} s")
        raise
    finally:
        permit.release()  # says nothing where the outcome was told


def _refusal(call: Call) -> CallFailed:
    state = call.backend.breaker.snapshot()
    failure = call.instance.failure or call.backend.failure
    cause = failure.reason if failure else state.get("last_trip_reason")
    wait = call.backend.breaker.retry_after()
    when = f"The next try is allowed in {wait:.0f} s" if wait else "A probe is under way"
    return CallFailed(
        Recovery.CIRCUIT_OPEN,
        f"Circuit breaker open for backend '{call.server}' after {state['current_failures']}"
        f" failures in a row; the last: {cause}.",
        f"{when}; gateway_revive_server closes the breaker at once.",
    )
