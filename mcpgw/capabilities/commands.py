"""`cli` providers: a command line made from a template, and what it prints as the result."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import trio

from mcpgw.capabilities.bodies import FILLER
from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.model import Provider
from mcpgw.capabilities.processes import OutputTooLarge, run_program
from mcpgw.capabilities.responses import load_json
from mcpgw.capabilities.templating import Missing, Values, as_text, fill_text

PASSED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "USER", "TERM")
"""Environment variables that every command gets."""
STDERR_SHOWN: Final = 500
"""Characters of stderr in an error message, from its end."""


def command_line(template: tuple[Any, ...], values: Values) -> list[str]:
    """Return the arguments of a command, starting with the program.

    A word with a placeholder that has no value is left out. A list of words is left out as a
    whole in that case, and also if its first item, `{when: "{flag}"}`, is not true.

    Raises:
      CallProblem: a value begins with `-`, so the command would read it as an option.
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
        raise CallProblem("an argument of a command must not contain a NUL character.")
    if text.startswith("-") and not as_text(item).startswith("-"):
        raise CallProblem(
            f"{text[:40]!r} begins with '-', so the command would read it as an option."
        )
    return text


async def run_command(
    provider: Provider, values: Values, environ: Mapping[str, str], folder: Path
) -> Any:
    """Run a provider's command and return its output, as JSON or text.

    Args:
      provider: the provider.
      values: the values of its templates.
      environ: where its environment variables and `PATH` come from.
      folder: what a relative `cwd` is below.

    Raises:
      CallProblem: the command cannot be started, failed, timed out or printed too much.
    """
    config = provider.config
    argv = command_line(config.command, values)
    path = environ.get("PATH", os.defpath)
    program = shutil.which(argv[0], path=path) if argv else None
    if program is None:
        name = argv[0] if argv else ""
        raise CallProblem(f"command not found: {name!r} is not on the PATH; install it.")
    stdin = fill_text(config.stdin, values) if config.stdin else ""
    given = b"" if isinstance(stdin, Missing) else stdin.encode()
    env = {name: environ[name] for name in (*PASSED, *config.env) if name in environ}
    cwd = _folder(folder, config.cwd) if config.cwd else None
    with trio.move_on_after(provider.timeout) as scope:
        try:
            done = await run_program(
                [program, *argv[1:]], stdin=given, env=env, cwd=cwd, limit=provider.max_bytes
            )
        except OSError as error:
            raise CallProblem(f"{argv[0]} cannot be started: {error.strerror}.") from None
        except OutputTooLarge:
            raise CallProblem(
                f"{argv[0]} printed more than {provider.max_bytes} bytes.", sent=True
            ) from None
    if scope.cancelled_caught:
        raise CallProblem(f"{argv[0]} timed out after {provider.timeout:g} s.", sent=True)
    status = done.status
    if status != 0:
        tail = done.stderr.decode("utf-8", "replace").strip()[-STDERR_SHOWN:]
        how = f"exited with status {status}" if status > 0 else f"was ended by signal {-status}"
        raise CallProblem(f"{argv[0]} {how}: {tail}", sent=True)
    text = done.stdout.decode("utf-8", "replace")
    if config.output == "text":
        return text
    try:
        return load_json(text)
    except (ValueError, RecursionError):
        if config.output == "json":
            start = text.strip()[:120]
            raise CallProblem(
                f"the output of {argv[0]} is not valid JSON; it begins: {start}"
            ) from None
        return text


def _folder(base: Path, name: str) -> str:
    return str(base / Path(name).expanduser())
