"""Enforce the limits of a session: `sandbox` in gateway.yaml."""

from __future__ import annotations

import json
import time

import attrs

from mcpgw.config.governance import SandboxProfileConfig
from mcpgw.config.patterns import any_matches
from mcpgw.pipeline.call import Call, CallFailed, Proceed, Recovery
from mcpgw.protocol.peer import Params


@attrs.frozen
class Sandbox:
    """The stage that refuses calls beyond the limits of the sandbox profile."""

    limits: SandboxProfileConfig

    async def __call__(self, call: Call, proceed: Proceed) -> Params:
        """Check duration, server, tool, size and number of calls, in this order.

        A call that fails does not count, so only calls with a result use up `max_calls`.
        """
        self._check(call)
        call.session.calls += 1
        try:
            result = await proceed(call)
        except BaseException:
            call.session.calls -= 1
            raise
        return result

    def _check(self, call: Call) -> None:
        limits, session = self.limits, call.session
        elapsed = time.time() - session.started
        if limits.max_duration and elapsed > limits.max_duration:
            raise _refused(
                f"session expired: elapsed {elapsed:.0f}s, limit {limits.max_duration:g}s",
                "Start a new session.",
            )
        allowed = limits.allowed_backends
        if allowed is not None and not any_matches(allowed, call.server):
            raise _refused(
                f"backend not allowed in this session: {call.server}",
                f"Allowed: {', '.join(allowed) or 'none'}.",
            )
        if any_matches(limits.denied_tools, call.name, f"{call.server}:{call.name}"):
            raise _refused(f"tool denied in this session: {call.name}")
        if limits.max_payload_bytes:
            size = len(json.dumps(call.params.get("arguments"), ensure_ascii=False).encode())
            if size > limits.max_payload_bytes:
                raise _refused(
                    f"payload too large: {size} bytes exceeds limit of {limits.max_payload_bytes}",
                    "Send less at once.",
                )
        if limits.max_calls and session.calls >= limits.max_calls:
            raise _refused(
                f"session call limit exceeded: attempted {session.calls + 1},"
                f" limit {limits.max_calls}",
                "Start a new session.",
            )


def _refused(
    message: str, suggest: str = "The limit is set under `sandbox` in gateway.yaml."
) -> CallFailed:
    return CallFailed(Recovery.NOT_ALLOWED, f"{message}.", suggest)
