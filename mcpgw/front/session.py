"""One client's MCP session: the methods that the gateway answers as a server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from mcpgw import __version__
from mcpgw.protocol.errors import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, RpcError
from mcpgw.protocol.jsonrpc import RequestId
from mcpgw.protocol.mcp import BATCH_VERSION, LOG_LEVELS, negotiate
from mcpgw.protocol.peer import Params, Peer, Request, method_not_found

if TYPE_CHECKING:
    from mcpgw.meta.surface import Surface
    from mcpgw.pipeline.session import SessionState
    from mcpgw.protocol.channel import Channel

SERVER_INFO: Final = {
    "name": "mcp-gateway",
    "title": "MCP Gateway",
    "version": __version__,
    "description": "One MCP server in front of many: search for a tool, then invoke it.",
}
END_GRACE: Final = 10.0
"""Seconds that calls in flight have after the end of input; `server.shutdown_timeout` where
that is shorter."""
INSTRUCTIONS: Final = (
    "This server is a gateway to many MCP servers. Find a tool with gateway_search_tools"
    " (describe the task in a few words), then call it with gateway_invoke, giving `server`,"
    " `tool` and `arguments` as the search answered. gateway_list_servers shows which servers"
    " there are and why one does not run."
)
SERVER_CAPABILITIES: Final = {
    # `filtering` and `resolve` are proposals (SEP-1821, SEP-1862); who does not know them
    # ignores them.
    "tools": {"listChanged": True, "filtering": True, "resolve": True},
    "resources": {"listChanged": True},
    "prompts": {"listChanged": True},
    "logging": {},
}
FORWARDED_CAPABILITIES: Final = ("roots", "sampling", "elicitation")
"""Client capabilities that backends may use through us."""


Method = Callable[["Session", Any, Request], Awaitable[Params]]
"""Answers a request of a session with the help of the surface."""


@attrs.define(eq=False)
class Session:
    """A client's session over one channel, from `initialize` to the end of input.

    `greeted` is set when the first request was answered: until then nothing else is done,
    so that the first answer is not delayed. `initialized` is set when the client said so.
    """

    channel: Channel
    end_grace: float
    peer: Peer = attrs.field(init=False)
    greeted: trio.Event = attrs.field(factory=trio.Event)
    initialized: trio.Event = attrs.field(factory=trio.Event)
    protocol_version: str = ""
    client_info: Mapping[str, Any] = attrs.field(factory=dict)
    client_capabilities: Mapping[str, Any] = attrs.field(factory=dict)
    profile: str | None = None
    """The routing profile that the client asked for in `initialize`."""
    log_level: str | None = None
    _surface: Surface | None = None
    _state: SessionState | None = None
    _methods: Mapping[str, Method] = attrs.field(factory=dict)
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
    def state(self) -> SessionState:
        """What is kept of the session between its calls; there once it is attached."""
        assert self._state is not None, "the session is not attached"
        return self._state

    def attach(self, surface: Surface, state: SessionState, methods: Mapping[str, Method]) -> None:
        """Take what answers the requests; those that came before have waited for it."""
        self._surface = surface
        self._state = state
        self._methods = methods
        self._attached.set()

    def set_limits(self, message_bytes: int, end_grace: float) -> None:
        """Take the limits of the loaded configuration."""
        self.channel.set_limit(message_bytes)
        self.peer.end_grace = end_grace

    # -- answered at once and in order ---------------------------------------------------

    def _initialize(self, params: Params) -> Params:
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
        return {
            "protocolVersion": self.protocol_version,
            "capabilities": SERVER_CAPABILITIES,
            "serverInfo": SERVER_INFO,
            "instructions": INSTRUCTIONS,
        }

    def _ping(self, _params: Params) -> Params:
        return {}

    def _discover(self, _params: Params) -> Params:
        # Answered at once, so that a client which asks for the stateless era first goes on
        # with `initialize` without a time-out (MCP 2026-07-28, telling the eras apart).
        raise RpcError(METHOD_NOT_FOUND, "Method not found: server/discover; use initialize")

    # -- a task each ---------------------------------------------------------------------

    async def _serve(self, request: Request) -> Params:
        if not self.protocol_version:
            raise RpcError(INVALID_REQUEST, f"{request.method} before initialize")
        if self._surface is None:
            with request.scope():
                await self._attached.wait()
        if self._surface is None:
            return {}  # cancelled before the gateway was ready
        method = self._methods.get(request.method)
        if method is None:
            return await method_not_found(request)
        if request.method == "tools/call":  # which opens the scope where it is needed
            return await method(self, self._surface, request)
        with request.scope():
            return await method(self, self._surface, request)
        return {}

    # -- notifications -------------------------------------------------------------------

    def _notified(self, method: str, _params: Params, _about: RequestId | None) -> None:
        if method == "notifications/initialized":
            self.initialized.set()
        elif method == "notifications/roots/list_changed" and self._surface is not None:
            self._surface.roots_changed()

    # -- towards the client --------------------------------------------------------------

    @property
    def elicits(self) -> bool:
        """Tell whether the client can ask the person by a form."""
        return "form" in _elicitation_modes(self.client_capabilities)

    def forwardable_capabilities(self) -> Params:
        """Return what the client declared of what backends may use through us."""
        return {
            name: self.client_capabilities[name]
            for name in FORWARDED_CAPABILITIES
            if isinstance(self.client_capabilities.get(name), dict)
        }

    async def ask_client(self, request: Request) -> Params:
        """Pass a backend's request on to the client and return its answer.

        Raises:
          RpcError: the client lacks the capability (at once), or answered with an error.
        """
        _check_capability(self.client_capabilities, request.method, request.params)
        on_progress = None if request.progress_token is None else request.send_progress
        return await self.peer.request(request.method, request.params, on_progress=on_progress)

    def log_message(self, server: str, params: Params) -> None:
        """Pass a backend's log message on, at the level that the client wants."""
        level = params.get("level")
        if level not in LOG_LEVELS or not self.protocol_version:
            return
        if self.log_level is not None and LOG_LEVELS.index(level) < LOG_LEVELS.index(
            self.log_level
        ):
            return
        logger = params.get("logger")
        named = f"{server}/{logger}" if isinstance(logger, str) and logger else server
        self.peer.notify("notifications/message", {**params, "logger": named})

    def tell(self, method: str, params: Params | None = None) -> bool:
        """Send a notification once the client is ready for one; False where it was dropped."""
        return self.initialized.is_set() and self.peer.notify(method, params)


def _elicitation_modes(capabilities: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the modes of elicitation that a client declared; naming none means the form."""
    declared = capabilities.get("elicitation")
    return (declared or {"form": {}}) if isinstance(declared, dict) else {}


def _check_capability(capabilities: Mapping[str, Any], method: str, params: Params) -> None:
    """Refuse what the client did not declare (MCP 2025-11-25, client features)."""
    needed = {
        "sampling/createMessage": "sampling",
        "elicitation/create": "elicitation",
        "roots/list": "roots",
    }.get(method)
    if needed is None:
        raise RpcError(METHOD_NOT_FOUND, f"Method not found: {method}")
    declared = capabilities.get(needed)
    if not isinstance(declared, dict):
        raise RpcError(METHOD_NOT_FOUND, f"the client does not support {needed}")
    if needed == "elicitation":
        mode = params.get("mode", "form")
        if mode not in _elicitation_modes(capabilities):
            raise RpcError(INVALID_PARAMS, f"the client does not support elicitation by {mode}")
    if method == "sampling/createMessage" and "tools" in params and "tools" not in declared:
        raise RpcError(INVALID_PARAMS, "the client does not support sampling with tools")
