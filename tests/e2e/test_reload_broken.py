"""A gateway.yaml that is broken or missing, at the start or later."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.e2e.reloading import (
    BROKEN,
    TOOLS_CHANGED,
    config_problem,
    message,
    names_are,
    no_error,
    reload,
    write,
    write_text,
)
from tests.e2e.running import (
    found,
    nobody_left,
    running,
    servers,
    text,
    until,
)
from tests.support.driver import (
    RpcError,
    fake,
    open_gateway,
    pids_in,
    yaml_config,
)
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process


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
        """The session survives any content of the file, and a valid file works again."""
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
        """The settings of a removed file stay in use; the next file is used."""
        async with running({"one": fake()}) as gateway:
            no_error(await gateway.invoke("one", "echo", timeout=PATIENCE))
            (gateway.folder / "gateway.yaml").unlink()
            await until(lambda: "config.rejected" in gateway.stderr, what="noticed")
            no_error(await gateway.invoke("one", "echo", timeout=PATIENCE))
            assert ["one"] == list(await servers(gateway))
            with pytest.raises(RpcError, match=r"gateway\.yaml: the file is missing"):
                await reload(gateway)
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
        """A path that does not exist yet is loaded when it appears, and the client is notified."""
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
