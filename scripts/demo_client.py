"""A minimal MCP client over stdio for the demo."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import attrs
import trio

PROTOCOL: Final = "2025-11-25"
END_PATIENCE: Final = 10.0
"""Seconds for the gateway to exit after its input is closed."""

STDERR_PATIENCE: Final = 1.0
"""Seconds for the last lines of stderr to arrive after the gateway has exited."""

Message = dict[str, Any]
Watch = Callable[[str, str], None]


class DemoFailed(Exception):
    """A step of the demo did not give the expected result."""


@attrs.define(eq=False)
class Client:
    """A running gateway and the client's end of its stdin and stdout.

    `watch` is called for each line sent and received, with its direction, `>` or `<`.
    """

    process: trio.Process
    watch: Watch
    silent: trio.Event = attrs.field(factory=trio.Event)
    """Set when stderr has ended."""
    _errors: bytearray = attrs.field(factory=bytearray)
    _buffer: bytes = b""
    _last_id: int = 0

    async def ask(self, method: str, **params: Any) -> tuple[Message, float]:
        """Send a request; return its result and the seconds until the response.

        Raises:
          DemoFailed: the response is an error, or the gateway exited.
        """
        self._last_id += 1
        started = time.perf_counter()
        await self._send({"id": self._last_id, "method": method, "params": params})
        while True:
            message = await self._receive(method)
            if message.get("id") != self._last_id:
                continue
            if "error" in message:
                raise DemoFailed(f"{method} was returned an error: {message['error']}")
            return message["result"], time.perf_counter() - started

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> tuple[Message, float]:
        """Call a tool of the gateway; return its result and the seconds that it took.

        Raises:
          DemoFailed: the call failed.
        """
        result, seconds = await self.ask("tools/call", name=tool, arguments=dict(arguments))
        if result.get("isError"):
            raise DemoFailed(f"{tool} failed: {text_of(result)}")
        return result, seconds

    async def notify(self, method: str) -> None:
        """Send a notification."""
        await self._send({"method": method})

    async def end(self) -> int:
        """Close the gateway's input, as a client does on exit; return the exit status.

        Raises:
          DemoFailed: the gateway did not exit in time.
        """
        assert self.process.stdin is not None
        await self.process.stdin.aclose()
        with trio.move_on_after(END_PATIENCE):
            return await self.process.wait()
        raise DemoFailed(f"the gateway did not end within {END_PATIENCE:g} s")

    @property
    def stderr(self) -> str:
        """The gateway's output on stderr so far."""
        return self._errors.decode(errors="replace").strip()

    async def drain_stderr(self) -> None:
        """Collect stderr until it is closed."""
        assert self.process.stderr is not None
        async for data in self.process.stderr:
            self._errors += data
        self.silent.set()

    async def _send(self, message: Message) -> None:
        assert self.process.stdin is not None
        line = json.dumps({"jsonrpc": "2.0", **message}, ensure_ascii=False)
        self.watch(">", line)
        # If the gateway has exited, its output and end explain more than this error.
        with contextlib.suppress(trio.BrokenResourceError):
            await self.process.stdin.send_all(line.encode() + b"\n")

    async def _receive(self, awaited: str) -> Message:
        assert self.process.stdout is not None
        while b"\n" not in self._buffer:
            data = await self.process.stdout.receive_some()
            if not data:
                raise DemoFailed(f"the gateway ended before it answered {awaited}")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        text = line.decode(errors="replace")
        self.watch("<", text)
        try:
            message = json.loads(text)
        except ValueError:
            raise DemoFailed(f"the gateway wrote a line that is not JSON: {text:.200}") from None
        if not isinstance(message, dict):
            raise DemoFailed(f"the gateway wrote JSON that is not an object: {text:.200}")
        return message


async def with_gateway(
    command: Sequence[str],
    story: Callable[[Client], Awaitable[None]],
    *,
    cwd: Path,
    env: Mapping[str, str],
    watch: Watch,
) -> None:
    """Start a gateway and run a story with it; the process is always ended afterwards.

    Raises:
      DemoFailed: the story failed; the message has the last lines of the gateway's stderr.
    """
    process = await trio.lowlevel.open_process(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=env,
    )
    client = Client(process, watch)
    failure: DemoFailed | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.drain_stderr)
            try:
                await story(client)
            except DemoFailed as error:
                failure = error
            finally:
                with trio.CancelScope(shield=True):
                    await _terminate(process)
                    with trio.move_on_after(STDERR_PATIENCE):
                        await client.silent.wait()
                nursery.cancel_scope.cancel()
    finally:
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                await trio.aclose_forcefully(stream)
    if failure is not None:
        tail = "\n".join(client.stderr.splitlines()[-5:])
        raise DemoFailed(f"{failure}\nIts stderr ends:\n{tail}" if tail else str(failure))


async def _terminate(process: trio.Process) -> None:
    """Terminate a gateway that is still running, gracefully at first, so that it ends its own
    children."""
    if process.poll() is None:
        process.terminate()
        with trio.move_on_after(END_PATIENCE):
            await process.wait()
    if process.poll() is None:
        process.kill()
        await process.wait()


def text_of(result: Message) -> str:
    """Return the texts of a tool's result."""
    blocks = result.get("content") or ()
    return "\n".join(block["text"] for block in blocks if block.get("type") == "text")


def descendants(pid: int) -> list[int] | None:
    """Return the descendants of a process, or None if the system cannot list them."""
    parents = _parents()
    if parents is None:
        return None
    found: list[int] = []
    generation = [pid]
    while generation:
        generation = [child for child, parent in parents.items() if parent in generation]
        found += generation
    return found


def still_running(pids: Sequence[int]) -> list[int]:
    """Return the processes of a list that are still running."""
    parents = _parents() or {}
    return [pid for pid in pids if pid in parents]


def _parents() -> dict[int, int] | None:
    """Return the parent of each running process; zombies do not count."""
    if sys.platform == "linux":
        parents: dict[int, int] = {}
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                with suppress(OSError, ValueError):
                    stat = Path(entry.path, "stat").read_text(errors="replace")
                    state, parent = stat.rpartition(") ")[2].split()[:2]
                    if state not in ("Z", "X"):
                        parents[int(entry.name)] = int(parent)
        return parents
    try:
        listed = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    rows = [line.split() for line in listed.splitlines()]
    return {int(row[0]): int(row[1]) for row in rows if len(row) > 2 and row[2][0] != "Z"}
