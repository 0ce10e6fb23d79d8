"""Remember the call once it has ended: counters, costs, and which tool followed which."""

from __future__ import annotations

import attrs
import trio

from mcpgw.observe.log import get_logger
from mcpgw.pipeline.call import Call, CallFailed, Proceed, Recovery
from mcpgw.pipeline.prices import Prices, count_tokens
from mcpgw.protocol.errors import RpcError
from mcpgw.protocol.peer import Params
from mcpgw.usage.model import ToolKey
from mcpgw.usage.recorder import Usage

log = get_logger("mcpgw.call")

TOOL_ERROR = "TOOL_ERROR"
"""Code of an answer with `isError` that does not tell its cause."""
CACHED_TOKENS = "cached_tokens:"
"""Beginning of the counters of tokens that came out of a model's prompt cache, by server."""


@attrs.define(eq=False)
class Accounting:
    """The stage that keeps counters. Calls cancelled by the client are not counted."""

    usage: Usage
    prices: Prices
    _reported: dict[ToolKey, tuple[object, list[Params]]] = attrs.field(factory=dict)
    """By tool: what usually follows, as it was last told."""

    async def __call__(self, call: Call, proceed: Proceed) -> Params:
        """Count the call and how it ended; say which tools usually follow."""
        began = trio.current_time()
        try:
            result = await proceed(call)
        except CallFailed as error:
            self._failed(call, began, error.recovery.code, error)
            raise
        except RpcError as error:
            self._failed(call, began, Recovery.BACKEND_ERROR.code, error)
            raise
        failed = result.get("isError") is True
        fault = (call.fault.code if call.fault else TOOL_ERROR) if failed else ""
        tokens = count_tokens(result)
        cost = self.prices.of(call, tokens)
        key = (call.server, call.name)
        self.usage.record(
            call.server,
            call.name,
            seconds=trio.current_time() - began,
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
            told = self._reported.get(key)
            if told is None or told[0] is not following:
                told = self._reported[key] = (
                    following,
                    [
                        {"tool": f"{server}:{tool}", "confidence": round(share, 2)}
                        for (server, tool), share in following
                    ],
                )
            result["predicted_next"] = told[1]

    def _failed(self, call: Call, began: float, code: str, error: Exception) -> None:
        if code == Recovery.TOOL_NOT_FOUND.code:
            # A name that does not exist is no tool to keep counters of.
            self.usage.count("unknown_names")
        else:
            self.usage.record(
                call.server,
                call.name,
                # What was refused here would make the server look quick.
                seconds=trio.current_time() - began if call.sent else None,
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
