"""The gateway object: joins configuration, backends, search index, pipeline and sessions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio

from mcpgw.backends.manifest import ManifestStore
from mcpgw.backends.pool import BackendPool
from mcpgw.backends.server import BackendServer
from mcpgw.backends.services import BackendServices, Instance
from mcpgw.capabilities.service import CapabilityService
from mcpgw.catalog.index import ToolIndex
from mcpgw.config.chain import read_chain
from mcpgw.config.environment import CHAIN
from mcpgw.config.schema import GatewayConfig
from mcpgw.config.settings import Settings, Snapshot
from mcpgw.front import methods
from mcpgw.front.input_required import ParkedCalls
from mcpgw.front.resource_subscriptions import ResourceSubscriptions
from mcpgw.front.services import Methods, SessionServices
from mcpgw.front.session import END_GRACE, Session
from mcpgw.front.session_registry import LIST_CHANGED, SessionRegistry
from mcpgw.front.tasks import Tasks
from mcpgw.gateway import housekeeping
from mcpgw.gateway.backend_services import GatewayProcessServices
from mcpgw.gateway.client_requests import GatewayClientRequests
from mcpgw.gateway.housekeeping import supervised
from mcpgw.gateway.reload import ConfigReloader
from mcpgw.meta.context import GatewayContext
from mcpgw.meta.invoke import call_for_capability
from mcpgw.meta.registry import MetaToolRegistry
from mcpgw.observe.log import OwnWords, get_logger
from mcpgw.pipeline.pipeline import Pipeline
from mcpgw.pipeline.session_state import SessionState
from mcpgw.state.file_watcher import FileWatcher
from mcpgw.state.folder import state_folder
from mcpgw.state.permissions import UnsafeFolder, secure_folder
from mcpgw.trust.approvals import ApprovalStore
from mcpgw.trust.vetting import Vetting
from mcpgw.usage.recorder import Usage
from mcpgw.webhooks.service import WebhookService

log = get_logger("mcpgw.gateway")

LIST_SECTIONS: Final = (
    "meta_mcp",
    "code_mode",
    "spec_preview",
    "webhooks",
    "capabilities",
    "routing_profiles",
    "default_routing_profile",
)
"""Sections of gateway.yaml that `tools/list` depends on."""


@attrs.define(eq=False)
class Gateway:
    """Everything behind the fronts. `run` is its task.

    Requests that arrive before the configuration is loaded wait for it.

    Args:
      config_path: the file to load; None to look in the usual places.
      process_environ: the environment of the process; never changed.
      must_exist: whether a missing `config_path` is an error; else a warning is logged, and the
        file is loaded as soon as it appears.
      given: a configuration instead of a file.
      many_clients: whether clients come and go, as they do by HTTP.
      sessions: the sessions that exist from the start.
    """

    config_path: Path | None
    process_environ: Mapping[str, str]
    must_exist: bool = True
    given: GatewayConfig | None = None
    many_clients: bool = False
    sessions: Iterable[Session] = ()
    settings: Settings = attrs.field(factory=Settings)
    loaded: trio.Event = attrs.field(factory=trio.Event)
    session_registry: SessionRegistry = attrs.field(factory=SessionRegistry)
    parked_calls: ParkedCalls = attrs.field(factory=ParkedCalls)
    resource_subscriptions: ResourceSubscriptions = attrs.field(factory=ResourceSubscriptions)
    tasks: Tasks = attrs.field(factory=Tasks)
    files: FileWatcher = attrs.field(factory=FileWatcher)
    context: GatewayContext = attrs.field(init=False)
    processes: GatewayProcessServices = attrs.field(init=False)
    pool: BackendPool = attrs.field(init=False)
    vetting: Vetting = attrs.field(init=False)
    capability_service: CapabilityService = attrs.field(init=False)
    webhook_service: WebhookService = attrs.field(init=False)
    reloader: ConfigReloader = attrs.field(init=False)
    _services: BackendServices = attrs.field(init=False)
    _nursery: trio.Nursery | None = None

    def __attrs_post_init__(self) -> None:
        folder = state_folder(self.process_environ)
        settings, sessions, usage = self.settings, self.session_registry, Usage()
        for session in self.sessions:
            sessions.add(session)
        self.processes = GatewayProcessServices(folder, settings, sessions, self.many_clients)
        self.processes.gateway_chain.above = read_chain(self.process_environ.get(CHAIN, ""))
        self.vetting = Vetting(ApprovalStore.of(folder), self._rescan)
        clients = GatewayClientRequests(
            sessions, self.tasks, self.resource_subscriptions, self.many_clients
        )
        self._services = BackendServices(
            self.processes, clients, self.vetting, self._listed, self.files
        )
        self.pool = BackendPool(self._services)
        self.reloader = ConfigReloader(
            self.config_path,
            self.process_environ,
            settings,
            must_exist=self.must_exist,
            broken=self._broken,
            reloaded=self._warm_start,
        )
        self.context = GatewayContext(
            self.pool,
            ToolIndex(),
            Pipeline(self.pool, usage),
            usage,
            self.reloader.reload_for_client,
            self._notify_tools_changed,
            MetaToolRegistry(),
            sessions=sessions,
            settings=settings,
        )
        sessions.tools_of = partial(self.context.meta_tools.definitions, self.context)
        self.capability_service = self.context.capability_service = CapabilityService(
            folder,
            lambda: settings.environ,
            lambda: self.processes.network,
            partial(call_for_capability, self.context),
            self._capabilities_changed,
        )
        self.webhook_service = self.context.webhook_service = WebhookService(
            folder, self._initialized_sessions, lambda: bool(self.capability_service.name)
        )
        self.context.vetting = self.vetting
        self.vetting.missing = self.capability_service.unavailable_reason
        self.processes.builtin = self.capability_service.serve
        for part in (
            self.processes.configure,
            self.vetting.configure,
            self.capability_service.configure,
            self.webhook_service.configure,
            self._configure,
        ):
            settings.subscribe(part)

    def __repr__(self) -> str:
        state = "LOADED" if self.loaded.is_set() else "NEW"
        return f"<Gateway {state} {self.pool!r} sessions={len(self.session_registry)}>"

    @property
    def config(self) -> GatewayConfig:
        """The configuration in use."""
        return self.settings.config

    @property
    def problem(self) -> str:
        """Why the configuration could not be loaded at the start; empty if it was."""
        return self.reloader.problem

    @property
    def folder(self) -> Path:
        """The state folder."""
        return self.processes.folder

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Load the configuration and keep the gateway running until cancelled."""
        self._services.manifests = ManifestStore(self.folder / "manifests")
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = self.processes.nursery = nursery
                await nursery.start(self.pool.run)
                await nursery.start(self.parked_calls.run)
                await nursery.start(self.resource_subscriptions.run, self.pool)
                await nursery.start(self.files.run)
                # The session may have ended meanwhile; then the configuration is not needed.
                await trio.lowlevel.checkpoint_if_cancelled()
                if not self._secure_folder():
                    self.loaded.set()
                    for session in self.session_registry:
                        self.attach(session)
                    task_status.started()
                    await trio.sleep_forever()
                nursery.start_soon(self.vetting.save_at_end)
                self.reloader.load_first(self.given)
                if self.config.tool_profiles.enabled:
                    self.context.usage.expect_totals()
                self.loaded.set()
                for session in self.session_registry:
                    self.attach(session)
                task_status.started()
                self._register_watches()
                nursery.start_soon(supervised, "guardian", self.processes.guardian.watch)
                nursery.start_soon(supervised, "webhooks", self.webhook_service.deliver_queued)
                nursery.start_soon(supervised, "notifications", self.session_registry.notify)
                if self.config.tool_profiles.enabled:
                    counters = partial(housekeeping.sync_usage, self.context, self.folder)
                    nursery.start_soon(supervised, "usage", counters)
                if self._attended:
                    nursery.start_soon(self._warm_start_first)
                    nursery.start_soon(housekeeping.prepare, self.pool, self.capability_service)
                    self.context.skills_loaded = trio.Event()
                    skills = partial(
                        housekeeping.watch_skills,
                        self.context,
                        self.session_registry,
                        self.files,
                        self.process_environ,
                    )
                    nursery.start_soon(supervised, "skills", skills)
        finally:
            self.processes.guardian.close()

    def _secure_folder(self) -> bool:
        """Correct the permissions of the state folder; return false if it must not be used."""
        try:
            for done in secure_folder(self.folder):
                log.warning("state.permissions_corrected", done=done)
        except UnsafeFolder as error:
            self.reloader.refuse(str(error))
            return False
        return True

    @property
    def _attended(self) -> bool:
        """True if there are clients, or may be."""
        return len(self.session_registry) > 0 or self.many_clients

    def _register_watches(self) -> None:
        self.files.poll("gateway.yaml", self.reloader.check)
        self.files.poll("capabilities", self.capability_service.check)
        self.files.poll("playbooks", self._check_playbooks)
        self.files.poll("approvals", self.vetting.check)

    # -- configuration ---------------------------------------------------------------------

    def _configure(self, snapshot: Snapshot) -> None:
        """Apply a new configuration to backends, index and sessions."""
        config = snapshot.config
        if not self.loaded.is_set():
            # Stays the same for the life of the process.
            self.processes.message_limit = config.server.max_body_size
        self._services.list_ttl = config.meta_mcp.cache_ttl
        before = {server.name: (server, server.config) for server in self.pool}
        self._apply_backends()
        self._use_playbooks(snapshot)
        self._use_synonyms(snapshot)
        for name in before.keys() - set(self.pool.names):
            self.context.index.remove(name)
        after = {server.name: (server, server.config) for server in self.pool}
        for name, entry in after.items():
            if before.get(name) != entry:
                self._index(entry[0])
        if self.loaded.is_set():
            if before != after:
                self.session_registry.queue_change(frozenset(LIST_CHANGED))
            elif self.reloader.differs(LIST_SECTIONS):
                self.session_registry.queue_change(frozenset({"tools"}))
        for session in self.session_registry:
            self.attach(session)
        self.context.config_problem = ""
        self.context.config_loaded = True

    def _apply_backends(self) -> None:
        """Apply the configured servers and the built-in one."""
        config = self.capability_service.with_server(self.config)
        self.pool.apply(config)
        self.context.pipeline.configure(config)
        self.context.has_states = any(
            each.visible_in_states or any(tool.visible_in_states for tool in each.tools.values())
            for each in config.backends.values()
        )

    def _broken(self, problem: str, *, first: bool) -> None:
        """Report why gateway.yaml is not used: in the answers of meta-tools, and in logs."""
        self.context.config_problem = problem
        if first and not self._attended:
            return
        log.error("config.rejected", reason=OwnWords(problem))
        if not first:
            message = {"level": "error", "data": problem}
            for session in self.session_registry:
                session.log(None, "mcp-gateway", message)

    async def _capabilities_changed(self) -> None:
        """Apply the tool settings and webhooks of changed capability files."""
        self._apply_backends()
        if self.config.webhooks.enabled and self.capability_service.library is not None:
            await self.webhook_service.open_endpoints(
                self.capability_service.library, self.capability_service.credentials
            )

    def _use_playbooks(self, snapshot: Snapshot) -> None:
        settings = snapshot.config.playbooks
        names = settings.directories if settings.enabled else ()
        self.context.playbooks.use(
            tuple(snapshot.folder / Path(name).expanduser() for name in names),
            builtin=settings.enabled,
        )
        self._refresh_playbooks()

    async def _check_playbooks(self) -> None:
        self._refresh_playbooks()

    def _refresh_playbooks(self) -> None:
        changes = self.context.playbooks.refresh()
        for path, problem in changes.problems.items():
            log.warning("playbook.rejected", path=str(path), reason=problem)
        if changes.added or changes.removed or changes.changed:
            log.info(
                "playbooks.reloaded",
                added=changes.added,
                removed=changes.removed,
                changed=changes.changed,
            )
            # The description of gateway_run_playbook lists them.
            self.session_registry.queue_change(frozenset({"tools"}))

    def _use_synonyms(self, snapshot: Snapshot) -> None:
        """Load the synonym files if the setting has changed; a broken one changes nothing."""
        from mcpgw.catalog.synonyms import SynonymError

        names = snapshot.config.search.synonyms
        files = tuple(snapshot.folder / Path(name).expanduser() for name in names)
        if files == self.context.index.synonym_files:
            return
        try:
            self.context.index.use_synonyms(files)
        except SynonymError as error:
            log.warning("synonyms.rejected", reason=str(error))

    async def _warm_start_first(self) -> None:
        """Start the servers of `meta_mcp.warm_start` when the client's capabilities are known."""
        with trio.move_on_after(2.0):
            for session in self.session_registry:
                await session.initialized.wait()
        self._warm_start()

    def _warm_start(self) -> None:
        for server in self.pool:
            if self.config.meta_mcp.warms(server.name):
                server.shared.want()

    # -- sessions ----------------------------------------------------------------------------

    def begin(self, session: Session, state: SessionState | None = None) -> None:
        """Register a session; it is attached now, or as soon as the configuration is loaded."""
        self.session_registry.add(session, state)
        if self.config.webhooks.enabled:
            deliver = partial(self.webhook_service.deliver_to, session, session.initialized)
            session.accompany(partial(supervised, "queued webhooks", deliver))
        if self.loaded.is_set():
            self.attach(session)

    def end(self, session: Session) -> None:
        """Forget a session that has ended, and end the instances that served it alone."""
        self.resource_subscriptions.remove(session)
        state = self.session_registry.remove(session)
        if state is not None:
            self.pool.end_session(state.id)

    def attach(self, session: Session) -> None:
        """Connect a session to the gateway's services. The configuration must be loaded."""
        grace = min(END_GRACE, self.config.server.shutdown_timeout)
        session.set_limits(self.processes.message_limit, grace)
        session.attach(
            SessionServices(
                self.context,
                self.session_registry.state_of(session),
                _methods_of(session),
                self.parked_calls,
                self.resource_subscriptions,
                self.tasks,
            )
        )

    def _initialized_sessions(self) -> list[Session]:
        """Return the sessions that see the whole gateway and are ready for notifications."""
        return [
            session
            for session in self.session_registry
            if session.target is None and session.initialized.is_set()
        ]

    def _notify_tools_changed(self, state: SessionState) -> None:
        for session in self.session_registry.of_state(state.id):
            session.notify_change(LIST_CHANGED["tools"])

    # -- definitions ---------------------------------------------------------------------------

    def _rescan(self) -> None:
        """Have all servers vetted again."""
        for server in self.pool:
            server.rescan()

    def _listed(self, instance: Instance, changed: frozenset[str]) -> None:
        """Update the index and notify the clients after an instance has read its lists."""
        if not changed:
            return
        server = self.pool.get(instance.name)
        if server is not None and server.shared is instance:
            if "tools" in changed:
                self._index(server)
            self.session_registry.queue_change(changed, instance.name)
        elif instance.session:
            for session in self.session_registry.clients_of(instance):
                for kind in changed & LIST_CHANGED.keys():
                    session.notify_change(LIST_CHANGED[kind])

    def _index(self, server: BackendServer) -> None:
        tools = tuple(server.tools.values())
        self.context.index.replace(server.name, tools, description=server.config.description)


def _methods_of(session: Session) -> Methods:
    """Return the methods that a session's profile serves."""
    if session.target is None:
        return methods.METHODS
    from mcpgw.front.passthrough import PassthroughMethods

    return PassthroughMethods()
