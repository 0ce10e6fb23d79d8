"""Answers that are given again: for their time, within a bound of bytes, and one request for all
who ask the same at once."""

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
"""Bytes of all kept answers together."""
LARGEST_ONE: Final = 4 * 1024 * 1024


@attrs.define(eq=False)
class _Flight:
    """A request under way that several wait for."""

    landed: trio.Event = attrs.field(factory=trio.Event)
    value: Any = None
    good: bool = False


@attrs.define(eq=False)
class ResponseCache:
    """The answers of all capabilities. Failures are not kept, and neither are writes."""

    limit: int = LARGEST
    _answers: OrderedDict[str, tuple[float, int, Any]] = attrs.field(factory=OrderedDict)
    _size: int = 0
    _flights: dict[str, _Flight] = attrs.field(factory=dict)

    async def get(
        self,
        capability: Capability,
        content_hash: str,
        inputs: Mapping[str, Any],
        make: Callable[[], Awaitable[Any]],
        *,
        fresh: bool = False,
    ) -> Any:
        """Return a kept answer, or make one.

        Args:
          capability, content_hash, inputs: what the answer depends on.
          make: makes it; what it raises is passed on.
          fresh: whether a kept one will not do.
        """
        seconds = capability.cache.seconds
        if not capability.metadata.read_only or seconds <= 0:
            return await make()
        key = _key(capability, content_hash, inputs)
        while not fresh:
            found = self._answers.get(key)
            if found is not None:
                until, _, value = found
                if trio.current_time() < until:
                    self._answers.move_to_end(key)
                    return value
                self._drop(key)
            flight = self._flights.get(key)
            if flight is None:
                break
            await flight.landed.wait()
            if flight.good:
                return flight.value
        return await self._fly(key, seconds, make)

    async def _fly(self, key: str, seconds: float, make: Callable[[], Awaitable[Any]]) -> Any:
        flight = _Flight()
        self._flights[key] = flight
        try:
            flight.value = await make()
            flight.good = True
        finally:
            if self._flights.get(key) is flight:
                del self._flights[key]
            flight.landed.set()
        self._keep(key, trio.current_time() + seconds, flight.value)
        return flight.value

    def _keep(self, key: str, until: float, value: Any) -> None:
        self._drop(key)
        size = len(value.data) if isinstance(value, Blob) else len(compact(value))
        if size > min(LARGEST_ONE, self.limit):
            return
        self._answers[key] = (until, size, value)
        self._size += size
        while self._size > self.limit:
            self._drop(next(iter(self._answers)))

    def _drop(self, key: str) -> None:
        found = self._answers.pop(key, None)
        if found is not None:
            self._size -= found[1]


def _key(capability: Capability, content_hash: str, inputs: Mapping[str, Any]) -> str:
    text = json.dumps(inputs, sort_keys=True, default=str)
    digest = hashlib.sha256(f"{content_hash}\0{text}".encode()).hexdigest()
    return f"{capability.name}:{digest}"
