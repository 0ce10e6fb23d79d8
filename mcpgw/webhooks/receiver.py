"""Receiver of webhook deliveries: verifies requests and delivers their events to sessions.

It does not depend on a web server, which passes it requests and sends the responses.
"""

from __future__ import annotations

import functools
import math
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

import attrs
import trio

from mcpgw.observe.log import get_logger
from mcpgw.state.database import StateError
from mcpgw.webhooks.deduplication import delivery_keys
from mcpgw.webhooks.definition import Endpoint
from mcpgw.webhooks.endpoint_stats import Route
from mcpgw.webhooks.events import Event, timestamp
from mcpgw.webhooks.failures import Failures
from mcpgw.webhooks.mapping import Source, event_data, event_type
from mcpgw.webhooks.payloads import PayloadProblem, payload_of
from mcpgw.webhooks.signatures import verify, verify_time
from mcpgw.webhooks.store import Claim, Queued, WebhookStore

log = get_logger("mcpgw.webhooks")

BODY_LIMIT: Final = 1024 * 1024
"""Bytes."""
PER_MINUTE: Final = 100
LONGEST: Final = 15.0
"""Seconds that the database may delay a delivery, or a session that takes queued events."""
RECENT: Final = 4096
"""Keys of deliveries that are remembered in memory."""
BATCH: Final = 50
"""Events that are held for a session at a time."""

Result = TypeVar("Result")


@attrs.frozen
class Response:
    """An HTTP response with a JSON body."""

    status: int
    json: Mapping[str, object]
    headers: Mapping[str, str] = attrs.field(factory=dict)


@attrs.define(eq=False, kw_only=True, repr=False)
class Receiver:
    """Receives deliveries for a set of endpoints.

    Args:
      deliver: sends an event to every session that wants it and returns how many accepted it;
        called in the task of the request, so it must not block.
      store: queues events that no session accepted, and remembers deliveries.
      rate_limit: requests a minute to one endpoint; 0 for no limit.
      body_limit: bytes of the body of a request.
      loading: whether endpoints may still be missing, since capability files are being read;
        `replace` ends it.
    """

    deliver: Callable[[Event], int]
    store: WebhookStore
    rate_limit: int = PER_MINUTE
    body_limit: int = BODY_LIMIT
    loading: bool = False
    _routes: dict[str, Route] = attrs.field(factory=dict, init=False)
    _recent: OrderedDict[tuple[str, str], bool] = attrs.field(factory=OrderedDict, init=False)
    _failures: Failures = attrs.field(factory=Failures, init=False)
    _draining: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    # One thread: SQLite has one writer, so more threads would only wait for it.
    _limiter: trio.CapacityLimiter = attrs.field(
        factory=functools.partial(trio.CapacityLimiter, 1), init=False
    )
    _reported: set[str] = attrs.field(factory=set, init=False)

    def __repr__(self) -> str:
        return f"<Receiver endpoints={len(self._routes)} rate_limit={self.rate_limit}/min>"

    # -- endpoints -----------------------------------------------------------------------------

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The open endpoints, sorted by path."""
        return tuple(self._routes[path].endpoint for path in sorted(self._routes))

    def replace(self, endpoints: Iterable[Endpoint]) -> None:
        """Open these endpoints and close all others.

        A path keeps its counters and its rate limit. If two endpoints have the same path, the
        first one is used and a warning is logged.
        """
        routes: dict[str, Route] = {}
        for each in endpoints:
            if each.path in routes:
                first = routes[each.path].endpoint
                log.warning(
                    "webhook.path_ignored",
                    path=each.path,
                    used=f"{first.capability}.{first.name}",
                    ignored=f"{each.capability}.{each.name}",
                )
                continue
            before = self._routes.get(each.path)
            routes[each.path] = (
                Route(each) if before is None else Route(each, before.statistics, before.allowance)
            )
        self._routes = routes
        self.loading = False

    async def status(self) -> dict[str, object]:
        """Return the endpoints with their counters, as `gateway_webhook_status` shows them.

        `queued` counts the events that wait for a session, from all gateways; it is null if the
        database cannot be read.
        """
        waiting: Mapping[str, int] | None
        try:
            waiting = await self._in_thread(self.store.waiting)
        except StateError as error:
            self._report(error)
            waiting = None
        routes = [self._routes[path] for path in sorted(self._routes)]
        return {
            "endpoints": [
                route.as_json(
                    queued=None if waiting is None else waiting.get(route.endpoint.path, 0)
                )
                for route in routes
            ],
            "total_endpoints": len(routes),
            "total_received": sum(route.statistics.received for route in routes),
            "total_delivered": sum(route.statistics.delivered for route in routes),
            "total_queued": None if waiting is None else sum(waiting.values()),
        }

    # -- requests ------------------------------------------------------------------------------

    def screen(self, method: str, path: str, size: int = 0) -> Response | None:
        """Return the error response to a request by its head alone, None if it may go on.

        Args:
          method: the HTTP method.
          path: the whole path, without the query.
          size: bytes of the body that are known so far.
        """
        route = self._routes.get(_trimmed(path))
        if route is None and self.loading:
            # Senders such as GitHub take 404 as final.
            return _refusal(503, "The endpoints are being loaded", **{"Retry-After": "5"})
        if route is None:
            return _refusal(404, "Unknown webhook endpoint")
        expected = route.endpoint.method
        if method.upper() != expected:
            return _refusal(405, f"Webhook endpoint expects {expected}", Allow=expected)
        if size > self.body_limit:
            return _refusal(413, f"The body must not be larger than {self.body_limit} bytes")
        return None

    async def receive(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        query: bytes = b"",
        peer: str = "",
    ) -> Response:
        """Process a request and return the response.

        The checks are, in this order: path, method, size, signature, rate limit, payload,
        duplicates. Only signed requests count for the rate limit; wrong signatures are limited
        for each peer. With status 200, the event was accepted by a session, is queued in the
        database, or is not sent to sessions (`notify: false`); with 409 or 503, the sender should
        retry. Delivering an event and remembering its delivery is shielded from cancellation.

        Args:
          method: the HTTP method.
          path: the whole path, decoded, without the query.
          headers: the headers, with names in any case.
          body: the raw body.
          query: the raw query string; it is the payload of a GET request.
          peer: the address of the sender; "" if it is unknown, as behind a tunnel.
        """
        refusal = self.screen(method, path, len(body))
        if refusal is not None:
            return refusal
        route = self._routes[_trimmed(path)]
        statistics = route.statistics
        if wait := self._failures.wait(peer, trio.current_time()):
            return _too_many(route, wait)
        plain = {name.lower(): value for name, value in headers.items()}
        now = self.store.clock()
        endpoint = route.endpoint
        reason = verify(endpoint, plain, query if endpoint.method == "GET" else body, now)
        if reason is not None:
            self._failures.add(peer, trio.current_time())
            return _unverified(route, reason)
        if wait := route.allowance.take(self.rate_limit, trio.current_time()):
            return _too_many(route, wait)
        try:
            payload = payload_of(endpoint.method, plain, body, query.decode("utf-8", "replace"))
        except PayloadProblem as problem:
            statistics.invalid += 1
            return _refusal(400, f"Invalid JSON: {problem}")
        reason = verify_time(endpoint, payload, now)
        if reason is not None:
            return _unverified(route, reason)
        statistics.received += 1
        statistics.last_received_at = now
        if not endpoint.notify:
            return _received()
        event, mapped = _event(endpoint, payload, plain, now)
        keys = delivery_keys(endpoint, plain, payload, body)
        with trio.move_on_after(LONGEST, shield=True):
            return await self._hand_over(route, event, keys, mapped=mapped)
        return _try_again()

    async def drain(self, take: Callable[[Event], bool]) -> int:
        """Offer queued events to a session, oldest first; return how many it accepted.

        Each event is offered once, and accepted ones are removed. If the gateway is killed
        meanwhile, accepted events may be offered again to the next session. If another gateway
        drains the queue at the same time, each event goes to one of the two.

        Args:
          take: sends an event to the session and returns whether it was accepted; must not block.
        """
        count = 0
        taken: list[int] = []
        holder = os.urandom(12).hex()
        queued: list[Queued] = []
        async with self._draining:
            with trio.move_on_after(LONGEST, shield=True):
                try:
                    while True:
                        after = queued[-1].number if queued else 0
                        queued = await self._in_thread(
                            functools.partial(
                                self.store.exchange, holder, taken=taken, after=after, want=BATCH
                            )
                        )
                        taken = []
                        if not queued:
                            break
                        for each in queued:
                            if take(each.event):
                                taken.append(each.number)
                                count += 1
                                self._count_delivered(each.endpoint)
                except StateError as error:
                    self._report(error)
                finally:
                    if queued:
                        await self._settle(holder, taken)
        return count

    # -- details -------------------------------------------------------------------------------

    async def _hand_over(
        self, route: Route, event: Event, keys: tuple[str, ...], *, mapped: bool
    ) -> Response:
        """Deliver an event to the sessions or queue it, unless its delivery is a duplicate."""
        path, statistics = route.endpoint.path, route.statistics
        claim = await self._claim(path, keys)
        if claim is Claim.DONE:
            statistics.duplicates += 1
            return _received(duplicate=True)
        if claim is Claim.BEGUN:
            return _refusal(409, "This delivery is being processed", **{"Retry-After": "30"})
        settled = False
        try:
            statistics.transform_failures += not mapped
            sessions = self.deliver(event)
            if sessions > 0:
                statistics.delivered += 1
                settled = True
                await self._finish(path, keys)
                return _received(sessions=sessions)
            try:
                await self._in_thread(functools.partial(self.store.put, path, event, keys))
            except StateError as error:
                self._report(error)
                return _try_again()
            settled = True
            return _received(queued=True)
        finally:
            for key in keys:
                self._recent.pop((path, key), None)
                if settled:
                    self._recent[path, key] = True
            if not settled:
                await self._release(path, keys)

    async def _claim(self, path: str, keys: tuple[str, ...]) -> Claim:
        known = [self._recent[path, key] for key in keys if (path, key) in self._recent]
        if known:
            return Claim.DONE if any(known) else Claim.BEGUN
        if not keys:
            return Claim.NEW
        for key in keys:
            self._recent[path, key] = False
        while len(self._recent) > RECENT:
            self._recent.popitem(last=False)
        claim: Claim | None = None
        try:
            claim = await self._in_thread(functools.partial(self.store.claim, path, keys))
        except StateError as error:
            self._report(error)
            claim = Claim.NEW
        finally:
            if claim is not Claim.NEW:
                for key in keys:
                    self._recent.pop((path, key), None)
        return claim

    async def _finish(self, path: str, keys: tuple[str, ...]) -> None:
        if keys:
            try:
                await self._in_thread(functools.partial(self.store.finish, path, keys))
            except StateError as error:
                self._report(error)

    async def _release(self, path: str, keys: tuple[str, ...]) -> None:
        if keys:
            try:
                await self._in_thread(functools.partial(self.store.release, path, keys))
            except StateError as error:
                self._report(error)

    async def _settle(self, holder: str, taken: list[int]) -> None:
        try:
            await self._in_thread(functools.partial(self.store.exchange, holder, taken=taken))
        except StateError as error:
            self._report(error)

    def _count_delivered(self, path: str) -> None:
        route = self._routes.get(path)
        if route is not None:
            route.statistics.delivered += 1

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        result = await trio.to_thread.run_sync(work, limiter=self._limiter)
        self._reported.clear()
        return result

    def _report(self, error: StateError) -> None:
        """Log an error of the database, once for each kind until an access succeeds."""
        if error.kind not in self._reported:
            self._reported.add(error.kind)
            log.warning("webhook.state_failed", kind=error.kind, reason=str(error))


def _event(
    endpoint: Endpoint, payload: object, headers: Mapping[str, str], now: float
) -> tuple[Event, bool]:
    """Return the event of a delivery, and False if the template of its type lacked a value."""
    shown = {name: value for name, value in headers.items() if name != endpoint.signature_header}
    source = Source(payload, shown)
    fallback = f"webhook.{endpoint.capability}.{endpoint.name}"
    kind, mapped = event_type(endpoint.event_type, fallback, source)
    data = event_data(endpoint.data, source)
    return Event(endpoint.capability, kind, data, timestamp(now)), mapped


def _trimmed(path: str) -> str:
    return path.rstrip("/") or "/"


def _request_id() -> str:
    import uuid

    return str(uuid.uuid4())


def _refusal(status: int, error: str, **headers: str) -> Response:
    return Response(status, {"error": error, "request_id": _request_id()}, headers)


def _try_again() -> Response:
    return _refusal(
        503, "The event cannot be stored now; send it again later", **{"Retry-After": "60"}
    )


def _too_many(route: Route, wait: float) -> Response:
    route.statistics.rate_limited += 1
    return _refusal(429, "Too many requests", **{"Retry-After": str(math.ceil(wait))})


def _unverified(route: Route, reason: str) -> Response:
    """Reject a request without the reason, which is logged and must not help an attacker."""
    route.statistics.signature_failures += 1
    log.warning("webhook.signature_rejected", path=route.endpoint.path, reason=reason)
    return _refusal(401, "Invalid signature")


def _received(*, sessions: int = 0, duplicate: bool = False, queued: bool = False) -> Response:
    content: dict[str, object] = {
        "status": "received",
        "request_id": _request_id(),
        "notified": sessions > 0,
        "sessions": sessions,
    }
    if duplicate:
        content["duplicate"] = True
    if queued:
        content["queued"] = True
    return Response(200, content)
