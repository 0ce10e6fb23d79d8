"""Answer calls from the response cache."""

from __future__ import annotations

import attrs

from mcpgw.config.governance import CacheConfig
from mcpgw.pipeline.call import Call, Proceed
from mcpgw.pipeline.response_cache import ResponseCache, cache_key
from mcpgw.protocol.mcp import is_complete, reads_only, repeats_alike
from mcpgw.protocol.peer import Params


@attrs.define(eq=False)
class Cache:
    """The stage that caches results of read-only tools, for one backend."""

    config: CacheConfig
    cache: ResponseCache
    _rules: dict[str, tuple[object, float, bool]] = attrs.field(factory=dict)
    """By tool name: the definition, the time to live of results in seconds, and whether the tool
    is read-only."""

    async def __call__(self, call: Call, proceed: Proceed) -> Params:
        """Return a cached result with its age in `_meta`, or else proceed and cache the result.

        A call of a tool that is not declared read-only drops all cached results of its instance,
        once it was sent, whatever its outcome.
        """
        if call.tool is None:
            return await proceed(call)
        rule = self._rules.get(call.name)
        if rule is None or rule[0] is not call.tool:
            rule = self._rules[call.name] = (call.tool, self._ttl(call), reads_only(call.tool))
        _, ttl, reads = rule
        if ttl <= 0:
            if reads:
                return await proceed(call)
            return await self._write(call, proceed)
        key = cache_key(call)
        found = self.cache.find(call, key)
        if found is not None:
            result, age = found
            call.cached = True
            meta = {**(result.get("_meta") or {}), "gateway/cached_for_s": round(age, 1)}
            return {**result, "_meta": meta}
        writes = call.instance.writes
        if reads:
            result = await proceed(call)
        else:
            result = await self._write(call, proceed)
            writes = call.instance.writes  # the call itself is one
        if is_complete(result):
            self.cache.keep(call, key, dict(result), ttl, writes)
        return result

    async def _write(self, call: Call, proceed: Proceed) -> Params:
        try:
            return await proceed(call)
        finally:
            if call.sent:
                self.cache.written(call.instance)

    def _ttl(self, call: Call) -> float:
        """Return the time to live of a result in seconds; 0 if it must not be cached."""
        own = call.backend.config.tool(call.name).cache_ttl
        if own is not None:
            return own
        mode = self.config.enabled
        if mode == "off" or call.tool is None or not reads_only(call.tool):
            return 0.0
        if mode == "auto" and not repeats_alike(call.tool):
            return 0.0
        return self.config.default_ttl
