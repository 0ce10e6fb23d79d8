"""One session over stdio: what overtakes, what is passed on, and how it ends."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest
import trio

from tests.e2e.running import (
    NO_RATE_LIMIT,
    nobody_left,
    payload,
    running,
    text,
    until,
)
from tests.support.driver import (
    RpcError,
    alive,
    fake,
    logged,
    logged_cancelled,
    logged_methods,
    pids_in,
)
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process


class TestRequests:
    async def test_a_slow_call_does_not_delay_a_fast_one(self) -> None:
        """A call that comes later and ends earlier is answered first."""
        async with running({"one": fake("--tools", "slow,echo")}) as gateway:
            await gateway.invoke("one", "echo", {"text": "warm"}, timeout=PATIENCE)
            slow = gateway.begin_invoke("one", "slow", {"seconds": 500})
            for number in range(20):
                result = await gateway.invoke("one", "echo", {"text": str(number)})
                assert str(number) == text(result)
            assert not slow.answered
            gateway.cancel(slow)

    async def test_cancelling_reaches_the_backend(self, tmp_path: Path) -> None:
        """A cancelled call is cancelled at the backend once, by its id there, and unanswered."""
        log = tmp_path / "log"
        async with running({"one": fake("--tools", "slow,echo", "--log", log)}) as gateway:
            await gateway.invoke("one", "echo", timeout=PATIENCE)
            pending = gateway.begin_invoke("one", "slow", {"seconds": 500})

            def slow_calls() -> list[object]:
                return [
                    message["id"]
                    for message in logged(log)
                    if message.get("method") == "tools/call" and message["params"]["name"] == "slow"
                ]

            await until(lambda: bool(slow_calls()), what="at the backend")
            gateway.cancel(pending)
            await until(lambda: bool(logged_cancelled(log)), what="cancelled")
            await gateway.invoke("one", "echo")
            assert slow_calls() == logged_cancelled(log)
            assert 1 == logged_methods(log).count("notifications/cancelled")
            assert not pending.answered
            # Once more, and for what is long answered: nothing happens.
            gateway.cancel(pending)
            await gateway.invoke("one", "echo")
            assert 1 == logged_methods(log).count("notifications/cancelled")

    @pytest.mark.parametrize("token", ["own-token", 7, 0])
    async def test_progress(self, token: str | int) -> None:
        """Reports come under the client's own token, in order, and before the result."""
        async with running({"one": fake("--tools", "progress")}) as gateway:
            result = await gateway.invoke(
                "one", "progress", {"steps": 5}, meta={"progressToken": token}, timeout=PATIENCE
            )
            assert "5 steps" == text(result)
            reports = [
                message["params"]
                for message in gateway.notifications
                if message["method"] == "notifications/progress"
            ]
            assert [1, 2, 3, 4, 5] == [report["progress"] for report in reports]
            assert [token] * 5 == [report["progressToken"] for report in reports]
            assert "step 5" == reports[-1]["message"]
            lines = [json.loads(line) for line in gateway.raw_lines]
            last = max(n for n, m in enumerate(lines) if m.get("method", "").endswith("progress"))
            answer = next(n for n, m in enumerate(lines) if m.get("id") == 2)
            assert last < answer

    async def test_ping_both_ways(self, tmp_path: Path) -> None:
        """We answer a ping, before `initialize` too, and a live backend is asked by ping."""
        log = tmp_path / "log"
        health = {"health_check": {"interval": "200ms", "timeout": "20s"}}
        backend = fake("--tools", "echo", "--log", log)
        async with running({"one": backend}, failsafe=health, initialize=False) as gateway:
            assert {} == await gateway.request("ping", timeout=PATIENCE)
            await gateway.initialize()
            await gateway.invoke("one", "echo", timeout=PATIENCE)
            await until(lambda: "ping" in logged_methods(log), what="pinged")
            assert {} == await gateway.request("ping")
            await gateway.invoke("one", "echo")

    async def test_many_large_calls_at_once(self) -> None:
        """32 calls of 20 kB in flight are each answered with their own content."""
        content = "ü€" * 4000
        async with running({"one": fake("--tools", "echo")}, failsafe=NO_RATE_LIMIT) as gateway:
            calls = [
                gateway.begin_invoke("one", "echo", {"text": f"{number} {content}"})
                for number in range(32)
            ]
            for number, call in enumerate(calls):
                assert f"{number} {content}" == text(await call.result(timeout=PATIENCE))

    async def test_big_results(self) -> None:
        """Results of megabytes come whole where no limit is set."""
        whole = {"result_limit": 0}
        async with running({"one": fake("--tools", "big")}, meta_mcp=whole) as gateway:
            for size in (1_000_000, 5_000_000):
                result = await gateway.invoke("one", "big", {"bytes": size}, timeout=PATIENCE)
                assert "x" * size == text(result)

    async def test_unknown_fields_survive(self) -> None:
        """Unknown fields are passed on, at every level of a result."""
        async with running({"one": fake("--tools", "unknown_fields")}) as gateway:
            result = await gateway.invoke("one", "unknown_fields", timeout=PATIENCE)
            item = {
                "type": "text",
                "text": "plain",
                "x-extra": {"deep": [1, None]},
                "_meta": {"x-in": 1},
            }
            assert [item] == result["content"]
            assert {"kept": True} == result["x-extra"]
            assert "kept" == result["_meta"]["x-extra"]

    async def test_backend_lists_of_many_pages(self) -> None:
        """Every page of a backend's lists is read."""
        names = [f"tool_{number}" for number in range(7)]
        backend = fake("--tools", ",".join(names), "--page-size", 2)
        async with running({"one": backend}) as gateway:
            listed = payload(
                await gateway.call("gateway_list_tools", {"server": "one"}, timeout=PATIENCE)
            )
            assert names == [tool["name"] for tool in listed["tools"]]
            resources = await gateway.request("resources/list", {})
            uris = [each["uri"] for each in resources["resources"]]
            assert ["fake://one", "fake://two"] == [uri for uri in uris if "fake:" in uri]

    async def test_errors_of_the_backend(self) -> None:
        """A tool's own failure comes as it is; a protocol error keeps its code and data."""
        async with running({"one": fake("--tools", "fail,rpc_error,bad_lines")}) as gateway:
            failed = await gateway.invoke("one", "fail", {"text": "no luck"}, timeout=PATIENCE)
            assert (True, "no luck") == (failed["isError"], text(failed))
            refused = await gateway.invoke("one", "rpc_error")
            assert refused["isError"] is True
            error = refused["_meta"]["gateway/backend_error"]
            assert -32050 == error["code"]
            assert {"tool": "rpc_error", "hint": "none"} == error["data"]
            assert "the real answer" == text(await gateway.invoke("one", "bad_lines"))


class TestLogMessages:
    async def test_messages_are_passed_on_by_level(self, tmp_path: Path) -> None:
        """The logger tells the backend; the wanted level holds here and is passed on."""
        log = tmp_path / "log"
        async with running({"one": fake("--tools", "log", "--log", log)}) as gateway:
            await gateway.invoke("one", "log", {"data": "first"}, timeout=PATIENCE)
            first = await gateway.wait_notification(
                "notifications/message", where=lambda params: params["data"] == "first"
            )
            assert ("info", "one/fake") == (first["level"], first["logger"])
            assert {} == await gateway.request("logging/setLevel", {"level": "error"})
            await until(lambda: "logging/setLevel" in logged_methods(log), what="passed on")
            levels = [m["params"] for m in logged(log) if m.get("method") == "logging/setLevel"]
            assert [{"level": "error"}] == levels
            await gateway.invoke("one", "log", {"level": "warning", "data": "second"})
            await gateway.invoke("one", "log", {"level": "critical", "data": "third"})
            await gateway.wait_notification(
                "notifications/message", where=lambda params: params["data"] == "third"
            )
            passed = [
                message["params"]["data"]
                for message in gateway.notifications
                if message["method"] == "notifications/message"
            ]
            assert "second" not in passed

    async def test_a_level_from_before_the_backend_started(self, tmp_path: Path) -> None:
        """A backend that starts later receives the level too."""
        log = tmp_path / "log"
        async with running({"one": fake("--tools", "log", "--log", log)}) as gateway:
            await gateway.request("logging/setLevel", {"level": "alert"})
            await gateway.invoke("one", "log", {"level": "info"}, timeout=PATIENCE)
            await until(lambda: "logging/setLevel" in logged_methods(log), what="passed on")

    async def test_an_unknown_level(self) -> None:
        """A level that does not exist is refused with the ones that do."""
        async with running({}) as gateway:
            with pytest.raises(RpcError, match="emergency") as caught:
                await gateway.request("logging/setLevel", {"level": "loud"})
            assert -32602 == caught.value.code


class TestAsking:
    @pytest.mark.parametrize(
        ("tool", "method", "capabilities", "answer"),
        [
            (
                "ask_sampling",
                "sampling/createMessage",
                {"sampling": {}},
                {"role": "assistant", "content": {"type": "text", "text": "Paris"}, "model": "m"},
            ),
            (
                "ask_elicitation",
                "elicitation/create",
                {"elicitation": {}},
                {"action": "accept", "content": {"name": "Ada"}},
            ),
            (
                "ask_roots",
                "roots/list",
                {"roots": {"listChanged": True}},
                {"roots": [{"uri": "file:///srv", "name": "srv"}]},
            ),
        ],
    )
    async def test_a_backend_asks_the_client(
        self, tool: str, method: str, capabilities: dict[str, object], answer: dict[str, object]
    ) -> None:
        """A backend's request goes to the client, and the client's answer to the backend."""
        async with running({"one": fake("--tools", tool)}, capabilities=capabilities) as gateway:

            async def serve(_params: dict[str, object]) -> dict[str, object]:
                return answer

            gateway.on_request[method] = serve
            result = await gateway.invoke("one", tool, timeout=PATIENCE)
            assert {"result": answer} == json.loads(text(result))
            assert [method] == [request["method"] for request in gateway.requests]

    async def test_a_client_without_the_capability(self, tmp_path: Path) -> None:
        """A backend is not offered, and not given, what the client does not have."""
        log = tmp_path / "log"
        async with running({"one": fake("--tools", "ask_sampling", "--log", log)}) as gateway:
            result = json.loads(text(await gateway.invoke("one", "ask_sampling", timeout=PATIENCE)))
            assert -32601 == result["error"]["code"]
            assert [] == gateway.requests
            opening = next(m for m in logged(log) if m.get("method") == "initialize")
            assert {} == opening["params"]["capabilities"]

    async def test_changed_roots(self, tmp_path: Path) -> None:
        """The client's word that its roots changed reaches a running backend."""
        log = tmp_path / "log"
        async with running(
            {"one": fake("--tools", "echo", "--log", log)},
            capabilities={"roots": {"listChanged": True}},
        ) as gateway:
            await gateway.invoke("one", "echo", timeout=PATIENCE)
            gateway.notify("notifications/roots/list_changed")
            await until(
                lambda: "notifications/roots/list_changed" in logged_methods(log), what="passed on"
            )


class TestEnd:
    async def test_calls_in_flight_at_the_end_of_input(self) -> None:
        """All that was asked before the end of input is answered, and the exit status is 0."""
        async with running({"one": fake("--tools", "slow,echo")}, initialize=False) as gateway:
            opening = gateway.begin(
                "initialize",
                {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "sh"}},
            )
            gateway.notify("notifications/initialized")
            listing = gateway.begin("tools/list")
            calls = [gateway.begin_invoke("one", "slow", {"seconds": 1.0}) for _ in range(5)]
            search = gateway.begin_call("gateway_search_tools", {"query": "slow"})
            assert 0 == await gateway.end(timeout=PATIENCE)
            for pending in (opening, listing, search, *calls):
                assert pending.answered, gateway.describe()
                assert "error" not in (pending.answer or {})
            for call in calls:
                assert "slept 1" == text(await call.result())

    async def test_only_a_handshake(self, tmp_path: Path) -> None:
        """Input that ends right after `initialize`, while all else is still loading, is served
        with status 0 and starts no backend."""
        pids = tmp_path / "pids"
        for _ in range(12):
            backends = {"one": fake("--pid-file", pids)}
            async with running(backends, initialize=False) as gateway:
                opening = gateway.begin("initialize", {"protocolVersion": "2025-11-25"})
                assert 0 == await gateway.end(timeout=PATIENCE), gateway.describe()
                assert opening.answered
        assert [] == pids_in(pids)

    async def test_nothing_at_all(self) -> None:
        """An input that ends at once ends the gateway with status 0."""
        async with running({"one": fake()}, initialize=False) as gateway:
            assert 0 == await gateway.end(timeout=PATIENCE)
            assert [] == gateway.raw_lines

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    async def test_signals(self, number: signal.Signals, tmp_path: Path) -> None:
        """A signal ends the gateway and every process below it, a call in flight or not."""
        pids = tmp_path / "pids"
        backend = fake("--tools", "slow,echo", "--pid-file", pids, "--grandchild")
        async with running({"one": backend}) as gateway:
            await gateway.invoke("one", "echo", timeout=PATIENCE)
            gateway.begin_invoke("one", "slow", {"seconds": 500})
            gateway.process.send_signal(number)
            assert 0 == await gateway.wait(timeout=PATIENCE)
            await nobody_left(gateway)
            assert 1 == len(pids_in(pids))

    async def test_a_killed_gateway(self, tmp_path: Path) -> None:
        """Nothing outlives a gateway that is killed, stubborn backends' children included."""
        pids = tmp_path / "pids"
        stubborn = ("--ignore-eof", "--ignore-term", "--grandchild", "--pid-file", pids)
        backends = {"one": fake(*stubborn), "two": fake("--grandchild", "--pidfile", pids)}
        async with running(backends) as gateway:
            for name in backends:
                await gateway.invoke(name, "echo", timeout=PATIENCE)
            assert all(map(alive, pids_in(pids)))
            gateway.process.kill()
            assert -signal.SIGKILL == await gateway.wait(timeout=PATIENCE)
            await nobody_left(gateway)

    async def test_stubborn_backends(self, tmp_path: Path) -> None:
        """Backends that ignore the end of input and SIGTERM are gone when the gateway is."""
        pids = tmp_path / "pids"
        stubborn = ("--ignore-eof", "--ignore-term", "--grandchild", "--pid-file", pids)
        async with running({name: fake(*stubborn) for name in ("one", "two", "six")}) as gateway:
            for name in ("one", "two", "six"):
                await gateway.invoke(name, "echo", timeout=PATIENCE)
            began = trio.current_time()
            assert 0 == await gateway.end(timeout=PATIENCE)
            assert trio.current_time() - began < 15
            assert 3 == len(pids_in(pids))

    async def test_stdout_belongs_to_the_conversation(self) -> None:
        """Whatever else writes to descriptor 1, or prints, ends on stderr."""
        code = (
            "import os, sys\n"
            "import mcpgw.front.session as session\n"
            "answer = session.Session._ping\n"
            "def noisy(self, params):\n"
            "    print('a stray print'); sys.stdout.flush()\n"
            "    os.write(1, b'stray bytes')\n"
            "    os.system('echo a stray child')\n"
            "    return answer(self, params)\n"
            "session.Session._ping = noisy\n"
            "from mcpgw.__main__ import main\n"
            "main()\n"
        )
        command = [sys.executable, "-c", code, "serve", "--mode", "stdio"]
        async with running({"one": fake()}, command=command) as gateway:
            assert {} == await gateway.request("ping")
            own = trio.Path(f"/proc/{gateway.pid}/fd")
            assert (await (own / "2").stat()).st_ino == (await (own / "1").stat()).st_ino
            await gateway.invoke("one", "echo", timeout=PATIENCE)
            await until(lambda: "a stray print" in gateway.stderr, what="printed to stderr")
            assert "stray bytes" in gateway.stderr
            assert "a stray child" in gateway.stderr
