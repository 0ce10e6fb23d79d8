"""Lists of one backend: known from its manifest, kept up to date while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import trio

from mcpgw.backends.connection import LISTS, Connection, read_lists
from mcpgw.backends.manifest import Manifest
from mcpgw.backends.services import BackendServices
from mcpgw.observe.log import get_logger
from mcpgw.protocol.errors import ConnectionLost, RpcError

log = get_logger("mcpgw.backend")

ALL: Final = frozenset(LISTS)
EMPTY_RETRY: Final = 5.0
"""Seconds until a server that listed no tools is asked again: some list nothing at first."""
SETTLE: Final = 0.02
"""Seconds to wait for more changes: a server that changes several tools notifies several times."""

_CHANGES: Final[Mapping[str, frozenset[str]]] = {
    "notifications/tools/list_changed": frozenset({"tools"}),
    "notifications/prompts/list_changed": frozenset({"prompts"}),
    "notifications/resources/list_changed": frozenset({"resources", "resource_templates"}),
}


@attrs.define(eq=False)
class ListSync:
    """The lists of one instance, read from its connection and vetted.

    Args:
      server: the name of the server.
      fingerprint: the hash of the settings that determine its lists.
      services: vetting and manifests.
      log_level: returns the log level that clients want; None if none asked.
      listed: called after each reading, with the names of the lists that have changed.
      saved: whether a manifest is kept on disk.
      vetted: whether definitions are vetted here; the built-in server vets its own files.
    """

    server: str
    fingerprint: str
    services: BackendServices
    log_level: Callable[[], str | None]
    listed: Callable[[frozenset[str]], None]
    saved: bool = True
    vetted: bool = True
    manifest: Manifest | None = None
    """The lists as clients may see them; None if they were never read."""
    tools: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    """The tools by name, as last listed."""
    _original: Manifest | None = None
    """The lists as the server sent them."""
    _stale: set[str] = attrs.field(factory=set)
    _level_wanted: bool = False
    _wake: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _readers: int = 0
    _requested: int = 0
    _answered: int = 0
    _refreshed: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)

    def __attrs_post_init__(self) -> None:
        if self.saved and self.services.manifests is not None:
            self._set(self.services.manifests.load(self.server, self.fingerprint))

    def start_from(self, other: ListSync) -> None:
        """Take over the lists of another instance until this one has read its own."""
        self._original, self.manifest, self.tools = other._original, other.manifest, other.tools

    def adopt(self, other: ListSync) -> None:
        """Take over the lists that another instance has read, and keep them."""
        if other._original is not None:
            self._set(other._original)
            self._save(other._original)

    def changed(self, method: str) -> bool:
        """Handle a notification; return False if it does not concern a list."""
        names = _CHANGES.get(method)
        if names is None:
            return False
        self._stale |= names
        self._wake.unpark_all()
        return True

    async def refresh(self) -> None:
        """Read all lists again and wait for them; return at once if nothing is connected."""
        self._requested += 1
        mine = self._requested
        self._stale |= ALL
        self._wake.unpark_all()
        while self._readers and self._answered < mine:
            await self._refreshed.park()

    def update_log_level(self) -> None:
        """Have the backend soon notified of the log level that clients want."""
        self._level_wanted = True
        self._wake.unpark_all()

    async def run(self, connection: Connection) -> None:
        """Read all lists, then each again when it has changed, until the connection ends."""
        self._readers += 1
        try:
            await self._sync(connection)
        finally:
            self._readers -= 1
            self._refreshed.unpark_all()

    async def _sync(self, connection: Connection) -> None:
        names, requested = ALL, self._requested
        self._level_wanted = True
        while True:
            try:
                await self._send_log_level(connection)
                lists = await read_lists(connection, names)
            except ConnectionLost:
                return
            if names:
                connection.listed.set()
                self._take(connection, lists)
                self._answered = requested
                self._refreshed.unpark_all()
            with trio.move_on_after(self._interval(connection)) as waiting:
                while not self._stale and not self._level_wanted:
                    await self._wake.park()
            await trio.sleep(SETTLE)
            names = ALL if waiting.cancelled_caught else frozenset(self._stale)
            requested = self._requested
            self._stale.clear()

    def _interval(self, connection: Connection) -> float:
        """Return the seconds after which all lists are read again without a notification."""
        if connection.declares("tools") and not self.tools:
            return EMPTY_RETRY
        tools = connection.capabilities.get("tools")
        notifies = isinstance(tools, Mapping) and tools.get("listChanged") is True
        return float("inf") if notifies else self.services.list_ttl

    async def _send_log_level(self, connection: Connection) -> None:
        level, wanted = self.log_level(), self._level_wanted
        self._level_wanted = False  # before waiting: it may change again meanwhile
        if wanted and level is not None and connection.declares("logging"):
            try:
                await connection.request("logging/setLevel", {"level": level})
            except RpcError as error:
                log.info("backend.log_level_refused", server=self.server, reason=str(error))

    def _take(self, connection: Connection, lists: Mapping[str, Any]) -> None:
        old = self._original
        fields: dict[str, Any] = {
            name: lists.get(name, getattr(old, name) if old else ()) for name in LISTS
        }
        new = Manifest(
            backend=self.server,
            fingerprint=self.fingerprint,
            protocol_version=connection.protocol_version,
            server_info=connection.server_info,
            capabilities=connection.capabilities,
            instructions=connection.instructions,
            saved_at=time.time(),
            **fields,
        )
        changed = new.differs_from(old) if old is not None else _filled(new)
        if changed or old is None:
            self._set(new)
            self._save(new)
        self.listed(changed)

    def rescan(self) -> None:
        """Vet the known lists again; clients are notified if they see something else."""
        before = self.manifest
        self._set(self._original)
        if self.manifest is not None and before is not None:
            changed = self.manifest.differs_from(before)
            if changed:
                self.listed(changed)

    def _save(self, manifest: Manifest) -> None:
        if self.saved and self.services.manifests is not None:
            try:
                self.services.manifests.save(manifest)
            except OSError as error:
                log.warning("manifest.save_failed", server=self.server, reason=str(error))

    def _set(self, manifest: Manifest | None) -> None:
        self._original = manifest
        if manifest is not None and self.vetted:
            manifest = self.services.vetting.vet(self.server, manifest)
        self.manifest = manifest
        self.tools = {}
        for tool in manifest.tools if manifest else ():
            if isinstance(name := tool.get("name"), str):
                self.tools[name] = tool


def _filled(manifest: Manifest) -> frozenset[str]:
    return frozenset(name for name in LISTS if getattr(manifest, name))
