"""Response cache with limited time and size; concurrent equal calls share one request."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import attrs
import trio

from mcpgw.capabilities.model import Capability
from mcpgw.capabilities.responses import Blob, compact

LARGEST: Final = 32 * 1024 * 1024
"""Size of all cached responses together, in bytes."""
LARGEST_ONE: Final = 4 * 1024 * 1024
"""Size of one cached response, in bytes."""
MOST_SOURCES: Final = 1000
"""Sources whose writes are remembered."""


@attrs.frozen
class Answer:
    """The result of a call, before it is shaped for its caller.

    Args:
      value: the response: JSON data, text or bytes.
      extras: what is added to it, such as `_headers`.
      cacheable_for: seconds for which the API allows it to be reused.
      sources: the origins, servers and accounts that it came from; a write to one of them makes it
        stale.
    """

    value: Any
    extras: Mapping[str, Any] = attrs.field(factory=dict)
    cacheable_for: float = float("inf")
    sources: frozenset[str] = frozenset()


@attrs.frozen
class _Kept:
    stored: float
    until: float
    size: int
    answer: Answer


@attrs.define(eq=False)
class _Pending:
    """A request in progress, for which several callers may wait."""

    done: trio.Event = attrs.field(factory=trio.Event)
    answer: Answer | None = None


@attrs.define(eq=False)
class ResponseCache:
    """Cache of the responses of all capabilities. Failures and writes are not cached."""

    limit: int = LARGEST
    _responses: OrderedDict[str, _Kept] = attrs.field(factory=OrderedDict)
    _size: int = 0
    _pending: dict[str, _Pending] = attrs.field(factory=dict)
    _writes: int = 0
    _last_write: dict[str, int] = attrs.field(factory=dict)
    """Number of the latest write by source."""
    _forgotten: int = 0
    """Number of the latest write whose source is no longer known."""

    async def get(
        self,
        capability: Capability,
        content_hash: str,
        inputs: Mapping[str, Any],
        make: Callable[[], Awaitable[Answer]],
        *,
        fresh: bool = False,
    ) -> tuple[Answer, float | None]:
        """Return a cached response with its age in seconds, else make one; its age is None.

        Args:
          capability: the capability.
          content_hash: hash of its file.
          inputs: the caller's arguments with their defaults.
          make: makes the response; its exceptions are passed on.
          fresh: whether to bypass the cache.
        """
        seconds = capability.cache.seconds
        if not capability.read_only or seconds <= 0:
            return await make(), None
        key = _key(capability, content_hash, inputs)
        while not fresh:
            found = self._responses.get(key)
            if found is not None:
                now = trio.current_time()
                if now < found.until:
                    self._responses.move_to_end(key)
                    return found.answer, now - found.stored
                self._drop(key)
            pending = self._pending.get(key)
            if pending is None:
                break
            await pending.done.wait()
            if pending.answer is not None:
                if pending.answer.cacheable_for > 0:
                    return pending.answer, None
                # The API forbids sharing; waiting for another request would only queue the calls.
                return await make(), None
        return await self._request(key, seconds, make), None

    def written(self, sources: Iterable[str]) -> None:
        """Drop the responses from these sources, and do not keep or share those in progress."""
        self._writes += 1
        changed = set(sources)
        self._last_write |= dict.fromkeys(changed, self._writes)
        for key in [k for k, each in self._responses.items() if each.answer.sources & changed]:
            self._drop(key)
        self._pending.clear()
        if len(self._last_write) > MOST_SOURCES:
            self._last_write.clear()
            self._forgotten = self._writes

    async def _request(
        self, key: str, seconds: float, make: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        pending = _Pending()
        self._pending[key] = pending
        writes = self._writes
        try:
            answer = pending.answer = await make()
        finally:
            if self._pending.get(key) is pending:
                del self._pending[key]
            pending.done.set()
        latest = (self._last_write.get(each, self._forgotten) for each in answer.sources)
        if all(number <= writes for number in latest):
            self._store(key, min(seconds, answer.cacheable_for), answer)
        return answer

    def _store(self, key: str, seconds: float, answer: Answer) -> None:
        self._drop(key)
        value = answer.value
        size = len(value.data) if isinstance(value, Blob) else len(compact(value))
        if seconds <= 0 or size > min(LARGEST_ONE, self.limit):
            return
        now = trio.current_time()
        self._responses[key] = _Kept(now, now + seconds, size, answer)
        self._size += size
        while self._size > self.limit:
            self._drop(next(iter(self._responses)))

    def _drop(self, key: str) -> None:
        found = self._responses.pop(key, None)
        if found is not None:
            self._size -= found.size


def _key(capability: Capability, content_hash: str, inputs: Mapping[str, Any]) -> str:
    text = json.dumps(inputs, sort_keys=True, default=str)
    digest = hashlib.sha256(f"{content_hash}\0{text}".encode()).hexdigest()
    return f"{capability.name}:{digest}"
