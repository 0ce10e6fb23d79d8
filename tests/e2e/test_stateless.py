"""Requests of the stateless era (MCP 2026-07-28) over stdio, with servers of the older ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from tests.e2e.running import running, text, until
from tests.support.client import Gateway, Message, Pending, RpcError
from tests.support.driver import fake, logged_cancelled
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
LEVEL = "io.modelcontextprotocol/logLevel"
SERVER = "io.modelcontextprotocol/serverInfo"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
ASKS = {"elicitation": {}, "sampling": {}, "roots": {}}


def terms(capabilities: Message | None = None, **more: Any) -> Message:
    """Return the `_meta` of a request."""
    return {VERSION: "2026-07-28", CAPABILITIES: capabilities or {}, **more}


def begin(gateway: Gateway, method: str, meta: Message | None = None, **params: Any) -> Pending:
    """Send a request of the stateless era."""
    return gateway.begin(method, {**params, "_meta": meta or terms()})


async def ask(gateway: Gateway, method: str, meta: Message | None = None, **params: Any) -> Message:
    """Send a request of the stateless era and return its result."""
    result: Message = await begin(gateway, method, meta, **params).result(timeout=PATIENCE)
    return result


def call(tool: str, arguments: Message | None = None) -> Message:
    """Return the params of an invocation of a tool of the server `one`."""
    given = {"server": "one", "tool": tool, "arguments": arguments or {}}
    return {"name": "gateway_invoke", "arguments": given}


async def code_of(pending: Pending) -> int:
    """Return the code of the error that answers a request."""
    with pytest.raises(RpcError) as caught:
        await pending.result(timeout=PATIENCE)
    return caught.value.code


class TestTerms:
    async def test_discover_and_lists_without_a_handshake(self) -> None:
        """A client may begin with any request; results say their type and who answers."""
        async with running({"one": fake()}, initialize=False) as gateway:
            found = await ask(gateway, "server/discover")
            assert ["2026-07-28"] == found["supportedVersions"]
            assert "gateway" in found["_meta"][SERVER]["name"]
            listed = await ask(gateway, "tools/list")
            assert "complete" == listed["resultType"]
            assert (0, "private") == (listed["ttlMs"], listed["cacheScope"])
            assert "gateway_invoke" in [tool["name"] for tool in listed["tools"]]
            result = await ask(gateway, "tools/call", **call("echo", {"text": "hi"}))
            assert "hi" == text(result)
            assert "complete" == result["resultType"]

    @pytest.mark.parametrize(
        ("meta", "code"),
        [
            ({CAPABILITIES: {}}, -32600),
            ({VERSION: "2026-07-28"}, -32602),
            ({VERSION: "2026-07-28", CAPABILITIES: []}, -32602),
            ({VERSION: 7, CAPABILITIES: {}}, -32602),
            ({VERSION: "v999", CAPABILITIES: {}}, -32022),
            ({VERSION: "2026-07-28", CAPABILITIES: {}, LEVEL: "loud"}, -32602),
        ],
    )
    async def test_terms_that_are_not_in_order(self, meta: Message, code: int) -> None:
        """Each is refused by its code; the session goes on."""
        async with running({}, initialize=False) as gateway:
            assert code == await code_of(begin(gateway, "tools/list", meta))
            assert (await ask(gateway, "tools/list"))["tools"]

    @pytest.mark.parametrize(
        "method",
        ["initialize", "ping", "logging/setLevel", "resources/subscribe", "unknown/method"],
    )
    async def test_what_this_era_has_no_more(self, method: str) -> None:
        """The methods of the older revisions are unknown."""
        async with running({}, initialize=False) as gateway:
            assert -32601 == await code_of(begin(gateway, method))

    async def test_both_eras_on_one_pipe(self) -> None:
        """A handshake and requests that need none go side by side."""
        async with running({"one": fake()}) as gateway:
            assert (await ask(gateway, "tools/list"))["resultType"] == "complete"
            plain = await gateway.request("tools/list", timeout=PATIENCE)
            assert "resultType" not in plain
            assert {} == await gateway.request("ping", timeout=PATIENCE)


class TestRounds:
    async def test_a_servers_question_becomes_a_round(self) -> None:
        """An older server's elicitation is put into the answer, and the call goes on with the
        client's next request."""
        question = {"message": "Who?", "requestedSchema": {"type": "object", "properties": {}}}
        async with running({"one": fake("--tools", "ask_elicitation")}, initialize=False) as g:
            params = call("ask_elicitation", {"params": question})
            first = await ask(g, "tools/call", terms(ASKS), **params)
            assert "input_required" == first["resultType"]
            ((key, asked),) = first["inputRequests"].items()
            assert ("elicitation/create", question) == (asked["method"], asked["params"])
            answer = {"action": "accept", "content": {"name": "Ada"}}
            second = await ask(
                g,
                "tools/call",
                terms(ASKS),
                **params,
                inputResponses={key: answer, "other": {}},
                requestState=first["requestState"],
            )
            assert "complete" == second["resultType"]
            assert "Ada" in text(second)

    async def test_what_is_missing_is_asked_again(self) -> None:
        """A round without the answer, or with a misshapen one, is answered by the question."""
        async with running({"one": fake("--tools", "ask_sampling")}, initialize=False) as g:
            params = call("ask_sampling")
            first = await ask(g, "tools/call", terms(ASKS), **params)
            state = first["requestState"]
            for answers in (
                {},
                {"wrong": {"content": {}}},
                {key: {} for key in first["inputRequests"]},
            ):
                again = await ask(
                    g, "tools/call", terms(ASKS), **params, inputResponses=answers,
                    requestState=state,
                )  # fmt: skip
                assert first["inputRequests"] == again["inputRequests"]
                assert state != again["requestState"]
                state = again["requestState"]

    async def test_a_state_that_is_not_ours(self) -> None:
        """An altered state, or one of another request, is refused."""
        async with running({"one": fake("--tools", "ask_roots,echo")}, initialize=False) as g:
            first = await ask(g, "tools/call", terms(ASKS), **call("ask_roots"))
            state = first["requestState"]
            answers = {key: {"roots": []} for key in first["inputRequests"]}
            for params, forged in (
                (call("ask_roots"), f"{state}x"),
                (call("ask_roots"), "nonsense"),
                (call("echo"), state),
                (call("ask_roots", {"more": 1}), state),
            ):
                pending = begin(
                    g, "tools/call", terms(ASKS), **params, inputResponses=answers,
                    requestState=forged,
                )  # fmt: skip
                assert -32602 == await code_of(pending)
            done = await ask(
                g, "tools/call", terms(ASKS), **call("ask_roots"), inputResponses=answers,
                requestState=state,
            )  # fmt: skip
            assert "complete" == done["resultType"]
            pending = begin(
                g, "tools/call", terms(ASKS), **call("ask_roots"), inputResponses=answers,
                requestState=state,
            )  # fmt: skip
            assert -32602 == await code_of(pending), "the call has ended"

    async def test_a_client_that_declared_nothing(self) -> None:
        """A capability that a call needs and its client lacks is named in the error."""
        async with running({"one": fake("--tools", "ask_sampling")}, initialize=False) as g:
            with pytest.raises(RpcError) as caught:
                await ask(g, "tools/call", terms({"roots": {}}), **call("ask_sampling"))
            assert -32021 == caught.value.code
            assert {"requiredCapabilities": {"sampling": {}}} == caught.value.data

    async def test_a_cancelled_round_cancels_the_call(self, tmp_path: Path) -> None:
        """Cancelling the request that a call goes on under reaches the server."""
        log = tmp_path / "log"
        backend = fake("--tools", "slow,echo", "--log", log)
        async with running({"one": backend}, initialize=False) as gateway:
            await ask(gateway, "tools/call", **call("echo"))
            pending = begin(gateway, "tools/call", terms(ASKS), **call("slow", {"seconds": 600}))
            await trio.sleep(0.3)
            gateway.cancel(pending)
            await until(lambda: len(logged_cancelled(log)) == 1, what="cancelled")
            assert not pending.answered


class TestListening:
    async def test_changes_come_to_those_who_listen(self, tmp_path: Path) -> None:
        """A subscription is acknowledged first; only what it asked for comes, under its id."""
        backend = fake("--tools", "change_tools,update_resource")
        async with running({"one": backend}, initialize=False) as gateway:
            await ask(gateway, "tools/call", **call("change_tools", {"name": "first"}))
            listening = begin(
                gateway,
                "subscriptions/listen",
                notifications={"toolsListChanged": True, "resourceSubscriptions": ["fake://one"]},
            )
            granted = await gateway.wait_notification(
                "notifications/subscriptions/acknowledged", timeout=PATIENCE
            )
            assert listening.id == granted["_meta"][SUBSCRIPTION]
            assert {"toolsListChanged": True, "resourceSubscriptions": ["fake://one"]} == (
                granted["notifications"]
            )
            await ask(gateway, "tools/call", **call("change_tools", {"name": "second"}))
            # The list of the gateway itself changes with its servers.
            await ask(gateway, "tools/call", **call("update_resource", {"uri": "fake://one"}))
            updated = await gateway.wait_notification(
                "notifications/resources/updated", timeout=PATIENCE
            )
            assert ("fake://one", listening.id) == (updated["uri"], updated["_meta"][SUBSCRIPTION])
            await ask(gateway, "tools/call", **call("update_resource", {"uri": "fake://two"}))
            gateway.cancel(listening)
            await ask(gateway, "tools/call", **call("update_resource", {"uri": "fake://one"}))
            methods = [each["method"] for each in gateway.notifications]
            assert 1 == methods.count("notifications/resources/updated")
            assert not listening.answered

    async def test_the_end_of_input_ends_a_subscription_with_an_answer(self) -> None:
        """A subscription does not hold the gateway up when its client leaves."""
        async with running({}, initialize=False) as gateway:
            listening = begin(gateway, "subscriptions/listen", notifications={})
            await gateway.wait_notification(
                "notifications/subscriptions/acknowledged", timeout=PATIENCE
            )
            await gateway.end(timeout=PATIENCE)
            result = await listening.result()
            assert listening.id == result["_meta"][SUBSCRIPTION]

    async def test_log_messages_come_to_requests_that_ask_for_them(self) -> None:
        """Without a level nothing comes; with one, what is at or above it."""
        async with running({"one": fake("--tools", "log")}, initialize=False) as gateway:
            said = {"level": "warning", "data": "careful"}
            await ask(gateway, "tools/call", **call("log", said))
            assert [] == gateway.notifications
            await ask(gateway, "tools/call", terms(**{LEVEL: "error"}), **call("log", said))
            assert [] == gateway.notifications
            await ask(gateway, "tools/call", terms(**{LEVEL: "info"}), **call("log", said))
            (message,) = gateway.notifications
            assert "careful" == message["params"]["data"]


async def test_a_missing_resource_has_this_eras_code() -> None:
    """The error -32002 of older revisions is -32602 here, with the URI."""
    async with running({"one": fake()}, initialize=False) as gateway:
        with pytest.raises(RpcError) as caught:
            await ask(gateway, "resources/read", uri="fake://none")
        assert (-32602, {"uri": "fake://none"}) == (caught.value.code, caught.value.data)


async def test_a_url_to_open_becomes_a_round() -> None:
    """An error of 2025-11-25 is a question here, and the call is repeated."""
    async with running({"one": fake("--tools", "url_first")}, initialize=False) as gateway:
        params = call("url_first")
        able = terms({"elicitation": {"form": {}, "url": {}}})
        first = await ask(gateway, "tools/call", able, **params)
        asked = {
            "mode": "url",
            "elicitationId": "e1",
            "url": "https://example.org/",
            "message": "Go",
        }
        assert {"e1": {"method": "elicitation/create", "params": asked}} == first["inputRequests"]
        assert "requestState" not in first
        answers = {"e1": {"action": "accept"}}
        done = await ask(gateway, "tools/call", able, **params, inputResponses=answers)
        assert "opened" == text(done)
        with pytest.raises(RpcError) as caught:
            await ask(gateway, "tools/call", **call("url_first", {"again": 1}))
        assert -32042 == caught.value.code
