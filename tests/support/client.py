"""The client's end of a conversation over the pipes of a child: requests, answers, and the rest."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import trio

from tests.support.patience import PATIENCE

Message = dict[str, Any]
Handler = Callable[[Message], Awaitable[Message]]


class RpcError(Exception):
    """A JSON-RPC error: one that came as an answer, or one that a handler wants to give."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(code, message, data)
        self.code = code
        self.message = message
        self.data = data


@attrs.define(eq=False)
class Pending:
    """A request on its way; `id` is what to cancel it by, `result` waits for the answer."""

    id: int | str
    method: str
    _gateway: Gateway
    _done: trio.Event = attrs.field(factory=trio.Event)
    answer: Message | None = None

    async def result(self, *, timeout: float = PATIENCE) -> Any:
        """Return the result; raise RpcError, TimeoutError, or ConnectionError at its end."""
        with trio.move_on_after(timeout):
            await self._done.wait()
        if self.answer is not None:
            if "error" in self.answer:
                error = self.answer["error"]
                raise RpcError(error["code"], error["message"], error.get("data"))
            return self.answer["result"]
        about = f"no answer to {self.method}; {self._gateway.describe()}"
        if self._done.is_set():
            raise ConnectionError(f"stdout ended: {about}")
        raise TimeoutError(f"after {timeout:g} s: {about}")

    @property
    def answered(self) -> bool:
        """True once the answer has come."""
        return self.answer is not None

    def settle(self, answer: Message | None) -> None:
        """Take the answer, or None when there will be none."""
        self.answer = answer
        self._done.set()


@attrs.define(eq=False)
class Gateway:
    """A running gateway process and the client's end of the conversation with it."""

    process: trio.Process
    mark: str
    """Value of MCPGW_TEST_MARK in the environment of the gateway."""
    folder: Path
    """Working folder of the gateway; `home` in it is its state folder."""
    notifications: list[Message] = attrs.field(factory=list)
    """Every notification that came, in order, whole."""
    raw_lines: list[bytes] = attrs.field(factory=list)
    """Every line of stdout, without its end."""
    garbage: list[bytes] = attrs.field(factory=list)
    """Lines of stdout that are no JSON object."""
    duplicates: list[Message] = attrs.field(factory=list)
    """Answers to requests that had been answered before."""
    strays: list[Message] = attrs.field(factory=list)
    """Answers to nothing that was ever asked."""
    on_request: dict[str, Handler] = attrs.field(factory=dict)
    """Handlers of the gateway's own requests, by method; the others get -32601."""
    requests: list[Message] = attrs.field(factory=list)
    """Every request that the gateway sent, in order, whole."""
    _pending: dict[int | str, Pending] = attrs.field(factory=dict)
    _stderr: bytearray = attrs.field(factory=bytearray)
    _last_id: int = 0
    _changed: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _outbox: trio.MemorySendChannel[bytes] = attrs.field(init=False)
    _outgoing: trio.MemoryReceiveChannel[bytes] = attrs.field(init=False)
    _output_ended: trio.Event = attrs.field(factory=trio.Event)
    _errors_ended: trio.Event = attrs.field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        # Without a limit: tests decide how much is under way, and begin() must not wait.
        self._outbox, self._outgoing = trio.open_memory_channel[bytes](math.inf)

    @property
    def pid(self) -> int:
        """The gateway's process id."""
        return self.process.pid

    @property
    def home(self) -> Path:
        """The gateway's state folder."""
        return self.folder / "home"

    @property
    def stderr(self) -> str:
        """The gateway's stderr so far."""
        return self._stderr.decode(errors="replace")

    def describe(self) -> str:
        """Say in a line or more how the process is, for the message of a failing test."""
        code = self.process.returncode
        state = "still runs" if code is None else f"has exited with {code}"
        return f"process {self.pid} {state}; last of stderr:\n{self.stderr[-2000:]}"

    def begin(self, method: str, params: Message | None = None, **fields: Any) -> Pending:
        """Send a request and return at once; `id=` in the fields sets another id."""
        self._last_id += 1
        number = fields.pop("id", self._last_id)
        pending = self._pending[number] = Pending(number, method, self)
        if self._output_ended.is_set():
            pending.settle(None)
        message = {"jsonrpc": "2.0", "id": number, "method": method, **fields}
        self.send({**message, "params": params} if params is not None else message)
        return pending

    async def request(
        self, method: str, params: Message | None = None, *, timeout: float = PATIENCE
    ) -> Any:
        """Send a request and return its result. Raises what Pending.result raises."""
        return await self.begin(method, params).result(timeout=timeout)

    def notify(self, method: str, params: Message | None = None) -> None:
        """Send a notification."""
        message: Message = {"jsonrpc": "2.0", "method": method}
        self.send({**message, "params": params} if params is not None else message)

    def cancel(self, pending: Pending, reason: str = "the test says so") -> None:
        """Withdraw a request."""
        self.notify("notifications/cancelled", {"requestId": pending.id, "reason": reason})

    def send(self, message: Any) -> None:
        """Send any JSON value as one line."""
        self.send_raw(json.dumps(message).encode() + b"\n")

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are; they are written in order by a task of their own."""
        # The process has closed its stdin, or end() has: nobody is left to tell.
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            self._outbox.send_nowait(data)

    async def initialize(
        self,
        capabilities: Message | None = None,
        *,
        version: str = "2025-11-25",
        timeout: float = PATIENCE,
    ) -> Message:
        """Shake hands as a legacy client and return the result of `initialize`."""
        result: Message = await self.request(
            "initialize",
            {
                "protocolVersion": version,
                "capabilities": capabilities or {},
                "clientInfo": {"name": "test driver", "version": "1"},
            },
            timeout=timeout,
        )
        self.notify("notifications/initialized")
        return result

    async def call(
        self,
        tool: str,
        arguments: Message | None = None,
        *,
        meta: Message | None = None,
        timeout: float = PATIENCE,
    ) -> Message:
        """Call a tool of the surface and return its result."""
        result: Message = await self.begin_call(tool, arguments, meta=meta).result(timeout=timeout)
        return result

    def begin_call(
        self, tool: str, arguments: Message | None = None, *, meta: Message | None = None
    ) -> Pending:
        """Start the call of a tool of the surface."""
        params: Message = {"name": tool, "arguments": arguments or {}}
        return self.begin("tools/call", {**params, "_meta": meta} if meta else params)

    async def invoke(
        self,
        server: str,
        tool: str,
        arguments: Message | None = None,
        *,
        meta: Message | None = None,
        timeout: float = PATIENCE,
    ) -> Message:
        """Call a tool of a backend through gateway_invoke and return its result."""
        pending = self.begin_invoke(server, tool, arguments, meta=meta)
        result: Message = await pending.result(timeout=timeout)
        return result

    def begin_invoke(
        self,
        server: str,
        tool: str,
        arguments: Message | None = None,
        *,
        meta: Message | None = None,
    ) -> Pending:
        """Start the call of a tool of a backend."""
        given = {"server": server, "tool": tool, "arguments": arguments or {}}
        return self.begin_call("gateway_invoke", given, meta=meta)

    async def wait_notification(
        self,
        method: str,
        *,
        after: int = 0,
        where: Callable[[Message], bool] = lambda params: True,
        timeout: float = PATIENCE,
    ) -> Message:
        """Return the params of the first notification of a method, waiting for it.

        `after` leaves out that many from the front of `notifications`; `where` looks at the
        params. Raises TimeoutError, or ConnectionError when stdout ends first.
        """
        with trio.move_on_after(timeout):
            while True:
                for message in self.notifications[after:]:
                    params: Message = message.get("params") or {}
                    if message["method"] == method and where(params):
                        return params
                after = max(after, len(self.notifications))
                if self._output_ended.is_set():
                    raise ConnectionError(f"stdout ended without {method}; {self.describe()}")
                await self._changed.park()
        raise TimeoutError(f"after {timeout:g} s: no {method}; {self.describe()}")

    async def end(self, *, timeout: float = PATIENCE) -> int:
        """Close stdin once all is written, wait for the exit, and return the exit code."""
        self._outbox.close()
        return await self.wait(timeout=timeout)

    async def wait(self, *, timeout: float = PATIENCE) -> int:
        """Wait for the process to exit by itself and return the exit code."""
        with trio.move_on_after(timeout):
            code: int = await self.process.wait()
            # What it wrote last; a process that outlives the gateway may hold the pipes open.
            with trio.move_on_after(2):
                await self._output_ended.wait()
                await self._errors_ended.wait()
            return code
        raise TimeoutError(f"after {timeout:g} s: {self.describe()}")

    async def write_all(self) -> None:
        """Write what is to be sent, then close stdin; a task."""
        assert self.process.stdin is not None
        async with self.process.stdin as stdin, self._outgoing:
            try:
                async for data in self._outgoing:
                    await stdin.send_all(data)
            except trio.BrokenResourceError:
                return

    async def read_errors(self) -> None:
        """Keep what comes on stderr; a task."""
        assert self.process.stderr is not None
        async with self.process.stderr as stderr:
            async for chunk in stderr:
                self._stderr += chunk
        self._errors_ended.set()

    async def read_all(self, nursery: trio.Nursery) -> None:
        """Take every line that comes on stdout until it ends; a task."""
        assert self.process.stdout is not None
        parts: list[bytes] = []
        async with self.process.stdout as stdout:
            async for chunk in stdout:
                first, *rest = bytes(chunk).split(b"\n")
                parts.append(first)
                for piece in rest:
                    self._take(b"".join(parts), nursery)
                    parts = [piece]
        if last := b"".join(parts):
            self.raw_lines.append(last)
            self.garbage.append(last)
        self._output_ended.set()
        self._changed.unpark_all()
        for pending in self._pending.values():
            if not pending.answered:
                pending.settle(None)

    def _take(self, line: bytes, nursery: trio.Nursery) -> None:
        self.raw_lines.append(line)
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            self.garbage.append(line)
        elif "method" not in message:
            self._settle(message)
        elif "id" in message:
            self.requests.append(message)
            nursery.start_soon(self._serve, message)
        else:
            self.notifications.append(message)
            self._changed.unpark_all()

    def _settle(self, message: Message) -> None:
        number = message.get("id")
        pending = self._pending.get(number) if isinstance(number, (int, str)) else None
        if pending is None:
            self.strays.append(message)
        elif pending.answered:
            self.duplicates.append(message)
        else:
            pending.settle(message)

    async def _serve(self, message: Message) -> None:
        handler = self.on_request.get(message["method"])
        answer: Message = {"jsonrpc": "2.0", "id": message["id"]}
        try:
            if handler is None:
                raise RpcError(-32601, f"this client does not serve {message['method']}")
            answer["result"] = await handler(message.get("params") or {})
        except RpcError as error:
            data = {} if error.data is None else {"data": error.data}
            answer["error"] = {"code": error.code, "message": error.message, **data}
        self.send(answer)
