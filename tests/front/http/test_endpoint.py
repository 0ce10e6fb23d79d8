"""The rules of Streamable HTTP for the handshake revisions, one by one."""

from __future__ import annotations

import pytest
import trio

from tests.front.http.support import LATEST, Client, Served, call, serving, to_bytes, tool
from tests.support.patience import PATIENCE


async def begin(served: Served, version: str = LATEST) -> Client:
    client = await served.connect()
    assert 200 == (await client.initialize(version=version)).status
    return client


class TestInitialize:
    async def test_gives_a_session_id_of_visible_characters(self) -> None:
        """`initialize` is answered as JSON, with an id of characters from 0x21 to 0x7E."""
        async with serving() as served:
            client = await served.connect()
            reply = await client.initialize()

            assert 200 == reply.status
            assert "application/json" == reply.headers["content-type"]
            assert LATEST == reply.json["result"]["protocolVersion"]
            assert "init" == reply.json["id"]
            session = reply.headers["mcp-session-id"]
            assert len(session) >= 32
            assert all("\x21" <= character <= "\x7e" for character in session)

    async def test_leaves_nothing_behind_where_it_is_refused(self) -> None:
        """An error answer to `initialize` begins no session."""
        async with serving() as served:
            client = await served.connect()
            reply = await client.post(call("initialize", {"protocolVersion": LATEST}))

            assert 200 == reply.status
            assert -32602 == reply.code
            assert "mcp-session-id" not in reply.headers
            assert 0 == len(served.app.endpoint.sessions)
            await trio.testing.wait_all_tasks_blocked()
            assert 1 == served.gateway_api.ended

    async def test_names_the_servers_that_there_are(self) -> None:
        """The address of an unknown server is answered with 404 and the known names."""
        async with serving() as served:
            client = await served.connect()
            reply = await client.initialize("/mcp/clam")

            assert 404 == reply.status
            assert "'clam'" in reply.json["error"]["message"]
            assert "calm" in reply.json["error"]["message"]
            assert "init" == reply.json["id"]

    async def test_is_refused_beyond_the_highest_number_of_sessions(self) -> None:
        """One session too many gets 503 with `Retry-After`."""
        async with serving(max_sessions=1) as served:
            await begin(served)
            client = await served.connect()
            reply = await client.initialize()

            assert 503 == reply.status
            assert "60" == reply.headers["retry-after"]
            assert 1 == len(served.gateway_api.peers)

    async def test_takes_the_place_of_a_session_that_nobody_uses(
        self, mock_clock: trio.testing.MockClock
    ) -> None:
        """Abandoned sessions do not keep new clients out until they expire."""
        async with serving(max_sessions=2, session_ttl=1000.0) as served:
            abandoned, listening = await begin(served), await begin(served)
            assert 200 == (await listening.listen()).status
            mock_clock.jump(100)
            client = await served.connect()
            assert 200 == (await client.initialize()).status
            assert 404 == (await (await reconnect(served, abandoned)).post(tool("echo"))).status
            assert 503 == (await (await served.connect()).initialize()).status

    async def test_twice_in_a_session_goes_to_the_session(self) -> None:
        """A second `initialize` with a session id begins no other session."""
        async with serving() as served:
            client = await begin(served)
            await client.post(call("initialize", {"capabilities": {}}))

            assert 1 == len(served.gateway_api.peers)


class TestSession:
    async def test_is_needed(self) -> None:
        """A client that speaks a revision with sessions gets 400, with its request's id."""
        async with serving() as served:
            client = await served.connect()
            version = {"MCP-Protocol-Version": "2025-11-25"}
            reply = await client.post(tool("echo", request_id="a"), version)

            assert 400 == reply.status
            assert "a" == reply.json["id"]
            assert [] == served.gateway_api.served

    async def test_is_not_needed_for_one_request_of_a_script(self) -> None:
        """A request that names no revision is answered; its errors have status 200."""
        async with serving() as served:
            client = await served.connect()
            first = await client.post(tool("echo", {"a": 1}, request_id="a"))
            other = await client.post(call("nonsense", {}, request_id=2))
            bare = await client.post({"jsonrpc": "2.0", "method": "notifications/initialized"})

            assert (200, "a") == (first.status, first.json["id"])
            assert {"a": 1} == first.json["result"]["said"]
            assert (200, -32601) == (other.status, other.json["error"]["code"])
            assert 400 == bare.status
            assert "mcp-session-id" not in first.headers

    @pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
    async def test_that_is_unknown_gets_404(self, method: str) -> None:
        """A session id that was never given is answered with 404, whatever is asked."""
        async with serving() as served:
            client = await served.connect()
            client.session = "forged-forged-forged"
            body = to_bytes(tool("echo")) if method == "POST" else b""
            reply = await client.request(method, body=body)

            assert 404 == reply.status
            assert [] == served.gateway_api.served

    async def test_ends_by_delete(self) -> None:
        """DELETE gives 204; after it the session is gone, for DELETE too."""
        async with serving() as served:
            client = await begin(served)

            assert 204 == (await client.request("DELETE")).status
            assert 404 == (await client.post(tool("echo"))).status
            assert 404 == (await client.request("DELETE")).status
            assert 1 == served.gateway_api.ended

    async def test_that_ends_cancels_what_runs_in_it(self) -> None:
        """DELETE cancels the calls in flight and ends their streams."""
        async with serving() as served:
            client, other = await begin(served), await served.connect()
            other.session = client.session
            await client.start(tool("wait"))
            await served.gateway_api.started.wait()

            assert 204 == (await other.request("DELETE")).status
            assert await client.message() is None
            assert 1 == len(served.gateway_api.cancelled)

    async def test_belongs_to_its_address(self) -> None:
        """The session of one backend is unknown at the address of the whole."""
        async with serving() as served:
            client = await served.connect()
            assert 200 == (await client.initialize("/mcp/calm")).status

            assert 404 == (await client.post(tool("echo"))).status
            assert 200 == (await client.post(tool("echo"), path="/mcp/calm")).status
            assert 200 == (await client.post(tool("echo"), path="/mcp/calm/any/thing")).status

    async def test_expires_when_nobody_uses_it(self, mock_clock: trio.testing.MockClock) -> None:
        """A session that is idle for its term is gone; one that is used or listened to is not."""
        async with serving(session_ttl=1000.0) as served:
            idle, used, listened = [await begin(served) for _ in range(3)]
            assert 200 == (await listened.listen()).status
            for _ in range(4):
                mock_clock.jump(40)
                assert 200 == (await (await reconnect(served, used)).post(tool("echo"))).status
            for _ in range(4):
                mock_clock.jump(240)
                assert 200 == (await (await reconnect(served, used)).post(tool("echo"))).status
            await trio.testing.wait_all_tasks_blocked()

            assert 404 == (await (await reconnect(served, idle)).post(tool("echo"))).status
            assert 200 == (await (await reconnect(served, listened)).post(tool("echo"))).status
            assert 2 == len(served.app.endpoint.sessions)


async def reconnect(served: Served, client: Client) -> Client:
    """Return the same client on a new connection."""
    again = await served.connect()
    again.session, again.version = client.session, client.version
    return again


class TestPost:
    async def test_answers_as_json_what_comes_at_once(self) -> None:
        """An answer that is the first thing to come is sent as JSON, with the id's own type."""
        async with serving() as served:
            client = await begin(served)
            for request_id in (7, "7"):
                reply = await client.post(tool("echo", {"a": 1}, request_id=request_id))

                assert 200 == reply.status
                assert "application/json" == reply.headers["content-type"]
                assert {"jsonrpc": "2.0", "id": request_id, "result": {"said": {"a": 1}}} == (
                    reply.json
                )

    async def test_gives_202_for_notifications_and_answers(self) -> None:
        """Notifications and responses get 202 without a body."""
        async with serving() as served:
            client = await begin(served)
            note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
            for message in (note, {"jsonrpc": "2.0", "id": 99, "result": {}}):
                reply = await client.post(message)

                assert 202 == reply.status
                assert b"" == reply.body
            assert [("notifications/initialized", {})] == served.gateway_api.notified

    async def test_errors_come_with_200(self) -> None:
        """A JSON-RPC error is not an error of the transport."""
        async with serving() as served:
            client = await begin(served)
            reply = await client.post(tool("fail", {"code": -32601}))

            assert 200 == reply.status
            assert -32601 == reply.code

    async def test_becomes_a_stream_when_something_comes_first(self) -> None:
        """Progress before the answer makes it a stream: primed, in order, answered, ended."""
        async with serving() as served:
            client = await begin(served)
            reply = await client.post(tool("progress", {"steps": 3}, token="t"))

            assert 200 == reply.status
            assert "text/event-stream" == reply.headers["content-type"]
            assert "no-cache, no-transform" == reply.headers["cache-control"]
            assert "no" == reply.headers["x-accel-buffering"]
            primer, *events = reply.events
            assert "" == primer.data
            assert 1000 == primer.retry
            ids = [primer.id, *(event.id for event in events)]
            assert len(set(ids)) == len(ids)
            messages = [json_of(event.data) for event in events]
            assert [0, 1, 2] == [each["params"]["progress"] for each in messages[:-1]]
            assert {"steps": 3} == messages[-1]["result"]

    async def test_becomes_a_stream_when_the_wait_is_over(self) -> None:
        """A slow answer comes on a stream that was opened before it."""
        async with serving() as served:
            client = await begin(served)
            head = await client.start(tool("wait"))
            assert "text/event-stream" == head.headers["content-type"]
            served.gateway_api.go_on.set()

            assert {"waited": {}} == (await client.message())["result"]
            assert await client.event() is None

    async def test_primes_no_client_of_older_revisions(self) -> None:
        """Clients before 2025-11-25 get no event without data and no `retry`."""
        async with serving() as served:
            client = await begin(served, "2025-06-18")
            reply = await client.post(tool("progress", {"steps": 1}, token="t"))

            assert all(event.data and event.retry is None for event in reply.events)
            assert 2 == len(reply.events)

    async def test_carries_questions_of_the_server_on_its_own_stream(self) -> None:
        """A request to the client comes on the stream of the call that it is for."""
        async with serving() as served:
            client = await begin(served)
            await client.start(tool("ask"))
            question = await client.message()
            assert "sampling/createMessage" == question["method"]
            other = await reconnect(served, client)
            answer = {"jsonrpc": "2.0", "id": question["id"], "result": {"role": "assistant"}}

            assert 202 == (await other.post(answer)).status
            assert {"answer": {"role": "assistant"}} == (await client.message())["result"]
            assert await client.message() is None

    async def test_ends_the_stream_of_a_call_that_its_client_cancels(self) -> None:
        """A cancelled call gets no answer: its stream ends without one."""
        async with serving() as served:
            client = await begin(served)
            await client.start(tool("wait", request_id="x"))
            other = await reconnect(served, client)
            cancel = {"method": "notifications/cancelled", "params": {"requestId": "x"}}

            assert 202 == (await other.post({"jsonrpc": "2.0", **cancel})).status
            assert await client.message() is None
            assert 1 == len(served.gateway_api.cancelled)

    async def test_refuses_an_id_that_is_in_flight(self) -> None:
        """A second request of the same id is refused; the first one is not disturbed."""
        async with serving() as served:
            client = await begin(served)
            await client.start(tool("wait", {"which": 1}, request_id=5))
            other = await reconnect(served, client)

            assert 400 == (await other.post(tool("echo", request_id=5))).status
            assert 200 == (await other.post(tool("echo", request_id="5"))).status
            served.gateway_api.go_on.set()
            assert {"waited": {"which": 1}} == (await client.message())["result"]

    async def test_three_at_once_are_answered_each_on_its_own(self) -> None:
        """Requests of one session on several connections do not wait for each other."""
        async with serving() as served:
            first = await begin(served)
            clients = [first, await reconnect(served, first), await reconnect(served, first)]
            for number, client in enumerate(clients):
                await client.send(
                    "POST", body=to_bytes(tool("wait", {"n": number}, request_id=number))
                )
            served.gateway_api.go_on.set()

            for number, client in enumerate(clients):
                reply = await client.reply()
                last = reply.json if reply.body[:1] == b"{" else json_of(reply.events[-1].data)
                assert {"waited": {"n": number}} == last["result"]

    async def test_an_answer_that_is_no_json_becomes_an_error(self) -> None:
        """A result that JSON cannot carry is answered with an error; the session goes on."""
        async with serving() as served:
            client = await begin(served)

            assert -32603 == (await client.post(tool("infinite"))).code
            assert 200 == (await client.post(tool("echo"))).status


class TestRefusals:
    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"Content-Type": "text/plain"}, 415),
            ({"Content-Type": None}, 415),
            ({"Content-Type": "application/json; charset=utf-16"}, 415),
            ({"Content-Type": "application/json; charset=UTF-8"}, 200),
            ({"Content-Type": "Application/JSON"}, 200),
            ({"Accept": "application/json"}, 406),
            ({"Accept": "text/event-stream"}, 406),
            ({"Accept": "application/json, text/event-stream;q=0"}, 406),
            ({"Accept": None}, 200),
            ({"Accept": "*/*"}, 200),
            ({"Accept": "text/*, application/*;q=0.5"}, 200),
            ({"MCP-Protocol-Version": "2025-06-18"}, 200),
            ({"MCP-Protocol-Version": None}, 200),
            ({"MCP-Protocol-Version": "1999-01-01"}, 400),
            ({"MCP-Protocol-Version": "nonsense"}, 400),
        ],
    )
    async def test_by_the_headers(self, headers: dict[str, str | None], status: int) -> None:
        """Types and versions that do not fit are refused before anything is done."""
        async with serving() as served:
            client = await begin(served)

            assert status == (await client.post(tool("echo"), headers)).status
            assert (1 if status == 200 else 0) == len(served.gateway_api.served)

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"", -32700),
            (b"{", -32700),
            (b"nonsense", -32700),
            (b'{"jsonrpc":"2.0","id":1,"method":"a"} {}', -32700),
            (b"[" * 100_000, -32700),
            (b"7", -32600),
            (b"[]", -32600),
            (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600),
            (b'{"id":1,"method":"ping"}', -32600),
            (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
            (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":7}', -32602),
        ],
    )
    async def test_by_the_body(self, body: bytes, code: int) -> None:
        """An invalid message gets 400 and its JSON-RPC code."""
        async with serving() as served:
            client = await begin(served)
            reply = await client.request(
                "POST", body=body, headers={"Content-Length": str(len(body))}
            )

            assert (400, code) == (reply.status, reply.code)
            assert 200 == (await client.post(tool("echo"))).status

    @pytest.mark.parametrize("method", ["PUT", "PATCH", "HEAD", "TRACE", "OPTIONS", "BREW"])
    async def test_by_the_method(self, method: str) -> None:
        """Other methods get 405 with `Allow`."""
        async with serving() as served:
            client = await begin(served)
            if method == "HEAD":
                await client.send("HEAD")
                reply = await client.head()
            else:
                reply = await client.request(method)

            assert 405 == reply.status
            assert "POST, GET, DELETE" == reply.headers["allow"]

    async def test_methods_count_by_their_exact_letters(self) -> None:
        """`post` is not POST (RFC 9110, section 9.1)."""
        async with serving() as served:
            client = await begin(served)

            assert 405 == (await client.request("post", body=to_bytes(tool("echo")))).status
            assert [] == served.gateway_api.served


class TestBatches:
    async def test_are_answered_together_in_the_one_revision_that_has_them(self) -> None:
        """A batch of 2025-03-26 gets an array of its answers; notifications have none."""
        async with serving() as served:
            client = await begin(served, "2025-03-26")
            note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
            reply = await client.post(
                [tool("echo", request_id=1), note, tool("fail", {"code": -5}, request_id="2")]
            )

            assert 200 == reply.status
            assert {1, "2"} == {answer["id"] for answer in reply.json}
            assert [("notifications/initialized", {})] == served.gateway_api.notified

    async def test_of_notifications_get_202(self) -> None:
        """A batch that needs no answer is accepted."""
        async with serving() as served:
            client = await begin(served, "2025-03-26")

            assert (
                202
                == (
                    await client.post([{"jsonrpc": "2.0", "method": "notifications/initialized"}])
                ).status
            )

    @pytest.mark.parametrize(
        "batch",
        [
            [],
            [7],
            [{"jsonrpc": "1.0"}],
            [tool("echo", request_id=1), tool("echo", request_id=1)],
            [call("initialize", {"capabilities": {}})],
        ],
    )
    async def test_that_are_broken_are_refused_whole(self, batch: list[object]) -> None:
        """One bad message refuses its batch, and nothing of it is done."""
        async with serving() as served:
            client = await begin(served, "2025-03-26")
            reply = await client.post(batch)

            assert (400, -32600) == (reply.status, reply.code)
            assert [] == served.gateway_api.served


class TestLeniency:
    @pytest.mark.parametrize(
        "body",
        [
            b'{"jsonrpc":"2.0","id":1,"method":"ping","params":null}',
            b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}',
            b'{"jsonrpc":"2.0","id":1.0,"method":"ping"}',
            b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"ping"}',
            b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"\xff"}}',
        ],
    )
    async def test_what_the_official_servers_accept(self, body: bytes) -> None:
        async with serving() as served:
            client = await begin(served)
            reply = await client.request(
                "POST", body=body, headers={"Content-Length": str(len(body))}
            )
            assert 200 == reply.status
            assert {} == reply.json["result"]

    async def test_the_protocol_version_may_be_left_out(self) -> None:
        """A server without the header assumes 2025-03-26 (MCP 2025-11-25, transports)."""
        async with serving() as served:
            client = await begin(served)
            client.version = None
            reply = await client.post(call("ping"))
            assert {} == reply.json["result"]


class TestStandaloneStream:
    async def test_carries_what_belongs_to_no_request(self) -> None:
        """The server's own messages come on the GET stream, also earlier ones."""
        async with serving() as served:
            client = await begin(served)
            served.gateway_api.peers[0].notify("notifications/tools/list_changed")
            listener = await reconnect(served, client)
            head = await listener.listen()

            assert 200 == head.status
            assert "text/event-stream" == head.headers["content-type"]
            assert "notifications/tools/list_changed" == (await listener.message())["method"]
            served.gateway_api.peers[0].notify("notifications/prompts/list_changed")
            assert "notifications/prompts/list_changed" == (await listener.message())["method"]

    async def test_is_one_for_a_session(self) -> None:
        """A second one takes the place of the first, which may be a connection whose client has
        vanished without a word; the first one ends."""
        async with serving() as served:
            client = await begin(served)
            first, second = await reconnect(served, client), await reconnect(served, client)
            assert 200 == (await first.listen()).status
            assert 200 == (await second.listen()).status
            served.gateway_api.peers[0].notify("notifications/tools/list_changed")
            assert "notifications/tools/list_changed" == (await second.message())["method"]
            with trio.fail_after(PATIENCE):
                assert await first.message() is None

    async def test_wants_a_client_that_takes_events(self) -> None:
        """GET without `text/event-stream` in `Accept` gets 406."""
        async with serving() as served:
            client = await begin(served)

            assert 406 == (await client.request("GET", headers={"Accept": "text/html"})).status

    async def test_shows_signs_of_life(self, mock_clock: trio.testing.MockClock) -> None:
        """A comment is sent if nothing else is sent for a while."""
        async with serving(keep_alive=15.0) as served:
            client = await begin(served)
            await client.listen()
            assert "" == (await client.event()).data  # type: ignore[union-attr]
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(15.0)

            assert bytes(await client.stream.receive_some()).split(b"\r\n")[1].startswith(b":")

    async def test_forgets_the_oldest_where_nobody_listens(self) -> None:
        """Messages that wait for a listener are bounded: the newest is kept."""
        async with serving(replay_messages=10) as served:
            client = await begin(served)
            for number in range(1000):
                served.gateway_api.peers[0].notify("notifications/message", {"data": number})
            await client.listen()

            assert 990 == (await client.message())["params"]["data"]


def json_of(data: str) -> dict[str, object]:
    import json

    value = json.loads(data)
    assert isinstance(value, dict)
    return value
