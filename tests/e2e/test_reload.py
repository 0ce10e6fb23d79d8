"""A gateway.yaml that changes while the session goes on, and one that is broken."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import trio

from tests.e2e.running import (
    PATIENCE,
    Backends,
    found,
    nobody_left,
    payload,
    running,
    servers,
    text,
    until,
)
from tests.support.driver import (
    Gateway,
    Message,
    RpcError,
    alive,
    fake,
    logged_methods,
    open_gateway,
    pids_in,
    yaml_config,
)

pytestmark = pytest.mark.process

BROKEN = 'backends:\n  one:\n    command: "cat"\n    tiemout: 5s\n'
"""A gateway.yaml whose fourth line is wrong."""
TOOLS_CHANGED = "notifications/tools/list_changed"


def write(gateway: Gateway, backends: Backends, **sections: object) -> None:
    """Put another gateway.yaml in the place of the gateway's, in one step."""
    write_text(gateway, yaml_config(backends, mark=gateway.mark, **sections))


def write_text(gateway: Gateway, content: str) -> None:
    """Put another text in the place of the gateway's gateway.yaml, in one step."""
    fresh = gateway.folder / "gateway.yaml.new"
    fresh.write_text(content)
    fresh.replace(gateway.folder / "gateway.yaml")


async def reload(gateway: Gateway) -> Message:
    """Reload by the tool and return the outcome."""
    outcome: Message = payload(await gateway.call("gateway_reload_config", timeout=PATIENCE))
    return outcome


async def names_are(gateway: Gateway, names: set[str]) -> None:
    """Wait until the gateway has these servers."""
    there: set[str] = set()
    with trio.move_on_after(PATIENCE):
        while (there := set(await servers(gateway))) != names:  # noqa: ASYNC110
            await trio.sleep(0.05)
        return
    raise AssertionError(f"servers {there}, not {names}; {gateway.describe()}")


async def tools_are(gateway: Gateway, server: str, names: list[str]) -> None:
    """Wait until a server has these tools."""
    with trio.fail_after(PATIENCE):
        while True:
            result = await gateway.call("gateway_list_tools", {"server": server}, timeout=PATIENCE)
            if names == [tool["name"] for tool in payload(result)["tools"]]:
                return
            await trio.sleep(0.05)


async def config_problem(gateway: Gateway) -> str | None:
    """Return what gateway_list_servers says of the configuration."""
    listed = payload(await gateway.call("gateway_list_servers", timeout=PATIENCE))
    problem: str | None = listed.get("config_problem")
    return problem


def no_error(result: Message) -> str:
    """Return the text of a result that must not be an error."""
    assert not result.get("isError"), text(result)
    return text(result)


def message(*, after: int, gateway: Gateway) -> list[Mapping[str, object]]:
    """Return the log messages that the client got after so many notifications."""
    return [
        notification["params"]
        for notification in gateway.notifications[after:]
        if notification["method"] == "notifications/message"
    ]


class TestChanges:
    async def test_add_change_and_remove_by_themselves(self, tmp_path: Path) -> None:
        """A changed file takes effect without a word from the client, who is told each time."""
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
        """A call on a backend that the change does not touch neither ends nor starts anew."""
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
        slow_start = fake("--tools", "echo", "--delay-start", 30, "--pid-file", pids)
        async with running({"one": {"command": slow_start, "timeout": "25s"}}) as gateway:
            pending = gateway.begin_invoke("one", "echo", {"text": "hello"})
            await until(lambda: bool(pids_in(pids)), what="starting")
            write(gateway, {"one": {"command": fake("--tools", "echo"), "timeout": "25s"}})
            await reload(gateway)
            result = await pending.result(timeout=15)
            if result.get("isError"):
                assert result["recovery"]["error_code"] in ("BACKEND_UNREACHABLE", "BACKEND_ERROR")
                assert "'one'" in text(result)
                assert "changed" in text(result), "the reason is the change of gateway.yaml"
            no_error(await gateway.invoke("one", "echo", timeout=PATIENCE))
            await until(lambda: not alive(pids_in(pids)[0]), what="the old one ended")


class TestBrokenWhileRunning:
    async def test_nothing_changes_and_everybody_is_told(self, tmp_path: Path) -> None:
        """A broken file is said to be so on every way, what runs goes on, and it is put right."""
        pids = tmp_path / "pids"
        one = fake("--tools", "slow,echo", "--pid-file", pids)
        async with running({"one": one}) as gateway:
            no_error(await gateway.invoke("one", "echo", timeout=PATIENCE))
            pending = gateway.begin_invoke("one", "slow", {"seconds": 3})
            seen = len(gateway.notifications)
            write_text(gateway, BROKEN)
            told = await gateway.wait_notification(
                "notifications/message", after=seen, timeout=PATIENCE
            )
            assert "error" == told["level"]
            for part in ("gateway.yaml:4", "tiemout", "timeout"):
                assert part in str(told["data"])
            problem = await config_problem(gateway)
            assert problem is not None
            assert "gateway.yaml:4" in problem
            with pytest.raises(RpcError) as refused:
                await reload(gateway)
            assert -32603 == refused.value.code
            assert "gateway.yaml:4" in refused.value.message
            assert "Traceback" not in gateway.stderr

            assert "slept 3" == no_error(await pending.result(timeout=PATIENCE))
            no_error(await gateway.invoke("one", "echo"))
            assert ["one"] == list(await servers(gateway))
            assert 1 == len(pids_in(pids))

            seen = len(gateway.notifications)
            write(gateway, {"one": one, "two": fake()})
            await gateway.wait_notification(TOOLS_CHANGED, after=seen, timeout=PATIENCE)
            assert await config_problem(gateway) is None
            await names_are(gateway, {"one", "two"})
            no_error(await gateway.invoke("two", "echo", timeout=PATIENCE))
            assert 1 == len(pids_in(pids))

    async def test_the_same_fault_is_told_once(self) -> None:
        """A broken file that stays as it is brings one message to the client, not one a second."""
        async with running({"one": fake()}) as gateway:
            assert ["one"] == list(await servers(gateway))
            seen = len(gateway.notifications)
            write_text(gateway, BROKEN)
            await gateway.wait_notification("notifications/message", after=seen, timeout=PATIENCE)
            # The watcher works in sequence: once it has taken the second change, it has passed
            # the first one again in between, or will not.
            write_text(gateway, BROKEN.replace("tiemout", "timeuot"))
            await gateway.wait_notification(
                "notifications/message",
                after=seen,
                where=lambda params: "timeuot" in str(params["data"]),
                timeout=PATIENCE,
            )
            told = [str(params["data"]) for params in message(after=seen, gateway=gateway)]
            assert ["tiemout", "timeuot"] == [
                word for data in told for word in ("tiemout", "timeuot") if word in data
            ]

    @pytest.mark.parametrize(
        "content",
        ["", "backends: {}\n", "a: [unclosed\n", "\x00\x01", "- a\n- list\n", "backends: 7\n"],
        ids=["empty", "none", "syntax", "bytes", "list", "number"],
    )
    async def test_any_content(self, content: str) -> None:
        """Whatever stands in the file, the session lives, and a good file works again."""
        async with running({"one": fake()}) as gateway:
            no_error(await gateway.invoke("one", "echo", timeout=PATIENCE))
            write_text(gateway, content)
            good = content in ("", "backends: {}\n")
            if good:
                assert "removed backends: [one]" == (await reload(gateway))["changes"]
            else:
                with pytest.raises(RpcError, match="Failed to parse config"):
                    await reload(gateway)
            assert ([] if good else ["one"]) == list(await servers(gateway))
            write(gateway, {"one": fake()})
            await reload(gateway)
            no_error(await gateway.invoke("one", "echo", timeout=PATIENCE))

    async def test_a_file_that_goes_away_and_comes_back(self) -> None:
        """Whatever a missing file means, the session goes on and the next file is used."""
        async with running({"one": fake()}) as gateway:
            no_error(await gateway.invoke("one", "echo", timeout=PATIENCE))
            (gateway.folder / "gateway.yaml").unlink()
            await until(lambda: "config." in gateway.stderr, what="noticed")
            assert {} == await gateway.request("ping", timeout=PATIENCE)
            write(gateway, {"two": fake()})
            await names_are(gateway, {"two"})
            no_error(await gateway.invoke("two", "echo", timeout=PATIENCE))


class TestBrokenAtTheStart:
    @pytest.mark.parametrize("corrected", [True, False])
    async def test_the_session_says_what_is_wrong(self, corrected: bool) -> None:
        """`initialize` works, each call says what is wrong, and a corrected file is used; the
        exit status is 1 only if it never was."""
        async with open_gateway(BROKEN, grace=15) as gateway:
            assert (
                "mcp-gateway" == (await gateway.initialize(timeout=PATIENCE))["serverInfo"]["name"]
            )
            assert (await gateway.request("tools/list", timeout=PATIENCE))["tools"]
            result = await gateway.invoke("one", "echo", timeout=PATIENCE)
            assert result["isError"]
            assert "gateway.yaml:4" in text(result)
            assert "tiemout" in text(result)
            with pytest.raises(RpcError, match=r"gateway\.yaml:4"):
                await gateway.call("gateway_search_tools", {"query": "echo"})
            with pytest.raises(RpcError, match=r"gateway\.yaml:4"):
                await reload(gateway)
            assert "gateway.yaml:4" in str(await config_problem(gateway))
            if corrected:
                seen = len(gateway.notifications)
                write(gateway, {"one": fake()})
                await gateway.wait_notification(TOOLS_CHANGED, after=seen, timeout=PATIENCE)
                assert await config_problem(gateway) is None
                no_error(await gateway.invoke("one", "echo", timeout=PATIENCE))
                assert [("one", "echo")] == await found(gateway, "echo")
            status = await gateway.end(timeout=PATIENCE)
            assert (0 if corrected else 1) == status, gateway.describe()
            assert "gateway.yaml:4" in gateway.stderr
            assert "Traceback" not in gateway.stderr
            await nobody_left(gateway)

    async def test_a_file_that_appears_later(self, tmp_path: Path) -> None:
        """A path given that does not exist is loaded when it does, and the client is told."""
        late = tmp_path / "later" / "gateway.yaml"
        async with open_gateway(args=["-c", str(late)], grace=15) as gateway:
            await gateway.initialize(timeout=PATIENCE)
            assert {} == await servers(gateway)
            await until(lambda: str(late) in gateway.stderr, what="warned")
            seen = len(gateway.notifications)
            late.parent.mkdir()
            late.write_text(yaml_config({"one": fake()}, mark=gateway.mark))
            await gateway.wait_notification(TOOLS_CHANGED, after=seen, timeout=PATIENCE)
            await names_are(gateway, {"one"})
            no_error(await gateway.invoke("one", "echo", timeout=PATIENCE))
            assert 0 == await gateway.end(timeout=PATIENCE), gateway.describe()
            await nobody_left(gateway)

    async def test_a_file_that_appears_while_the_gateway_begins(self, tmp_path: Path) -> None:
        """A file that comes right after it was looked for and missed is found soon after."""
        late = tmp_path / "gateway.yaml"
        async with open_gateway(args=["-c", str(late)], grace=15) as gateway:
            await gateway.initialize(timeout=PATIENCE)
            with trio.fail_after(PATIENCE):
                while str(late) not in gateway.stderr:
                    await trio.lowlevel.checkpoint()
            late.write_text(yaml_config({"one": fake()}, mark=gateway.mark))
            await names_are(gateway, {"one"})
            assert 0 == await gateway.end(timeout=PATIENCE), gateway.describe()
            await nobody_left(gateway)

    async def test_a_usual_place_that_is_filled_later(self, tmp_path: Path) -> None:
        """Without a path, a gateway.yaml that appears in the current folder is used."""
        home = {"HOME": str(tmp_path)}
        async with open_gateway(env=home, cwd=tmp_path, grace=15) as gateway:
            await gateway.initialize(timeout=PATIENCE)
            assert {} == await servers(gateway)
            (tmp_path / "gateway.yaml").write_text(yaml_config({"one": fake()}, mark=gateway.mark))
            await names_are(gateway, {"one"})
            no_error(await gateway.invoke("one", "echo", timeout=PATIENCE))
            assert 0 == await gateway.end(timeout=PATIENCE), gateway.describe()
            await nobody_left(gateway)


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
