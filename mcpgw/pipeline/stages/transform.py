"""Shape the answer: the backend's and the tool's transforms, and what the caller asked for."""

from __future__ import annotations

import attrs

from mcpgw.config.json_path import JsonPath, PathError, parse_path
from mcpgw.config.transforms import ResponseTransform
from mcpgw.pipeline.call import Call, CallFailed, Proceed, Recovery
from mcpgw.protocol.peer import Params
from mcpgw.shaping.response import ResponseShaper, project_result


@attrs.define(eq=False)
class Transform:
    """The stage that changes answers as gateway.yaml and the caller say."""

    own: tuple[ResponseTransform, ...]
    """The transforms of the whole backend."""
    _shapers: dict[str, ResponseShaper] = attrs.field(factory=dict)
    """By tool; the stages are composed anew when the settings change."""

    async def __call__(self, call: Call, proceed: Proceed) -> Params:
        """Let the call through and shape its answer: backend, then tool, then `_fields`."""
        fields = _paths(call.fields)
        result = await proceed(call)
        shaper = self._shapers.get(call.name)
        if shaper is None:
            shaper = self._shapers[call.name] = ResponseShaper(self._transforms(call))
        # What is to be hidden is hidden from everybody: a model could ask for the whole.
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
            f"'_fields': {error}.",
            "Write paths such as `title`, `author.name` or `items[].id`.",
        ) from error
