"""`scope: session` by HTTP with two clients: what belongs to the server, and what to a process."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from tests.e2e.running import until
from tests.support.driver import alive
from tests.support.http_gateway import HttpGateway, http_gateway
from tests.support.http_session import HttpSession, Refused, http_session
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

SERVER = [sys.executable, str(Path(__file__).parents[1] / "support" / "scoped_server.py")]


@attrs.define
class Clients:
    """Two clients of one server, an operator at the whole gateway, and the gateway itself."""

    gateway: HttpGateway
    first: HttpSession
    second: HttpSession
    operator: HttpSession


@asynccontextmanager
async def two_clients(folder: Path) -> AsyncIterator[Clients]:
    """Run a gateway with one server of `scope: session`, and connect the clients."""
    backend = {"command": SERVER, "scope": "session"}
    meta = {"operator_tools": True}
    async with http_gateway({"one": backend}, folder=folder, meta_mcp=meta) as gateway:
        with trio.fail_after(PATIENCE):
            async with AsyncExitStack() as stack:
                opened = [
                    await stack.enter_async_context(http_session(gateway.base, path))
                    for path in ("/mcp/one", "/mcp/one", "/mcp")
                ]
                yield Clients(gateway, *opened)


async def test_kill_stops_every_process(tmp_path: Path) -> None:
    """The kill switch ends the processes of all sessions, and a revived server serves them all."""
    async with two_clients(tmp_path) as clients:
        before = [int(await each.call("pid")) for each in (clients.first, clients.second)]
        assert before[0] != before[1]

        await clients.operator.meta("gateway_kill_server", server="one")
        for pid in before:
            await until(lambda pid=pid: not alive(pid), what="the process has ended")  # type: ignore[misc]
        for client in (clients.first, clients.second):
            with pytest.raises(Refused, match="kill switch"):
                await client.call("pid")

        await clients.operator.meta("gateway_revive_server", server="one")
        after = [int(await each.call("pid")) for each in (clients.first, clients.second)]
        assert not set(before) & set(after)


async def test_a_session_of_a_killed_server_works_after_the_revival(tmp_path: Path) -> None:
    """A session through the gateway that began while the server was killed is not refused later."""
    async with two_clients(tmp_path) as clients:
        await clients.operator.meta("gateway_kill_server", server="one")
        async with http_session(clients.gateway.base, "/mcp") as late:
            call = {"server": "one", "tool": "pid", "arguments": {}}
            refused = await late.request(
                "tools/call", {"name": "gateway_invoke", "arguments": call}
            )
            assert "SERVER_DISABLED" == refused["recovery"]["error_code"]
            await clients.operator.meta("gateway_revive_server", server="one")
            served = await late.request("tools/call", {"name": "gateway_invoke", "arguments": call})
            assert served.get("isError") is not True
            assert alive(int(served["content"][0]["text"]))


async def test_restart_replaces_every_process(tmp_path: Path) -> None:
    """A restart by an operator gives each session a new process."""
    async with two_clients(tmp_path) as clients:
        before = {await each.call("pid") for each in (clients.first, clients.second)}
        await clients.operator.meta("gateway_restart_server", server="one")
        after = {await each.call("pid") for each in (clients.first, clients.second)}

        assert 2 == len(after)
        assert not before & after


async def test_a_running_process_shows_in_the_list(tmp_path: Path) -> None:
    """The list of servers calls the server running while only sessions' own processes run."""
    async with two_clients(tmp_path) as clients:
        await clients.first.call("pid")
        [entry] = (await clients.operator.meta("gateway_list_servers"))["servers"]

        assert (True, "ready", 6) == (entry["running"], entry["state"], entry["tools_count"])


async def test_updates_reach_the_session_whose_process_sent_them(tmp_path: Path) -> None:
    """Each session subscribes at its own process, and receives only that process's updates."""
    async with two_clients(tmp_path) as clients:
        for client in (clients.first, clients.second):
            await client.request("resources/subscribe", {"uri": "memo://a"})
        assert "True" == await clients.second.call("touch", uri="memo://a")
        await until(lambda: clients.second.updates() != [], what="the update has come")

        assert (["memo://a"], []) == (clients.second.updates(), clients.first.updates())
        assert "True" == await clients.first.call("touch", uri="memo://a")
        await until(lambda: clients.first.updates() != [], what="the update has come")
        assert (["memo://a"], ["memo://a"]) == (clients.second.updates(), clients.first.updates())


async def test_an_unsubscribed_session_leaves_the_other_subscribed(tmp_path: Path) -> None:
    """The end of one session's subscription does not touch another process."""
    async with two_clients(tmp_path) as clients:
        for client in (clients.first, clients.second):
            await client.request("resources/subscribe", {"uri": "memo://a"})
        await clients.first.request("resources/unsubscribe", {"uri": "memo://a"})

        assert "False" == await clients.first.call("touch", uri="memo://a")
        assert "True" == await clients.second.call("touch", uri="memo://a")


async def test_a_subscription_outlives_a_restart_of_its_process(tmp_path: Path) -> None:
    """A new process of a session is subscribed to what the session watches."""
    async with two_clients(tmp_path) as clients:
        await clients.first.request("resources/subscribe", {"uri": "memo://a"})
        await clients.operator.meta("gateway_restart_server", server="one")

        assert "True" == await clients.first.call("touch", uri="memo://a")
        assert "False" == await clients.second.call("touch", uri="memo://a")


async def test_tasks_of_equal_ids_stay_apart(tmp_path: Path) -> None:
    """Two processes number their tasks alike; each client sees its own, and its state only."""
    async with two_clients(tmp_path) as clients:
        made = {}
        for client in (clients.first, clients.second):
            params = {"name": "work", "arguments": {}, "task": {}}
            made[id(client)] = (await client.request("tools/call", params))["task"]["taskId"]
        assert 2 == len(set(made.values()))
        for client in (clients.first, clients.second):
            got = await client.request("tasks/get", {"taskId": made[id(client)]})
            assert f"in {await client.call('pid')}" == got["statusMessage"]

        await clients.first.call("finish")
        await until(lambda: clients.first.notifications != [], what="the task's end is reported")
        states = [
            [
                (n["params"]["taskId"], n["params"]["status"])
                for n in each.notifications
                if n.get("method") == "notifications/tasks/status"
            ]
            for each in (clients.first, clients.second)
        ]
        assert [[(made[id(clients.first)], "completed")], []] == states


async def test_log_levels_are_a_sessions_own(tmp_path: Path) -> None:
    """A log level goes to the process of the session that asked for it, and to no other."""
    async with two_clients(tmp_path) as clients:
        await clients.first.request("logging/setLevel", {"level": "warning"})
        await clients.second.request("logging/setLevel", {"level": "debug"})
        for client, level in ((clients.first, "warning"), (clients.second, "debug")):
            with trio.fail_after(PATIENCE):
                while level != await client.call("level"):  # noqa: ASYNC110 - of another process
                    await trio.sleep(0.02)


async def test_one_limit_for_all_processes(tmp_path: Path) -> None:
    """The rate limit of a server counts the calls of all its processes together."""
    limit = {"rate_limit": {"requests_per_second": 0.1, "burst_size": 2}}
    backend = {"command": SERVER, "scope": "session", "timeout": 2, **limit}
    async with (
        http_gateway({"one": backend}, folder=tmp_path) as gateway,
        http_session(gateway.base, "/mcp/one") as first,
        http_session(gateway.base, "/mcp/one") as second,
    ):
        await first.call("pid")
        await second.call("pid")
        for client in (first, second):
            with pytest.raises(Refused, match="rate_limit"):
                await client.call("pid")


async def test_cached_results_are_a_sessions_own(tmp_path: Path) -> None:
    """A result of one session's process is never the answer to another session."""
    backend = {"command": SERVER, "scope": "session", "tools": {"pid": {"cache_ttl": "5m"}}}
    async with (
        http_gateway({"one": backend}, folder=tmp_path) as gateway,
        http_session(gateway.base, "/mcp") as first,
        http_session(gateway.base, "/mcp") as second,
    ):
        call = {"server": "one", "tool": "pid", "arguments": {}}
        answers = [
            await each.request("tools/call", {"name": "gateway_invoke", "arguments": call})
            for each in (first, first, second)
        ]
        pids = [each["content"][0]["text"] for each in answers]
        cached = ["gateway/cached_for_s" in each["_meta"] for each in answers]

    assert [False, True, False] == cached
    assert pids[0] == pids[1] != pids[2]


async def test_changed_roots_concern_the_process_of_their_client(tmp_path: Path) -> None:
    """A client's changed roots are reported to its own process, not to that of another."""
    async with two_clients(tmp_path) as clients:
        for client in (clients.first, clients.second):
            assert "0" == await client.call("roots_changed")
        await clients.first.notify("notifications/roots/list_changed")

        assert "1" == await clients.first.call("roots_changed")
        assert "0" == await clients.second.call("roots_changed")


async def test_an_idempotency_key_belongs_to_the_process_of_its_client(tmp_path: Path) -> None:
    """Two clients that use the same key each get the answer of their own process."""
    async with two_clients(tmp_path) as clients:
        call = {"server": "one", "tool": "pid", "arguments": {}, "idempotency_key": "k1"}
        said = []
        async with http_session(clients.gateway.base, "/mcp") as other:
            for client in (clients.operator, other, clients.operator):
                result = await client.request(
                    "tools/call", {"name": "gateway_invoke", "arguments": call}
                )
                said.append(result["content"][0]["text"])

        assert said[0] == said[2] != said[1]
