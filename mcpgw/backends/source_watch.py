"""Source files of a server under development: `backends.<name>.watch`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import trio

from mcpgw.observe.log import get_logger
from mcpgw.state.file_watcher import FileWatcher

log = get_logger("mcpgw.backend")

INTERVAL: Final = 0.5
"""Seconds within which a change is noticed and considered settled."""
MAX_FILES: Final = 5_000
"""The most files that are watched; further matches of the patterns are ignored."""
_SKIPPED: Final = frozenset({".git", "node_modules", "__pycache__", ".venv"})

Stamps = dict[Path, tuple[int, int]]


async def changed(files: FileWatcher, patterns: Sequence[str], cwd: str | None) -> list[Path]:
    """Return the matching files that were changed, added or removed since the call.

    Waits until they have settled: an editor may write in several steps.

    Args:
      files: polls the files.
      patterns: globs such as `src/**/*.py`, below `cwd` if they are relative.
      cwd: the server's working folder; the gateway's own if None.
    """
    folder = Path(cwd) if cwd else Path()
    patterns = await trio.to_thread.run_sync(_usable, patterns, folder)
    before = seen = await trio.to_thread.run_sync(_stamps, patterns, folder)
    settled = trio.Event()

    async def check() -> None:
        nonlocal seen
        now = await trio.to_thread.run_sync(_stamps, patterns, folder)
        if now == seen and now != before:
            settled.set()
        seen = now

    poll = files.poll("source files", check, interval=INTERVAL / 2)
    try:
        await settled.wait()
    finally:
        poll.close()
    both = seen.keys() | before.keys()
    return sorted(path for path in both if seen.get(path) != before.get(path))


def _usable(patterns: Sequence[str], folder: Path) -> list[str]:
    """Return the valid patterns; the others are logged, once for each start of the server."""
    usable = []
    for pattern in patterns:
        try:
            next(_glob(folder, pattern), None)
        except ValueError as error:  # such as `src/**.py`, where `**` is only part of a name
            log.warning("watch.pattern_rejected", pattern=pattern, reason=str(error))
        else:
            usable.append(pattern)
    return usable


def _glob(folder: Path, pattern: str) -> Iterator[Path]:
    root = folder
    if Path(pattern).is_absolute():
        root = Path(Path(pattern).anchor)
        pattern = str(Path(pattern).relative_to(root))
    return iter(root.glob(pattern))


def _stamps(patterns: Sequence[str], folder: Path) -> Stamps:
    stamps: Stamps = {}
    for pattern in patterns:
        for path in _glob(folder, pattern):
            if len(stamps) >= MAX_FILES:
                return stamps
            if _SKIPPED.isdisjoint(path.parts):
                try:
                    status = path.stat()
                except OSError:
                    continue
                stamps[path] = status.st_mtime_ns, status.st_size
    return stamps
