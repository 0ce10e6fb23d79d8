"""Commands as tools: words without a shell, an input and an output, and nothing of ours besides."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from mcpgw.capabilities.bodies import FILLER
from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.model import Provider
from mcpgw.capabilities.templating import Missing, Values, as_text, fill_text

PASSED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "USER", "TERM")
"""Variables that every command is given."""
STDERR_SHOWN: Final = 500
KILL_AFTER: Final = 2.0
"""Seconds that a command has to end after it was asked to."""
PIPES: Final = 0.5
"""Seconds to read what is left in the pipes when a command has ended."""


def words(template: tuple[Any, ...], values: Values) -> list[str]:
    """Return the words of a command.

    A word whose placeholder has no value is left out; a list of words is left out as a whole,
    also where its first item `{when: "{flag}"}` is not true.

    Raises:
      CallProblem: a value begins with `-` where it would be taken for an option.
    """
    found: list[str] = []
    for item in template:
        if isinstance(item, list):
            group = _group(item, values)
            found += group or []
        else:
            word = _word(item, values)
            if word is not None:
                found.append(word)
    return found


def _group(items: list[Any], values: Values) -> list[str] | None:
    if items and isinstance(items[0], Mapping) and set(items[0]) == {"when"}:
        condition = FILLER.fill(items[0]["when"], values)
        if isinstance(condition, Missing) or condition in (False, None, "", "false"):
            return None
        items = items[1:]
    group: list[str] = []
    for item in items:
        word = _word(item, values)
        if word is None:
            return None
        group.append(word)
    return group


def _word(item: Any, values: Values) -> str | None:
    if isinstance(item, Mapping) and set(item) == {"json"}:
        value = FILLER.fill(item["json"], values)
        return None if isinstance(value, Missing) else json.dumps(value, ensure_ascii=False)
    text = fill_text(as_text(item), values)
    if isinstance(text, Missing):
        return None
    if "\0" in text:
        raise CallProblem("a value for a command holds a NUL character.")
    if text.startswith("-") and not as_text(item).startswith("-"):
        raise CallProblem(
            f"{text[:40]!r} begins with '-', and the command would take it for an option."
        )
    return text


async def run_command(
    provider: Provider, values: Values, environ: Mapping[str, str], folder: Path
) -> Any:
    """Run a provider's command and return what it printed, as JSON or text.

    Raises:
      CallProblem: it cannot be started, ended with a failure, or took too long.
    """
    config = provider.config
    argv = words(config.command, values)
    path = environ.get("PATH", os.defpath)
    program = shutil.which(argv[0], path=path) if argv else None
    if program is None:
        name = argv[0] if argv else ""
        raise CallProblem(f"the command {name!r} is not on the PATH; install it first.")
    stdin = fill_text(config.stdin, values) if config.stdin else ""
    env = {name: environ[name] for name in (*PASSED, *config.env) if name in environ}
    cwd = _folder(folder, config.cwd) if config.cwd else None
    with trio.move_on_after(provider.timeout) as scope:
        try:
            status, out, err = await _run([program, *argv[1:]], stdin, env, cwd, provider.max_bytes)
        except OSError as error:
            raise CallProblem(f"{argv[0]} cannot be started: {error.strerror}.") from None
    if scope.cancelled_caught:
        raise CallProblem(f"{argv[0]} did not end within {provider.timeout:g} s.", sent=True)
    if status != 0:
        tail = err.decode("utf-8", "replace").strip()[-STDERR_SHOWN:]
        how = f"status {status}" if status > 0 else f"signal {-status}"
        raise CallProblem(f"{argv[0]} ended with {how}: {tail}", status=status, sent=True)
    text = out.decode("utf-8", "replace")
    if config.output == "text":
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        if config.output == "json":
            start = text.strip()[:120]
            raise CallProblem(f"{argv[0]} printed no JSON; it begins: {start}") from None
        return text


def _folder(base: Path, name: str) -> str:
    return str(base / Path(name).expanduser())


async def _run(
    argv: list[str], stdin: str | Missing, env: dict[str, str], cwd: str | None, limit: int
) -> tuple[int, bytes, bytes]:
    """Run a command in a process group of its own, which is ended as a whole."""
    given = b"" if isinstance(stdin, Missing) else stdin.encode()
    out, err = bytearray(), bytearray()
    too_much = False
    read = trio.Event()

    async def take(stream: Any, kept: bytearray) -> None:
        async for piece in stream:
            kept += piece
            if len(kept) > limit:
                if kept is out:
                    nonlocal too_much
                    too_much = True
                    nursery.cancel_scope.cancel()
                del kept[:-STDERR_SHOWN]

    async def take_all(process: trio.Process) -> None:
        async with trio.open_nursery() as reading:
            reading.start_soon(take, process.stdout, out)
            reading.start_soon(take, process.stderr, err)
        read.set()

    async with trio.open_nursery() as nursery:
        run = partial(
            trio.run_process,
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            cwd=cwd,
            check=False,
            start_new_session=True,
            deliver_cancel=_end_group,
        )
        process: trio.Process = await nursery.start(run)
        nursery.start_soon(_write, process.stdin, given)
        nursery.start_soon(take_all, process)
        await process.wait()
        with trio.move_on_after(PIPES):  # a child that lives on may hold them open
            await read.wait()
        _signal(process, signal.SIGKILL)
        nursery.cancel_scope.cancel()
    if too_much:
        raise CallProblem(f"{Path(argv[0]).name} printed more than {limit} bytes.", sent=True)
    assert process.returncode is not None
    return process.returncode, bytes(out), bytes(err)


async def _write(stream: Any, given: bytes) -> None:
    async with stream:
        with contextlib.suppress(trio.BrokenResourceError):  # it does not read what it is given
            await stream.send_all(given)


async def _end_group(process: trio.Process) -> None:
    """Ask a cancelled command to end, then end it with all that it started."""
    _signal(process, signal.SIGTERM)
    with trio.move_on_after(KILL_AFTER):
        await process.wait()
    _signal(process, signal.SIGKILL)


def _signal(process: trio.Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
