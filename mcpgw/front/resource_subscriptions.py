"""Resource subscriptions: one at an instance for all clients that asked for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Protocol
from weakref import WeakValueDictionary

import attrs
import trio

from mcpgw.backends.instance import BackendInstance
from mcpgw.backends.pool import BackendPool
from mcpgw.backends.server import BackendServer
from mcpgw.backends.services import Instance
from mcpgw.front import aggregation
from mcpgw.observe.log import get_logger
from mcpgw.protocol.errors import INVALID_PARAMS, RESOURCE_NOT_FOUND, ConnectionLost, RpcError
from mcpgw.protocol.peer import Params, Request

if TYPE_CHECKING:
    from mcpgw.front.client_session import ClientSession
    from mcpgw.meta.context import GatewayContext

log = get_logger("mcpgw.front")


class Subscriber(Protocol):
    """A receiver of updates."""

    def send(self, method: str, params: Params) -> bool:
        """Send a notification; return whether it was sent."""


Key = tuple[str, str, str]
"""Server, session of the instance ("" for the shared one), and the server's own URI."""


@attrs.define(eq=False)
class ResourceSubscriptions:
    """The subscribed resources of all instances.

    An instance is subscribed to a resource once, however many clients want it, and unsubscribed
    when the last of them unsubscribes or disconnects. `run` is the nursery for requests that no
    caller waits for.
    """

    _subscribers: dict[Key, dict[Subscriber, str]] = attrs.field(factory=dict)
    """The subscribers of a resource, each with the URI by which it knows the resource."""
    _subscribed: set[Key] = attrs.field(factory=set)
    """The resources that the instances are subscribed to."""
    _locks: WeakValueDictionary[Key, trio.Lock] = attrs.field(factory=WeakValueDictionary)
    _pool: BackendPool | None = None
    _nursery: trio.Nursery | None = None

    async def run(
        self, pool: BackendPool, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Hold the tasks that unsubscribe; on cancellation all end."""
        self._pool = pool
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    def of(self, instance: Instance) -> Iterator[str]:
        """Return the URIs that an instance must be subscribed to."""
        wanted = (instance.name, instance.session)
        return iter([key[2] for key in self._subscribers if key[:2] == wanted])

    async def subscribe(
        self,
        context: GatewayContext,
        session: ClientSession,
        request: Request,
        subscriber: Subscriber,
        uri: object,
    ) -> None:
        """Subscribe to a resource, by the URI that the client knows.

        Raises:
          RpcError: there is no such resource, or its server refuses.
        """
        instance, own = await _find(context, session, uri)
        key = instance.name, instance.session, own
        before = self._subscribers.get(key, {}).get(subscriber)
        self._subscribers.setdefault(key, {})[subscriber] = str(uri)
        try:
            await self._settle(key, partial(_ask, context, session, instance, request))
        except BaseException:
            if before is None:
                self._forget(key, subscriber)
            raise

    async def try_subscribe(
        self,
        context: GatewayContext,
        session: ClientSession,
        request: Request,
        subscriber: Subscriber,
        uri: str,
    ) -> bool:
        """Subscribe to a resource if possible; return whether that succeeded."""
        try:
            await self.subscribe(context, session, request, subscriber, uri)
        except RpcError as error:
            log.info("resource.subscribe_failed", uri=uri, reason=str(error))
            return False
        return True

    async def unsubscribe(
        self,
        context: GatewayContext,
        session: ClientSession,
        request: Request,
        subscriber: Subscriber,
        uri: object,
    ) -> None:
        """Unsubscribe from a resource; does nothing if there is no subscription."""
        instance, own = await _find(context, session, uri)
        key = instance.name, instance.session, own
        self._forget(key, subscriber)
        await self._settle(key, partial(_ask, context, session, instance, request))

    def remove(self, subscriber: Subscriber) -> None:
        """Remove all subscriptions of a subscriber that disconnected."""
        for key in [key for key, known in self._subscribers.items() if subscriber in known]:
            self._forget(key, subscriber)
            if self._nursery is not None and key not in self._subscribers:
                self._nursery.start_soon(self._settle, key, partial(self._tell, key))

    def _forget(self, key: Key, subscriber: Subscriber) -> None:
        subscribers = self._subscribers.get(key, {})
        subscribers.pop(subscriber, None)
        if not subscribers:
            self._subscribers.pop(key, None)

    async def _settle(self, key: Key, ask: Callable[[str, str], Awaitable[None]]) -> None:
        """Subscribe or unsubscribe an instance, if its state is not the wanted one.

        While one request is on its way, subscribers may come and go, so the wanted state is read
        when the request before has ended.
        """
        lock = self._locks.setdefault(key, trio.Lock())
        async with lock:
            if key in self._subscribers and key not in self._subscribed:
                await ask("resources/subscribe", key[2])
                self._subscribed.add(key)
            elif key not in self._subscribers and key in self._subscribed:
                self._subscribed.discard(key)
                await ask("resources/unsubscribe", key[2])

    async def _tell(self, key: Key, method: str, uri: str) -> None:
        """Send a request to a running instance on behalf of a client that has disconnected."""
        name, session, _ = key
        server = self._pool.get(name) if self._pool is not None else None
        instance = server.existing_instance(session) if server is not None else None
        connection = instance.connection if instance is not None else None
        if connection is not None:
            try:
                await connection.request(method, {"uri": uri})
            except (RpcError, ConnectionLost) as error:
                log.debug("resource.unsubscribe_failed", server=name, reason=str(error))

    def updated(self, instance: Instance, params: Params) -> None:
        """Forward an update to the subscribers of the resource."""
        key = instance.name, instance.session, str(params.get("uri"))
        for subscriber, uri in list(self._subscribers.get(key, {}).items()):
            subscriber.send("notifications/resources/updated", {**params, "uri": uri})


async def _ask(
    context: GatewayContext,
    session: ClientSession,
    instance: BackendInstance,
    request: Request,
    method: str,
    uri: str,
) -> None:
    server = context.pool.get(instance.name)
    if server is not None:
        await aggregation.ask(context, session.state, server, method, {"uri": uri}, request)


async def _find(
    context: GatewayContext, session: ClientSession, uri: object
) -> tuple[BackendInstance, str]:
    """Return the instance to subscribe at, and the server's own URI of the resource."""
    if not isinstance(uri, str) or not uri:
        raise RpcError(INVALID_PARAMS, "Missing 'uri' parameter")
    if session.target is not None:
        instance = context.pool.instance(session.target, session.state.instance_id)
        if instance is None:
            raise RpcError(RESOURCE_NOT_FOUND, f"Server '{session.target}' is no longer configured")
        return instance, uri
    owners, own = await aggregation.owners(context, session.state, uri)
    able = [each for each in owners if _supports_subscribe(each)]
    if not able:
        raise RpcError(
            RESOURCE_NOT_FOUND,
            f"No server supports subscriptions to this resource: {uri}",
            {"uri": uri},
        )
    return able[0].instance(session.state.instance_id), own


def _supports_subscribe(server: BackendServer) -> bool:
    declared = server.manifest.capabilities.get("resources") if server.manifest else None
    return isinstance(declared, dict) and declared.get("subscribe") is True
