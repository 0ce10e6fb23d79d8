"""Lists of one backend: known from its manifest, kept up to date while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

import attrs
import trio

from mcpgw.backends.connection import LISTS, Connection
from mcpgw.backends.list_reading import ListReader, Lists
from mcpgw.backends.manifest import Manifest
from mcpgw.backends.services import BackendServices
from mcpgw.backends.verdict import Verdict, Withheld
from mcpgw.observe.log import get_logger
from mcpgw.protocol.errors import ConnectionLost, RpcError

log = get_logger("mcpgw.backend")

ALL: Final = frozenset(LISTS)
EMPTY_RETRY: Final = 5.0
"""Seconds until a server that listed no tools, or whose list could not be read, is asked again:
some list nothing at first. Doubled each time."""
UNDECIDED_RETRY: Final = 30.0
"""Seconds until lists are vetted again whose verdict is not final yet."""
SETTLE: Final = 0.02
"""Seconds to wait for more changes: a server that changes several tools notifies several times."""
LONG: Final = 200
"""Definitions of a server from which on its lists are compared in a worker thread."""
SAVE_GRACE: Final = 2.0
"""Seconds that the manifest may take to be saved when the gateway ends."""

_Result = TypeVar("_Result")
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
    """The lists as clients may see them; None if they were never read and vetted."""
    verdict: Verdict | None = None
    """The verdict that `manifest` is a part of."""
    tools: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    """The tools by name, as last listed."""
    live: frozenset[str] = frozenset()
    """The lists that were read from the current connection."""
    problems: Mapping[str, str] = attrs.field(factory=dict)
    """By list: why it could not be read from the current connection."""
    _original: Manifest | None = None
    """The lists as the server sent them."""
    _stale: set[str] = attrs.field(factory=set)
    _level_wanted: bool = False
    _wake: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _readers: int = 0
    _requested: int = 0
    _answered: int = 0
    _refreshed: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _empty_retry: float = EMPTY_RETRY
    _vetting: trio.Lock = attrs.field(factory=trio.Lock)
    _unvetted: Manifest | None = None
    """The manifest of an earlier run while it must be vetted before clients may see it."""
    _unsaved: bool = False

    def __attrs_post_init__(self) -> None:
        if self.saved and self.services.manifests is not None:
            stored, record = self.services.manifests.load_vetted(self.server, self.fingerprint)
            if stored is None:
                return
            if not self.vetted:
                self._show(stored, None)
                return
            verdict = self.services.vetting.restore(self.server, stored, record)
            if verdict is None:
                self._unvetted = stored
            else:
                self._show(stored, verdict)

    def start_from(self, other: ListSync) -> None:
        """Take over the lists of another instance until this one has read its own."""
        self._original, self.manifest, self.tools = other._original, other.manifest, other.tools
        self.verdict = other.verdict

    def adopt(self, other: ListSync) -> None:
        """Take over the lists that another instance has read; `upkeep` saves them."""
        if other._original is not None:
            self._show(other._original, other.verdict)
            self._unsaved = True

    @property
    def withheld(self) -> tuple[Withheld, ...]:
        """The definitions that clients may not see."""
        return self.verdict.withheld if self.verdict is not None else ()

    @property
    def problem(self) -> str:
        """Why lists could not be read; "" if they could."""
        return "; ".join(self.problems.values())

    def situation(self, connection: Connection | None) -> str:
        """Return what is wrong with the lists of a connection; "" if nothing is."""
        if connection is not None and not connection.listed.is_set():
            return "has not answered `tools/list` yet"
        return self.problem

    def refusal(self, kind: str, name: str) -> Withheld | None:
        """Return the withheld definition that a name may lead to; None if clients may use it."""
        return None if self.verdict is None else self.verdict.refusal(kind, name)

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

    # -- reading -------------------------------------------------------------------------------

    async def run(self, connection: Connection) -> None:
        """Read all lists, then each again when it has changed, until the connection ends."""
        self._readers += 1
        self.live, self.problems = frozenset(), {}
        try:
            async with trio.open_nursery() as nursery:
                await self._sync(connection, ListReader(connection, nursery), nursery)
                nursery.cancel_scope.cancel()
        finally:
            self._readers -= 1
            self._refreshed.unpark_all()

    async def _sync(
        self, connection: Connection, reader: ListReader, nursery: trio.Nursery
    ) -> None:
        names, requested, taken, complete = ALL, self._requested, False, False
        self._level_wanted = True
        while True:
            if self._level_wanted:
                self._level_wanted = False
                nursery.start_soon(self._send_log_level, connection)
            if names or reader.late:
                lists = await reader.read(names) if names else reader.take()
                if reader.lost:
                    return
                await self._take(connection, reader, lists, same_reading=taken and not complete)
                self._answered = requested
                self._refreshed.unpark_all()
                taken, complete = True, reader.outcomes >= ALL
            names, requested = await self._next(connection, reader)

    async def _next(self, connection: Connection, reader: ListReader) -> tuple[frozenset[str], int]:
        """Wait until there is something to read or to take; return the lists to be read."""
        with trio.move_on_after(self._interval(connection)) as waiting:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_arrivals, reader)
                while not self._stale and not self._level_wanted and not reader.late:
                    await self._wake.park()
                nursery.cancel_scope.cancel()
        if not reader.late:
            await trio.sleep(SETTLE)
        names = ALL if waiting.cancelled_caught else frozenset(self._stale)
        requested = self._requested
        self._stale.clear()
        return names, requested

    async def _watch_arrivals(self, reader: ListReader) -> None:
        while True:
            await reader.arrival()
            self._wake.unpark_all()

    def _interval(self, connection: Connection) -> float:
        """Return the seconds after which all lists are read again without a notification."""
        none = self._original is None or not self._original.tools
        if (connection.declares("tools") and none) or self.problems:
            seconds = self._empty_retry
            self._empty_retry = min(2 * seconds, max(EMPTY_RETRY, self.services.list_ttl))
            return seconds
        self._empty_retry = EMPTY_RETRY
        if self.verdict is not None and not self.verdict.decided:
            return UNDECIDED_RETRY
        tools = connection.capabilities.get("tools")
        notifies = isinstance(tools, Mapping) and tools.get("listChanged") is True
        return float("inf") if notifies else self.services.list_ttl

    async def _send_log_level(self, connection: Connection) -> None:
        level = self.log_level()
        if level is not None and connection.declares("logging"):
            try:
                await connection.request("logging/setLevel", {"level": level})
            except (RpcError, ConnectionLost) as error:
                log.info("backend.log_level_refused", server=self.server, reason=str(error))

    async def _take(
        self, connection: Connection, reader: ListReader, lists: Lists, *, same_reading: bool
    ) -> None:
        """Vet lists that have arrived, and show them."""
        async with self._vetting:
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
            changed = await _changed(new, old)
            if changed or self.verdict is None:
                await self._vet(new, same_reading=same_reading)
                self._unsaved = True
            elif not self.verdict.clean:
                changed = await self._decide()  # a person may have accepted it meanwhile
            self.live |= frozenset(lists)
            self.problems = dict(reader.problems)
            if "tools" in reader.outcomes:
                connection.listed.set()
            self.listed(changed)
            # Unchanged definitions that were allowed do not wait for the approvals.
            if changed := await self._decide():
                self.listed(changed)
            await self._save()

    # -- vetting -------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Vet the manifest of an earlier run if that must be done before clients may see it."""
        async with self._vetting:
            stored, self._unvetted = self._unvetted, None
            if stored is not None and self._original is None:
                await self._vet(stored, same_reading=False)
                self._unsaved = True
                self.listed(_filled(stored))
                await self._save()

    @property
    def prepared(self) -> bool:
        """False while the manifest of an earlier run waits for `prepare`."""
        return self._unvetted is None

    async def upkeep(self) -> None:
        """Vet the known lists again, and save what is not saved.

        Clients are notified if they see something else now.
        """
        async with self._vetting:
            if changed := await self._vet_again():
                self.listed(changed)
            await self._save()

    async def _decide(self) -> frozenset[str]:
        """Vet the lists again if the verdict is not one by the current approvals."""
        if self.verdict is None or self.verdict.decided:
            return frozenset()
        return await self._vet_again()

    async def _vet_again(self) -> frozenset[str]:
        """Vet the known lists again; return the names of those that clients see changed."""
        before, verdict = self.manifest, self.verdict
        if self._original is None or before is None or not self.vetted:
            return frozenset()
        await self._vet(self._original, same_reading=False)
        assert self.verdict is not None, "it was vetted"
        if not self.verdict.agrees(verdict):
            self._unsaved = True
        return self.verdict.manifest.differs_from(before)

    async def vet_page(self, field: str, definitions: list[Any]) -> list[Any]:
        """Return the part of a list that passes through that clients may see."""
        if not self.vetted:
            return definitions
        known = self._original or _nothing(self.server, self.fingerprint)
        return await self.services.vetting.vet_page(self.server, field, definitions, known)

    async def _vet(self, manifest: Manifest, *, same_reading: bool) -> None:
        verdict = None
        if self.vetted:
            verdict = await self.services.vetting.vet(
                self.server, manifest, self.verdict, same_reading=same_reading
            )
        self._show(manifest, verdict)

    def _show(self, manifest: Manifest, verdict: Verdict | None) -> None:
        before = self.manifest
        self._original, self.verdict, self._unvetted = manifest, verdict, None
        self.manifest = verdict.manifest if verdict is not None else manifest
        if before is not None and before.tools == self.manifest.tools:
            return  # what is derived from the same tools stays valid
        self.tools = {}
        for tool in self.manifest.tools:
            if isinstance(name := tool.get("name"), str):
                self.tools[name] = tool

    async def _save(self) -> None:
        """Save the manifest in a worker thread; finish that even at the end of the gateway."""
        manifests, manifest = self.services.manifests, self._original
        if not self._unsaved or not self.saved or manifests is None or manifest is None:
            return
        self._unsaved = False
        record = None if self.verdict is None else self.services.vetting.to_json(self.verdict)
        with trio.CancelScope(shield=True, deadline=trio.current_time() + SAVE_GRACE):
            try:
                await _in_thread(partial(manifests.save, manifest, record))
            except OSError as error:
                log.warning("manifest.save_failed", server=self.server, reason=str(error))


async def _in_thread(work: Callable[[], _Result]) -> _Result:
    return await trio.to_thread.run_sync(work, abandon_on_cancel=True)


async def _changed(new: Manifest, old: Manifest | None) -> frozenset[str]:
    """Return the names of the lists that differ; compares long ones in a worker thread."""
    if old is None:
        return _filled(new)
    compare = partial(new.differs_from, old)
    long = sum(len(getattr(new, name)) for name in LISTS) > LONG
    return await _in_thread(compare) if long else compare()


def _filled(manifest: Manifest) -> frozenset[str]:
    return frozenset(name for name in LISTS if getattr(manifest, name))


def _nothing(server: str, fingerprint: str) -> Manifest:
    return Manifest(server, fingerprint, "", {}, {}, "", (), (), (), (), 0.0)
