"""The file watcher: polls at intervals, outlives a failing check."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from mcpgw.state.file_watcher import FileWatcher


async def test_a_check_is_awaited_at_its_interval(autojump_clock: MockClock) -> None:
    """Each registration has an interval of its own, and ends when it is closed."""
    watcher = FileWatcher()
    often: list[float] = []
    seldom: list[float] = []

    def check(times: list[float]) -> object:
        async def run() -> None:
            times.append(trio.current_time() - began)

        return run

    async with trio.open_nursery() as nursery:
        await nursery.start(watcher.run)
        began = trio.current_time()
        poll = watcher.poll("often", check(often), interval=1.0)  # type: ignore[arg-type]
        watcher.poll("seldom", check(seldom), interval=3.0)  # type: ignore[arg-type]
        await trio.sleep(6.5)
        poll.close()
        await trio.sleep(3.0)
        nursery.cancel_scope.cancel()

    assert [1, 2, 3, 4, 5, 6] == [round(each) for each in often]
    assert [3, 6, 9] == [round(each) for each in seldom]


async def test_a_check_never_runs_twice_at_a_time(autojump_clock: MockClock) -> None:
    """A slow check delays its own next run, and no other registration."""
    watcher = FileWatcher()
    running = most = quick = 0

    async def slow() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await trio.sleep(5)
        running -= 1

    async def fast() -> None:
        nonlocal quick
        quick += 1

    async with trio.open_nursery() as nursery:
        await nursery.start(watcher.run)
        watcher.poll("slow", slow)
        watcher.poll("fast", fast)
        await trio.sleep(10.5)
        nursery.cancel_scope.cancel()

    assert (1, 10) == (most, quick)


async def test_a_failing_check_is_called_again(autojump_clock: MockClock) -> None:
    """An error in one check ends neither the watcher nor the registration."""
    watcher = FileWatcher()
    calls = 0

    async def fails() -> None:
        nonlocal calls
        calls += 1
        raise RuntimeError("no such luck")

    async with trio.open_nursery() as nursery:
        await nursery.start(watcher.run)
        watcher.poll("fails", fails)
        await trio.sleep(3.5)
        nursery.cancel_scope.cancel()

    assert 3 == calls
