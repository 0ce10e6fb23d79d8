"""Building blocks of meta-tools: definition, arguments, result."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import attrs

from mcpgw.meta.context import GatewayContext, ToolRequest
from mcpgw.protocol.errors import INVALID_PARAMS, RpcError
from mcpgw.protocol.peer import Params


@attrs.frozen
class Hints:
    """The four annotations of a tool (MCP 2025-11-25, ToolAnnotations)."""

    read_only: bool
    destructive: bool
    idempotent: bool
    open_world: bool

    def to_wire(self) -> dict[str, bool]:
        """Return the annotations under MCP's names."""
        return {
            "readOnlyHint": self.read_only,
            "destructiveHint": self.destructive,
            "idempotentHint": self.idempotent,
            "openWorldHint": self.open_world,
        }


LONGEST_NAME: Final = 60
"""Characters of an unknown name that are shown."""
READS: Final = Hints(read_only=True, destructive=False, idempotent=True, open_world=False)
INVOKES: Final = Hints(read_only=False, destructive=True, idempotent=False, open_world=True)
"""Of a tool that calls any other tool: it may do all that any of them does."""
WRITES: Final = Hints(read_only=False, destructive=False, idempotent=True, open_world=False)
DESTROYS: Final = Hints(read_only=False, destructive=True, idempotent=True, open_world=False)


PLACEHOLDERS: Final = frozenset(
    {"random_string", "dummy", "placeholder", "_placeholder", "_noargs"}
)
"""Names that clients send to tools without arguments, because their model APIs require one."""


def always(_context: GatewayContext) -> bool:
    """Return True: the tool is listed in every configuration."""
    return True


@attrs.frozen
class MetaTool:
    """A tool of the gateway itself.

    Args:
      name, title: as the client sees them.
      describe: returns the description; it may contain live counts.
      hints: the annotations.
      call: handles a call.
      properties: JSON Schema of each argument.
      required: the required arguments.
      unlisted: further names that it accepts for its arguments, or for rarely used ones.
      takes_others: whether `call` itself handles unknown arguments, which may be another tool's.
      result_keys: the keys that `structuredContent` always has; None if the result is a backend's.
      listed: whether `tools/list` of a configuration includes it; it can be called anyway.
    """

    name: str
    title: str
    describe: Callable[[GatewayContext], str]
    hints: Hints
    call: Callable[[ToolRequest], Awaitable[Params]]
    properties: Mapping[str, Any] = attrs.field(factory=dict)
    required: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    takes_others: bool = False
    result_keys: tuple[str, ...] | None = None
    listed: Callable[[GatewayContext], bool] = always

    def check_names(self, arguments: Mapping[str, Any]) -> None:
        """Check that all arguments are known, so that none is ignored.

        Raises:
          RpcError: one is not.
        """
        if self.takes_others:
            return
        names = others(arguments, (*self.properties, *self.unlisted))
        if not self.properties:
            names = [name for name in names if name not in PLACEHOLDERS]
        if names:
            known = ", ".join(self.properties) or "none"
            raise RpcError(
                INVALID_PARAMS,
                f"{unknown_argument(names[0], self.properties)}. {self.name} has the arguments:"
                f" {known}.",
            )

    def definition(self, context: GatewayContext) -> dict[str, Any]:
        """Return the tool's entry in `tools/list`."""
        schema: dict[str, Any] = {"type": "object", "properties": dict(self.properties)}
        if self.required:
            schema["required"] = list(self.required)
        definition: dict[str, Any] = {
            "name": self.name,
            "title": self.title,
            "description": self.describe(context),
            "inputSchema": schema,
            "annotations": self.hints.to_wire(),
        }
        if self.result_keys is not None:
            definition["outputSchema"] = {"type": "object", "required": list(self.result_keys)}
        return definition


def others(arguments: Mapping[str, Any], known: Iterable[str]) -> list[str]:
    """Return the names of arguments that are not known, without those whose value is null."""
    names = {*known, "_meta"}
    return [name for name, value in arguments.items() if name not in names and value is not None]


def unknown_argument(name: str, known: Iterable[str]) -> str:
    """Return that an argument is unknown, with the name that was probably meant."""
    from mcpgw.text.did_you_mean import nearest

    near = nearest(name, list(known), count=1)
    hint = f" (did you mean '{near[0]}'?)" if near else ""
    return f"Unknown argument '{name[:LONGEST_NAME]}'{hint}"


def answer(payload: Mapping[str, Any]) -> Params:
    """Return a payload as the result of a tool: as JSON text, and as structured content."""
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return {
        "content": [{"type": "text", "text": text}],
        "structuredContent": dict(payload),
        "isError": False,
    }


def text_argument(arguments: Params, *names: str, required: bool = True) -> str:
    """Return a string argument by the first of its names that is present and not empty.

    Raises:
      RpcError: it is not a string, or it is required and missing or empty.
    """
    for name in names:
        if (value := arguments.get(name)) is not None:
            if not isinstance(value, str):
                kind = type(value).__name__
                raise RpcError(
                    INVALID_PARAMS, f"'{name}' must be a string, not {kind}: {value!r:.80}"
                )
            if value.strip():
                return value.strip()
    if required:
        from mcpgw.text.did_you_mean import nearest

        near = nearest(names[0], [name for name in arguments if name not in names], count=1)
        hint = f"; '{near[0]}' is unknown, did you mean '{names[0]}'?" if near else ""
        raise RpcError(INVALID_PARAMS, f"Missing '{names[0]}' parameter{hint}")
    return ""


def whole_number(arguments: Params, name: str, *, default: int, low: int, high: int) -> int:
    """Return an integer argument within its bounds; a numeric string is accepted.

    Raises:
      RpcError: it is not a whole number, or out of bounds.
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
            INVALID_PARAMS,
            f"'{name}' must be a whole number from {low} to {high}, not {value!r:.80}",
        ) from None
    if not low <= number <= high:
        raise RpcError(INVALID_PARAMS, f"'{name}' must be from {low} to {high}, not {number}")
    return number


def flag(arguments: Params, name: str, *, default: bool = False) -> bool:
    """Return a boolean argument; the strings `true` and `false` are accepted.

    Raises:
      RpcError: it is not a boolean.
    """
    value = arguments.get(name)
    if value is None:
        return default
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise RpcError(INVALID_PARAMS, f"'{name}' must be true or false, not {value!r:.80}")
    return value


def object_argument(arguments: Params, *names: str) -> Params:
    """Return an argument that is an object or a string of a JSON object; {} if it is missing.

    Raises:
      RpcError: it is neither.
    """
    value: Any = None
    for name in names:
        if (value := arguments.get(name)) is not None:
            break
    if value is None:
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else {}
        except ValueError as error:
            raise RpcError(INVALID_PARAMS, f"Invalid '{names[0]}' JSON string: {error}") from error
    if not isinstance(value, dict):
        raise RpcError(
            INVALID_PARAMS, f"Invalid '{names[0]}': expected object or JSON object string"
        )
    return value
