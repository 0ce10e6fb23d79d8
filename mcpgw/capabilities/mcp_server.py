"""MCP server within this process that serves the capabilities as a backend of the gateway.

Being a backend, capabilities share everything that servers have: search, budgets, limits, audit
and `list_changed`.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from mcpgw import __version__
from mcpgw.capabilities.errors import failure
from mcpgw.capabilities.library import Changes, Contents, Library
from mcpgw.config.problems import ConfigError
from mcpgw.observe.log import get_logger
from mcpgw.protocol.errors import INVALID_PARAMS, METHOD_NOT_FOUND, RpcError
from mcpgw.protocol.mcp import LATEST_PROTOCOL_VERSION
from mcpgw.protocol.peer import Params, Peer, Request

if TYPE_CHECKING:
    from mcpgw.capabilities.executor import Executor

log = get_logger("mcpgw.capabilities")

SECONDS_LEFT: Final = "mcpgw/seconds_left"
"""The key of `_meta` in which the gateway says how long the caller waits."""
INSTRUCTIONS: Final = "REST, GraphQL and other APIs as tools, each described by a YAML file."


@attrs.define(eq=False)
class CapabilityServer:
    """Serves the tools of a library to its peers, the gateway's connections to it.

    Args:
      library: the capabilities.
      executor: returns the executor, which is created at the first call.
    """

    library: Library
    executor: Callable[[], Executor]
    loaded: Callable[[], Awaitable[None]] | None = None
    """Called once, after the first refresh."""
    _peers: set[Peer] = attrs.field(factory=set)
    _refreshed: trio.Event = attrs.field(factory=trio.Event)
    _refreshing: trio.Lock = attrs.field(factory=trio.Lock)
    _one_refresh: threading.Lock = attrs.field(factory=threading.Lock)

    async def serve(
        self, channel: Any, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve requests from a channel until it closes."""
        peer = Peer(
            channel,
            "gateway",
            serve=self._serve,
            immediate={"ping": lambda _params: {}, "initialize": _initialize},
            notified=lambda _method, _params, _about: None,
        )
        self._peers.add(peer)
        try:
            await peer.run(task_status=task_status)
        finally:
            self._peers.discard(peer)

    async def refresh(self) -> Changes:
        """Refresh the library, log what has changed and notify the peers."""
        async with self._refreshing:
            first = not self._refreshed.is_set()
            # The thread changes nothing that others read; its result is swapped in at once.
            # A locked database must not hold up the end of the gateway.
            contents = await trio.to_thread.run_sync(self._read_alone, abandon_on_cancel=True)
            changes = self.library.apply(contents)
            self._refreshed.set()
        if first and self.loaded is not None:
            await self.loaded()
        for path, why in changes.problems.items():
            if "RUG-PULL" not in why:
                log.warning("capability.refused", file=path, reason=why)
        if changes:
            log.info(
                "capabilities.loaded" if first else "capabilities.reloaded",
                total=len(self.library),
                **{}
                if first
                else {
                    "added": list(changes.added),
                    "removed": list(changes.removed),
                    "changed": list(changes.changed),
                },
            )
            for peer in self._peers if not first else ():
                peer.notify("notifications/tools/list_changed", {})
        return changes

    def _read_alone(self) -> Contents:
        """Read the folders, after a reading whose caller was cancelled has ended."""
        with self._one_refresh:
            return self.library.read_folders()

    async def _serve(self, request: Request) -> Params:
        if request.method == "tools/list":
            return await self._list()
        if request.method == "tools/call":
            return await self._call(request.params)
        raise RpcError(METHOD_NOT_FOUND, f"Method not found: {request.method}")

    async def _list(self) -> Params:
        if not self._refreshed.is_set():
            await self.refresh()
        tools = [dict(e.definition) for e in self.library.entries() if e.definition]
        return {"tools": tools}

    async def _call(self, params: Params) -> Params:
        name, arguments = params.get("name"), params.get("arguments") or {}
        if not isinstance(name, str) or not isinstance(arguments, Mapping):
            raise RpcError(INVALID_PARAMS, "`name` must be a string and `arguments` an object")
        if not self._refreshed.is_set():
            await self.refresh()
        entry = self.library.get(name)
        if entry is None or not entry.definition:
            why = self.library.unavailable_reason(name)
            if why is not None:
                return failure(f"'{name}' is not available: {why}")
            raise RpcError(INVALID_PARAMS, f"Unknown tool: {name}")
        try:
            capability = self.library.load(entry)
        except (ConfigError, OSError) as error:
            return failure(f"'{name}' cannot be read: {error}")
        from mcpgw.capabilities.response_view import PLAIN, VIEW

        meta = params.get("_meta")
        meta = meta if isinstance(meta, Mapping) else {}
        return await self.executor().call(
            capability,
            arguments,
            content_hash=entry.hash,
            path=entry.path,
            view=meta.get(VIEW, PLAIN),
            deadline=trio.current_time() + meta.get(SECONDS_LEFT, float("inf")),
        )


def _initialize(_params: Params) -> Params:
    return {
        "protocolVersion": LATEST_PROTOCOL_VERSION,
        "capabilities": {"tools": {"listChanged": True}},
        "serverInfo": {"name": "capabilities", "title": "Capabilities", "version": __version__},
        "instructions": INSTRUCTIONS,
    }
