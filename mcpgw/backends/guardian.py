"""Guardian process: ends the gateway's children if the gateway itself is killed.

A small shell process outside the gateway's process group keeps the list of the children's
process groups. Its stdin is a pipe that only the gateway holds: when the gateway dies, in
whatever way, the pipe ends and the guardian kills the groups that are still listed. It works
on every POSIX system and reaches whole trees (`npx`, `uvx`), unlike a parent-death signal, which
reaches the direct child only. If the guardian is killed too, only that signal is left (Linux).
"""

from __future__ import annotations

import contextlib
import os
import subprocess

import attrs

_SCRIPT = """
trap '' HUP INT TERM PIPE
groups=' '
while read -r word group; do
  case $word in
    add) groups="$groups$group " ;;
    drop) groups="${groups%% $group *} ${groups#* $group }" ;;
  esac
done
for group in $groups; do kill -s TERM -- "-$group" 2>/dev/null; done
[ "$groups" = ' ' ] || sleep 1
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
"""


@attrs.define(eq=False)
class Guardian:
    """Kills the listed process groups if this process dies.

    The shell is started with the first group, and ends by itself when `close` is called or this
    process has died. Without a shell (`/bin/sh`) nothing is guarded.
    """

    _process: subprocess.Popen[bytes] | None = None
    _groups: set[int] = attrs.field(factory=set)

    def add(self, group: int) -> None:
        """List a process group."""
        self._groups.add(group)
        if self._process is None:
            self._start()
        else:
            self._write(f"add {group}\n")

    def drop(self, group: int) -> None:
        """Remove a process group that has ended, before its number can be used again."""
        self._groups.discard(group)
        self._write(f"drop {group}\n")

    def close(self) -> None:
        """End the guardian. Groups that are still listed are killed."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
            process.wait()

    def _start(self) -> None:
        try:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                bufsize=0,
                env={"PATH": os.defpath},
                cwd="/",
            )
        except OSError:
            return
        for group in self._groups:
            self._write(f"add {group}\n")

    def _write(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.write(line.encode())
