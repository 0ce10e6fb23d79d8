"""Account for finished calls: counters, costs, and sequences of tools."""

from __future__ import annotations

import attrs
import trio

from mcpgw.backends.pool import BackendPool
from mcpgw.observe.log import get_logger
from mcpgw.pipeline.call import Call, CallFailed, Proceed, Recovery
from mcpgw.pipeline.definitions import DefinitionWithheld
from mcpgw.pipeline.prices import Prices, count_tokens
from mcpgw.protocol.errors import RpcError
from mcpgw.protocol.peer import Params
from mcpgw.usage.model import ToolKey
from mcpgw.usage.recorder import Usage

log = get_logger("mcpgw.call")

TOOL_ERROR = "TOOL_ERROR"
"""Code of a result with `isError` whose cause is not recognised."""
UNKNOWN_NAMES = "unknown_names"
"""The counter of calls to tools that do not exist."""
CACHED_TOKENS = "cached_tokens:"
"""Prefix of the counters of tokens from a model's prompt cache, by server."""


@attrs.define(eq=False)
class Accounting:
    """The stage that counts calls. Calls cancelled by the client are not counted."""

    pool: BackendPool
    usage: Usage
    prices: Prices
    _reported: dict[ToolKey, tuple[object, list[Params]]] = attrs.field(factory=dict)
    """By tool: the tools that usually follow, and the value of `predicted_next` for them."""

    async def __call__(self, call: Call, proceed: Proceed) -> Params:
        """Count the call and its outcome; add the tools that usually follow.

        The time of a call is that of its server: from the moment it was sent (for the last time, if
        it was repeated) to its answer, without queues and the start of the server.
        """
        try:
            result = await proceed(call)
        except CallFailed as error:
            self._failed(call, error.recovery.code, error)
            raise
        except RpcError as error:
            self._failed(call, Recovery.BACKEND_ERROR.code, error)
            raise
        failed = result.get("isError") is True
        if failed and not self._exists(call):
            self.usage.count(UNKNOWN_NAMES)
            return result
        fault = (call.fault.code if call.fault else TOOL_ERROR) if failed else ""
        tokens = count_tokens(result)
        cost = self.prices.of(call, tokens)
        key = (call.server, call.name)
        seconds = trio.current_time() - call.sent_at if call.sent else None
        if log.enabled("debug"):
            log.debug(
                "call.finished",
                server=call.server,
                tool=call.name,
                outcome=fault or ("CACHED" if call.cached else "OK"),
                seconds=None if seconds is None else round(seconds, 3),
                trace_id=call.trace_id,
            )
        self.usage.record(
            call.server,
            call.name,
            seconds=seconds,
            error=fault,
            cached=call.cached,
            tokens=tokens.total,
            cost_micro_usd=cost,
            caller=call.session.caller,
        )
        call.session.spend(key, tokens.total, cost)
        if tokens.cached and not call.cached:
            self.usage.count(f"{CACHED_TOKENS}{call.server}", tokens.cached)
        if not failed:
            self._follow(call, key, result)
        return result

    def _follow(self, call: Call, key: tuple[str, str], result: Params) -> None:
        before, call.session.last_tool = call.session.last_tool, key
        if before is not None:
            self.usage.moved(before, key)
        following = self.usage.next_tools(*key)
        if following and not call.transparent:
            reported = self._reported.get(key)
            if reported is None or reported[0] is not following:
                reported = self._reported[key] = (
                    following,
                    [
                        {"tool": f"{server}:{tool}", "confidence": round(share, 2)}
                        for (server, tool), share in following
                    ],
                )
            result["predicted_next"] = reported[1]

    def _exists(self, call: Call) -> bool:
        """Return False if the server does not list the tool: a name is not counted as a tool."""
        backend = self.pool.get(call.server)
        if backend is None:
            return False
        return not backend.known or call.name in backend.tools or call.name in backend.lists.tools

    def _failed(self, call: Call, code: str, error: Exception) -> None:
        if isinstance(error, DefinitionWithheld):
            # Its name is text of the server that no statistics may repeat to a model.
            self.usage.count("withheld_calls")
        elif code == Recovery.TOOL_NOT_FOUND.code or not self._exists(call):
            self.usage.count(UNKNOWN_NAMES)
        else:
            self.usage.record(
                call.server,
                call.name,
                # Calls refused by the gateway would make the server look fast.
                seconds=trio.current_time() - call.sent_at if call.sent else None,
                error=code,
                caller=call.session.caller,
            )
        log.info(
            "call.failed",
            server=call.server,
            tool=call.name,
            trace_id=call.trace_id,
            reason=str(error),
        )
