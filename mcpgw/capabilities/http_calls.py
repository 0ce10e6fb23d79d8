"""HTTP requests of capability calls: circuit breakers, safe retries, and errors that explain.

A request that may have taken effect is never repeated, unless its method is idempotent by HTTP
(RFC 9110, section 9.2.2) and the capability allows it, or it has an idempotency key. The file
cannot declare a POST repeatable: a model's answer that took too long has still been paid for.
"""

from __future__ import annotations

import random
import time
from typing import Any, Final

import attrs
import trio

from mcpgw.backends.breaker import CircuitBreaker
from mcpgw.capabilities.api_errors import explanation
from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.freshness import cacheable_seconds
from mcpgw.capabilities.http_sender import HttpRequest, HttpResponse, Sender, origin_of
from mcpgw.capabilities.model import REPEATABLE, SAFE_METHODS, Capability, Provider
from mcpgw.capabilities.rate_limits import LIMITED, is_rate_limit, wait_of
from mcpgw.capabilities.redaction import encodings_of, redacted
from mcpgw.transports.address_policy import AllowedNetworks

RETRIED: Final = frozenset({502, 503, 504})
"""Statuses of servers that failed, after which a request is retried if that is safe."""
FAILING: Final = frozenset({429, *range(500, 600)})
"""Statuses after which the next provider is tried."""
LONGEST_WAIT: Final = 30.0
"""The longest Retry-After that is waited for, in seconds."""
KEY_HEADERS: Final = ("idempotency-key", "x-idempotency-key")
"""Headers by which an API recognises a repeated request (draft-ietf-httpapi-idempotency-key)."""


@attrs.define(eq=False)
class CallState:
    """Secrets, sources and responses of one call so far.

    Args:
      deadline: when the caller stops waiting, by Trio's clock.
      secrets: the secrets in its requests, for redaction.
      sources: the origins, servers and accounts that its requests went to.
      cacheable_for: seconds for which the responses may be reused.
      extras: what is added to the result.
    """

    deadline: float = float("inf")
    secrets: set[str] = attrs.field(factory=set, repr=False)
    sources: set[str] = attrs.field(factory=set)
    cacheable_for: float = float("inf")
    extras: dict[str, Any] = attrs.field(factory=dict)

    def redacted(self, value: Any) -> Any:
        """Return a value without the secrets of the call, since an API may echo them."""
        forms = encodings_of(self.secrets)
        return redacted(value, forms) if forms else value

    def note(self, response: HttpResponse) -> None:
        """Record how long a response may be reused."""
        self.cacheable_for = min(self.cacheable_for, cacheable_seconds(response.headers))


@attrs.define(eq=False)
class HttpCalls:
    """Sends the requests of providers, with a circuit breaker for each host."""

    sender: Sender
    _breakers: dict[str, CircuitBreaker] = attrs.field(factory=dict)

    async def send(
        self,
        capability: Capability,
        provider: Provider,
        outgoing: HttpRequest,
        address_policy: AllowedNetworks,
        state: CallState,
    ) -> HttpResponse:
        """Send a request, retry it if that is safe, and return a successful response.

        Raises:
          CallProblem: the request failed, or the response is an error.
        """
        breaker = self._breakers.setdefault(outgoing.host, _new_breaker())
        rule = capability.retry
        outgoing = _with_key(capability, outgoing)
        repeatable = may_repeat(capability, outgoing)
        attempt = 1
        while True:
            permit = breaker.admit()
            if permit is None:
                raise CallProblem(
                    f"{outgoing.host} failed several times in a row; retry in"
                    f" {breaker.retry_after():.0f} s.",
                    again=True,
                    status=503,
                )
            wait: float | None = None
            state.sources.add(origin_of(outgoing.url))
            try:
                response = await self.sender.send(
                    outgoing,
                    address_policy=address_policy,
                    timeout=provider.timeout,
                    limit=provider.max_bytes,
                )
            except CallProblem as problem:
                if problem.again:
                    permit.failure(str(problem), common=True)
                safe = not problem.sent or repeatable
                if not (problem.again and safe and attempt < rule.attempts):
                    raise
            else:
                state.note(response)
                limited = is_rate_limit(response)
                if response.status >= 500:
                    permit.failure(f"HTTP {response.status}", common=True)
                else:
                    permit.success()
                if response.status < 400:
                    return response
                wait = wait_of(response, time.time())
                again = limited or (response.status in RETRIED and repeatable)
                again = again and not response.after_write and attempt < rule.attempts
                if not again or not _has_time(wait, state):
                    raise _refusal(outgoing, response, wait, limited, state)
            finally:
                permit.release()
            pause = min(rule.max_backoff, rule.initial_backoff * 2 ** (attempt - 1))
            await trio.sleep(pause * random.uniform(0.8, 1.2) if wait is None else wait)  # noqa: S311
            attempt += 1


def may_repeat(capability: Capability, outgoing: HttpRequest) -> bool:
    """Return whether a request may be sent again although it may have taken effect.

    Safe methods may unless the file says that they change something, PUT and DELETE if the file
    marks the tool as idempotent, and any method with an idempotency key.
    """
    if any(outgoing.headers.get(name) for name in _key_headers(capability)):
        return True
    idempotent = capability.metadata.idempotent
    if outgoing.method in SAFE_METHODS:
        return capability.read_only or idempotent is True
    return outgoing.method in REPEATABLE and idempotent is True


def _key_headers(capability: Capability) -> tuple[str, ...]:
    own = capability.retry.idempotency_header.lower()
    return (own, *KEY_HEADERS) if own else KEY_HEADERS


def _with_key(capability: Capability, outgoing: HttpRequest) -> HttpRequest:
    """Return a request with a new idempotency key, unless it has one or needs none."""
    name = capability.retry.idempotency_header.lower()
    if not name or outgoing.headers.get(name) or outgoing.method in SAFE_METHODS:
        return outgoing
    import uuid

    return attrs.evolve(outgoing, headers={**outgoing.headers, name: str(uuid.uuid4())})


def _has_time(wait: float | None, state: CallState) -> bool:
    wait = wait or 0.0
    end = min(state.deadline, trio.current_effective_deadline())
    return wait <= LONGEST_WAIT and trio.current_time() + wait < end


def _refusal(
    outgoing: HttpRequest,
    response: HttpResponse,
    wait: float | None,
    limited: bool,
    state: CallState,
) -> CallProblem:
    """Return the problem of an error response.

    A rate limit or a refused credential means that the request was not processed, except after a
    redirect.
    """
    reason = explanation(response, state.redacted)
    status = response.status
    if limited:
        text = f"{outgoing.host}: rate limit reached (HTTP {status})"
    else:
        text = f"{outgoing.host} returned HTTP {status}"
    text += f": {reason}" if reason else ""
    if status in (401, 403) and not limited:
        text += " (The credential was rejected, or lacks the permission.)"
    if wait is not None:
        text += f" (Retry after {wait:.0f} s.)"
    return CallProblem(
        text,
        again=limited or status in FAILING,
        sent=response.after_write or not (limited or status == 401),
        status=LIMITED if limited else status,
        unauthorized=status == 401 and not response.after_write,
    )


def _new_breaker() -> CircuitBreaker:
    return CircuitBreaker(failure_threshold=5, success_threshold=1, reset_timeout=30.0)
