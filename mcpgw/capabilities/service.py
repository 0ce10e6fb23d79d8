"""Capability service of the gateway: loads capability files and serves them as a backend."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from mcpgw.config.schema import BuiltinConfig, GatewayConfig, ToolConfig
from mcpgw.config.settings import Snapshot
from mcpgw.observe.log import get_logger
from mcpgw.protocol.channel import Channel
from mcpgw.shaping.names import Naming

if TYPE_CHECKING:
    from mcpgw.capabilities.credentials import Credentials
    from mcpgw.capabilities.executor import Executor
    from mcpgw.capabilities.http_sender import Sender
    from mcpgw.capabilities.library import Changes, Library
    from mcpgw.capabilities.mcp_server import CapabilityServer
    from mcpgw.transports.network import Network

log = get_logger("mcpgw.capabilities")

LONGEST_CALL: Final = 600.0
"""The longest call, in seconds; each provider has its own timeout."""
WITHOUT_KEY: Final = 0.2
"""Readiness of a capability whose credential is not set."""
SHIPPED: Final = 0.7
"""Readiness of a capability that is shipped with the package."""
DESCRIPTION: Final = "REST, GraphQL and other APIs as tools, each described by a YAML file."

CallTool = Callable[[str, str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Calls a tool of a server; takes server, tool and arguments."""


@attrs.define(eq=False)
class CapabilityService:
    """Service that keeps the configured capabilities loaded, watched, served and executable.

    Args:
      folder: the state folder.
      environ: returns the current environment, overlaid with the files of `env_files`.
      network: returns the current settings for TLS and proxies.
      call_tool: calls a tool of a server through the pipeline.
      changed: called when capabilities were added, removed or changed.
      config: the configuration; replaced by `configure`.
    """

    folder: Path
    environ: Callable[[], Mapping[str, str]]
    network: Callable[[], Network]
    call_tool: CallTool
    changed: Callable[[], Awaitable[None]]
    config: GatewayConfig = attrs.field(factory=GatewayConfig)
    name: str = attrs.field(init=False, default="")
    """Name of the server of the capabilities; "" if it is disabled."""
    _here: Path = Path()
    _naming: Naming = attrs.field(factory=lambda: Naming(()))
    _server: CapabilityServer | None = None
    _executor: Executor | None = None

    @property
    def library(self) -> Library | None:
        """The library of capabilities, None until their server is started."""
        return self._server.library if self._server is not None else None

    def readiness(self, tool: str) -> float:
        """Return the weight of a capability among equally good search results, from 0 to 1.

        Configured capabilities come before those shipped with the package, and both before those
        whose credential is not set.
        """
        library = self.library
        own = self._naming.original(tool)
        entry = library.get(own) if library is not None and own is not None else None
        if library is None or entry is None:
            return 1.0
        if entry.lacks_key(self.environ()):
            return WITHOUT_KEY
        return SHIPPED if library.ships(entry) else 1.0

    def is_shipped(self, server: str, tool: str) -> bool:
        """Return whether a tool is a capability that is shipped with the package."""
        library, own = self.library, self._naming.original(tool)
        if server != self.name or library is None or own is None:
            return False
        entry = library.get(own)
        return entry is not None and library.ships(entry)

    def unavailable_reason(self, server: str, tool: str) -> str:
        """Return why a capability cannot be used, "" if it can or is unknown."""
        library = self.library
        own = self._naming.original(tool)
        if server != self.name or library is None or own is None or library.get(own) is not None:
            return ""
        return library.unavailable_reason(own) or ""

    @property
    def credentials(self) -> Credentials:
        """The lookup of secrets."""
        return self._get_executor().credentials

    def configure(self, snapshot: Snapshot) -> None:
        """Apply a new configuration, whose relative paths are below its folder."""
        config = snapshot.config
        self.config, self._here = config, snapshot.folder
        settings = config.capabilities
        same = config.backends.get(settings.name)
        taken = same is not None and same.enabled
        self.name = settings.name if settings.enabled and not taken else ""
        self._naming = Naming(settings.transform)
        if settings.enabled and not self.name:
            hint = "set capabilities.name to another name, or rename the backend"
            log.warning("capabilities.disabled", name=settings.name, hint=hint)
        self._apply()

    def with_server(self, config: GatewayConfig) -> GatewayConfig:
        """Return a configuration to whose backends the server of the capabilities is added."""
        if not self.name:
            return config
        server = BuiltinConfig(
            self.name,
            description=DESCRIPTION,
            timeout=LONGEST_CALL,
            transform=self.config.capabilities.transform,
            tools=self._tools(),
        )
        return attrs.evolve(
            config, backends=MappingProxyType({**config.backends, self.name: server})
        )

    def _tools(self) -> Mapping[str, ToolConfig]:
        """Return the costs and workflow states of single tools, which the gateway enforces."""
        library = self.library
        configs = {
            entry.name: ToolConfig(
                cost_per_call=entry.facts.get("cost") or None,
                visible_in_states=tuple(entry.facts.get("states") or ()),
            )
            for entry in (library.entries() if library is not None else ())
            if entry.facts.get("cost") or entry.facts.get("states")
        }
        offered = self._naming.offer({"name": name} for name in configs)
        return MappingProxyType(
            {name: configs[self._naming.original(name) or name] for name in offered}
        )

    # -- the server ---------------------------------------------------------------------------

    async def serve(
        self, channel: Channel, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve the capabilities over a channel until it closes."""
        server = self._get_server()
        try:
            await server.serve(channel, task_status=task_status)
        finally:
            with trio.CancelScope(shield=True):
                if self._executor is not None:
                    await self._executor.sender.aclose()

    def _get_server(self) -> CapabilityServer:
        if self._server is None:
            from mcpgw.capabilities.library import Library
            from mcpgw.capabilities.mcp_server import CapabilityServer
            from mcpgw.capabilities.scanning import SCAN_VERSION, scan_capability
            from mcpgw.trust.approvals import ApprovalStore

            library = Library(
                self.folder / "capabilities.cache.json",
                ApprovalStore.of(self.folder),
                scan_capability,
                SCAN_VERSION,
            )
            self._server = CapabilityServer(library, self._get_executor, self.changed)
            self._apply()
        return self._server

    def _get_executor(self) -> Executor:
        if self._executor is None:
            from mcpgw.capabilities.executor import Executor
            from mcpgw.capabilities.http_sender import Sender
            from mcpgw.capabilities.oauth_credentials import credentials

            sender = Sender(self.network())
            self._executor = Executor(
                sender, credentials(self.environ, self.folder, sender), self.call_tool
            )
            self._apply()
        return self._executor

    def _apply(self) -> None:
        """Apply the configuration to the server and the executor, if they have been created."""
        settings = self.config.capabilities
        if self._server is not None:
            from mcpgw.capabilities.builtin import folders_of

            named, shipped = folders_of(settings, self._here)
            library = self._server.library
            library.use(named, fixed=shipped)
            library.poisoning = self.config.security.tool_poisoning
        if self._executor is not None:
            self._executor.inside = settings.allow_private
            self._executor.credentials.clients = settings.logins
            self._executor.commands_allowed = commands_rule(settings.allow_commands, self._here)
            self._executor.sender.network = self.network()

    # -- changes ------------------------------------------------------------------------------

    async def reload(self) -> Changes:
        """Scan the folders now and return what has changed."""
        changes = await self._get_server().refresh()
        if changes:
            await self.changed()
        return changes

    async def check(self) -> None:
        """Scan the folders for changes once the server is started."""
        if self._server is not None and self.name:
            await self.reload()


def commands_rule(allowed: tuple[str, ...], here: Path) -> Callable[[Path | None, str], str]:
    """Return the rule by which files may run commands.

    The rule takes the path of a file and its pin, and returns why the file must not run commands,
    "" if it may.

    Args:
      allowed: folders, files, and pins as `sha256:...`.
      here: the folder that relative paths are resolved against.
    """
    paths = [
        (here / Path(each).expanduser()).resolve()
        for each in allowed
        if not each.startswith("sha256:")
    ]

    def rule(path: Path | None, pin: str) -> str:
        if pin and f"sha256:{pin}" in allowed:
            return ""
        file = path.resolve() if path is not None else None
        if file is not None and any(file == each or each in file.parents for each in paths):
            return ""
        shown = f"'{file.parent}'" if file is not None else "its folder"
        return (
            "this capability runs a command, which is not allowed. To allow it, add"
            f" {shown}, or 'sha256:PIN' of the pinned file, to capabilities.allow_commands in"
            " gateway.yaml."
        )

    return rule


def executor_of(
    config: GatewayConfig, sender: Sender, environ: Mapping[str, str], here: Path, folder: Path
) -> Executor:
    """Return an executor for use outside a gateway, such as by `mcp-gateway cap test`.

    Args:
      config: the configuration.
      sender: sends HTTP requests; the caller must close it.
      environ: the environment.
      here: the folder that relative paths of the configuration are resolved against.
      folder: the state folder.
    """
    from mcpgw.capabilities.executor import Executor
    from mcpgw.capabilities.oauth_credentials import credentials

    settings = config.capabilities
    found = credentials(lambda: environ, folder, sender)
    found.clients = settings.logins
    return Executor(
        sender,
        found,
        inside=settings.allow_private,
        commands_allowed=commands_rule(settings.allow_commands, here),
    )
