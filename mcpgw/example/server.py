"""The main loop of the example server: reads JSON-RPC messages, one per line, until stdin ends.

Only a patient tool runs in a thread, so other calls are answered while it sleeps. When stdin
ends, sleeping calls are cancelled and the program exits at once.
"""

from __future__ import annotations

import json
import sys
from _thread import allocate_lock

from mcpgw import __version__
from mcpgw.example.checking import check_arguments
from mcpgw.example.kit import Call, Cancelled, Json, ToolError, structured_result, text_result
from mcpgw.example.reading import PROMPTS, RESOURCES, TEMPLATES, get_prompt, read_resource
from mcpgw.example.tools_codes import TOOLS as CODES
from mcpgw.example.tools_notes import Notes, note_tools
from mcpgw.example.tools_numbers import TOOLS as NUMBERS
from mcpgw.example.tools_text import TOOLS as TEXT
from mcpgw.example.tools_time import TOOLS as TIME
from mcpgw.example.tools_units import TOOLS as UNITS
from mcpgw.example.tools_waiting import TOOLS as WAITING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event
    from typing import BinaryIO

    from mcpgw.example.kit import Tool

VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
BATCH_VERSION = "2025-03-26"

PARSE_ERROR, INVALID_REQUEST, UNKNOWN_METHOD = -32700, -32600, -32601
INVALID_PARAMS, INTERNAL_ERROR, UNKNOWN_RESOURCE = -32602, -32603, -32002

_INSTRUCTIONS = (
    "Offline tools for time zones and dates, text, units, arithmetic, encodings and short notes. "
    "The resource example://guide lists them on one page."
)


class RpcError(Exception):
    """A request that is answered with a JSON-RPC error."""

    def __init__(self, code: int, message: str, data: Json | None = None) -> None:
        super().__init__(message)
        self.error: Json = {"code": code, "message": message}
        if data is not None:
            self.error["data"] = data


class Server:
    """One session with one client."""

    def __init__(self, output: BinaryIO) -> None:
        self._output = output
        self._lock = allocate_lock()
        self._notes = Notes()
        groups = (TIME, TEXT, NUMBERS, UNITS, CODES, note_tools(self._notes), WAITING)
        self._tools: dict[str, Tool] = {tool.name: tool for group in groups for tool in group}
        self._cancel_events: dict[object, Event] = {}
        self._version = VERSIONS[0]
        self._level = LEVELS.index("warning")
        self._methods: dict[str, Callable[[Json], Json]] = {
            "initialize": self._initialize,
            "ping": lambda params: {},
            "logging/setLevel": self._set_level,
            "tools/list": lambda params: self._page(
                "tools", [tool.definition for tool in self._tools.values()], params
            ),
            "resources/list": lambda params: self._page("resources", RESOURCES, params),
            "resources/templates/list": lambda params: self._page(
                "resourceTemplates", TEMPLATES, params
            ),
            "resources/read": self._read,
            "prompts/list": lambda params: self._page("prompts", PROMPTS, params),
            "prompts/get": self._prompt,
        }

    def run(self, lines: BinaryIO) -> None:
        """Serve until the client closes the stream, then cancel sleeping calls."""
        for line in lines:
            if line.strip():
                self._handle(line)
        for cancelled in list(self._cancel_events.values()):
            cancelled.set()

    def _handle(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError as error:
            self._send({"error": {"code": PARSE_ERROR, "message": f"Invalid JSON: {error}"}})
            return
        if isinstance(message, list) and message and self._version == BATCH_VERSION:
            answers = [answer for each in message if (answer := self._answer(each, in_batch=True))]
            if answers:
                self._send(answers)
        elif answer := self._answer(message):
            self._send(answer)

    def _answer(self, message: object, *, in_batch: bool = False) -> Json | None:
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            return _error(RpcError(INVALID_REQUEST, "The message must be JSON-RPC 2.0."))
        method, given = message.get("method"), message.get("params")
        params: Json = given if isinstance(given, dict) else {}
        if "id" not in message:
            if method == "notifications/cancelled":
                cancelled = self._cancel_events.get(_key(params.get("requestId")))
                if cancelled is not None:
                    cancelled.set()
            return None
        number = message["id"]
        if not isinstance(number, (str, int)) or isinstance(number, bool):
            return _error(RpcError(INVALID_REQUEST, "'id' must be a string or an integer."))
        if method is None and ("result" in message or "error" in message):
            return None  # A response, although this server sends no requests.
        try:
            if method == "tools/call":
                result = self._call(number, params, in_batch=in_batch)
                return None if result is None else _reply(number, result)
            if method not in self._methods:
                raise RpcError(UNKNOWN_METHOD, f"Unknown method {method!r}.")
            return _reply(number, self._methods[method](params))
        except RpcError as error:
            return _error(error, number)

    def _initialize(self, params: Json) -> Json:
        wanted = params.get("protocolVersion")
        self._version = wanted if isinstance(wanted, str) and wanted in VERSIONS else VERSIONS[0]
        return {
            "protocolVersion": self._version,
            "capabilities": {"tools": {}, "resources": {}, "prompts": {}, "logging": {}},
            "serverInfo": {"name": "example", "title": "Example tools", "version": __version__},
            "instructions": _INSTRUCTIONS,
        }

    def _set_level(self, params: Json) -> Json:
        level = params.get("level")
        if level not in LEVELS:
            raise RpcError(
                INVALID_PARAMS, f"'level' must be one of {', '.join(LEVELS)}, not {level!r}."
            )
        self._level = LEVELS.index(str(level))
        return {}

    def _page(self, name: str, items: list[Json], params: Json) -> Json:
        if params.get("cursor") is not None:
            raise RpcError(INVALID_PARAMS, "Invalid cursor: the list has only one page.")
        return {name: items}

    def _read(self, params: Json) -> Json:
        uri = params.get("uri")
        if not isinstance(uri, str):
            raise RpcError(INVALID_PARAMS, "'uri' must be a string.")
        found = read_resource(uri, self._notes)
        if found is None:
            raise RpcError(UNKNOWN_RESOURCE, f"Unknown resource {uri}.", {"uri": uri})
        return found

    def _prompt(self, params: Json) -> Json:
        given = params.get("arguments") or {}
        if not isinstance(given, dict):
            raise RpcError(INVALID_PARAMS, "'arguments' must be an object.")
        try:
            return get_prompt(
                str(params.get("name")), {name: str(value) for name, value in given.items()}
            )
        except LookupError as error:
            raise RpcError(INVALID_PARAMS, str(error.args[0])) from None

    def _call(self, number: str | int, params: Json, *, in_batch: bool) -> Json | None:
        """Call a tool; return its result, or None if a thread will send it."""
        tool = self._tools.get(str(params.get("name")))
        if tool is None:
            raise RpcError(INVALID_PARAMS, f"Unknown tool {params.get('name')!r}.")
        arguments = params.get("arguments")
        if arguments is None:
            arguments = {}
        if not isinstance(arguments, dict):
            raise RpcError(INVALID_PARAMS, "'arguments' must be an object.")
        meta = params.get("_meta")
        token = meta.get("progressToken") if isinstance(meta, dict) else None
        try:
            check_arguments(tool.input_schema, arguments)
        except ToolError as error:
            return text_result(str(error), is_error=True)
        # The responses of a batch are sent together, so a thread would not help.
        if not tool.patient or in_batch:
            return self._run(tool, self._new_call(arguments, token))
        import threading

        cancelled = self._cancel_events[_key(number)] = threading.Event()
        call = self._new_call(arguments, token, cancelled)
        threading.Thread(target=self._run_patient, args=(number, tool, call)).start()
        return None

    def _new_call(self, arguments: Json, token: object, cancelled: Event | None = None) -> Call:
        return Call(
            arguments,
            notify=self._notify,
            log=self._log,
            progress_token=token if isinstance(token, (str, int)) else None,
            cancelled=cancelled,
        )

    def _run_patient(self, number: str | int, tool: Tool, call: Call) -> None:
        try:
            answer = _reply(number, self._run(tool, call))
        except Cancelled:
            self._log("info", {"event": "call cancelled", "tool": tool.name})
            return
        except RpcError as error:
            answer = _error(error, number)
        finally:
            self._cancel_events.pop(_key(number), None)
        self._send(answer)

    def _run(self, tool: Tool, call: Call) -> Json:
        try:
            value = tool.run(call)
        except ToolError as error:
            return text_result(str(error), is_error=True)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # A bug of this program: the call fails, and the server goes on.
            sys.stderr.write(f"{tool.name}: {type(error).__name__}: {error}\n")
            raise RpcError(INTERNAL_ERROR, f"Internal error of the tool {tool.name}.") from error
        return text_result(value) if isinstance(value, str) else structured_result(value)

    def _log(self, level: str, data: object) -> None:
        if LEVELS.index(level) >= self._level:
            params: Json = {"level": level, "logger": "example", "data": data}
            self._notify("notifications/message", params)

    def _notify(self, method: str, params: Json) -> None:
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def _send(self, message: Json | list[Json]) -> None:
        if isinstance(message, dict):
            message = {"jsonrpc": "2.0", **message}
        # ASCII escapes are needed for lone surrogates that the client may have sent.
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            self._output.write(line)
            self._output.flush()


def _key(number: object) -> object:
    """Return a key that distinguishes the ids 1, "1" and true."""
    return (type(number).__name__, str(number))


def _reply(number: str | int, result: Json) -> Json:
    return {"jsonrpc": "2.0", "id": number, "result": result}


def _error(error: RpcError, number: str | int | None = None) -> Json:
    known: Json = {} if number is None else {"id": number}
    return {"jsonrpc": "2.0", **known, "error": error.error}


def main() -> int:
    """Serve stdin and stdout and return the exit code."""
    output, sys.stdout = sys.stdout.buffer, sys.stderr  # stray prints must not reach the client
    try:
        Server(output).run(sys.stdin.buffer)
    except (BrokenPipeError, KeyboardInterrupt):
        return 0
    return 0
