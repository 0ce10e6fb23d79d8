"""The same again and again: nothing is left behind, and nothing grows."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.e2e.running import NO_RATE_LIMIT, running, servers, text, until
from tests.support.driver import alive, fake, open_descriptors, pids_in
from tests.support.patience import PATIENCE

pytestmark = [pytest.mark.process, pytest.mark.slow]


class TestEndurance:
    async def test_many_sessions_in_a_row(self, tmp_path: Path) -> None:
        """30 sessions, each with a call, leave no process."""
        for number in range(30):
            async with running({"one": fake("--grandchild")}, folder=tmp_path) as gateway:
                result = await gateway.invoke("one", "echo", {"text": str(number)})
                assert str(number) == text(result)

    async def test_many_restarts_of_a_backend(self, tmp_path: Path) -> None:
        """30 restarts of a backend leave no process and no open descriptor."""
        pids = tmp_path / "pids"
        backend = fake("--tools", "echo,counter", "--grandchild", "--pid-file", pids)
        quick = {
            **NO_RATE_LIMIT,
            "circuit_breaker": {"enabled": False},
            "retry": {"initial_backoff": "1ms", "max_backoff": "10ms"},
        }
        async with running({"one": backend}, failsafe=quick) as gateway:
            await gateway.invoke("one", "echo", timeout=PATIENCE)
            await gateway.invoke("one", "echo", timeout=PATIENCE)
            before = open_descriptors(gateway.pid)
            for number in range(1, 31):
                killed = pids_in(pids)[-1]
                os.kill(killed, signal.SIGKILL)
                result = await gateway.invoke("one", "counter", timeout=PATIENCE)
                assert not result.get("isError"), text(result)
                await until(lambda: not alive(killed), what="reaped")  # noqa: B023
                assert number < len(pids_in(pids))
            await until(lambda: open_descriptors(gateway.pid) <= before, what="as few descriptors")
            assert (await servers(gateway))["one"]["running"]
