"""Validate a call's arguments against the tool's input schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from mcpgw.observe.log import get_logger
from mcpgw.pipeline.call import Call, CallFailed, Proceed, Recovery
from mcpgw.protocol.arguments import ArgumentChecker, InvalidArguments, compiled
from mcpgw.protocol.peer import Params
from mcpgw.text.sentences import sentence

log = get_logger("mcpgw.call")


@attrs.define(eq=False)
class CheckArguments:
    """The stage that validates and coerces arguments, for the tools of one backend."""

    _checkers: dict[str, tuple[Mapping[str, Any], ArgumentChecker | None]] = attrs.field(
        factory=dict
    )
    """By tool name: the definition, and the checker made from it."""

    async def __call__(self, call: Call, proceed: Proceed) -> Params:
        """Refuse invalid arguments with a summary of the schema; pass coerced ones on.

        If the schema cannot be compiled, validation is left to the backend.
        """
        tool = call.tool
        if tool is not None:
            known = self._checkers.get(call.name)
            checker = known[1] if known is not None and known[0] is tool else self._compile(call)
            if checker is not None:
                arguments = call.params.get("arguments")
                try:
                    given = arguments if isinstance(arguments, dict) else {}
                    checked = checker.check(given, exact=call.exact)
                except InvalidArguments as error:
                    raise _refusal(call, error) from error
                if checked is not arguments:
                    call.params = {**call.params, "arguments": checked}
        return await proceed(call)

    def _compile(self, call: Call) -> ArgumentChecker | None:
        assert call.tool is not None
        schema = compiled(call.tool.get("inputSchema"))
        if schema.problem:
            log.info(
                "arguments.check_skipped", server=call.server, tool=call.name, reason=schema.problem
            )
        self._checkers[call.name] = call.tool, schema.checker
        return schema.checker


def _refusal(call: Call, error: InvalidArguments) -> CallFailed:
    from mcpgw.catalog.summary import input_summary

    assert call.tool is not None
    form = input_summary(call.tool.get("inputSchema"))
    return CallFailed(
        Recovery.INVALID_PARAM,
        sentence(f"Invalid arguments for '{call.name}': {error}"),
        f"Expected: {form or 'no arguments'} (* = required).",
    )
