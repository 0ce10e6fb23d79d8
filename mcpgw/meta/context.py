"""Context of meta-tools: the parts of the gateway they use, and one call's session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
import trio

from mcpgw.backends.pool import BackendPool
from mcpgw.backends.server import BackendServer
from mcpgw.catalog.index import ToolIndex
from mcpgw.config.governance import RoutingProfileConfig
from mcpgw.config.schema import GatewayConfig
from mcpgw.config.settings import Settings
from mcpgw.pipeline.pipeline import Pipeline
from mcpgw.pipeline.session_state import SessionState
from mcpgw.playbooks.library import PlaybookLibrary
from mcpgw.protocol.errors import INVALID_PARAMS, RpcError
from mcpgw.protocol.peer import Params, Request
from mcpgw.usage.model import ToolKey
from mcpgw.usage.recorder import Usage

if TYPE_CHECKING:
    from mcpgw.capabilities.service import CapabilityService
    from mcpgw.skills.library import SkillLibrary
    from mcpgw.trust.vetting import Vetting
    from mcpgw.webhooks.service import WebhookService

CAPABILITY_NAMES: Final = ("capabilities", "gateway")
"""Server names that always stand for the capabilities."""
LEARNING_PATIENCE: Final = 5.0
"""Seconds that a search or listing waits at most for servers that were never started."""

Reload = Callable[[], Awaitable[Params]]
"""Loads gateway.yaml again and applies it. Returns `status`, `changes`, `restart_required` and
`restart_reason`; raises RpcError if the file cannot be used."""


class MetaTools(Protocol):
    """The registry of the meta-tools, which call one another by name."""

    def __contains__(self, name: object) -> bool:
        """Tell whether a tool of this name is one of the gateway's own."""

    def properties(self, name: str) -> Mapping[str, Any] | None:
        """Return the arguments of one of the gateway's own tools; None if there is none."""

    def definitions(self, context: GatewayContext, session: SessionState) -> list[dict[str, Any]]:
        """Return the answer of `tools/list`."""

    async def call(self, tool_request: ToolRequest, name: str) -> Params:
        """Call a meta-tool, or a tool that is listed beside them."""


class SessionStates(Protocol):
    """The states of the live sessions."""

    def states(self) -> tuple[SessionState, ...]:
        """Return the states of all sessions."""

    def find_state(self, state_id: str) -> SessionState | None:
        """Return the state of this id; None if no live session has it."""


@attrs.define(eq=False)
class GatewayContext:
    """The parts of the gateway that meta-tools use."""

    pool: BackendPool
    index: ToolIndex
    pipeline: Pipeline
    usage: Usage
    reload: Reload
    notify_tools_changed: Callable[[SessionState], None]
    """Notifies the client of a session that its `tools/list` has changed."""
    meta_tools: MetaTools
    sessions: SessionStates
    playbooks: PlaybookLibrary = attrs.field(factory=PlaybookLibrary)
    settings: Settings = attrs.field(factory=Settings)
    has_states: bool = False
    """True if a server or tool is visible only in some workflow states."""
    capability_service: CapabilityService | None = None
    """The capabilities; None if the gateway has none."""
    skills: SkillLibrary | None = None
    """The skills; None until they are loaded, or if the gateway loads none."""
    skills_loaded: trio.Event | None = None
    """Set once the skills are loaded; None if the gateway loads none."""
    webhook_service: WebhookService | None = None
    """The webhook endpoints."""
    vetting: Vetting | None = None
    """Decisions on which definitions clients may see."""
    config_loaded: bool = False
    config_problem: str = ""
    """Why the current gateway.yaml could not be loaded; empty if it was."""

    @property
    def config(self) -> GatewayConfig:
        """The configuration in use."""
        return self.settings.config

    def profile_of(self, session: SessionState) -> tuple[str, RoutingProfileConfig]:
        """Return the name of a session's routing profile, and the profile."""
        return self.config.routing_profile(session.profile)

    def backends(self, session: SessionState) -> Iterator[BackendServer]:
        """Iterate over the servers that a session's profile allows."""
        profile = self.profile_of(session)[1]
        for backend in self.pool:
            if profile.allows_server(backend.name):
                yield backend

    def tools(self, session: SessionState) -> Iterator[tuple[BackendServer, str, dict[str, Any]]]:
        """Iterate over the tools visible to a session, by its profile and workflow state."""
        profile = self.profile_of(session)[1]
        for backend in self.backends(session):
            for name, tool in backend.tools.items():
                if profile.allows(backend.name, name) and backend.config.visible(
                    name, session.state
                ):
                    yield backend, name, tool

    def shows(self, session: SessionState, server: str, tool: str) -> bool:
        """Tell whether a tool is visible to a session."""
        backend = self.pool.get(server)
        return (
            backend is not None
            and self.profile_of(session)[1].allows(server, tool)
            and backend.config.visible(tool, session.state)
        )

    def server_named(self, name: str) -> str:
        """Resolve a server name: `capabilities` and `gateway` stand for the server of the
        capabilities, unless another server has the name."""
        if (
            name in CAPABILITY_NAMES
            and self.capability_service is not None
            and self.capability_service.name
        ):
            return name if self.pool.get(name) is not None else self.capability_service.name
        return name

    def find(self, key: ToolKey) -> dict[str, Any] | None:
        """Return the definition of a tool; None if it is unknown."""
        backend = self.pool.get(key[0])
        return None if backend is None else backend.tools.get(key[1])

    def count_tools(self, session: SessionState | None = None) -> int:
        """Return the number of known tools, of all servers or visible to a session."""
        if session is not None and (self.config.routing_profiles or session.state != "default"):
            return sum(1 for _ in self.tools(session))
        return sum(len(backend.tools) for backend in self.pool)

    def roots_changed(self, session: SessionState, server: str | None = None) -> None:
        """Notify the instances that a session uses that the client's roots have changed.

        Args:
          session: the session of the client.
          server: the one server that the session shows; None for all.
        """
        for backend in self.pool:
            for instance in backend if server in (None, backend.name) else ():
                if instance.connection is not None and instance.session in (
                    "",
                    session.instance_id,
                ):
                    instance.connection.roots_changed()

    def log_level_changed(self) -> None:
        """Have all backends notified of the log level that clients want."""
        for backend in self.pool:
            backend.update_log_level()

    async def learn(self) -> tuple[str, ...]:
        """Start servers whose lists are unknown; return the names of those still starting.

        Raises:
          RpcError: gateway.yaml could not be loaded at the start.
        """
        if self.config_problem and not self.config_loaded:
            raise RpcError(INVALID_PARAMS, self.config_problem)
        return await self.pool.learn(patience=LEARNING_PATIENCE)


@attrs.define(eq=False)
class ToolRequest:
    """One call of a meta-tool.

    Args:
      context: the parts of the gateway that it uses.
      session: the session of the caller.
      arguments: as the client sent them.
      request: the client's request, for progress and cancellation; None if there is none.
    """

    context: GatewayContext
    session: SessionState
    arguments: Params
    request: Request | None = None

    def with_arguments(self, arguments: Mapping[str, Any]) -> ToolRequest:
        """Return the same call with other arguments."""
        return ToolRequest(self.context, self.session, dict(arguments), self.request)
