"""Supervision of backends, with scripted servers and a virtual clock."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcpgw.backends import instance
from mcpgw.backends.process import SpawnFailed
from mcpgw.backends.states import State, Unavailable
from mcpgw.config.failsafe import (
    CircuitBreakerConfig,
    FailsafeConfig,
    HealthCheckConfig,
    RetryConfig,
)
from mcpgw.protocol.peer import Params, Request
from tests.support.scripted import READ_TOOL, Life, Script, scripted_pool


async def answer(_request: Request) -> Params:
    return {"content": []}


async def test_starts_at_the_first_demand_only(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """A server starts at the first demand, once for all callers."""
    script = Script([Life(answer)])
    async with scripted_pool(monkeypatch, {"one": script}) as pool:
        backend = pool.get("one")
        assert backend is not None
        await trio.sleep(100)
        assert ([], State.IDLE) == (script.started, backend.state)

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(backend.learned)

        assert 1 == len(script.started)
        assert State.READY is backend.state
        assert {"read", "write"} == set(backend.tools)
        assert "<BackendServer 'one' READY pid=4711 pending=0 failures=0 starts=1 tools=2>" == repr(
            backend
        )


async def test_restarts_by_itself_after_a_crash(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """After a crash the server starts again at once, and its lists are read again."""
    first, second = Life(answer), Life(answer, tools=(READ_TOOL,))
    script = Script([first, second])
    async with scripted_pool(monkeypatch, {"one": script}) as pool:
        backend = pool.get("one")
        assert backend is not None
        await backend.learned()
        first.die()
        await trio.sleep(1)

        assert 2 == len(script.started)
        assert State.READY is backend.state
        assert {"read"} == set(backend.tools)
        assert backend.failure is None


async def test_a_crash_loop_backs_off_and_opens_the_breaker(
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
) -> None:
    """Failed starts are repeated at growing intervals until the breaker opens."""
    script = Script([Life(dies_at_start=True)])
    async with scripted_pool(monkeypatch, {"one": script}) as pool:
        backend = pool.get("one")
        assert backend is not None
        with pytest.raises(Unavailable, match=r"exit status 3.*the last words"):
            await backend.shared.connected()
        assert 3 == len(script.started)
        await trio.sleep(20)
        assert 5 == len(script.started)
        assert State.OPEN is backend.state
        await trio.sleep(1000)
        assert 5 == len(script.started)

        with pytest.raises(Unavailable):
            await backend.shared.connected()
        assert 6 == len(script.started)


async def test_a_missing_command_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """A permanent failure stops the backend until it is revived."""
    error = SpawnFailed("command not found: 'x'", permanent=True)
    script = Script([Life(spawn_error=error), Life(answer)])
    async with scripted_pool(monkeypatch, {"one": script}) as pool:
        backend = pool.get("one")
        assert backend is not None
        for _ in range(3):
            with pytest.raises(Unavailable, match="command not found"):
                await backend.shared.connected()
        assert (1, State.STOPPED) == (len(script.started), backend.state)

        backend.revive()
        await backend.shared.connected()
        assert State.READY is backend.state


async def test_a_transient_spawn_failure_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """A start that fails for a lack of processes is repeated."""
    error = SpawnFailed("no more processes", permanent=False)
    script = Script([Life(spawn_error=error), Life(answer)])
    async with scripted_pool(monkeypatch, {"one": script}) as pool:
        backend = pool.get("one")
        assert backend is not None
        await backend.shared.connected()
        assert 2 == len(script.started)


async def test_a_hanging_start_times_out(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """A server that does not answer `initialize` fails after `start_timeout`, with that reason."""
    script = Script([Life(hangs=True)])
    retry = FailsafeConfig(retry=RetryConfig(max_attempts=1))
    async with scripted_pool(
        monkeypatch, {"one": script}, failsafe=retry, start_timeout=60.0
    ) as pool:
        backend = pool.get("one")
        assert backend is not None
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_look_while_starting, backend)
            with pytest.raises(Unavailable, match="did not answer `initialize` within 60 s"):
                await backend.shared.connected()

        assert 60 <= trio.current_time() - began < 61


async def _look_while_starting(backend: object) -> None:
    await trio.sleep(7)
    assert "starting for 7 s" in backend.situation()  # type: ignore[attr-defined]


async def test_the_kill_switch(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    """A killed server ends at once, is not started again, and runs after `revive`."""
    script = Script([Life(answer)])
    async with scripted_pool(monkeypatch, {"one": script}) as pool:
        backend = pool.get("one")
        assert backend is not None
        await backend.learned()
        assert backend.kill()
        assert not backend.kill()
        await wait_all_tasks_blocked()
        assert (State.STOPPED, None) == (backend.state, backend.shared.connection)
        with pytest.raises(Unavailable, match="kill switch"):
            await backend.shared.connected()
        assert {"read", "write"} == set(backend.tools)

        backend.revive()
        await backend.shared.connected()
        assert 2 == len(script.started)


async def test_stops_when_idle_and_wakes_on_demand(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """An unused server stops after `stop_when_idle_for`, keeps its tools, and starts on demand."""
    script = Script([Life(answer)])
    async with scripted_pool(monkeypatch, {"one": script}, stop_when_idle_for=60.0) as pool:
        backend = pool.get("one")
        assert backend is not None
        await backend.learned()
        await trio.sleep(50)
        assert State.READY is backend.state
        await trio.sleep(20)
        assert State.IDLE is backend.state
        assert {"read", "write"} == set(backend.tools)
        assert backend.failure is None

        await backend.shared.connected()
        assert (2, State.READY) == (len(script.started), backend.state)


async def test_a_server_that_no_longer_answers_pings_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
) -> None:
    """A server that misses two pings is restarted; one that answers is not."""
    script = Script([Life(answer, answers_ping=False), Life(answer)])
    failsafe = FailsafeConfig(health_check=HealthCheckConfig(interval=30.0, timeout=5.0))
    async with scripted_pool(monkeypatch, {"one": script}, failsafe=failsafe) as pool:
        backend = pool.get("one")
        assert backend is not None
        await backend.learned()
        await trio.sleep(36)
        assert 1 == len(script.started)
        await trio.sleep(20)
        assert 2 == len(script.started)
        await trio.sleep(1000)
        assert (2, State.READY) == (len(script.started), backend.state)


async def test_a_stable_connection_resets_the_count(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Crashes far apart do not open the breaker if calls succeed in between."""
    lives = [Life(answer) for _ in range(12)]
    script = Script(lives)
    failsafe = FailsafeConfig(circuit_breaker=CircuitBreakerConfig(failure_threshold=3))
    async with scripted_pool(monkeypatch, {"one": script}, failsafe=failsafe) as pool:
        backend = pool.get("one")
        assert backend is not None
        for life in lives[:10]:
            await backend.learned()
            permit = backend.breaker.admit()
            assert permit is not None
            permit.success()
            await trio.sleep(60)
            life.die()
            await trio.sleep(0.5)
            assert State.READY is backend.state


class TestLearning:
    async def test_a_hanging_server_is_not_waited_for(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
    ) -> None:
        """Learning ends soon after the quick servers have answered, and returns the slow one."""

        async def slowly(life: Life, request: Request) -> Params:
            await trio.sleep(1.0)
            return await Life.serve(life, request)

        quick, slow = Life(answer), Life(hangs=True)
        scripts = {"quick": Script([quick]), "slow": Script([slow])}
        async with scripted_pool(monkeypatch, scripts) as pool:
            began = trio.current_time()
            pending = await pool.learn(patience=5.0)

            assert ("slow",) == pending
            assert trio.current_time() - began < 1.0
            began = trio.current_time()
            assert ("slow",) == await pool.learn(patience=5.0)
            assert trio.current_time() == began

    async def test_limited_concurrent_starts(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
    ) -> None:
        """Learning starts `at_once` servers at a time, and finally all of them."""
        scripts = {f"s{n}": Script([Life(answer)]) for n in range(10)}
        async with scripted_pool(monkeypatch, scripts) as pool:
            assert () == await pool.learn(patience=5.0, at_once=2)
            assert all(backend.known for backend in pool)

    async def test_no_server_answers(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
    ) -> None:
        """If all servers hang, learning ends after `patience`."""
        async with scripted_pool(monkeypatch, {"slow": Script([Life(hangs=True)])}) as pool:
            began = trio.current_time()
            assert ("slow",) == await pool.learn(patience=5.0)
            assert 5.0 == pytest.approx(trio.current_time() - began)


class TestListsThatFail:
    """A server that ends between `initialize` and its first list."""

    @staticmethod
    def dies_listing(first: int) -> tuple[Script, list[Life]]:
        lives: list[Life] = []

        def life(dies: bool) -> Life:
            one = Life(answer)
            if dies:
                one.dies_listing = True
            lives.append(one)
            return one

        return Script([*(life(True) for _ in range(first)), life(False)]), lives

    async def test_it_is_learned_from_the_next_start(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
    ) -> None:
        """Callers wait for the lists of the next process, not for those of the lost one."""
        script, _ = self.dies_listing(1)
        async with scripted_pool(monkeypatch, {"one": script}) as pool:
            server = pool.get("one")
            assert server is not None
            with trio.fail_after(5):
                await server.learned()
            assert {"read", "write"} == set(server.tools)

    async def test_it_is_given_up_after_some_starts(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
    ) -> None:
        """A server that never lists is reported with its failure, long before a call times out."""
        script, _ = self.dies_listing(50)
        async with scripted_pool(monkeypatch, {"one": script}) as pool:
            server = pool.get("one")
            assert server is not None
            with trio.fail_after(25), pytest.raises(Unavailable, match="exit status 3"):
                await server.learned()


async def test_an_internal_error_is_a_failure_like_any_other(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Callers get the reason; the next demand starts the server again, with backoff."""
    script = Script([Life(answer)])
    async with scripted_pool(monkeypatch, {"one": script}) as pool:
        server = pool.get("one")
        assert server is not None
        with monkeypatch.context() as broken:
            broken.setattr(instance, "open_in_time", None)
            with pytest.raises(Unavailable, match="internal gateway error"):
                await server.learned()
        assert 3 == server.breaker.failures
        with trio.fail_after(60):
            await server.learned()
        assert {"read", "write"} == set(server.tools)
