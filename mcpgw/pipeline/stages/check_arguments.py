"""Check a call's arguments against the tool's own schema before the backend does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from mcpgw.observe.log import get_logger
from mcpgw.pipeline.call import Call, CallFailed, Proceed, Recovery
from mcpgw.protocol.arguments import Checker, InvalidArguments, compiled
from mcpgw.protocol.peer import Params

log = get_logger("mcpgw.call")


@attrs.define(eq=False)
class CheckArguments:
    """The stage that checks and coerces arguments, for the tools of one backend."""

    _checkers: dict[str, tuple[Mapping[str, Any], Checker | None]] = attrs.field(factory=dict)
    """By tool name: the definition that was compiled, and what checks by it."""

    async def __call__(self, call: Call, proceed: Proceed) -> Params:
        """Refuse arguments that do not fit, with the right form; pass coerced ones on.

        A schema that cannot be compiled leaves the judgement to the backend.
        """
        tool = call.tool
        if tool is not None:
            known = self._checkers.get(call.name)
            checker = known[1] if known is not None and known[0] is tool else self._compile(call)
            if checker is not None:
                arguments = call.params.get("arguments")
                try:
                    checked = checker.check(arguments if isinstance(arguments, dict) else {})
                except InvalidArguments as error:
                    raise _refusal(call, error) from error
                if checked is not arguments:
                    call.params = {**call.params, "arguments": checked}
        return await proceed(call)

    def _compile(self, call: Call) -> Checker | None:
        assert call.tool is not None
        made = compiled(call.tool.get("inputSchema"))
        if made.problem:
            log.info(
                "arguments.not_checked", server=call.server, tool=call.name, reason=made.problem
            )
        self._checkers[call.name] = call.tool, made.checker
        return made.checker


def _refusal(call: Call, error: InvalidArguments) -> CallFailed:
    from mcpgw.catalog.summary import input_summary

    assert call.tool is not None
    form = input_summary(call.tool.get("inputSchema"))
    return CallFailed(
        Recovery.INVALID_PARAM,
        f"Tool '{call.name}' cannot be called like this: {error}.",
        f"Its arguments: {form or 'none'} (* = required).",
        related=tuple(error.misspelt.values()),
    )
