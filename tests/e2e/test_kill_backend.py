"""A backend that is killed or dies: no call is lost in silence, none is answered twice."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.e2e.running import NO_RATE_LIMIT, payload, running, servers, text, until
from tests.support.driver import Gateway, Message, Pending, alive, fake, logged, pids_in
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

CALLS = 200
FAILSAFE: dict[str, Any] = {
    "circuit_breaker": {"failure_threshold": 3, "reset_timeout": "300s"},
    "retry": {"initial_backoff": "1ms", "max_backoff": "20ms"},
}


def received(log: Path, tool: str) -> int:
    """Return how many calls of a tool reached the backend, over all its lives."""
    return sum(
        message.get("method") == "tools/call" and message["params"]["name"] == tool
        for message in logged(log)
    )


async def kill_in_the_middle(
    gateway: Gateway, pids: Path, log: Path
) -> tuple[list[Pending], list[Message]]:
    """Have 200 calls running, kill the backend once some are answered, and take all answers."""
    await gateway.invoke("one", "echo", timeout=PATIENCE)
    calls = [
        gateway.begin_invoke("one", "slow", {"seconds": 0.2 if number < 50 else 2.0})
        for number in range(CALLS)
    ]
    await until(lambda: received(log, "slow") >= CALLS, what="all at the backend")
    await until(lambda: sum(call.answered for call in calls) >= 50, what="some answered")
    os.kill(pids_in(pids)[-1], signal.SIGKILL)
    return calls, [await call.result(timeout=PATIENCE) for call in calls]


class TestKilledAtWork:
    async def test_read_only_calls_are_repeated(self, tmp_path: Path) -> None:
        """200 calls of a read-only tool all succeed although the backend is killed meanwhile."""
        pids, log = tmp_path / "pids", tmp_path / "log"
        backend = fake("--tools", "slow,echo", "--pid-file", pids, "--log", log)
        async with running({"one": backend}, failsafe=NO_RATE_LIMIT) as gateway:
            calls, results = await kill_in_the_middle(gateway, pids, log)
            assert [] == [text(result) for result in results if result.get("isError")]
            assert {"slept 0.2", "slept 2"} == {text(result) for result in results}
            assert all(call.answered for call in calls)
            assert received(log, "slow") > CALLS
            assert "next" == text(await gateway.invoke("one", "echo", {"text": "next"}))
            assert 2 == len(pids_in(pids))

    async def test_other_calls_are_not_repeated(self, tmp_path: Path) -> None:
        """A call that may change something is sent once; its error says what may have happened."""
        pids, log = tmp_path / "pids", tmp_path / "log"
        backend = fake(
            "--tools", "slow,echo", "--annotate", "slow=destructive", "--pid-file", pids, "--log",
            log,
        )  # fmt: skip
        async with running({"one": backend}, failsafe=NO_RATE_LIMIT) as gateway:
            _calls, results = await kill_in_the_middle(gateway, pids, log)
            failed = [result for result in results if result.get("isError")]
            assert 0 < len(failed) <= CALLS - 50
            for result in failed:
                assert "BACKEND_ERROR" == result["recovery"]["error_code"]
                assert "may have taken effect" in text(result)
                assert "killed by SIGKILL" in text(result)
            assert CALLS == received(log, "slow")
            assert "next" == text(
                await gateway.invoke("one", "echo", {"text": "next"}, timeout=PATIENCE)
            )

    async def test_calls_wait_for_a_restart(self, tmp_path: Path) -> None:
        """Calls that come while the backend is down are sent once it is up again."""
        pids = tmp_path / "pids"
        backend = fake("--tools", "echo,generic", "--delay-start", 0.5, "--pid-file", pids)
        async with running({"one": backend}, failsafe=NO_RATE_LIMIT) as gateway:
            await gateway.invoke("one", "echo", timeout=PATIENCE)
            killed = pids_in(pids)[-1]
            os.kill(killed, signal.SIGKILL)
            await until(lambda: not alive(killed), what="dead")
            calls = [gateway.begin_invoke("one", "generic", {"n": n}) for n in range(CALLS)]
            for number, call in enumerate(calls):
                result = await call.result(timeout=PATIENCE)
                assert f'"n": {number}}}' in text(result)


class TestKilledAtRest:
    async def test_the_next_call_works(self, tmp_path: Path) -> None:
        """A backend that was killed while idle is started again for the next call."""
        pids = tmp_path / "pids"
        backend = fake("--tools", "slow", "--annotate", "slow=destructive", "--pid-file", pids)
        async with running({"one": backend}) as gateway:
            for number in range(3):
                result = await gateway.invoke("one", "slow", {"seconds": 0}, timeout=PATIENCE)
                assert "slept 0" == text(result)
                killed = pids_in(pids)[-1]
                os.kill(killed, signal.SIGKILL)
                await until(lambda: not alive(killed), what="dead")  # noqa: B023
                assert number < len(pids_in(pids))

    async def test_it_died_once(self, tmp_path: Path) -> None:
        """A read-only call survives its backend's death; another one fails with the reason."""
        for hint, tool in (("readOnly", "one_tool"), ("none", "one_tool")):
            died = tmp_path / f"died-{hint}"
            backend = fake(
                "--tools", tool, "--annotate", f"{tool}={hint}", "--die-on", tool, "--once", died
            )
            async with running({"one": backend}) as gateway:
                result = await gateway.invoke("one", tool, timeout=PATIENCE)
                if hint == "readOnly":
                    assert not result.get("isError"), text(result)
                else:
                    assert "may have taken effect" in text(result)
                    assert "exit status 137" in text(result)
                after = await gateway.invoke("one", tool, timeout=PATIENCE)
                assert not after.get("isError"), text(after)


class TestBreaker:
    async def test_dying_at_each_call_opens_it(self, tmp_path: Path) -> None:
        """After enough deaths calls are refused at once, with the time to wait; revive ends it."""
        pids = tmp_path / "pids"
        backend = fake("--tools", "echo,counter", "--die-on", "echo", "--pid-file", pids)
        async with running({"one": backend}, failsafe=FAILSAFE) as gateway:
            first = await gateway.invoke("one", "echo", timeout=PATIENCE)
            assert first["isError"], first
            assert "exit status 137" in text(first)
            started = len(pids_in(pids))
            assert 3 <= started <= 4
            refused = await gateway.invoke("one", "counter", timeout=PATIENCE)
            assert "CIRCUIT_OPEN" == refused["recovery"]["error_code"]
            waiting = re.search(r"allowed in (\d+) s", text(refused))
            assert waiting is not None, text(refused)
            assert 200 <= int(waiting[1]) <= 330
            assert "exit status 137" in text(refused)
            assert "gateway_revive_server" in text(refused)
            assert started == len(pids_in(pids))
            entry = (await servers(gateway))["one"]
            assert ("open", "open") == (entry["state"], entry["circuit_breaker"])
            assert entry["retry_after_ms"] > 0
            assert "137" in entry["cause"]

            revived = payload(await gateway.call("gateway_revive_server", {"server": "one"}))
            assert ("active", True) == (revived["status"], revived["breaker_was_open"])
            assert "closed" == (await servers(gateway))["one"]["circuit_breaker"]
            result = await gateway.invoke("one", "counter", timeout=PATIENCE)
            assert "1" == text(result)

    async def test_only_its_own_backend_is_refused(self, tmp_path: Path) -> None:
        """An open breaker of one backend leaves the others alone."""
        backends = {"bad": fake("--die-on", "echo"), "good": fake()}
        async with running(backends, failsafe=FAILSAFE) as gateway:
            for _ in range(3):
                result = await gateway.invoke("bad", "echo", timeout=PATIENCE)
                assert result["isError"]
            assert "CIRCUIT_OPEN" == result["recovery"]["error_code"]
            good = await gateway.invoke("good", "echo", {"text": "well"}, timeout=PATIENCE)
            assert "well" == text(good)

    async def test_it_closes_again_by_itself(self, tmp_path: Path) -> None:
        """Once its time is over and the backend works again, calls go through."""
        died = tmp_path / "died"
        backend = fake("--tools", "echo", "--die-on", "echo", "--once", died)
        failsafe = {
            "circuit_breaker": {
                "failure_threshold": 1, "success_threshold": 2, "reset_timeout": "200ms",
            },
            "retry": {"enabled": False},
        }  # fmt: skip
        async with running({"one": backend}, failsafe=failsafe) as gateway:
            first = await gateway.invoke("one", "echo", timeout=PATIENCE)
            assert first["isError"]
            with trio.move_on_after(PATIENCE):
                while (answer := await gateway.invoke("one", "echo", {"text": "hi"})).get(
                    "isError"
                ):
                    assert "CIRCUIT_OPEN" == answer["recovery"]["error_code"], text(answer)
                    await trio.sleep(0.02)
            assert "hi" == text(answer)
            await gateway.invoke("one", "echo", {"text": "hi"})
            assert "closed" == (await servers(gateway))["one"]["circuit_breaker"]


class TestKillSwitch:
    async def test_kill_and_revive(self, tmp_path: Path) -> None:
        """A killed server's process ends, calls are refused, and revive brings it back."""
        pids = tmp_path / "pids"
        async with running({"one": fake("--pid-file", pids)}) as gateway:
            await gateway.invoke("one", "echo", timeout=PATIENCE)
            killed = payload(await gateway.call("gateway_kill_server", {"server": "one"}))
            assert "disabled" == killed["status"]
            await until(lambda: not alive(pids_in(pids)[0]), what="stopped")
            refused = await gateway.invoke("one", "echo")
            assert "SERVER_DISABLED" == refused["recovery"]["error_code"]
            assert 1 == len(pids_in(pids))
            await gateway.call("gateway_revive_server", {"server": "one"})
            result = await gateway.invoke("one", "echo", {"text": "back"}, timeout=PATIENCE)
            assert "back" == text(result)
