"""Catch a misspelt argument before the backend does, naming the right one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcpgw.pipeline.call import Call, CallFailed, Proceed, Recovery
from mcpgw.protocol.peer import Params


async def check_arguments(call: Call, proceed: Proceed) -> Params:
    """Refuse arguments that the tool's schema does not know, where it allows no others or a
    required one of nearly the same name is missing. All else is the backend's to judge."""
    schema = call.tool.get("inputSchema") if call.tool is not None else None
    if isinstance(schema, Mapping):
        properties = schema.get("properties")
        arguments = call.params.get("arguments")
        if isinstance(properties, Mapping) and isinstance(arguments, Mapping):
            unknown = arguments.keys() - properties.keys()
            if unknown:
                _judge(call, schema, properties, sorted(unknown))
    return await proceed(call)


def _judge(
    call: Call, schema: Mapping[str, Any], properties: Mapping[str, Any], unknown: list[str]
) -> None:
    from mcpgw.catalog.suggest import nearest
    from mcpgw.catalog.summary import input_summary

    if schema.get("patternProperties"):
        return
    required = schema.get("required")
    missing = [
        name
        for name in (required if isinstance(required, list) else [])
        if isinstance(name, str) and name not in call.params["arguments"]
    ]
    closed = schema.get("additionalProperties") is False
    near = {name: nearest(name, properties if closed else missing, count=1) for name in unknown}
    if not closed and not any(near.values()):
        return
    problems = [
        f"'{name}'" + (f" (did you mean '{guess[0]}'?)" if guess else "")
        for name, guess in near.items()
        if closed or guess
    ]
    raise CallFailed(
        Recovery.INVALID_PARAM,
        f"Tool '{call.name}' has no argument {', '.join(problems)}.",
        f"Its arguments: {input_summary(schema) or 'none'} (* = required).",
        related=tuple(guess[0] for guess in near.values() if guess),
    )
