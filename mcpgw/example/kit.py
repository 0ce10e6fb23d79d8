"""Building blocks of the example's tools: definitions, calls and errors."""

from __future__ import annotations

import json

TYPE_CHECKING = False  # `typing` is not imported because it takes a tenth of the startup time
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from threading import Event

Json = dict[str, object]

LOOKS = {
    "readOnlyHint": True,
    "destructiveHint": False,
    "idempotentHint": True,
    "openWorldHint": False,
}
"""Annotations of a read-only tool whose result depends on its arguments alone."""

VARIES = {**LOOKS, "idempotentHint": False}
"""Annotations of a read-only tool whose result differs between calls and must not be cached."""

REPLACES = {**LOOKS, "readOnlyHint": False, "destructiveHint": True}
"""Annotations of a tool that may overwrite data; repeating a call has no further effect."""


class ToolError(Exception):
    """A failure of a tool, reported to the model in words that it can act on."""


class Cancelled(Exception):
    """The client has cancelled this call."""


class Call:
    """One call of a tool: its validated arguments, and the means to notify the client.

    The getters rely on the validation against the tool's inputSchema and only add the type.
    """

    __slots__ = ("_arguments", "_cancelled", "_log", "_notify", "_token")

    def __init__(
        self,
        arguments: Json,
        *,
        notify: Callable[[str, Json], None],
        log: Callable[[str, object], None],
        progress_token: str | int | None = None,
        cancelled: Event | None = None,
    ) -> None:
        self._arguments = arguments
        self._notify = notify
        self._log = log
        self._token = progress_token
        self._cancelled = cancelled

    def text(self, name: str, default: str = "") -> str:
        """Return a string argument."""
        value = self._arguments.get(name, default)
        if not isinstance(value, str):
            raise ToolError(f"'{name}' must be a string.")
        return value

    def number(self, name: str, default: float = 0.0) -> float:
        """Return a numeric argument."""
        value = self._arguments.get(name, default)
        if not isinstance(value, (int, float)):
            raise ToolError(f"'{name}' must be a number.")
        return value

    def whole(self, name: str, default: int = 0) -> int:
        """Return an integer argument; JSON Schema allows 3.0 as an integer."""
        return int(self.number(name, default))

    def numbers(self, name: str) -> list[float]:
        """Return an argument that is a list of numbers."""
        value = self._arguments.get(name)
        if not isinstance(value, list):
            raise ToolError(f"'{name}' must be a list of numbers.")
        return [item for item in value if isinstance(item, (int, float))]

    def log(self, level: str, data: object) -> None:
        """Send a log message to the client, if its log level includes it."""
        self._log(level, data)

    def report(self, progress: float, total: float, message: str) -> None:
        """Report progress, if the client sent a progress token."""
        if self._token is not None:
            params: Json = {
                "progressToken": self._token,
                "progress": progress,
                "total": total,
                "message": message,
            }
            self._notify("notifications/progress", params)

    def pause(self, seconds: float) -> None:
        """Sleep, or raise Cancelled as soon as the client cancels the call."""
        if self._cancelled is None:
            import time

            time.sleep(seconds)
        elif self._cancelled.wait(seconds):
            raise Cancelled


class Tool:
    """A tool: its definition for `tools/list`, and its function.

    `run` takes a Call and returns the structured content (a dict) or plain text. `takes` and
    `gives` are the properties of inputSchema and outputSchema; all properties of the latter are
    required. A `patient` tool sleeps, so it runs in a thread and can be cancelled.
    """

    __slots__ = ("annotations", "definition", "input_schema", "name", "patient", "run")

    def __init__(
        self,
        name: str,
        title: str,
        description: str,
        run: Callable[[Call], Json | str],
        *,
        takes: Json,
        needs: Iterable[str] = (),
        gives: Json | None = None,
        annotations: dict[str, bool] = LOOKS,
        patient: bool = False,
    ) -> None:
        self.name = name
        self.run = run
        self.patient = patient
        self.input_schema: Json = {
            "type": "object",
            "properties": takes,
            "required": list(needs),
            "additionalProperties": False,
        }
        self.definition: Json = {
            "name": name,
            "title": title,
            "description": description,
            "inputSchema": self.input_schema,
            "annotations": {"title": title, **annotations},
        }
        if gives is not None:
            self.definition["outputSchema"] = {
                "type": "object",
                "properties": gives,
                "required": list(gives),
                "additionalProperties": False,
            }


def field(kind: str, description: str, **rules: object) -> Json:
    """Return the JSON Schema of one property."""
    return {"type": kind, "description": description, **rules}


def text_result(text: str, *, is_error: bool = False) -> Json:
    """Return a tool result of one text."""
    result: Json = {"content": [{"type": "text", "text": text}]}
    if is_error:
        result["isError"] = True
    return result


def structured_result(value: Json) -> Json:
    """Return a tool result with structured content, and the same data as text.

    The text is for clients older than revision 2025-06-18 (MCP, tools, structured content).
    """
    return {**text_result(json.dumps(value, ensure_ascii=False)), "structuredContent": value}
