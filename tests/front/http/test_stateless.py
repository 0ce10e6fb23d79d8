"""Requests of the stateless era (MCP 2026-07-28): headers, status, cancellation by closing."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import trio

from mcpgw.protocol.mcp import MODERN_VERSION, SUBSCRIPTION_META
from tests.front.http.support import (
    Client,
    Served,
    call,
    exchange,
    modern,
    modern_headers,
    serving,
    tool,
)
from tests.support.patience import PATIENCE

VERSION = "MCP-Protocol-Version"


async def ask(client: Client, message: dict[str, Any], **headers: str | None) -> Any:
    message = modern(message)
    return await client.post(message, modern_headers(message, **headers))


async def begin(client: Client, message: dict[str, Any]) -> Any:
    message = modern(message)
    return await client.start(message, modern_headers(message))


class TestAnswers:
    async def test_need_no_session(self) -> None:
        """A request is complete: no session is created, and a session id is ignored."""
        async with serving() as served:
            client = await served.connect()
            for request_id in (3, "3"):
                reply = await ask(client, tool("echo", {"a": 1}, request_id=request_id))
                assert 200 == reply.status
                assert request_id == reply.json["id"]
                assert {"said": {"a": 1}} == reply.json["result"]
                assert "mcp-session-id" not in reply.headers
            reply = await ask(client, tool("echo"), Mcp_Session_Id="forged")

            assert 200 == reply.status
            assert 1 == len(served.gateway_api.peers)
            assert 0 == len(served.app.endpoint.sessions)

    async def test_of_clients_with_the_same_ids_are_not_mixed_up(self) -> None:
        """Requests of the same id at the same time are each answered to its own client."""
        async with serving() as served:
            clients = [await served.connect() for _ in range(10)]
            for number, client in enumerate(clients):
                await begin_later(client, tool("wait", {"n": number}, request_id=1))
            served.gateway_api.go_on.set()

            for number, client in enumerate(clients):
                reply = await client.reply()
                assert (1, {"waited": {"n": number}}) == (reply.json["id"], reply.json["result"])

    @pytest.mark.parametrize(
        ("code", "status"),
        [
            (-32700, 400),
            (-32600, 400),
            (-32602, 400),
            (-32020, 400),
            (-32021, 400),
            (-32022, 400),
            (-32601, 404),
            (-32603, 200),
            (-32042, 200),
            (7, 200),
        ],
    )
    async def test_have_the_status_of_their_error(self, code: int, status: int) -> None:
        """The HTTP status follows from the code of the error."""
        async with serving() as served:
            client = await served.connect()
            reply = await ask(client, tool("fail", {"code": code, "data": {"x": 1}}))

            assert (status, code) == (reply.status, reply.code)
            assert {"x": 1} == reply.json["error"]["data"]

    async def test_wait_for_their_status(self) -> None:
        """An answer later than the brief wait of older revisions still decides on the status."""
        async with serving(answer_wait=0.001) as served:
            client = await served.connect()
            message = modern(tool("wait", request_id="w"))
            await client.send("POST", body=to_json(message), headers=modern_headers(message))
            await served.gateway_api.started.wait()
            served.gateway_api.go_on.set()

            assert "application/json" == (await client.reply()).headers["content-type"]

    async def test_stream_without_event_ids(self) -> None:
        """A message before the answer makes it a stream, which is not resumable."""
        async with serving() as served:
            client = await served.connect()
            reply = await ask(client, tool("progress", {"steps": 2}, token="t"))

            assert "text/event-stream" == reply.headers["content-type"]
            assert all(event.id is None and event.data for event in reply.events)
            assert 3 == len(reply.events)

    async def test_to_notifications_is_202(self) -> None:
        """A notification is accepted and has no effect on anybody's requests."""
        async with serving() as served:
            waiting, other = await served.connect(), await served.connect()
            await begin_later(waiting, tool("wait", request_id=1))
            await served.gateway_api.started.wait()
            cancel = {
                "jsonrpc": "2.0",
                "method": "notifications/cancelled",
                "params": {"requestId": 1},
            }
            reply = await other.post(cancel, {"MCP-Protocol-Version": MODERN_VERSION})
            served.gateway_api.go_on.set()

            assert 202 == reply.status
            assert {"waited": {}} == (await waiting.reply()).json["result"]

    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    async def test_are_for_post_alone(self, method: str) -> None:
        """GET and DELETE get 405."""
        async with serving() as served:
            client = await served.connect()
            reply = await client.request(method, headers={"MCP-Protocol-Version": MODERN_VERSION})

            assert (405, "POST") == (reply.status, reply.headers["allow"])

    async def test_of_unknown_servers_are_404(self) -> None:
        """The address of an unknown server names those that there are."""
        async with serving() as served:
            client = await served.connect()
            message = modern(tool("echo", request_id=9))
            reply = await client.post(message, modern_headers(message), "/mcp/clam")

            assert (404, 9) == (reply.status, reply.json["id"])

    async def test_of_two_principals_come_from_two_peers(self) -> None:
        """Requests share a peer only with those of the same principal and server."""
        async with serving() as served:
            client = await served.connect()
            message = modern(tool("echo"))
            await ask(client, tool("echo"))
            await client.post(message, modern_headers(message), "/mcp/calm")

            assert 2 == len(served.gateway_api.peers)


class TestForm:
    """The form of an answer: one JSON message or an event stream."""

    @pytest.mark.parametrize(
        "accept",
        [
            None,
            "*/*",
            "application/json",
            "text/*, application/json",
            "application/*;q=0.5, text/event-stream;q=0",
            "application/json, text/event-streams",
        ],
    )
    @pytest.mark.parametrize("era", ["plain", "stateless"])
    @pytest.mark.parametrize("name", ["wait", "progress"])
    async def test_is_json_if_no_stream_is_named(
        self, accept: str | None, era: str, name: str
    ) -> None:
        """However long the call takes and whatever it reports before its answer."""
        async with serving(answer_wait=0.001, status_wait=0.002) as served:
            client = await served.connect()
            message = tool(name, {"steps": 3, "wait": True}, token="t")
            headers: dict[str, str | None] = {VERSION: None}
            if era == "stateless":
                message = modern(message)
                headers = modern_headers(message)
            await client.send("POST", "/mcp", to_json(message), {**headers, "Accept": accept})
            await served.gateway_api.started.wait()
            await trio.sleep(0.05)
            served.gateway_api.go_on.set()
            reply = await client.reply()

            assert (200, "application/json") == (reply.status, reply.headers["content-type"])
            assert {"waited", "steps"} & reply.json["result"].keys()

    async def test_is_a_stream_if_one_is_named(self) -> None:
        """A client that reads event streams gets the reports, and the answer at the end."""
        async with serving(answer_wait=0.001, status_wait=0.002) as served:
            client = await served.connect()
            accept = "application/json;q=0.9, Text/Event-Stream;q=0.1"
            await client.send(
                "POST", "/mcp", to_json(tool("wait")), {"Accept": accept, VERSION: None}
            )
            await served.gateway_api.started.wait()
            await trio.sleep(0.05)
            served.gateway_api.go_on.set()

            assert "text/event-stream" == (await client.reply()).headers["content-type"]

    async def test_of_a_subscription_needs_a_stream(self) -> None:
        """A request that is answered only at its end is refused without a stream to report on."""
        async with serving() as served:
            client = await served.connect()
            reply = await ask(client, call("subscriptions/listen"), Accept="application/json")

            assert (406, 1) == (reply.status, reply.json["id"])

    @pytest.mark.parametrize("accept", ["text/event-stream", "application/json;q=0", "text/html"])
    async def test_that_is_not_accepted_is_refused(self, accept: str) -> None:
        """A client must read JSON, because a quick answer is JSON."""
        async with serving() as served:
            client = await served.connect()
            reply = await client.post(tool("echo"), {"Accept": accept, VERSION: None})

            assert 406 == reply.status

    async def test_at_the_shutdown_is_an_error(self) -> None:
        """A call that is cut off by the end of the gateway is answered with an error."""
        async with serving(answer_wait=0.001, shutdown_grace=0.05) as served:
            client = await served.connect()
            await client.send(
                "POST", "/mcp", to_json(tool("wait")), {"Accept": "*/*", VERSION: None}
            )
            await served.gateway_api.started.wait()
            await trio.sleep(0.05)
            served.shutdown.set()
            reply = await client.reply()

            assert "application/json" == reply.headers["content-type"]
            assert reply.json["error"]["message"]


class TestProfile:
    async def test_of_the_header_is_passed_with_the_request(self) -> None:
        """`X-MCP-Profile` goes into `_meta`, unless the client has put one there."""
        async with serving() as served:
            client = await served.connect()
            chosen = {"X-MCP-Profile": "narrow", VERSION: None}
            await client.post(tool("echo"), chosen)
            await ask(client, tool("echo"), X_MCP_Profile="narrow")
            own = tool("echo")
            own["params"]["_meta"] = {"mcpgw/profile": "wide"}
            await client.post(own, chosen)
            await client.post(tool("echo"), {VERSION: None})

            sent = [r.params["_meta"].get("mcpgw/profile") for r in served.gateway_api.served]
            assert ["narrow", "narrow", "wide", None] == sent


class TestHeaders:
    @pytest.mark.parametrize(
        "headers",
        [
            {"MCP_Protocol_Version": None},
            {"MCP_Protocol_Version": "2025-11-25"},
            {"Mcp_Method": None},
            {"Mcp_Method": "tools/list"},
            {"Mcp_Method": "Tools/Call"},
            {"Mcp_Name": None},
            {"Mcp_Name": "Echo"},
            {"Mcp_Name": "=?base64?###?="},
            {"Mcp_Name": "=?base64?" + base64.b64encode(b"other").decode() + "?="},
        ],
    )
    async def test_that_do_not_fit_the_body_are_refused(
        self, headers: dict[str, str | None]
    ) -> None:
        """A missing or different header gets 400, -32020 and the request's id."""
        async with serving() as served:
            client = await served.connect()
            reply = await ask(client, tool("echo", request_id="h"), **headers)

            assert (400, -32020, "h") == (reply.status, reply.code, reply.json["id"])
            assert [] == served.gateway_api.served

    async def test_that_come_twice_are_refused(self) -> None:
        """A second header of a name cannot hide behind the first."""
        async with serving() as served:
            client = await served.connect()
            message = modern(tool("echo"))
            reply = await client.post(message, {**modern_headers(message), "mcp-name": "fail"})

            assert (400, -32020) == (reply.status, reply.code)

    async def test_may_be_encoded(self) -> None:
        """A name in the encoded form means the same."""
        async with serving() as served:
            client = await served.connect()
            name = "=?base64?" + base64.b64encode(b"echo").decode() + "?="

            assert 200 == (await ask(client, tool("echo"), Mcp_Name=name)).status

    async def test_may_have_space_around_them(self) -> None:
        """White space around a value does not belong to it, and names count in any case."""
        async with serving() as served:
            body = to_json(modern(tool("echo")))
            request = (
                b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"MCP-PROTOCOL-VERSION: 2026-07-28 \r\nmcp-method:\ttools/call\r\n"
                b"mCP-nAME:   echo  \r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
            )
            answer = await exchange(served.address, request % len(body) + body, half_close=False)

            assert answer.startswith(b"HTTP/1.1 200")

    @pytest.mark.parametrize(
        ("arguments", "headers", "status"),
        [
            ({"region": "eu"}, {"Mcp_Param_Region": "eu"}, 200),
            ({"region": "eu"}, {"Mcp_Param_Region": "us"}, 400),
            ({"region": "eu"}, {}, 400),
            ({}, {}, 200),
            ({}, {"Mcp_Param_Region": "eu"}, 400),
            ({"count": 7}, {"Mcp_Param_Count": "7"}, 200),
            ({"count": 7}, {"Mcp_Param_Count": "8"}, 400),
            ({"count": 7}, {"Mcp_Param_Count": "seven"}, 400),
            ({"dry": True}, {"Mcp_Param_Dry": "true"}, 200),
            ({"dry": True}, {"Mcp_Param_Dry": "True"}, 400),
            ({"region": "eu"}, {"Mcp_Param_Region": "eu", "Mcp_Param_Other": "1"}, 200),
            ({"region": "\ud800"}, {"Mcp_Param_Region": "eu"}, 400),
        ],
    )
    async def test_of_parameters_are_checked_by_the_schema(
        self, arguments: dict[str, Any], headers: dict[str, str], status: int
    ) -> None:
        """A parameter with a header has the same value in both places."""
        async with serving() as served:
            served.gateway_api.tools["echo"] = {
                "name": "echo",
                "inputSchema": {
                    "type": "object",
                    "properties": {
                        "region": {"type": "string", "x-mcp-header": "Region"},
                        "count": {"type": "integer", "x-mcp-header": "Count"},
                        "dry": {"type": "boolean", "x-mcp-header": "Dry"},
                    },
                },
            }
            client = await served.connect()

            assert status == (await ask(client, tool("echo", arguments), **headers)).status

    async def test_decide_on_the_era_where_the_body_does_not(self) -> None:
        """A request that lacks its `_meta` goes to those who tell what is missing."""
        async with serving() as served:
            client = await served.connect()
            headers = {"MCP-Protocol-Version": MODERN_VERSION}
            reply = await client.post(call("nothing/known", request_id="n"), headers)

            assert (404, -32601, "n") == (reply.status, reply.code, reply.json["id"])


class TestClosing:
    async def test_cancels_before_the_first_byte(self) -> None:
        """A client that leaves while it waits for the status has cancelled its request."""
        async with serving() as served:
            client = await served.connect()
            await begin_later(client, tool("wait", {"n": 1}))
            await served.gateway_api.started.wait()
            await client.aclose()
            await until(lambda: bool(served.gateway_api.cancelled))

            assert {"n": 1} == served.gateway_api.cancelled[0]["arguments"]

    async def test_cancels_a_stream(self) -> None:
        """A client that closes the stream has cancelled the request; others go on."""
        async with serving() as served:
            client, other = await served.connect(), await served.connect()
            await begin(client, tool("progress", {"steps": 1, "wait": True}, token=1))
            await client.message()
            await client.aclose()
            await until(lambda: bool(served.gateway_api.cancelled))

            assert 200 == (await ask(other, tool("echo"))).status
            assert not served.gateway_api.peers[0].ending.is_set()


class TestSubscriptions:
    async def test_stay_open_with_signs_of_life(self, mock_clock: trio.testing.MockClock) -> None:
        """A listen request is acknowledged at once, under its own id, and kept alive."""
        async with serving(keep_alive=15.0) as served:
            client = await served.connect()
            head = await begin(client, call("subscriptions/listen", request_id="sub-1"))
            assert "text/event-stream" == head.headers["content-type"]
            first = await client.message()
            assert "notifications/subscriptions/acknowledged" == first["method"]
            assert "sub-1" == first["params"]["_meta"][SUBSCRIPTION_META]
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(15.0)

            assert bytes(await client.stream.receive_some()).split(b"\r\n")[1].startswith(b":")

    async def test_are_answered_when_the_server_ends(self) -> None:
        """At the shutdown a subscription gets its answer, with its own id everywhere."""
        async with serving() as served:
            client = await served.connect()
            await begin(client, call("subscriptions/listen", request_id=5))
            await client.message()
            served.shutdown.set()
            answer = await client.message()

            assert 5 == answer["id"]
            assert 5 == answer["result"]["_meta"][SUBSCRIPTION_META]
            assert await client.event() is None
            await served.over.wait()


async def begin_later(client: Client, message: dict[str, Any]) -> None:
    """Send a request whose answer is read later."""
    message = modern(message)
    await client.send("POST", body=to_json(message), headers=modern_headers(message))


def to_json(message: Any) -> bytes:
    from tests.front.http.support import to_bytes

    return to_bytes(message)


async def until(condition: Any) -> None:
    """Poll until a condition holds."""
    with trio.fail_after(PATIENCE):
        while not condition():
            await trio.lowlevel.checkpoint()


async def test_an_ended_peer_is_replaced() -> None:
    """After the end of the shared channel, the next request opens another."""
    async with serving() as served:
        client = await served.connect()
        await ask(client, tool("echo"))
        end_channels(served)

        assert 200 == (await ask(client, tool("echo"))).status
        assert 2 == len(served.gateway_api.peers)


def end_channels(served: Served) -> None:
    for peer in served.gateway_api.peers:
        peer.channel.end()  # type: ignore[attr-defined]
