"""The source files of a server that is being worked on: `backends.<name>.watch`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import trio

POLL: Final = 0.5
"""Seconds between looks at the files."""
MOST_FILES: Final = 5_000
"""Files that are looked at; a pattern that fits more is cut there."""
_NEVER: Final = frozenset({".git", "node_modules", "__pycache__", ".venv"})


async def changed(patterns: Sequence[str], cwd: str | None) -> list[Path]:
    """Return the files that fit the patterns and were changed, added or removed since now.

    Waits until they have rested for a moment: an editor may write in several steps.

    Args:
      patterns: globs such as `src/**/*.py`, below `cwd` where they are relative.
      cwd: the server's working folder; the gateway's own where None.
    """
    folder = Path(cwd) if cwd else Path()
    before = await trio.to_thread.run_sync(_stamps, patterns, folder)
    while True:
        await trio.sleep(POLL)
        now = await trio.to_thread.run_sync(_stamps, patterns, folder)
        if now == before:
            continue
        await trio.sleep(POLL / 2)
        if await trio.to_thread.run_sync(_stamps, patterns, folder) == now:
            both = now.keys() | before.keys()
            return sorted(path for path in both if now.get(path) != before.get(path))


def _stamps(patterns: Sequence[str], folder: Path) -> dict[Path, tuple[int, int]]:
    stamps: dict[Path, tuple[int, int]] = {}
    for pattern in patterns:
        root = folder
        if Path(pattern).is_absolute():
            root = Path(Path(pattern).anchor)
            pattern = str(Path(pattern).relative_to(root))
        for path in root.glob(pattern):
            if len(stamps) >= MOST_FILES:
                return stamps
            if _NEVER.isdisjoint(path.parts):
                try:
                    status = path.stat()
                except OSError:
                    continue
                stamps[path] = status.st_mtime_ns, status.st_size
    return stamps
