"""A gateway.yaml that changes while the session goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from tests.e2e.reloading import (
    TOOLS_CHANGED,
    names_are,
    no_error,
    reload,
    tools_are,
    write,
)
from tests.e2e.running import (
    Backends,
    found,
    running,
    servers,
    text,
    until,
)
from tests.support.driver import (
    Gateway,
    alive,
    fake,
    logged_methods,
    pids_in,
    yaml_config,
)
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process


class TestChanges:
    async def test_add_change_and_remove_by_themselves(self, tmp_path: Path) -> None:
        """A changed file takes effect by itself, and the client is notified each time."""
        log = tmp_path / "log"
        one = fake("--tools", "echo", "--log", log)
        async with running({"one": one}) as gateway:
            await gateway.invoke("one", "echo", timeout=PATIENCE)

            seen = len(gateway.notifications)
            write(gateway, {"one": one, "two": fake("--tools", "add_numbers")})
            await gateway.wait_notification(TOOLS_CHANGED, after=seen, timeout=PATIENCE)
            await names_are(gateway, {"one", "two"})
            assert ("two", "add_numbers") == (await found(gateway, "add numbers"))[0]
            no_error(await gateway.invoke("two", "add_numbers", timeout=PATIENCE))

            seen = len(gateway.notifications)
            write(gateway, {"one": one, "two": fake("--tools", "multiply_numbers")})
            await tools_are(gateway, "two", ["multiply_numbers"])
            await gateway.wait_notification(TOOLS_CHANGED, after=seen, timeout=PATIENCE)
            no_error(await gateway.invoke("two", "multiply_numbers", timeout=PATIENCE))
            assert ("two", "multiply_numbers") in await found(gateway, "multiply numbers")
            assert ("two", "add_numbers") not in await found(gateway, "add numbers")
            gone = await gateway.invoke("two", "add_numbers", timeout=PATIENCE)
            assert "TOOL_NOT_FOUND" == gone["recovery"]["error_code"]

            seen = len(gateway.notifications)
            write(gateway, {"one": one})
            await names_are(gateway, {"one"})
            await gateway.wait_notification(TOOLS_CHANGED, after=seen, timeout=PATIENCE)
            assert [("one", "echo")] == await found(gateway, "echo")
            assert [] == await found(gateway, "multiply numbers")
            gone = await gateway.invoke("two", "multiply_numbers", timeout=PATIENCE)
            assert "TOOL_NOT_FOUND" == gone["recovery"]["error_code"]

            no_error(await gateway.invoke("one", "echo"))
            assert 1 == logged_methods(log).count("initialize")

    async def test_outcome_of_the_tool(self) -> None:
        """gateway_reload_config says what it did, and what only a restart will do."""
        one = fake("--tools", "echo")
        async with running({"one": one, "two": one}) as gateway:
            nothing = {
                "status": "ok",
                "changes": "no changes detected",
                "restart_required": False,
                "restart_reason": None,
            }
            assert nothing == await reload(gateway)

            write(gateway, {"two": fake("--tools", "counter"), "three": one})
            outcome = await reload(gateway)
            changes = "added backends: [three]; removed backends: [one]; modified backends: [two]"
            assert {**nothing, "changes": changes} == outcome
            assert ["two", "three"] == list(await servers(gateway))
            assert nothing == await reload(gateway)

            write(gateway, {"two": fake("--tools", "counter"), "three": one},
                  server={"max_body_size": 2_000_000})  # fmt: skip
            outcome = await reload(gateway)
            assert outcome["restart_required"] is True
            assert "server" in outcome["restart_reason"]
            assert "max_body_size" in outcome["changes"]
            assert "ok" == outcome["status"]

    async def test_a_disabled_backend_is_gone_and_comes_back(self, tmp_path: Path) -> None:
        """`enabled: false` ends a backend's process; without it the backend is there again."""
        pids = tmp_path / "pids"
        command = fake("--pid-file", pids)
        async with running({"one": command}) as gateway:
            no_error(await gateway.invoke("one", "echo", timeout=PATIENCE))
            write(gateway, {"one": {"command": command, "enabled": False}})
            assert "removed backends: [one]" == (await reload(gateway))["changes"]
            await until(lambda: not alive(pids_in(pids)[0]), what="ended")
            gone = await gateway.invoke("one", "echo")
            assert "TOOL_NOT_FOUND" == gone["recovery"]["error_code"]
            write(gateway, {"one": command})
            assert "added backends: [one]" == (await reload(gateway))["changes"]
            no_error(await gateway.invoke("one", "echo", timeout=PATIENCE))
            assert 2 == len(pids_in(pids))

    async def test_a_killed_server_stays_killed(self) -> None:
        """The operator's kill switch outlives a change of the backend's settings."""
        async with running({"one": fake()}) as gateway:
            await gateway.call("gateway_kill_server", {"server": "one"}, timeout=PATIENCE)
            write(gateway, {"one": fake("--tools", "echo,counter")})
            await reload(gateway)
            refused = await gateway.invoke("one", "echo")
            assert "SERVER_DISABLED" == refused["recovery"]["error_code"]
            await gateway.call("gateway_revive_server", {"server": "one"})
            no_error(await gateway.invoke("one", "counter", timeout=PATIENCE))


class TestCallsInFlight:
    async def test_on_an_unchanged_backend(self, tmp_path: Path) -> None:
        """A call on a backend that the change does not affect is neither ended nor restarted."""
        log, pids = tmp_path / "log", tmp_path / "pids"
        one = fake("--tools", "slow,echo", "--log", log, "--pid-file", pids)
        async with running({"one": one, "two": fake()}) as gateway:
            await gateway.invoke("one", "echo", timeout=PATIENCE)
            pending = gateway.begin_invoke("one", "slow", {"seconds": 4})
            await until(lambda: 2 == logged_methods(log).count("tools/call"), what="under way")
            write(gateway, {"three": fake(), "one": one})
            await reload(gateway)
            assert not pending.answered
            assert "slept 4" == no_error(await pending.result(timeout=PATIENCE))
            no_error(await gateway.invoke("one", "echo"))
            assert 1 == len(pids_in(pids))
            assert 1 == logged_methods(log).count("initialize")

    @pytest.mark.parametrize("change", ["changed", "removed", "disabled"])
    async def test_on_a_backend_that_goes(self, change: str, tmp_path: Path) -> None:
        """A call in flight on a backend that is changed or removed finishes on the old one."""
        log, pids = tmp_path / "log", tmp_path / "pids"
        one = fake("--tools", "slow,counter", "--log", log, "--pid-file", pids)
        two = fake()
        after: Backends = {
            "changed": {"one": fake("--tools", "slow,counter,echo", "--pid-file", pids)},
            "removed": {"two": two},
            "disabled": {"one": {"command": one, "enabled": False}},
        }[change]  # fmt: skip
        async with running({"one": one, "two": two}) as gateway:
            await gateway.invoke("one", "counter", timeout=PATIENCE)
            pending = gateway.begin_invoke("one", "slow", {"seconds": 4})
            await until(lambda: 2 == logged_methods(log).count("tools/call"), what="under way")
            write(gateway, after)
            await reload(gateway)
            assert not pending.answered
            new = await gateway.invoke("one", "counter", timeout=PATIENCE)
            if change == "changed":
                assert "1" == no_error(new), "a new process has had one call"
                assert 2 == len(pids_in(pids))
            else:
                assert "TOOL_NOT_FOUND" == new["recovery"]["error_code"]
            assert "slept 4" == no_error(await pending.result(timeout=PATIENCE))
            await until(lambda: not alive(pids_in(pids)[0]), what="the old one ended")

    async def test_waiting_for_the_start_of_a_backend_that_is_changed(self, tmp_path: Path) -> None:
        """A call that waits for a backend's start is answered, not left hanging."""
        pids = tmp_path / "pids"
        slow_start = fake("--tools", "echo", "--delay-start", 300, "--pid-file", pids)
        async with running({"one": {"command": slow_start, "timeout": "250s"}}) as gateway:
            pending = gateway.begin_invoke("one", "echo", {"text": "hello"})
            await until(lambda: bool(pids_in(pids)), what="starting")
            write(gateway, {"one": {"command": fake("--tools", "echo"), "timeout": "250s"}})
            await reload(gateway)
            result = await pending.result(timeout=PATIENCE)
            if result.get("isError"):
                assert result["recovery"]["error_code"] in ("BACKEND_UNREACHABLE", "BACKEND_ERROR")
                assert "'one'" in text(result)
                assert "changed" in text(result), "the reason is the change of gateway.yaml"
            no_error(await gateway.invoke("one", "echo", timeout=PATIENCE))
            await until(lambda: not alive(pids_in(pids)[0]), what="the old one ended")


class TestEnvFiles:
    async def test_a_changed_env_file_reloads(self, tmp_path: Path) -> None:
        """A value from an env file changes at the backend when the file does, or appears."""
        dotenv = tmp_path / "secrets.env"
        backends: Backends = {
            "one": {"command": fake("--tools", "env"), "env": {"GREETING": "${GREETING:-none}"}}
        }

        async def greeting(gateway: Gateway) -> str | None:
            result = await gateway.invoke("one", "env", {"name": "GREETING"}, timeout=PATIENCE)
            value: str | None = json.loads(no_error(result))
            return value

        async def becomes(gateway: Gateway, wanted: str) -> None:
            with trio.fail_after(PATIENCE):
                while await greeting(gateway) != wanted:  # noqa: ASYNC110
                    await trio.sleep(0.1)

        sections = {"env_files": [str(dotenv)]}
        async with running(backends, folder=tmp_path, **sections) as gateway:
            assert "none" == await greeting(gateway)
            dotenv.write_text("GREETING=hello\n")
            await becomes(gateway, "hello")
            dotenv.write_text("GREETING=good morning\n")
            await becomes(gateway, "good morning")
            assert "good morning" not in gateway.stderr
            dotenv.unlink()
            await becomes(gateway, "none")


async def test_edits_in_steps_and_quick_succession(tmp_path: Path) -> None:
    """Many quick changes, written in place and in steps, end at the last one."""
    one = fake("--tools", "echo")
    async with running({"one": one}, folder=tmp_path) as gateway:
        path = tmp_path / "gateway.yaml"
        for number in range(10):
            content = yaml_config({"one": one, f"n{number}": fake()}, mark=gateway.mark)
            half = len(content) // 2
            with path.open("w") as file:
                file.write(content[:half])
                file.flush()
                await trio.lowlevel.checkpoint()
                file.write(content[half:])
        await names_are(gateway, {"one", "n9"})
        no_error(await gateway.invoke("n9", "echo", timeout=PATIENCE))
