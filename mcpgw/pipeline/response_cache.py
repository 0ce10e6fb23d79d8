"""Response cache: results by backend, tool, caller and arguments."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import trio

from mcpgw.backends.instance import BackendInstance
from mcpgw.pipeline.call import Call
from mcpgw.protocol.peer import Params

MAX_ANSWER: Final = 1_000_000
"""Greatest size of a cached result, in characters of text."""
MAX_CHARACTERS: Final = 32_000_000
"""Greatest size of all cached results, in characters of text."""

Key = tuple[str, str, str]


@attrs.frozen(eq=False)
class _Kept:
    tool: Mapping[str, Any] | None
    result: Params
    size: int
    since: float
    until: float


@attrs.define(eq=False)
class ResponseCache:
    """Caches results until they expire; the oldest are dropped first.

    `max_entries` is unlimited if 0; the size of all results is limited in any case.
    """

    max_entries: int = 10_000
    _clock: Callable[[], float] = trio.current_time
    _kept: dict[tuple[object, Key], _Kept] = attrs.field(factory=dict)
    """By the token of the instance, so that an instance that has ended is freed.
    Oldest first."""
    _keys: dict[object, set[Key]] = attrs.field(factory=dict)
    _size: int = 0

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, call: Call, key: Key) -> tuple[Params, float] | None:
        """Return a cached result and its age in seconds, or None.

        A result is dropped if the tool's definition has changed since.
        """
        kept = self._kept.get((call.instance.token, key))
        if kept is None:
            return None
        now = self._clock()
        if kept.until <= now or kept.tool is not call.tool:
            self._drop(call.instance.token, key)
            return None
        return kept.result, now - kept.since

    def keep(self, call: Call, key: Key, result: Params, ttl: float, writes: int) -> None:
        """Cache a result, unless it is an error, too large, or outdated by a write meanwhile."""
        token, size = call.instance.token, _size(result)
        if result.get("isError") is True or call.instance.writes != writes or size > MAX_ANSWER:
            return
        self._drop(token, key)
        now = self._clock()
        self._kept[token, key] = _Kept(call.tool, result, size, now, now + ttl)
        self._keys.setdefault(token, set()).add(key)
        self._size += size
        most = self.max_entries or len(self._kept)
        while len(self._kept) > most or self._size > MAX_CHARACTERS:
            self._drop(*next(iter(self._kept)))

    def written(self, instance: BackendInstance) -> None:
        """Drop the results of an instance after a call that may have changed its state."""
        instance.writes += 1
        for key in list(self._keys.get(instance.token, ())):
            self._drop(instance.token, key)

    def _drop(self, token: object, key: Key) -> None:
        kept = self._kept.pop((token, key), None)
        if kept is not None:
            self._size -= kept.size
            keys = self._keys[token]
            keys.discard(key)
            if not keys:
                del self._keys[token]


def cache_key(call: Call) -> Key:
    """Return the cache key of a call; it includes the caller, so results are not shared."""
    arguments = json.dumps(call.params.get("arguments"), sort_keys=True, ensure_ascii=False)
    return call.name, call.session.caller, arguments


def _size(result: Params) -> int:
    blocks = result.get("content")
    if not isinstance(blocks, list):
        return 0
    return sum(
        len(text)
        for block in blocks
        if isinstance(block, dict)
        for text in (block.get("text"), block.get("data"))
        if isinstance(text, str)
    )
