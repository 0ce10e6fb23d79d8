"""Child processes that speak MCP over stdin and stdout: start, supervision, orderly end."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import attrs
import trio

from mcpgw.backends.guardian import Guardian
from mcpgw.backends.process_exit import wait_for_exit
from mcpgw.config.secrets import has_password
from mcpgw.observe.redactor import Redactor
from mcpgw.text.plural import plural
from mcpgw.transports.fd_stream import PipeReader, PipeWriter
from mcpgw.transports.line_channel import LineChannel

EOF_GRACE: Final = 2.0
"""Seconds between closing a child's stdin and SIGTERM to its group."""
TERM_GRACE: Final = 2.0
"""Seconds between SIGTERM and SIGKILL to the group."""
STDERR_TAIL: Final = 12
"""Lines of stderr kept for diagnosis."""
LINE_KEPT: Final = 4_000
LINE_SHOWN: Final = 2_000
"""The last bytes of a line that are kept, and those that are shown: a secret at the cut would not
be recognised."""

_INHERITED: Final = (
    "HOME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TERM",
    "TMPDIR", "TZ", "USER", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy",
    "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE",
    "VIRTUAL_ENV", "PYENV_ROOT", "PYENV_VERSION", "NVM_DIR", "NVM_BIN", "VOLTA_HOME",
    "NPM_CONFIG_REGISTRY", "npm_config_registry", "NPM_CONFIG_CACHE", "PIP_INDEX_URL",
    "UV_INDEX_URL", "UV_CACHE_DIR", "DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS",
    "SYSTEMROOT",
)  # fmt: skip
"""Environment variables that every child inherits; others must be named in its `env`.

The official SDKs pass HOME, LOGNAME, PATH, SHELL, TERM and USER. The others are what package
runners and desktop programs need; none lets a server act as the user, as SSH_AUTH_SOCK would.
"""
_URLS: Final = frozenset(
    name for name in _INHERITED if name.lower().endswith(("_proxy", "_url", "_registry"))
)
"""Those whose value is a URL. One with a user or password is not inherited."""


_LONGEST_SHEBANG: Final = 256
"""Bytes of a script's first line that are read to explain why it does not start."""


@attrs.frozen
class SpawnFailed(Exception):
    """The command could not be started.

    `permanent` is True if trying again is useless until the configuration changes.
    """

    reason: str
    permanent: bool

    def __str__(self) -> str:
        return self.reason


@attrs.define(eq=False)
class ChildProcess:
    """A running child: its channel, its last lines of stderr, and its exit status."""

    command: tuple[str, ...]
    popen: subprocess.Popen[bytes]
    channel: LineChannel
    stderr: PipeReader
    redactor: Redactor
    _tail: deque[str] = attrs.field(factory=lambda: deque(maxlen=STDERR_TAIL))
    exited: trio.Event = attrs.field(factory=trio.Event)
    closing: trio.Event = attrs.field(factory=trio.Event)

    def __repr__(self) -> str:
        state = "RUNNING" if self.popen.returncode is None else self.exit_description()
        return f"<ChildProcess {self.command[0]!r} pid={self.popen.pid} {state}>"

    @property
    def pid(self) -> int:
        """The process id."""
        return self.popen.pid

    @property
    def expired(self) -> bool:
        """True if it ended only because its session expired; never true for a child."""
        return False

    def why(self, note: str) -> str:
        """Return `note`, the situation at its end, with the exit status and the end of stderr."""
        tail = self.stderr_tail()
        ending = self.exit_description()
        return f"{note} ({ending})" + (f"; its stderr ends: {tail}" if tail else "")

    def stderr_tail(self) -> str:
        """Return the last lines of stderr, secrets redacted."""
        lines = self.redactor.foreign("\n".join(self._tail), STDERR_TAIL * LINE_KEPT).splitlines()
        return "\n".join(line[-LINE_SHOWN:] for line in lines)

    def exit_description(self) -> str:
        """Describe the exit status in words."""
        code = self.popen.returncode
        if code is None:
            return "still running"
        if code >= 0:
            return f"exit status {code}"
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
        return f"killed by signal {-code}"

    async def drain_stderr(self) -> None:
        """Read stderr to its end, keeping the last lines: a full pipe would block the child."""
        partial = b""
        # Shielded, so that the last lines are read too; closing the stream ends it.
        with (
            trio.CancelScope(shield=True),
            contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError),
        ):
            while data := await self.stderr.receive_some():
                *lines, partial = (partial + data).split(b"\n")
                partial = partial[-LINE_KEPT:]
                for line in lines[-STDERR_TAIL:]:
                    if text := line[-LINE_KEPT:].decode("utf-8", "replace").strip():
                        self._tail.append(text)
        if text := partial.decode("utf-8", "replace").strip():
            self._tail.append(text)

    async def watch(self) -> None:
        """Wait for the end of the process and reap it."""
        # Shielded, because `end` is shielded and waits for this event. The exit always comes.
        with trio.CancelScope(shield=True):
            await wait_for_exit(self.popen)
        self.exited.set()

    async def end(self) -> None:
        """End the child in steps: close its stdin, wait, SIGTERM, wait, SIGKILL to the group.

        Other processes of its group that outlive the child are ended too.
        """
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self.channel.writer.aclose()
        with trio.move_on_after(EOF_GRACE):
            await self.exited.wait()
        group = self.popen.pid
        if not self.exited.is_set() or _group_alive(group):
            _signal_group(group, signal.SIGTERM)
            with trio.move_on_after(TERM_GRACE):
                await self.exited.wait()
                while _group_alive(group):  # noqa: ASYNC110 - no event exists for this
                    await trio.sleep(0.02)
        if not self.exited.is_set() or _group_alive(group):
            _signal_group(group, signal.SIGKILL)
            await self.exited.wait()


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a child inherits, without URLs that have a password in them."""
    return {
        name: environ[name]
        for name in _INHERITED
        if name in environ and not (name in _URLS and has_password(environ[name]))
    }


@asynccontextmanager
async def open_process(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    environ: Mapping[str, str],
    cwd: str | None,
    limit: int,
    guardian: Guardian,
    redactor: Redactor,
) -> AsyncIterator[ChildProcess]:
    """Start a command; end it, with all its children, when the block is left.

    Args:
      command: program and arguments; no shell is involved.
      env: its own variables, added to the `environ` variables that every child inherits.
      environ: the gateway's (layered) environment.
      cwd: working folder; the gateway's own if None.
      limit: the largest message accepted, in bytes.
      guardian: kills the process group if this process is killed.
      redactor: knows the secrets that its stderr may hold.

    Raises:
      SpawnFailed: the command cannot be started.
    """
    child_env = inherited(environ) | dict(env)
    popen = _spawn(command, child_env, cwd)
    guardian.add(popen.pid)
    writer = PipeWriter(_detach(popen.stdin))
    channel = LineChannel(
        PipeReader(_detach(popen.stdout)), writer, limit, write_now=writer.write_now
    )
    stderr = PipeReader(_detach(popen.stderr))
    child = ChildProcess(tuple(command), popen, channel, stderr, redactor)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(child.watch)
        nursery.start_soon(child.drain_stderr)
        nursery.start_soon(channel.run)
        try:
            yield child
        finally:
            with trio.CancelScope(shield=True):
                await child.end()
                guardian.drop(popen.pid)
                await channel.aclose()
                await child.stderr.aclose()
            nursery.cancel_scope.cancel()


def _detach(stream: object) -> int:
    """Duplicate the descriptor of a Popen pipe and close the pipe, so that only we own it."""
    fd = os.dup(stream.fileno())  # type: ignore[attr-defined]
    stream.close()  # type: ignore[attr-defined]
    return fd


def _spawn(
    command: Sequence[str], env: Mapping[str, str], cwd: str | None
) -> subprocess.Popen[bytes]:
    try:
        if cwd is not None and not Path(cwd).is_dir():
            raise SpawnFailed(f"the working folder {cwd!r} does not exist", permanent=True)
        program = shutil.which(command[0], path=env.get("PATH", os.defpath))
        if program is None and os.sep in command[0] and cwd is not None:
            program = shutil.which(Path(cwd, command[0]).absolute())
        if program is None:
            raise SpawnFailed(_not_found(command, env), permanent=True)
    except OSError as error:  # such as a folder that this user may not enter
        raise SpawnFailed(
            f"cannot start {command[0]!r}: {error.strerror}: {error.filename!r}", permanent=False
        ) from error
    try:
        return subprocess.Popen(
            [program, *command[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
        )
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        number = getattr(error, "errno", None)
        transient = number in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
        raise SpawnFailed(
            f"cannot start {command[0]!r}: {_cause(program, error)}", permanent=not transient
        ) from error


def _cause(program: str, error: Exception) -> str:
    """Return why an existing program cannot be started: often its first line is the cause."""
    if not isinstance(error, FileNotFoundError | OSError) or isinstance(error, PermissionError):
        return str(error)
    try:
        with Path(program).open("rb") as file:
            line = file.readline(_LONGEST_SHEBANG)
    except OSError:
        return str(error)
    if error.errno == errno.ENOEXEC:
        return (
            f"{error}; it is neither a program for this machine nor a script that begins with `#!`"
        )
    if error.errno != errno.ENOENT or not line.startswith(b"#!"):
        return str(error)
    words = line[2:].decode("utf-8", "replace").strip(" \t\n").split(" ")
    if words[0].endswith("\r"):
        return (
            "its first line ends with a carriage return, as in files from Windows; convert its"
            " line ends, for example with dos2unix"
        )
    return f"its interpreter {words[0]!r}, which its first line names, does not exist"


def _not_found(command: Sequence[str], env: Mapping[str, str]) -> str:
    program = command[0]
    if os.sep in program:
        if Path(program).exists():
            return f"{program!r} is not executable"
        for end in range(2, len(command) + 1):
            whole = " ".join(command[:end])
            if Path(whole).is_file():
                return (
                    f"{program!r} does not exist, but {whole!r} does: put a path with blanks in"
                    " quotes, or write the command as a list of words"
                )
        return f"{program!r} does not exist"
    hint = {
        "npx": "install Node.js",
        "node": "install Node.js",
        "uvx": "install uv",
        "uv": "install uv",
        "docker": "install Docker",
    }.get(program, "install it, or give its full path")
    folders = len([folder for folder in env.get("PATH", "").split(os.pathsep) if folder])
    searched = plural(folders, "folder")
    return f"command not found: {program!r} is not on PATH ({searched} searched); {hint}"


def _group_alive(group: int) -> bool:
    """Tell whether a process group still has a member that is not a zombie."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return sys.platform != "linux" or any(_living_members(group))


def _living_members(group: int) -> Iterator[int]:
    # If orphans are never reaped (in many containers), zombies keep a group's number in use.
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                stat = Path("/proc", entry.name, "stat").read_bytes()
                state, _parent, its_group = stat.rpartition(b") ")[2].split(b" ", 3)[:3]
                if int(its_group) == group and state not in (b"Z", b"X"):
                    yield int(entry.name)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
