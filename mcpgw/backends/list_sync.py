"""What a backend offers: known from its manifest, kept fresh while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import trio

from mcpgw.backends.connection import LISTS, Connection, read_lists
from mcpgw.backends.manifest import Manifest
from mcpgw.backends.services import Host
from mcpgw.observe.log import get_logger
from mcpgw.protocol.errors import ConnectionLost, RpcError

log = get_logger("mcpgw.backend")

ALL: Final = frozenset(LISTS)
EMPTY_AGAIN: Final = 5.0
"""Seconds until a server that listed no tools is asked again: some list nothing at first."""
SETTLE: Final = 0.02
"""Seconds to wait for more: a server that changes several tools says so several times."""

_CHANGES: Final[Mapping[str, frozenset[str]]] = {
    "notifications/tools/list_changed": frozenset({"tools"}),
    "notifications/prompts/list_changed": frozenset({"prompts"}),
    "notifications/resources/list_changed": frozenset({"resources", "resource_templates"}),
}


@attrs.define(eq=False)
class Lists:
    """The lists of one backend.

    Args:
      server, fingerprint: whose, and of which configuration.
      host: where manifests are kept and who wants which log level.
      listed: told after each reading, with the names of the lists that have changed.
    """

    server: str
    fingerprint: str
    host: Host
    listed: Callable[[frozenset[str]], None]
    kept: bool = True
    """Whether a manifest is kept on disk."""
    manifest: Manifest | None = None
    tools: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    """The tools by name, as last listed."""
    _listed_manifest: Manifest | None = None
    """What the server itself said; `manifest` is what of it clients may see."""
    _stale: set[str] = attrs.field(factory=set)
    _level_wanted: bool = False
    _wake: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _keepers: int = 0
    _asked: int = 0
    _answered: int = 0
    _read: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)

    def __attrs_post_init__(self) -> None:
        if self.kept and self.host.manifests is not None:
            self._take(self.host.manifests.load(self.server, self.fingerprint))

    def changed(self, method: str) -> bool:
        """Take a notification; False where it is not about a list."""
        names = _CHANGES.get(method)
        if names is None:
            return False
        self._stale |= names
        self._wake.unpark_all()
        return True

    async def refresh(self) -> None:
        """Have all lists read anew, and wait until they are; at once where nothing is connected."""
        self._asked += 1
        mine = self._asked
        self._stale |= ALL
        self._wake.unpark_all()
        while self._keepers and self._answered < mine:
            await self._read.park()

    def update_log_level(self) -> None:
        """Tell the backend soon which log messages are wanted."""
        self._level_wanted = True
        self._wake.unpark_all()

    async def keep(self, connection: Connection) -> None:
        """Read all lists, then each again when it has changed, until the connection ends."""
        self._keepers += 1
        try:
            await self._keep(connection)
        finally:
            self._keepers -= 1
            self._read.unpark_all()

    async def _keep(self, connection: Connection) -> None:
        names, asked = ALL, self._asked
        self._level_wanted = True
        while True:
            try:
                await self._pass_log_level(connection)
                lists = await read_lists(connection, names)
            except ConnectionLost:
                return
            if names:
                self._take_lists(connection, lists)
                connection.listed.set()
                self._answered = asked
                self._read.unpark_all()
            with trio.move_on_after(self._rest(connection)) as waiting:
                while not self._stale and not self._level_wanted:
                    await self._wake.park()
            await trio.sleep(SETTLE)
            names = ALL if waiting.cancelled_caught else frozenset(self._stale)
            asked = self._asked
            self._stale.clear()

    def _rest(self, connection: Connection) -> float:
        """Return the seconds after which all lists are read again without being asked to."""
        if connection.declares("tools") and not self.tools:
            return EMPTY_AGAIN
        tools = connection.capabilities.get("tools")
        tells = isinstance(tools, Mapping) and tools.get("listChanged") is True
        return float("inf") if tells else self.host.list_ttl

    async def _pass_log_level(self, connection: Connection) -> None:
        level = self.host.wanted_log_level()
        if self._level_wanted and level is not None and connection.declares("logging"):
            try:
                await connection.request("logging/setLevel", {"level": level})
            except RpcError as error:
                log.info("backend.log_level", server=self.server, reason=str(error))
        self._level_wanted = False

    def _take_lists(self, connection: Connection, lists: Mapping[str, Any]) -> None:
        old = self._listed_manifest
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
            self._take(new)
            self._save(new)
        self.listed(changed)

    def rescan(self) -> None:
        """Have what is known judged anew; clients are told where they see something else."""
        before = self.manifest
        self._take(self._listed_manifest)
        if self.manifest is not None and before is not None:
            changed = self.manifest.differs_from(before)
            if changed:
                self.listed(changed)

    def _save(self, manifest: Manifest) -> None:
        if self.kept and self.host.manifests is not None:
            try:
                self.host.manifests.save(manifest)
            except OSError as error:
                log.warning("manifest.not_saved", server=self.server, reason=str(error))

    def _take(self, manifest: Manifest | None) -> None:
        self._listed_manifest = manifest
        if manifest is not None and self.kept:
            manifest = self.host.vet(self.server, manifest)
        self.manifest = manifest
        self.tools = {}
        for tool in manifest.tools if manifest else ():
            if isinstance(name := tool.get("name"), str):
                self.tools[name] = tool


def _filled(manifest: Manifest) -> frozenset[str]:
    return frozenset(name for name in LISTS if getattr(manifest, name))
