"""Watching the source files of a server."""

from __future__ import annotations

from pathlib import Path

import trio

from mcpgw.backends.source_watch import changed
from mcpgw.state.file_watcher import FileWatcher


async def test_an_invalid_pattern_does_not_stop_the_others(tmp_path: Path) -> None:
    """A pattern that cannot be used is logged; changes of other files are still reported."""
    (tmp_path / "a.py").write_text("1")
    files = FileWatcher()
    found: list[Path] = []

    async def watch() -> None:
        found.extend(await changed(files, ["src/**.py", "*.py"], str(tmp_path)))
        nursery.cancel_scope.cancel()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(files.run)
            nursery.start_soon(watch)
            await trio.sleep(0.3)
            (tmp_path / "a.py").write_text("22")
            await trio.sleep_forever()

    assert [tmp_path / "a.py"] == found
