"""Response cache with limited time and size; concurrent equal calls share one request."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import attrs
import trio

from mcpgw.capabilities.model import Capability
from mcpgw.capabilities.responses import Blob, compact

LARGEST: Final = 32 * 1024 * 1024
"""Size of all cached responses together, in bytes."""
LARGEST_ONE: Final = 4 * 1024 * 1024
"""Size of one cached response, in bytes."""


@attrs.define(eq=False)
class _Pending:
    """A request in progress, for which several callers may wait."""

    done: trio.Event = attrs.field(factory=trio.Event)
    value: Any = None
    succeeded: bool = False


@attrs.define(eq=False)
class ResponseCache:
    """Cache of the responses of all capabilities. Failures and writes are not cached."""

    limit: int = LARGEST
    _responses: OrderedDict[str, tuple[float, int, Any]] = attrs.field(factory=OrderedDict)
    _size: int = 0
    _pending: dict[str, _Pending] = attrs.field(factory=dict)

    async def get(
        self,
        capability: Capability,
        content_hash: str,
        inputs: Mapping[str, Any],
        make: Callable[[], Awaitable[Any]],
        *,
        fresh: bool = False,
    ) -> Any:
        """Return a cached response, else make one.

        Args:
          capability: the capability.
          content_hash: hash of its file.
          inputs: the caller's arguments with their defaults.
          make: makes the response; its exceptions are passed on.
          fresh: whether to bypass the cache.
        """
        seconds = capability.cache.seconds
        if not capability.metadata.read_only or seconds <= 0:
            return await make()
        key = _key(capability, content_hash, inputs)
        while not fresh:
            found = self._responses.get(key)
            if found is not None:
                until, _, value = found
                if trio.current_time() < until:
                    self._responses.move_to_end(key)
                    return value
                self._drop(key)
            pending = self._pending.get(key)
            if pending is None:
                break
            await pending.done.wait()
            if pending.succeeded:
                return pending.value
        return await self._request(key, seconds, make)

    async def _request(self, key: str, seconds: float, make: Callable[[], Awaitable[Any]]) -> Any:
        pending = _Pending()
        self._pending[key] = pending
        try:
            pending.value = await make()
            pending.succeeded = True
        finally:
            if self._pending.get(key) is pending:
                del self._pending[key]
            pending.done.set()
        self._store(key, trio.current_time() + seconds, pending.value)
        return pending.value

    def _store(self, key: str, until: float, value: Any) -> None:
        self._drop(key)
        size = len(value.data) if isinstance(value, Blob) else len(compact(value))
        if size > min(LARGEST_ONE, self.limit):
            return
        self._responses[key] = (until, size, value)
        self._size += size
        while self._size > self.limit:
            self._drop(next(iter(self._responses)))

    def _drop(self, key: str) -> None:
        found = self._responses.pop(key, None)
        if found is not None:
            self._size -= found[1]


def _key(capability: Capability, content_hash: str, inputs: Mapping[str, Any]) -> str:
    text = json.dumps(inputs, sort_keys=True, default=str)
    digest = hashlib.sha256(f"{content_hash}\0{text}".encode()).hexdigest()
    return f"{capability.name}:{digest}"
