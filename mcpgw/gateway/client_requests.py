"""Requests and notifications from backends to clients: sampling, elicitation, roots, logs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from mcpgw.backends.call_context import CallContext
from mcpgw.backends.services import Instance
from mcpgw.front.resource_subscriptions import ResourceSubscriptions
from mcpgw.front.session import Session
from mcpgw.front.session_registry import SessionRegistry
from mcpgw.front.tasks import Tasks
from mcpgw.observe.log import get_logger
from mcpgw.protocol.errors import INTERNAL_ERROR, METHOD_NOT_FOUND, ConnectionLost, RpcError
from mcpgw.protocol.mcp import LOG_LEVELS
from mcpgw.protocol.peer import Client, Params, ProgressCallback

log = get_logger("mcpgw.gateway")

CLIENT_PATIENCE: Final = 600.0
"""Seconds that a call has at least while its server waits for an answer of the client: a person
may have to answer."""
ALL_CAPABILITIES: Final[Params] = {
    "roots": {"listChanged": True},
    "sampling": {"tools": {}, "context": {}},
    "elicitation": {"form": {}, "url": {}},
}
"""Declared to servers if clients come and go: each request is refused by itself if the client of
its call lacks the capability."""
MAX_ELICITATIONS: Final = 1_000
"""Elicitations by URL whose completion is awaited; the oldest are forgotten first."""

_TASK_NOTIFICATIONS: Final = ("notifications/tasks/status", "notifications/tasks")


@attrs.define(eq=False)
class GatewayClientRequests:
    """`backends.services.ClientRequests` of the gateway.

    Args:
      sessions: the live sessions.
      tasks: calls whose answers are fetched later.
      subscriptions: resource subscriptions of clients.
      many_clients: whether clients come and go, as they do by HTTP.
    """

    sessions: SessionRegistry
    tasks: Tasks
    subscriptions: ResourceSubscriptions
    many_clients: bool = False
    _elicited: dict[str, Client] = attrs.field(factory=dict)
    """The client that was asked to open a URL, by the id of the elicitation."""

    def client_capabilities(self, instance: Instance) -> Params:
        """Return the client capabilities to declare: the union over the instance's sessions."""
        if instance.session:
            own = self.sessions.of_state(instance.session)
            known = [session for session in own if session.protocol_version]
            if not known:  # it is started for a client that has not sent `initialize` yet
                return ALL_CAPABILITIES
        elif self.many_clients:
            return ALL_CAPABILITIES
        else:
            known = list(self.sessions)
        union: Params = {}
        for session in known:
            union |= session.forwardable_capabilities()
        return union

    async def ask(
        self,
        instance: Instance,
        context: CallContext | None,
        method: str,
        params: Params,
        *,
        key: str = "",
        on_progress: ProgressCallback | None = None,
    ) -> Params:
        """Send a backend's request to the client of the call; return the client's answer."""
        request = context.client_request if context is not None else None
        client = request.client if request is not None else None
        if client is None:
            if method == "roots/list":
                return await self._all_roots(instance, params)
            client = self._only_client(instance, method)
        if method == "elicitation/create" and isinstance(params.get("elicitationId"), str):
            self._elicited[params["elicitationId"]] = client
            while len(self._elicited) > MAX_ELICITATIONS:
                del self._elicited[next(iter(self._elicited))]
        _task, params = self.tasks.named(instance, params)
        if context is not None:
            context.question_sent(CLIENT_PATIENCE)
        try:
            return await client.ask(request, method, params, key=key, on_progress=on_progress)
        except ConnectionLost as error:
            raise RpcError(INTERNAL_ERROR, "the client disconnected") from error
        finally:
            if context is not None:
                context.question_answered()

    def _only_client(self, instance: Instance, method: str) -> Session:
        clients = list(self.sessions.clients_of(instance))
        if len(clients) != 1:
            raise RpcError(
                METHOD_NOT_FOUND,
                f"{method} outside of a call needs exactly one client;"
                f" {len(clients) or 'none'} can answer it",
            )
        return clients[0]

    async def _all_roots(self, instance: Instance, params: Params) -> Params:
        """Return the roots of all clients: a server may ask for them outside of any call."""
        roots: dict[str, object] = {}
        able = [each for each in self.sessions.clients_of(instance) if "roots" in each.capabilities]
        if not able:
            raise RpcError(METHOD_NOT_FOUND, "the client does not support roots")
        for session in able:
            with contextlib.suppress(ConnectionLost):
                answer = await session.ask(None, "roots/list", params)
                if len(able) == 1:
                    return answer
                for root in answer.get("roots", ()):
                    roots[str(root.get("uri"))] = root
        return {"roots": list(roots.values())}

    def notified(
        self, instance: Instance, contexts: Sequence[CallContext], method: str, params: Params
    ) -> None:
        """Forward log messages, resource updates, task states and completed elicitations."""
        if method == "notifications/message":
            self._log(instance, contexts, params)
        elif method in _TASK_NOTIFICATIONS:
            task, renamed = self.tasks.named(instance, params)
            for session in self.sessions.of_state(task.session) if task is not None else ():
                session.send(method, renamed)
        elif method == "notifications/resources/updated":
            self.subscriptions.updated(instance, params)
        elif method == "notifications/elicitation/complete":
            client = self._elicited.pop(str(params.get("elicitationId")), None)
            if isinstance(client, Session):
                client.send(method, params)

    def _log(self, instance: Instance, contexts: Sequence[CallContext], params: Params) -> None:
        """Forward a log message to the client whose call the server is working on.

        It may contain what one client's call is about, so it goes to all clients only if none of
        them has a call in flight, and to no client if several have one.
        """
        requests = [
            request
            for context in contexts
            if (request := context.client_request) is not None and request.client is not None
        ]
        clients = {id(request.client.identity) for request in requests if request.client}
        if not requests:
            for session in self.sessions.clients_of(instance):
                session.log(None, instance.name, params)
        elif len(clients) == 1 and requests[-1].client is not None:
            requests[-1].client.log(requests[-1], instance.name, params)
        else:
            log.debug("message.not_routed", server=instance.name, clients=len(clients))

    def subscribed_resources(self, instance: Instance) -> Iterable[str]:
        """Return the resources of an instance that clients are subscribed to."""
        return self.subscriptions.of(instance)

    def log_level(self, instance: Instance) -> str | None:
        """Return the lowest log level that a client of the instance asked for."""
        of_session = self.sessions.of_state(instance.session)
        found = of_session if instance.session else iter(self.sessions)
        levels = [session.log_level for session in found if session.log_level]
        return min(levels, key=LOG_LEVELS.index) if levels else None
