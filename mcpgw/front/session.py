"""One client's MCP session: the methods that the gateway answers as a server.

Inside the gateway all requests have the form of the handshake revisions. A session takes those
as they are; requests of the stateless era are translated by `mcpgw.front.stateless`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from mcpgw.front.client_capabilities import (
    is_wanted,
    missing_capability,
    with_logger,
)
from mcpgw.front.server_profile import GATEWAY_PROFILE, ServerProfile
from mcpgw.front.services import Listener, SessionServices
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
"""Seconds that calls in flight have after the end of input; `server.shutdown_timeout` where
that is shorter."""

RESUMES_SINCE: Final = "2025-11-25"
"""The revision from which clients come back for a stream that was closed in order."""


@attrs.define(eq=False)
class Session:
    """A client's session over one channel, from its first message to the end of input.

    `greeted` is set when the first request was answered: until then nothing else is done,
    so that the first answer is not delayed. `initialized` is set when the client said so.

    Args:
      channel: where messages come from and go to.
      end_grace: seconds for calls in flight after the end of input.
      face: what the gateway is to this client.
      principal: who the client is, where it had to say.
      shared: whether it carries the requests of many clients, each on its own; these are all
        of the stateless era.
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
    """What requests of the stateless era declared so far, for servers that are told once."""
    profile: str | None = None
    """The routing profile that the client asked for in `initialize`."""
    log_level: str | None = None
    listeners: set[Listener] = attrs.field(factory=set)
    """Its open subscriptions of the stateless era."""
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
        await self.peer.run(task_status=task_status)

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
        """Take the limits of the loaded configuration."""
        self.channel.set_limit(message_bytes)
        self.peer.end_grace = end_grace

    # -- answered at once and in order ---------------------------------------------------

    def _initialize(self, params: Params) -> Params:
        if self.shared or is_modern(params):
            raise RpcError(METHOD_NOT_FOUND, "Method not found: this revision has no initialize")
        if self.protocol_version:
            raise RpcError(INVALID_REQUEST, "this session is initialized already")
        capabilities = params.get("capabilities", {})
        if not isinstance(capabilities, dict):
            raise RpcError(INVALID_PARAMS, "'capabilities' is an object")
        requested = params.get("protocolVersion")
        if requested is not None and not isinstance(requested, str):
            raise RpcError(INVALID_PARAMS, "'protocolVersion' is a string such as 2025-11-25")
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
            raise RpcError(METHOD_NOT_FOUND, "Method not found: this revision has no ping")
        return {}

    def _discover(self, params: Params) -> Params:
        from mcpgw.front import stateless

        result = stateless.discover(self, params)
        self.greeted.set()
        return result

    # -- a task each ---------------------------------------------------------------------

    async def _serve(self, request: Request) -> Params:
        if self.shared or is_modern(request.params):
            from mcpgw.front import stateless

            return await stateless.serve(self, request)
        if not self.protocol_version:
            raise RpcError(INVALID_REQUEST, f"{request.method} before initialize")
        request.client = self
        try:
            result = await self.answer(request)
        except RpcError as error:
            if error.code == INVALID_PARAMS and _names_resource(request.method, error):
                raise RpcError(RESOURCE_NOT_FOUND, error.message, error.data) from error
            raise
        return _older(result) if "resultType" in result else result

    async def attached(self) -> None:
        """Wait until the gateway is ready."""
        if self._services is None:
            await self._attached.wait()

    async def answer(self, request: Request) -> Params:
        """Answer a request in the form of the handshake revisions.

        Raises:
          RpcError: there is no such method, or what it raises.
        """
        if self._services is None:
            await self.attached()
        services = self.services
        method = services.methods.get(request.method)
        if method is None:
            raise RpcError(METHOD_NOT_FOUND, f"Method not found: {request.method}")
        return await method(self, services.context, request)

    # -- notifications -------------------------------------------------------------------

    def _notified(self, method: str, _params: Params, _about: RequestId | None) -> None:
        if method == "notifications/initialized":
            self.initialized.set()
        elif method == "notifications/roots/list_changed" and self._services is not None:
            self._services.context.roots_changed(self.server_profile.target)

    # -- towards the client (protocol.peer.Client) -----------------------------------------

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What the client declared in `initialize`."""
        return self.client_capabilities

    @property
    def identity(self) -> object:
        """The session itself: all its requests are of one client."""
        return self

    @property
    def supports_input_required(self) -> bool:
        """Never: these revisions have requests to the client instead."""
        return False

    def forwardable_capabilities(self) -> Params:
        """Return what the client declared of what backends may use through us."""
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
        """Pass a question on to the client and return its answer.

        Raises:
          RpcError: the client lacks the capability (at once), or answered with an error.
          ConnectionLost: the client has gone.
        """
        if (missing := missing_capability(self.client_capabilities, method, params)) is not None:
            raise missing[0]
        about = request.id if request is not None else None
        return await self.peer.request(method, params, on_progress=on_progress, about=about)

    def pause(self, request: Request) -> None:
        """Close the stream of a request where the client can come back for the rest."""
        if self.protocol_version >= RESUMES_SINCE:
            self.channel.pause(request.id)

    def log(self, request: Request | None, server: str, params: Params) -> None:
        """Pass a server's log message on, at the level that the client wants."""
        if not self.protocol_version or not is_wanted(params.get("level"), self.log_level):
            return
        about = request.id if request is not None else None
        self.peer.notify(
            "notifications/message", with_logger(self.server_profile, server, params), about=about
        )

    def send(self, method: str, params: Params) -> bool:
        """Send a notification that belongs to no request; False where it was dropped."""
        return self.peer.notify(method, params)

    def notify_change(self, method: str, params: Params | None = None) -> bool:
        """Notify the client of a change, and those of its subscriptions that want to know.

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


def _older(result: Params) -> Params:
    """Take out of a result what only the stateless era knows."""
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
