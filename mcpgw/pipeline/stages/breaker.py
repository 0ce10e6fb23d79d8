"""Apply the backend's circuit breaker: fail fast while the backend is failing."""

from __future__ import annotations

import trio

from mcpgw.backends.states import Replaced, Unavailable
from mcpgw.pipeline.call import Call, CallFailed, Proceed, Recovery
from mcpgw.pipeline.stages.resolve import unreachable
from mcpgw.protocol.errors import ConnectionLost, RpcError
from mcpgw.protocol.peer import Params


async def breaker(call: Call, proceed: Proceed) -> Params:
    """Ask the breaker for a permit, and report the outcome of the call to it.

    A timeout counts as a failure, and so does a single lost request, such as by HTTP status 500 or
    a cut connection; requests lost together count once. The loss of a whole connection is counted
    by the backend, once and not for every call. An error result counts as a success, because the
    server responded.
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
        permit.release()  # no effect if the outcome was reported


def _refusal(call: Call) -> CallFailed:
    state = call.backend.breaker.snapshot()
    failure = call.instance.failure or call.backend.failure
    cause = failure.reason if failure else state.get("last_trip_reason")
    wait = call.backend.breaker.retry_after()
    when = f"The next attempt is allowed in {wait:.0f} s" if wait else "A probe is in progress"
    return CallFailed(
        Recovery.CIRCUIT_OPEN,
        f"Circuit breaker open for backend '{call.server}' after {state['current_failures']}"
        f" consecutive failures; the last: {cause}.",
        f"{when}; gateway_revive_server closes the breaker at once.",
    )
