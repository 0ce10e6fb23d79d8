"""Tasks that attend a ready connection: lists, subscriptions, health, source files, idle stop."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

import trio

from mcpgw.backends.connection import Connection
from mcpgw.backends.health import probe
from mcpgw.backends.list_sync import ListSync
from mcpgw.backends.services import BackendServices, Instance
from mcpgw.backends.source_watch import changed as sources_changed
from mcpgw.config.failsafe import FailsafeConfig
from mcpgw.observe.log import get_logger
from mcpgw.protocol.errors import ConnectionLost, RpcError

log = get_logger("mcpgw.backend")


class ReadyInstance(Instance, Protocol):
    """An instance with a live connection."""

    lists: ListSync
    calls: int
    last_used: float

    @property
    def failsafe(self) -> FailsafeConfig:
        """The guards of its server."""

    @property
    def services(self) -> BackendServices:
        """The gateway around it."""

    def go_idle(self) -> None:
        """Stop handing out the connection; the next demand starts a new one."""

    def prepare_restart(self) -> None:
        """Stop handing out the connection; a new one starts when this one has ended."""


async def attend(instance: ReadyInstance, connection: Connection) -> str:
    """Attend a connection until it must end; return the cause ("" if it was not a failure)."""
    reasons: list[str] = []

    async def end_after(part: Awaitable[str]) -> None:
        reasons.append(await part)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(instance.lists.run, connection)
        nursery.start_soon(connection.run)
        nursery.start_soon(_resubscribe, instance, connection)
        if instance.config.watch:
            nursery.start_soon(end_after, _source_change(instance, connection))
        if instance.failsafe.health_check.enabled:
            nursery.start_soon(end_after, probe(connection, instance.failsafe.health_check))
        if instance.config.stop_when_idle_for is not None:
            nursery.start_soon(end_after, _idle(instance, connection))
    return reasons[0] if reasons else ""


async def _idle(instance: ReadyInstance, connection: Connection) -> str:
    """Return when no call was made for `stop_when_idle_for`."""
    allowed = instance.config.stop_when_idle_for or 0.0
    while True:
        await trio.sleep_until(instance.last_used + allowed)
        if instance.calls:
            await connection.peer.drained()
            instance.last_used = trio.current_time()
        elif trio.current_time() - instance.last_used >= allowed:
            instance.go_idle()
            log.info("backend.idle_stopped", server=instance.name)
            return ""


async def _source_change(instance: ReadyInstance, connection: Connection) -> str:
    """Return when the server's source files have changed and its calls are answered.

    No new call goes to the old process meanwhile.
    """
    config = instance.config
    files = await sources_changed(instance.services.files, config.watch, config.cwd)
    log.info("backend.source_changed", server=instance.name, files=[str(f) for f in files[:5]])
    instance.prepare_restart()
    with trio.move_on_after(config.timeout):
        await connection.peer.drained()
    return ""


async def _resubscribe(instance: ReadyInstance, connection: Connection) -> None:
    """Subscribe to the resources that clients watch: a new process has no subscriptions."""
    for uri in instance.services.clients.subscribed_resources(instance):
        try:
            await connection.request("resources/subscribe", {"uri": uri})
        except RpcError as error:
            log.info("resource.subscribe_failed", server=instance.name, reason=str(error))
        except ConnectionLost:
            return
