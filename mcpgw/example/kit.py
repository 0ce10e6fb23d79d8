"""What every tool of the example is made of: its definition, one call, and its failures."""

from __future__ import annotations

import json

TYPE_CHECKING = False  # `typing` itself is not imported: it would cost a tenth of the start
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
"""Annotations of a tool that changes nothing and gives the same answer each time."""

VARIES = {**LOOKS, "idempotentHint": False}
"""As LOOKS, for an answer that differs from call to call, which nobody should keep."""

REPLACES = {**LOOKS, "readOnlyHint": False, "destructiveHint": True}
"""Annotations of a tool that may overwrite something, the same way however often it is called."""


class ToolError(Exception):
    """A failure to tell the model about, in words that it can act on."""


class Cancelled(Exception):
    """The client no longer wants the answer of this call."""


class Call:
    """One call of a tool: its checked arguments, and the ways back to the client.

    The getters trust the check against the tool's inputSchema; they give the value its type.
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
            raise ToolError(f"'{name}' must be text.")
        return value

    def number(self, name: str, default: float = 0.0) -> float:
        """Return a numeric argument."""
        value = self._arguments.get(name, default)
        if not isinstance(value, (int, float)):
            raise ToolError(f"'{name}' must be a number.")
        return value

    def whole(self, name: str, default: int = 0) -> int:
        """Return an integer argument; JSON Schema counts 3.0 as one."""
        return int(self.number(name, default))

    def numbers(self, name: str) -> list[float]:
        """Return an argument that is a list of numbers."""
        value = self._arguments.get(name)
        if not isinstance(value, list):
            raise ToolError(f"'{name}' must be a list of numbers.")
        return [item for item in value if isinstance(item, (int, float))]

    def log(self, level: str, data: object) -> None:
        """Send a log message to the client, if it wants messages of this level."""
        self._log(level, data)

    def report(self, progress: float, total: float, message: str) -> None:
        """Report progress, if the client gave a token to report it with."""
        if self._token is not None:
            params: Json = {
                "progressToken": self._token,
                "progress": progress,
                "total": total,
                "message": message,
            }
            self._notify("notifications/progress", params)

    def pause(self, seconds: float) -> None:
        """Wait, or raise Cancelled as soon as the client withdraws the call."""
        if self._cancelled is None:
            import time

            time.sleep(seconds)
        elif self._cancelled.wait(seconds):
            raise Cancelled


class Tool:
    """A tool: what `tools/list` says of it, and the function that does it.

    `run` takes a Call and returns the structured content (a dict) or plain text. `takes` and
    `gives` are the properties of inputSchema and outputSchema; all that is given is required.
    A `patient` tool waits, so it runs beside the others and can be cancelled.
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
    """Return a tool result with structured content and the same as text.

    The text is for clients older than revision 2025-06-18 (MCP, tools, structured content).
    """
    return {**text_result(json.dumps(value, ensure_ascii=False)), "structuredContent": value}
