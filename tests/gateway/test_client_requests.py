"""Log messages of a server that several clients share, and the client that receives them."""

from __future__ import annotations

from typing import Any, cast

import attrs
import pytest

from mcpgw.backends.call_context import context_of_request, contexts_of_notification
from mcpgw.backends.services import Instance
from mcpgw.front.resource_subscriptions import ResourceSubscriptions
from mcpgw.front.session import Session
from mcpgw.front.session_registry import SessionRegistry
from mcpgw.front.tasks import Tasks
from mcpgw.gateway.client_requests import GatewayClientRequests
from mcpgw.protocol.errors import RpcError
from mcpgw.protocol.memory import channel_pair
from mcpgw.protocol.peer import Peer, Request
from mcpgw.protocol.request import ignore, method_not_found

LOG = "notifications/message"


@attrs.define(eq=False)
class Shared:
    """An instance that all sessions share."""

    name: str = "one"
    session: str = ""
    config: Any = None

    def extend_deadlines(self, seconds: float) -> None:
        """Do nothing."""


@attrs.define(eq=False)
class InFlight:
    """A call that a client waits for; without a client it is one of the gateway's own."""

    client_request: Request | None
    supports_input_required: bool = False
    transparent: bool = False
    open_questions: int = 0
    last_question_at: float = 0.0


class Listening(Session):
    """A client that keeps its log messages: the request that each came with, and its data."""

    got: list[tuple[object, object]]

    def log(self, request: Request | None, _server: str, params: dict[str, Any]) -> None:
        """Keep a message."""
        self.got.append((request.id if request else None, params["data"]))


@attrs.define(eq=False)
class Bench:
    """Three clients of one server."""

    clients: dict[str, Listening] = attrs.field(factory=dict)
    requests: GatewayClientRequests = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        registry = SessionRegistry()
        for name in ("a", "b", "c"):
            session = self.clients[name] = Listening(channel_pair()[0], 1.0)
            session.protocol_version = "2025-11-25"
            session.got = []
            registry.add(session)
        self.requests = GatewayClientRequests(registry, Tasks(), ResourceSubscriptions(), True)

    def call(self, name: str, number: int) -> InFlight:
        """Return a call of a client."""
        session = self.clients[name]
        request = Request(session.peer, number, "tools/call", {})
        request.client = session
        return InFlight(request)

    def log(self, *contexts: InFlight) -> dict[str, list[tuple[object, object]]]:
        """Let the server log while these calls are in flight; return what the clients got."""
        instance = cast("Instance", Shared())
        self.requests.notified(instance, contexts, LOG, {"level": "info", "data": "d"})
        return {name: each.got for name, each in self.clients.items() if each.got}


@pytest.fixture
def bench() -> Bench:
    """Three clients of one server."""
    return Bench()


class TestLog:
    async def test_goes_to_the_client_whose_call_is_in_flight(self, bench: Bench) -> None:
        """A message about one client's call is read by no other client."""
        assert {"b": [(7, "d")]} == bench.log(bench.call("b", 7))

    async def test_of_several_calls_of_one_client_goes_to_it_once(self, bench: Bench) -> None:
        """It is sent with the latest of the calls."""
        assert {"a": [(2, "d")]} == bench.log(bench.call("a", 1), bench.call("a", 2))

    async def test_goes_to_nobody_if_calls_of_several_clients_are_in_flight(
        self, bench: Bench
    ) -> None:
        """It may concern any of them, and must not reach the others."""
        assert {} == bench.log(bench.call("a", 1), bench.call("b", 2))

    async def test_goes_to_all_if_no_client_has_a_call(self, bench: Bench) -> None:
        """Calls of the gateway itself, such as reading lists, do not count."""
        assert ["a", "b", "c"] == list(bench.log())
        assert {"a", "b", "c"} == bench.log(InFlight(None)).keys()


class TestContexts:
    async def test_are_that_of_the_stream_or_all_with_a_client(self, bench: Bench) -> None:
        """The stream decides; without one, or with an unknown one, any call may be meant."""
        peer = Peer(channel_pair()[0], "one", serve=method_not_found, immediate={}, notified=ignore)
        first, second = bench.call("a", 1), bench.call("b", 2)
        peer._owners = {1: first, 2: InFlight(None), 3: second}

        assert (second,) == contexts_of_notification(peer, 3)
        assert (first, second) == contexts_of_notification(peer, None)
        assert (first, second) == contexts_of_notification(peer, 9)


class TestQuestions:
    @pytest.mark.parametrize(
        ("scope", "advice"), [("shared", "Set `scope: session`"), ("session", "open sessions")]
    )
    async def test_of_several_clients_are_refused_with_advice_that_helps(
        self, bench: Bench, scope: str, advice: str
    ) -> None:
        """A server with `scope: session` is not told to set it."""
        peer = Peer(channel_pair()[0], "one", serve=method_not_found, immediate={}, notified=ignore)
        peer._owners = {1: bench.call("a", 1), 2: bench.call("b", 2)}
        with pytest.raises(RpcError, match=advice):
            context_of_request(peer, None, "roots/list", scope)
