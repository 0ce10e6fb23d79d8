"""What the meta-tools share, and the shape of a meta-tool."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import attrs

from mcpgw.backends.pool import BackendPool
from mcpgw.catalog.index import ToolIndex
from mcpgw.config.schema import GatewayConfig
from mcpgw.observe.stats import Stats
from mcpgw.pipeline.order import Pipeline
from mcpgw.protocol.errors import INVALID_PARAMS, RpcError
from mcpgw.protocol.peer import Params, Request

LEARNING_PATIENCE: Final = 5.0
"""Seconds that a search or listing waits at most for servers that were never started."""


class Reload(Protocol):
    """Load gateway.yaml again and apply it; raise RpcError where it cannot be."""

    async def __call__(self) -> Params:
        """Return the outcome: `status`, `changes`, `restart_required`, `restart_reason`."""


@attrs.define(eq=False)
class Surface:
    """What a meta-tool may look at and do."""

    pool: BackendPool
    index: ToolIndex
    pipeline: Pipeline
    stats: Stats
    reload: Reload
    config: GatewayConfig = attrs.field(factory=GatewayConfig)
    config_loaded: bool = False
    config_problem: str = ""
    """Why gateway.yaml as it stands could not be loaded; empty where it was."""

    def count_tools(self) -> int:
        """Return the number of tools behind the gateway, as far as they are known."""
        return sum(len(backend.tools) for backend in self.pool)

    def roots_changed(self) -> None:
        """Tell the backends that know the client's roots."""
        for backend in self.pool:
            if backend.connection is not None:
                backend.connection.peer.notify("notifications/roots/list_changed")

    def log_level_changed(self) -> None:
        """Pass the level on to the backends that send log messages."""
        for backend in self.pool:
            backend.lists.pass_log_level()

    async def learn(self) -> tuple[str, ...]:
        """Get to know the servers of which nothing is known; return those that stay unknown."""
        if self.config_problem and not self.config_loaded:
            raise RpcError(INVALID_PARAMS, self.config_problem)
        return await self.pool.learn(patience=LEARNING_PATIENCE)


@attrs.frozen
class Hints:
    """The four annotations of a tool (MCP 2025-11-25, ToolAnnotations)."""

    read_only: bool
    destructive: bool
    idempotent: bool
    open_world: bool

    def to_wire(self) -> dict[str, bool]:
        """Return them under MCP's names."""
        return {
            "readOnlyHint": self.read_only,
            "destructiveHint": self.destructive,
            "idempotentHint": self.idempotent,
            "openWorldHint": self.open_world,
        }


READS: Final = Hints(read_only=True, destructive=False, idempotent=True, open_world=False)
INVOKES: Final = Hints(read_only=False, destructive=False, idempotent=False, open_world=True)
WRITES: Final = Hints(read_only=False, destructive=False, idempotent=True, open_world=False)
DESTROYS: Final = Hints(read_only=False, destructive=True, idempotent=True, open_world=False)

MetaCall = Callable[[Surface, Params, Request | None], Awaitable[Params]]


@attrs.frozen
class MetaTool:
    """A tool of the gateway itself.

    Args:
      name, title: as the client sees them.
      describe: gives the description; it may name live counts.
      properties: JSON Schema of each argument.
      required: the arguments that must be there.
      hints: the annotations.
      call: does it; gets the arguments and the client's request (for progress).
      output_schema: JSON Schema of `structuredContent`, where the tool gives one.
      own_scope: the tool itself lets the client's request be cancelled.
    """

    name: str
    title: str
    describe: Callable[[Surface], str]
    hints: Hints
    call: MetaCall
    properties: Mapping[str, Any] = attrs.field(factory=dict)
    required: tuple[str, ...] = ()
    output_schema: Mapping[str, Any] | None = None
    own_scope: bool = False

    def definition(self, surface: Surface) -> dict[str, Any]:
        """Return the tool's entry of `tools/list`."""
        schema: dict[str, Any] = {"type": "object", "properties": dict(self.properties)}
        if self.required:
            schema["required"] = list(self.required)
        definition: dict[str, Any] = {
            "name": self.name,
            "title": self.title,
            "description": self.describe(surface),
            "inputSchema": schema,
            "annotations": self.hints.to_wire(),
        }
        if self.output_schema is not None:
            definition["outputSchema"] = dict(self.output_schema)
        return definition


def answer(payload: Mapping[str, Any], *, structured: bool = False) -> Params:
    """Wrap a payload as the result of a tool: JSON as text, and as structured content."""
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"), default=str)
    result: Params = {"content": [{"type": "text", "text": text}], "isError": False}
    if structured:
        result["structuredContent"] = dict(payload)
    return result


def text_argument(arguments: Params, *names: str, required: bool = True) -> str:
    """Return a string argument under the first of its names that is there.

    Raises:
      RpcError: it is missing, empty or no string.
    """
    for name in names:
        if (value := arguments.get(name)) is not None:
            if not isinstance(value, str):
                kind = type(value).__name__
                raise RpcError(INVALID_PARAMS, f"'{name}' is a string, not {kind}: {value!r:.80}")
            if value.strip():
                return value.strip()
    if required:
        from mcpgw.catalog.suggest import nearest

        near = nearest(names[0], [name for name in arguments if name not in names], count=1)
        hint = f"; '{near[0]}' is not known, did you mean '{names[0]}'?" if near else ""
        raise RpcError(INVALID_PARAMS, f"Missing '{names[0]}' parameter{hint}")
    return ""


def whole_number(arguments: Params, name: str, *, default: int, low: int, high: int) -> int:
    """Return a whole-number argument within its bounds; a numeric string is understood.

    Raises:
      RpcError: it is no whole number, or out of bounds.
    """
    value = arguments.get(name)
    if value is None:
        return default
    try:
        if isinstance(value, bool) or (isinstance(value, float) and value != int(value)):
            raise ValueError
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        raise RpcError(
            INVALID_PARAMS, f"'{name}' is a whole number from {low} to {high}, not {value!r:.80}"
        ) from None
    if not low <= number <= high:
        raise RpcError(INVALID_PARAMS, f"'{name}' is from {low} to {high}, not {number}")
    return number
