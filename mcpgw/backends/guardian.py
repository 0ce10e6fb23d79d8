"""Guardian process: ends the gateway's children if the gateway itself is killed.

A small shell process outside the gateway's process group keeps the list of the children's
process groups. Its stdin is a pipe that only the gateway holds: when the gateway dies, in
whatever way, the pipe ends and the guardian ends the groups that are still listed. The children
have as much time as in an orderly end: many remove their own children and temporary files when
their stdin ends. It works on every POSIX system and reaches whole trees (`npx`, `uvx`), unlike a
parent-death signal, which reaches the direct child only, and before it can clean up.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import Final

import attrs
import trio

from mcpgw.backends.process_exit import wait_for_exit
from mcpgw.observe.log import get_logger

log = get_logger("mcpgw.backend")

RESTART_PAUSE: Final = 1.0
"""Seconds until a guardian that has ended is started again."""

# The loops wait for a second each, in tenths where `sleep` takes fractions.
_SCRIPT = """
trap '' HUP INT TERM PIPE
groups=' '
while read -r word group; do
  case $word in
    add) groups="$groups$group " ;;
    drop) groups="${groups%% $group *} ${groups#* $group }" ;;
  esac
done
for signal in TERM KILL; do
  step=0
  while [ $step -lt 10 ]; do
    alive=
    for group in $groups; do kill -s 0 -- "-$group" 2>/dev/null && alive=1; done
    [ "$alive" ] || exit 0
    sleep 0.1 2>/dev/null || { sleep 1; step=10; }
    step=$((step + 1))
  done
  for group in $groups; do kill -s $signal -- "-$group" 2>/dev/null; done
done
"""


@attrs.define(eq=False)
class Guardian:
    """Kills the listed process groups if this process dies.

    The shell is started with the first group, and ends by itself when `close` is called or this
    process has died. Without a shell (`/bin/sh`) nothing is guarded.
    """

    _process: subprocess.Popen[bytes] | None = None
    _groups: set[int] = attrs.field(factory=set)
    _started: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)

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

    async def watch(self) -> None:
        """Start the guardian again whenever it has ended, until cancelled."""
        while True:
            if self._process is None:
                await self._started.park()
                continue
            process = self._process
            await wait_for_exit(process)
            log.warning("guardian.ended", status=process.returncode)
            if process.stdin is not None:
                process.stdin.close()
            self._process = None
            await trio.sleep(RESTART_PAUSE)
            if self._groups and self._process is None:
                self._start()

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
        self._started.unpark_all()

    def _write(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.write(line.encode())
