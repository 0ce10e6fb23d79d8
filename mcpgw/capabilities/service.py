"""The capabilities as a part of the gateway: their folders, their server, what they are trusted
with."""

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
"""Seconds that a call may take at most; each provider has a time-out of its own."""
WITHOUT_KEY: Final = 0.2
SHIPPED: Final = 0.7
DESCRIPTION: Final = "REST, GraphQL and other APIs as tools, each described by a YAML file."

CallTool = Callable[[str, str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


@attrs.define(eq=False)
class CapabilityService:
    """Keeps the capabilities of a configuration.

    Args:
      folder: the state folder.
      environ: the environment with the files of `env_files` over it, as it is now.
      network: what requests are sent by, as it is now.
      call_tool: calls a tool of a server, through the pipeline.
      changed: told when other capabilities are there than before.
    """

    folder: Path
    environ: Callable[[], Mapping[str, str]]
    network: Callable[[], Network]
    call_tool: CallTool
    changed: Callable[[], Awaitable[None]]
    config: GatewayConfig = attrs.field(factory=GatewayConfig)
    name: str = attrs.field(init=False, default="")
    """The name of the server that they are the tools of; "" where there is none."""
    _here: Path = Path()
    _naming: Naming = attrs.field(factory=lambda: Naming(()))
    _server: CapabilityServer | None = None
    _executor: Executor | None = None

    @property
    def library(self) -> Library | None:
        """The capabilities, once their server was started."""
        return self._server.library if self._server is not None else None

    def readiness(self, tool: str) -> float:
        """Return how much speaks for offering a capability, from 0 to 1, where it fits as well as
        other tools: what a person configured comes before what came along, and what can be
        called before what lacks its key."""
        library = self.library
        own = self._naming.original(tool)
        entry = library.get(own) if library is not None and own is not None else None
        if library is None or entry is None:
            return 1.0
        if entry.lacks_key(self.environ()):
            return WITHOUT_KEY
        return SHIPPED if library.ships(entry) else 1.0

    def came_along(self, server: str, tool: str) -> bool:
        """Tell whether a tool is a built-in capability, which nobody would have without us."""
        library, own = self.library, self._naming.original(tool)
        if server != self.name or library is None or own is None:
            return False
        entry = library.get(own)
        return entry is not None and library.ships(entry)

    def why_not(self, server: str, tool: str) -> str:
        """Return why a capability is not there, "" where it is, or nothing is known of it."""
        library = self.library
        own = self._naming.original(tool)
        if server != self.name or library is None or own is None or library.get(own) is not None:
            return ""
        return library.why_not(own) or ""

    @property
    def credentials(self) -> Credentials:
        """Where secrets come from."""
        return self._executing().credentials

    def configure(self, snapshot: Snapshot) -> None:
        """Apply a new configuration."""
        config = snapshot.config
        self.config, self._here = config, snapshot.folder
        settings = config.capabilities
        same = config.backends.get(settings.name)
        taken = same is not None and same.enabled
        self.name = settings.name if settings.enabled and not taken else ""
        self._naming = Naming(settings.transform)
        if settings.enabled and not self.name:
            hint = "set capabilities.name to another one, or rename the backend"
            log.warning("capabilities.name_taken", name=settings.name, hint=hint)
        self._arrange()

    def with_server(self, config: GatewayConfig) -> GatewayConfig:
        """Return a configuration with the server of the capabilities among its backends."""
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
        """Return what the files say of single tools that the gateway is to keep to."""
        library = self.library
        said = {
            entry.name: ToolConfig(
                cost_per_call=entry.facts.get("cost") or None,
                visible_in_states=tuple(entry.facts.get("states") or ()),
            )
            for entry in (library.entries() if library is not None else ())
            if entry.facts.get("cost") or entry.facts.get("states")
        }
        offered = self._naming.offer({"name": name} for name in said)
        return MappingProxyType(
            {name: said[self._naming.original(name) or name] for name in offered}
        )

    # -- the server ---------------------------------------------------------------------------

    async def serve(
        self, channel: Channel, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve the capabilities over a channel until it ends."""
        server = self._created()
        try:
            await server.serve(channel, task_status=task_status)
        finally:
            with trio.CancelScope(shield=True):
                if self._executor is not None:
                    await self._executor.sender.aclose()

    def _created(self) -> CapabilityServer:
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
            self._server = CapabilityServer(library, self._executing, self._loaded_first)
            self._arrange()
        return self._server

    def _executing(self) -> Executor:
        if self._executor is None:
            from mcpgw.capabilities.executor import Executor
            from mcpgw.capabilities.http_sender import Sender
            from mcpgw.capabilities.oauth_credentials import credentials

            sender = Sender(self.network())
            self._executor = Executor(
                sender, credentials(self.environ, self.folder, sender), self.call_tool
            )
            self._arrange()
        return self._executor

    def _arrange(self) -> None:
        """Give server and executor, as far as there are any, what the configuration says."""
        settings = self.config.capabilities
        if self._server is not None:
            from mcpgw.capabilities.builtin import folders_of

            named, shipped = folders_of(settings, self._here)
            library = self._server.library
            library.use(named, fixed=shipped)
            library.poisoning = self.config.security.tool_poisoning
        if self._executor is not None:
            self._executor.inside = settings.allow_private
            self._executor.commands_allowed = commands_rule(settings.allow_commands, self._here)
            self._executor.sender.network = self.network()

    # -- changes ------------------------------------------------------------------------------

    async def reload(self) -> Changes:
        """Look at the folders now."""
        changes = await self._created().refresh()
        if changes:
            await self.changed()
        return changes

    async def _loaded_first(self) -> None:
        await self.changed()

    async def check(self) -> None:
        """Reload if files have changed, once the server was started."""
        if self._server is not None and self.name:
            await self.reload()


def commands_rule(allowed: tuple[str, ...], here: Path) -> Callable[[Path | None, str], str]:
    """Return what says whether a file may run commands: "" or why not, by its path and pin.

    Args:
      allowed: folders, files, and pins as `sha256:...`.
      here: what relative paths are below.
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
            "this capability runs a command, which is off. To allow it, add"
            f" {shown}, or 'sha256:PIN' of the pinned file, to capabilities.allow_commands in"
            " gateway.yaml."
        )

    return rule


def executor_of(
    config: GatewayConfig, sender: Sender, environ: Mapping[str, str], here: Path, folder: Path
) -> Executor:
    """Return an executor without a gateway around it, for commands.

    Args:
      config: what is allowed.
      sender: sends requests; its opener closes it.
      environ: where variables come from.
      here: what relative paths of the configuration are below.
      folder: the state folder.
    """
    from mcpgw.capabilities.executor import Executor
    from mcpgw.capabilities.oauth_credentials import credentials

    settings = config.capabilities
    return Executor(
        sender,
        credentials(lambda: environ, folder, sender),
        inside=settings.allow_private,
        commands_allowed=commands_rule(settings.allow_commands, here),
    )
