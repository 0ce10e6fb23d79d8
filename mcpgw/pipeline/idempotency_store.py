"""The store of idempotency keys and the results of their calls."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio

from mcpgw.pipeline.call import Call, CallFailed
from mcpgw.pipeline.response_cache import Key, cache_key
from mcpgw.protocol.peer import Params

Name = tuple[str, str, str, str]
"""Caller, server, session of the server's instance ("" for the shared one), idempotency key."""


@attrs.define(eq=False)
class Entry:
    """One key: in flight while it has neither a result nor an unknown outcome."""

    request: Key
    """The tool and arguments with which the key was first used."""
    until: float = float("inf")
    result: Params | None = None
    unknown: CallFailed | None = None
    """The failure after which it is unknown whether the call took effect."""


@attrs.define(eq=False)
class IdempotencyStore:
    """Stores keys for `keep` seconds, at most `max_entries` besides those in flight.

    The store is in memory, so keys are lost when the gateway restarts.
    """

    keep: float = 24 * 3600.0
    max_entries: int = 1_000
    _clock: Callable[[], float] = trio.current_time
    _entries: dict[Name, Entry] = attrs.field(factory=dict)

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, call: Call) -> Entry | None:
        """Return the entry of the call's key, or None."""
        entry = self._entries.get(_name(call))
        if entry is not None and entry.until <= self._clock():
            del self._entries[_name(call)]
            return None
        return entry

    def begin(self, call: Call) -> Entry:
        """Add an entry for a call in flight."""
        entry = self._entries[_name(call)] = Entry(cache_key(call))
        return entry

    def settle(self, entry: Entry) -> None:
        """Keep a finished entry for `keep` seconds; drop the oldest beyond `max_entries`."""
        entry.until = self._clock() + self.keep
        done = [name for name, each in self._entries.items() if each.until != float("inf")]
        for name in done[: max(0, len(done) - self.max_entries)]:
            del self._entries[name]

    def drop(self, call: Call) -> None:
        """Forget a key whose call had no effect or may be repeated."""
        self._entries.pop(_name(call), None)


def _name(call: Call) -> Name:
    return call.session.caller, call.server, call.instance.session, call.idempotency_key
