"""Calls that carry an idempotency key: what became of them."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio

from mcpgw.pipeline.call import Call, CallFailed
from mcpgw.pipeline.response_cache import Key, cache_key
from mcpgw.protocol.peer import Params

Name = tuple[str, str, str]
"""Caller, server, idempotency key."""


@attrs.define(eq=False)
class Entry:
    """One key: in flight while it has neither an answer nor an unknown end."""

    request: Key
    """The tool and the arguments that the key was first used with."""
    until: float = float("inf")
    result: Params | None = None
    unknown: CallFailed | None = None
    """Why it is not known whether the call took effect."""


@attrs.define(eq=False)
class IdempotencyStore:
    """Remembers keys for `keep` seconds, at most `max_entries`; those in flight always.

    Kept in memory: a new start of the gateway knows none of them.
    """

    keep: float = 24 * 3600.0
    max_entries: int = 1_000
    _clock: Callable[[], float] = trio.current_time
    _entries: dict[Name, Entry] = attrs.field(factory=dict)

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, call: Call) -> Entry | None:
        """Return what is known of the call's key."""
        entry = self._entries.get(_name(call))
        if entry is not None and entry.until <= self._clock():
            del self._entries[_name(call)]
            return None
        return entry

    def begin(self, call: Call) -> Entry:
        """Take note that a call is under way."""
        entry = self._entries[_name(call)] = Entry(cache_key(call))
        return entry

    def settle(self, entry: Entry) -> None:
        """Keep a finished entry for its time."""
        entry.until = self._clock() + self.keep
        done = [name for name, each in self._entries.items() if each.until != float("inf")]
        for name in done[: max(0, len(done) - self.max_entries)]:
            del self._entries[name]

    def drop(self, call: Call) -> None:
        """Forget a key: its call surely had no effect, or may be made again."""
        self._entries.pop(_name(call), None)


def _name(call: Call) -> Name:
    return call.session.caller, call.server, call.idempotency_key
