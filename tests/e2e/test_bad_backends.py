"""Bad backends beside a good one: they cost it nothing, and each says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
import trio

from tests.e2e.running import Backends, found, running, servers, text
from tests.support.driver import Gateway, Message, fake
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

SECRET = "s3cr3t-Value-0123456789"
GOOD: Backends = {"good": fake("--tools", "echo,weather_report")}
BAD: Backends = {
    "missing": ["no-such-program-anywhere", "--flag"],
    "crashing": {
        "command": fake("--crash-at-start", 3, "--stderr", f"fatal: key {SECRET} was refused"),
        "env": {"BACKEND_KEY": SECRET},
    },
    "hanging": {"command": fake("--hang", "--ignore-eof", "--ignore-term"), "timeout": "3s"},
    "flooding": fake("--tools", "flooding_tool", "--flood"),
    "stubborn": fake("--tools", "stubborn_tool", "--ignore-eof", "--ignore-term"),
}


@attrs.frozen
class Times:
    """Seconds that the steps of a session took."""

    initialize: float
    search: float
    calls: float
    end: float


async def session(backends: Backends) -> Times:
    """Initialize, search, call the good backend 30 times, and end."""
    began = trio.current_time()
    async with running(backends, initialize=False) as gateway:
        await gateway.initialize(timeout=PATIENCE)
        initialized = trio.current_time()
        assert ("good", "weather_report") == (await found(gateway, "weather report"))[0]
        searched = trio.current_time()
        for number in range(30):
            result = await gateway.invoke("good", "echo", {"text": str(number)}, timeout=PATIENCE)
            assert str(number) == text(result)
        called = trio.current_time()
        assert 0 == await gateway.end(timeout=PATIENCE)
        ended = trio.current_time()
    return Times(initialized - began, searched - initialized, called - searched, ended - called)


async def test_a_good_backend_does_not_notice() -> None:
    """With all bad ones beside it, the good one is found and called about as quickly."""
    alone = await session(GOOD)
    beside = await session({**BAD, **GOOD})
    for step in ("initialize", "search", "calls"):
        quick, now = getattr(alone, step), getattr(beside, step)
        assert now <= 3 * quick + 2, f"{step}: {now:.2f} s, alone {quick:.2f} s"
    assert beside.end < 15


async def refusal(gateway: Gateway, server: str) -> Message:
    """Call a backend and return the result, which must be an error."""
    result = await gateway.invoke(server, "anything", timeout=PATIENCE)
    assert result["isError"] is True, result
    return result


async def test_each_says_what_is_wrong() -> None:
    """Calls to a bad backend and the list of servers name the cause, without secrets."""
    async with running({**BAD, **GOOD}) as gateway:
        missing = await refusal(gateway, "missing")
        assert "BACKEND_UNREACHABLE" == missing["recovery"]["error_code"]
        assert "no-such-program-anywhere" in text(missing)
        crashing = await refusal(gateway, "crashing")
        assert "exit status 3" in text(crashing)
        assert "fatal: key" in text(crashing)
        assert "was refused" in text(crashing)
        hanging = await refusal(gateway, "hanging")
        assert "BACKEND_TIMEOUT" == hanging["recovery"]["error_code"]
        assert "initialize" in text(hanging)
        for name in ("flooding", "stubborn"):
            result = await gateway.invoke(name, f"{name}_tool", timeout=PATIENCE)
            assert f"{name}_tool" in text(result)

        listed = await servers(gateway)
        assert {*BAD, *GOOD} == set(listed)
        assert "stopped" == listed["missing"]["state"]
        assert "no-such-program-anywhere" in listed["missing"]["cause"]
        assert listed["crashing"]["state"] in ("backing off", "starting", "open", "idle")
        assert "exit status 3" in listed["crashing"]["cause"]
        assert "was refused" in listed["crashing"]["cause"]
        assert "starting" == listed["hanging"]["state"]
        assert "initialize" in listed["hanging"]["cause"]
        for name in ("flooding", "stubborn"):
            assert (True, "ready") == (listed[name]["running"], listed[name]["state"])
            assert "cause" not in listed[name]
        assert SECRET not in gateway.stderr
        assert SECRET.encode() not in b"".join(gateway.raw_lines)


async def test_a_hanging_start_has_its_own_limit() -> None:
    """A server that never answers `initialize` is given up after `start_timeout`."""
    backend = {"command": fake("--hang", "--stderr", "waiting for a lock"), "start_timeout": "1s"}
    async with running({"one": backend}, failsafe={"retry": {"max_attempts": 1}}) as gateway:
        result = await refusal(gateway, "one")
        assert "did not answer `initialize` within 1 s" in text(result)
        assert "waiting for a lock" in text(result)


async def test_a_crash_at_the_start_that_passes(tmp_path: Path) -> None:
    """A backend that crashes at its first start only is started again, and the call succeeds."""
    backend = fake("--crash-at-start", 1, "--once", tmp_path / "crashed")
    async with running({"one": backend}) as gateway:
        result = await gateway.invoke("one", "echo", {"text": "hi"}, timeout=PATIENCE)
        assert "hi" == text(result)


async def test_odd_but_working_backends() -> None:
    """A banner on stdout, no capabilities, and an old protocol revision are no hindrance."""
    backends = {
        "banner": fake("--banner"),
        "bare": fake("--no-capabilities"),
        "old": fake("--protocol", "2024-11-05"),
    }
    async with running(backends) as gateway:
        for name in backends:
            result = await gateway.invoke(name, "echo", {"text": name}, timeout=PATIENCE)
            assert name == text(result)


async def test_an_unknown_protocol_revision() -> None:
    """A backend of a revision that we do not speak is refused with both sides' revisions."""
    async with running({"one": fake("--protocol", "1999-01-01")}) as gateway:
        result = await refusal(gateway, "one")
        assert "1999-01-01" in text(result)
        assert "2025-11-25" in text(result)
