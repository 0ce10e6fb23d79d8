"""Session of one MCP client, which the gateway serves as an MCP server.

Inside the gateway all requests have the form of the handshake revisions. Requests of the
stateless era are translated by `mcpgw.front.stateless`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from mcpgw.front.client_capabilities import (
    is_wanted,
    missing_capability,
    with_logger,
)
from mcpgw.front.server_profile import GATEWAY_PROFILE, ServerProfile
from mcpgw.front.services import Listener, SessionServices, answer
from mcpgw.protocol.errors import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    RESOURCE_NOT_FOUND,
    RpcError,
)
from mcpgw.protocol.jsonrpc import RequestId
from mcpgw.protocol.mcp import (
    BATCH_VERSION,
    FORWARDED_CAPABILITIES,
    SERVER_INFO_META,
    is_modern,
    negotiate,
)
from mcpgw.protocol.peer import Params, Peer, ProgressCallback, Request

if TYPE_CHECKING:
    from mcpgw.pipeline.session_state import SessionState
    from mcpgw.protocol.channel import ClientChannel

END_GRACE: Final = 10.0
"""Seconds that calls in flight have after the end of input; `server.shutdown_timeout` if that
is shorter."""

RESUMES_SINCE: Final = "2025-11-25"
"""The revision from which clients resume a stream that was closed in order."""


@attrs.define(eq=False)
class Session:
    """A client's session over one channel, from its first message to the end of input.

    `greeted` is set when the first request was answered: until then the gateway loads nothing
    else, so that the first answer is not delayed. `initialized` is set by the client's
    `notifications/initialized`.

    Args:
      channel: the channel to the client.
      end_grace: seconds for calls in flight after the end of input.
      server_profile: the server that is presented to the client.
      principal: the authenticated identity of the client; empty without authentication.
      shared: whether it carries independent requests of many clients; all are of the stateless
        era.
    """

    channel: ClientChannel
    end_grace: float
    server_profile: ServerProfile = GATEWAY_PROFILE
    principal: str = ""
    shared: bool = False
    peer: Peer = attrs.field(init=False)
    greeted: trio.Event = attrs.field(factory=trio.Event)
    initialized: trio.Event = attrs.field(factory=trio.Event)
    protocol_version: str = ""
    client_info: Mapping[str, Any] = attrs.field(factory=dict)
    client_capabilities: Mapping[str, Any] = attrs.field(factory=dict)
    seen_capabilities: Params = attrs.field(factory=dict)
    """The capabilities that requests of the stateless era declared so far: a server learns the
    client's capabilities only once, in its handshake."""
    profile: str | None = None
    """The routing profile that the client asked for in `initialize`."""
    log_level: str | None = None
    current_profile: Callable[[], ServerProfile] | None = None
    """Returns the profile for the next request, if the session outlives connections of its one
    server; otherwise None."""
    listeners: set[Listener] = attrs.field(factory=set)
    """Open subscriptions of the stateless era."""
    _companions: list[Callable[[], Awaitable[None]]] = attrs.field(factory=list)
    _services: SessionServices | None = None
    _attached: trio.Event = attrs.field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self.peer = Peer(
            self.channel,
            "client",
            serve=self._serve,
            immediate={
                "initialize": self._initialize,
                "ping": self._ping,
                "server/discover": self._discover,
            },
            notified=self._notified,
            answer_malformed=True,
            end_grace=self.end_grace,
        )

    def __repr__(self) -> str:
        state = f"MCP {self.protocol_version}" if self.protocol_version else "NEW"
        return f"<Session {self.client_info.get('name', '?')!r} {state} {self.peer!r}>"

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve the client until the end of its input and of the calls in flight."""
        if not self._companions:
            await self.peer.run(task_status=task_status)
            return
        async with trio.open_nursery() as nursery:
            for each in self._companions:
                nursery.start_soon(each)
            await self.peer.run(task_status=task_status)
            nursery.cancel_scope.cancel()

    def accompany(self, task: Callable[[], Awaitable[None]]) -> None:
        """Run a task while the session runs; to be called before it starts."""
        self._companions.append(task)

    @property
    def services(self) -> SessionServices:
        """The parts that answer its requests; available once it is attached."""
        assert self._services is not None, "the session is not attached"
        return self._services

    @property
    def target(self) -> str | None:
        """The one server that it shows; None if it shows the whole gateway."""
        return self.server_profile.target

    @property
    def state(self) -> SessionState:
        """Its state between calls; available once it is attached."""
        return self.services.state

    def attach(self, services: SessionServices) -> None:
        """Set the parts that answer requests; requests that arrived earlier go on now."""
        self._services = services
        self._attached.set()

    def set_limits(self, message_bytes: int, end_grace: float) -> None:
        """Apply the limits of the loaded configuration."""
        self.channel.set_limit(message_bytes)
        self.peer.end_grace = end_grace

    # -- requests answered immediately, in order -----------------------------------------

    def _initialize(self, params: Params) -> Params:
        if self.shared or is_modern(params):
            raise RpcError(
                METHOD_NOT_FOUND, "Method not found: initialize (this revision has no handshake)"
            )
        if self.protocol_version:
            raise RpcError(INVALID_REQUEST, "the session is already initialized")
        capabilities = params.get("capabilities", {})
        if not isinstance(capabilities, dict):
            raise RpcError(INVALID_PARAMS, "'capabilities' must be an object")
        requested = params.get("protocolVersion")
        if requested is not None and not isinstance(requested, str):
            raise RpcError(INVALID_PARAMS, "'protocolVersion' must be a string such as 2025-11-25")
        self.protocol_version = negotiate(requested)
        self.client_capabilities = capabilities
        profile = params.get("profile")
        self.profile = profile if isinstance(profile, str) and profile else None
        info = params.get("clientInfo")
        self.client_info = info if isinstance(info, dict) else {}
        self.peer.accepts_batches = self.protocol_version == BATCH_VERSION
        self.greeted.set()
        result = {
            "protocolVersion": self.protocol_version,
            "capabilities": self.server_profile.capabilities,
            "serverInfo": self.server_profile.server_info,
        }
        if self.server_profile.instructions:
            result["instructions"] = self.server_profile.instructions
        return result

    def _ping(self, params: Params) -> Params:
        if is_modern(params):
            raise RpcError(METHOD_NOT_FOUND, "Method not found: ping (not part of this revision)")
        return {}

    def _discover(self, params: Params) -> Params:
        from mcpgw.front import stateless

        self._update_profile()
        result = stateless.discover(self, params)
        self.greeted.set()
        return result

    # -- requests answered in a task each ------------------------------------------------

    async def _serve(self, request: Request) -> Params:
        if self.shared or is_modern(request.params):
            from mcpgw.front import stateless

            self._update_profile()
            return await stateless.serve(self, request)
        if not self.protocol_version:
            raise RpcError(INVALID_REQUEST, f"{request.method} was sent before initialize")
        request.client = self
        try:
            result = await self.answer(request)
        except RpcError as error:
            if error.code == INVALID_PARAMS and _names_resource(request.method, error):
                raise RpcError(RESOURCE_NOT_FOUND, error.message, error.data) from error
            raise
        return _without_stateless_fields(result) if "resultType" in result else result

    def _update_profile(self) -> None:
        if self.current_profile is not None:
            self.server_profile = self.current_profile()

    async def attached(self) -> None:
        """Wait until the gateway is ready."""
        if self._services is None:
            await self._attached.wait()

    async def answer(self, request: Request) -> Params:
        """Answer a request in the form of the handshake revisions.

        Raises:
          RpcError: there is no such method, or the method raised it.
        """
        return await answer(self, request)

    # -- notifications -------------------------------------------------------------------

    def _notified(self, method: str, _params: Params, _about: RequestId | None) -> None:
        if method == "notifications/initialized":
            self.initialized.set()
        elif method == "notifications/roots/list_changed" and self._services is not None:
            self._services.context.roots_changed(self.state, self.server_profile.target)

    # -- requests and notifications to the client (protocol.peer.Client) -------------------

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """The capabilities that the client declared in `initialize`."""
        return self.client_capabilities

    @property
    def identity(self) -> object:
        """The session itself: all its requests come from one client."""
        return self

    @property
    def supports_input_required(self) -> bool:
        """Always False: these revisions send requests to the client instead."""
        return False

    def forwardable_capabilities(self) -> Params:
        """Return the declared capabilities that backends may use through the gateway."""
        declared = {**self.seen_capabilities, **self.client_capabilities}
        return {
            name: declared[name]
            for name in FORWARDED_CAPABILITIES
            if isinstance(declared.get(name), dict)
        }

    async def ask(
        self,
        request: Request | None,
        method: str,
        params: Params,
        *,
        key: str = "",
        on_progress: ProgressCallback | None = None,
    ) -> Params:
        """Send a request to the client and return its answer.

        Raises:
          RpcError: the client lacks the capability (raised at once), or answered with an error.
          ConnectionLost: the client disconnected.
        """
        if (missing := missing_capability(self.client_capabilities, method, params)) is not None:
            raise missing[0]
        about = request.id if request is not None else None
        return await self.peer.request(method, params, on_progress=on_progress, about=about)

    def pause(self, request: Request) -> None:
        """Close the stream of a request if the client can resume it."""
        if self.protocol_version >= RESUMES_SINCE:
            self.channel.pause(request.id)

    def log(self, request: Request | None, server: str, params: Params) -> None:
        """Forward a server's log message if the client wants its level."""
        if not self.protocol_version or not is_wanted(params.get("level"), self.log_level):
            return
        about = request.id if request is not None else None
        self.peer.notify(
            "notifications/message", with_logger(self.server_profile, server, params), about=about
        )

    def send(self, method: str, params: Params) -> bool:
        """Send a notification outside of any request.

        Returns:
          False if it was dropped: the client has left, or does not read. It is sent to a client
          that is not ready for notifications yet, too.
        """
        return self.peer.notify(method, params)

    def notify_change(self, method: str, params: Params | None = None) -> bool:
        """Notify the client of a change, directly and through its open subscriptions.

        A client that has not sent `notifications/initialized` is not notified: it may not have
        listed anything yet (MCP 2025-11-25, lifecycle).

        Returns:
          False if it must be notified again later because it does not read.
        """
        delivered = True
        if self.initialized.is_set():
            delivered = self.peer.notify(method, params)
        for listener in tuple(self.listeners):
            delivered = listener.notify_change(method, params) and delivered
        return delivered


def _names_resource(method: str, error: RpcError) -> bool:
    return method == "resources/read" and isinstance(error.data, dict) and "uri" in error.data


def _without_stateless_fields(result: Params) -> Params:
    """Return a result without the fields that only the stateless era has."""
    if result.get("resultType") != "complete":
        return result
    kept = {
        key: value
        for key, value in result.items()
        if key not in ("resultType", "ttlMs", "cacheScope")
    }
    meta = kept.get("_meta")
    if isinstance(meta, dict) and SERVER_INFO_META in meta:
        kept["_meta"] = {key: value for key, value in meta.items() if key != SERVER_INFO_META}
        if not kept["_meta"]:
            del kept["_meta"]
    return kept
