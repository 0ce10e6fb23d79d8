"""Who wants to hear of changes of which resource: one subscription at a server for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import attrs
import trio

from mcpgw.backends.server import Backend
from mcpgw.front import aggregation
from mcpgw.observe.log import get_logger
from mcpgw.protocol.errors import INVALID_PARAMS, RESOURCE_NOT_FOUND, ConnectionLost, RpcError
from mcpgw.protocol.peer import Params, Request

if TYPE_CHECKING:
    from mcpgw.front.session import Session
    from mcpgw.meta.context import GatewayContext

log = get_logger("mcpgw.front")


class Subscriber(Protocol):
    """Who is told of updates."""

    def send(self, method: str, params: Params) -> bool:
        """Send a notification; False where it was dropped."""


@attrs.define(eq=False)
class ResourceSubscriptions:
    """The watched resources of all servers.

    A server is subscribed to a resource once, however many clients watch it, and unsubscribed
    when the last of them stops or leaves. `run` is the nursery for what nobody waits for.
    """

    context: GatewayContext
    _watchers: dict[tuple[str, str], dict[Subscriber, str]] = attrs.field(factory=dict)
    """By server and its own URI: who watches, and by what name for it."""
    _nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hold the tasks that unsubscribe; on cancellation all end."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    def of(self, backend: Backend) -> Iterator[str]:
        """Return the resources of a server that are watched."""
        return iter([uri for server, uri in self._watchers if server == backend.name])

    async def watch(
        self, session: Session, request: Request, watcher: Subscriber, uri: object
    ) -> None:
        """Let somebody hear of changes of a resource, by the URI that the client knows.

        Raises:
          RpcError: there is no such resource, or its server refuses.
        """
        backend, own = await self._owner(session, uri)
        key = backend.name, own
        if key not in self._watchers:
            await aggregation.ask(
                self.context, session.state, backend, "resources/subscribe", {"uri": own}, request
            )
        self._watchers.setdefault(key, {})[watcher] = str(uri)

    async def try_watch(
        self, session: Session, request: Request, watcher: Subscriber, uri: str
    ) -> bool:
        """Watch a resource if that is possible; False where it is not."""
        try:
            await self.watch(session, request, watcher, uri)
        except RpcError as error:
            log.info("resource.not_watched", uri=uri, reason=str(error))
            return False
        return True

    async def unwatch(
        self, session: Session, request: Request, watcher: Subscriber, uri: object
    ) -> None:
        """Stop watching a resource; what is not watched is nothing to stop."""
        backend, own = await self._owner(session, uri)
        watchers = self._watchers.get((backend.name, own), {})
        watchers.pop(watcher, None)
        if not watchers:
            self._watchers.pop((backend.name, own), None)
            await aggregation.ask(
                self.context, session.state, backend, "resources/unsubscribe", {"uri": own}, request
            )

    def drop(self, watcher: Subscriber) -> None:
        """Forget somebody who has gone."""
        for key, watchers in list(self._watchers.items()):
            if watchers.pop(watcher, None) is not None and not watchers:
                del self._watchers[key]
                if self._nursery is not None:
                    self._nursery.start_soon(self._unsubscribe, *key)

    async def _unsubscribe(self, server: str, uri: str) -> None:
        backend = self.context.pool.get(server)
        connection = backend.connection if backend is not None else None
        if connection is not None:
            try:
                await connection.request("resources/unsubscribe", {"uri": uri})
            except (RpcError, ConnectionLost) as error:
                log.debug("resource.not_unsubscribed", server=server, reason=str(error))

    def updated(self, backend: Backend, params: Params) -> None:
        """Pass a server's update on to those who watch the resource."""
        uri = params.get("uri")
        for watcher, name in list(self._watchers.get((backend.name, str(uri)), {}).items()):
            watcher.send("notifications/resources/updated", {**params, "uri": name})

    async def _owner(self, session: Session, uri: object) -> tuple[Backend, str]:
        if not isinstance(uri, str) or not uri:
            raise RpcError(INVALID_PARAMS, "Missing 'uri' parameter")
        if session.server_profile.target is not None:
            backend = self.context.pool.of(session.server_profile.target, session.state.id)
            if backend is None:
                raise RpcError(RESOURCE_NOT_FOUND, "the server is not configured any more")
            return backend, uri
        owners, own = await aggregation.owners(self.context, session.state, uri)
        able = [each for each in owners if _subscribes(each)]
        if not able:
            raise RpcError(
                RESOURCE_NOT_FOUND,
                f"No server can tell of changes of this resource: {uri}",
                {"uri": uri},
            )
        return able[0], own


def _subscribes(backend: Backend) -> bool:
    declared = backend.manifest.capabilities.get("resources") if backend.manifest else None
    return isinstance(declared, dict) and declared.get("subscribe") is True
