"""Apply response transforms of the backend and the tool, and `_fields` of the caller."""

from __future__ import annotations

import attrs

from mcpgw.config.json_path import JsonPath, PathError, parse_path
from mcpgw.config.transforms import ResponseTransform
from mcpgw.pipeline.call import Call, CallFailed, Proceed, Recovery
from mcpgw.protocol.peer import Params
from mcpgw.shaping.response import ResponseShaper, project_result
from mcpgw.text.sentences import sentence


@attrs.define(eq=False)
class Transform:
    """The stage that transforms results as configured in gateway.yaml and by the caller."""

    own: tuple[ResponseTransform, ...]
    """The transforms of the whole backend."""
    _shapers: dict[str, ResponseShaper] = attrs.field(factory=dict)
    """By tool; never outdated, because stages are recreated when the settings change."""

    async def __call__(self, call: Call, proceed: Proceed) -> Params:
        """Proceed and transform the result: backend, then tool, then `_fields`."""
        fields = _paths(call.fields)
        result = await proceed(call)
        shaper = self._shapers.get(call.name)
        if shaper is None:
            shaper = self._shapers[call.name] = ResponseShaper(self._transforms(call))
        # Redactions always apply, because a model could ask for the full result.
        result = shaper.redact(result) if call.full else shaper.apply(result)
        return project_result(result, fields) if fields else result

    def _transforms(self, call: Call) -> tuple[ResponseTransform, ...]:
        tool = call.backend.config.tool(call.name).transform
        return self.own if tool is None else (*self.own, tool)


def _paths(fields: tuple[str, ...]) -> tuple[JsonPath, ...]:
    try:
        return tuple(parse_path(text) for text in fields)
    except PathError as error:
        raise CallFailed(
            Recovery.INVALID_PARAM,
            sentence(f"'_fields': {error}"),
            "Write paths such as `title`, `author.name` or `items[].id`.",
        ) from error
