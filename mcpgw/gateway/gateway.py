"""The core behind the fronts: configuration, backends, index and pipeline as one task."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio

from mcpgw.backends.manifest import ManifestStore
from mcpgw.backends.pool import BackendPool
from mcpgw.backends.server import Backend
from mcpgw.capabilities.service import CapabilityService
from mcpgw.catalog.index import ToolIndex
from mcpgw.config.schema import BackendConfig, GatewayConfig
from mcpgw.front import methods
from mcpgw.front.input_required import ParkedCalls
from mcpgw.front.resource_subscriptions import ResourceSubscriptions
from mcpgw.front.session import END_GRACE, Methods, Session, SessionServices
from mcpgw.front.session_registry import ANNOUNCED, SessionRegistry
from mcpgw.front.tasks import Tasks
from mcpgw.gateway.backend_services import BackendServices
from mcpgw.meta.context import GatewayContext
from mcpgw.meta.invoke import call_for_capability
from mcpgw.observe.log import get_logger
from mcpgw.observe.log import prepare as prepare_log
from mcpgw.pipeline.pipeline import Pipeline
from mcpgw.pipeline.session_state import Sessions, SessionState
from mcpgw.protocol.errors import INTERNAL_ERROR, RpcError
from mcpgw.protocol.peer import Params
from mcpgw.state.folder import state_folder
from mcpgw.trust.approvals import ApprovalStore
from mcpgw.trust.vetting import Vetting
from mcpgw.usage.recorder import Usage
from mcpgw.webhooks.service import WebhookService

log = get_logger("mcpgw.gateway")

POLL: Final = 1.0
"""Seconds between looks at the configuration files."""
QUIET: Final = 0.5
"""Seconds after the loading of the configuration until the rest is imported."""
COLLECT_AFTER: Final = 5_000
"""New objects after which the youngest generation is collected."""
_SHOWN_IN_LIST: Final = (
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
    """The core behind the fronts: configuration, backends, index, pipeline.

    `run` is its task. Requests that come before the configuration is loaded wait for it.

    Args:
      config_path: the file to load; None to look in the usual places.
      process_environ: the environment of the process; never changed.
      must_exist: whether a missing `config_path` is an error; else it is a warning, and the
        file is loaded as soon as it appears.
    """

    config_path: Path | None
    process_environ: Mapping[str, str]
    must_exist: bool = True
    given: GatewayConfig | None = None
    """A configuration in place of a file."""
    config: GatewayConfig = attrs.field(factory=GatewayConfig)
    problem: str = ""
    """Why the configuration could not be loaded at the start; empty where it was."""
    many_clients: bool = False
    """Whether clients come and go, as they do by HTTP."""
    sessions: Iterable[Session] = ()
    """Those that are there from the start."""
    session_registry: SessionRegistry = attrs.field(init=False)
    host: BackendServices = attrs.field(init=False)
    parked_calls: ParkedCalls = attrs.field(factory=ParkedCalls)
    tasks: Tasks = attrs.field(factory=Tasks)
    resource_subscriptions: ResourceSubscriptions = attrs.field(init=False)
    capability_service: CapabilityService = attrs.field(init=False)
    vetting: Vetting = attrs.field(init=False)
    webhook_service: WebhookService = attrs.field(init=False)
    loaded: trio.Event = attrs.field(factory=trio.Event)
    pool: BackendPool = attrs.field(init=False)
    index: ToolIndex = attrs.field(init=False)
    context: GatewayContext = attrs.field(init=False)
    _seen: dict[Path, object] = attrs.field(factory=dict)
    """The watched files as they were when they were last looked at."""

    def __attrs_post_init__(self) -> None:
        usage, sessions = Usage(), Sessions()
        self.session_registry = SessionRegistry(sessions)
        for session in self.sessions:
            self.session_registry.join(session)
        self.host = BackendServices(
            state_folder(self.process_environ),
            self.session_registry,
            self.tasks,
            self._listed,
            self.many_clients,
            message_limit=self.config.server.max_body_size,
        )
        self.pool = BackendPool(self.host)
        self.index = ToolIndex()
        self.context = GatewayContext(
            self.pool,
            self.index,
            Pipeline(self.pool, usage),
            usage,
            self._reload_for_client,
            self._tools_changed_for,
            sessions=sessions,
        )
        self.resource_subscriptions = self.host.resource_subscriptions = ResourceSubscriptions(
            self.context
        )
        self.capability_service = self.context.capability_service = CapabilityService(
            self.host.folder,
            lambda: self.host.environ,
            lambda: self.host.network,
            partial(call_for_capability, self.context),
            self._capabilities_changed,
        )
        self.webhook_service = self.context.webhook_service = WebhookService(
            self.host.folder, self._whole_sessions
        )
        self.host.builtin = self.capability_service.serve
        self.host.why_no_capability = self.capability_service.why_not
        self.vetting = self.host.vetting = self.context.vetting = Vetting(
            ApprovalStore.of(self.host.folder), self._vet_again
        )

    def __repr__(self) -> str:
        state = "LOADED" if self.loaded.is_set() else "NEW"
        return f"<Gateway {state} {self.pool!r} sessions={len(self.session_registry)}>"

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Load the configuration and keep the core running until cancelled."""
        folder = self.host.folder
        self.host.manifests = ManifestStore(folder / "manifests")
        try:
            async with trio.open_nursery() as nursery:
                self.host.nursery = nursery
                await nursery.start(self.pool.run)
                await nursery.start(self.parked_calls.run)
                await nursery.start(self.resource_subscriptions.run)
                # The session may have ended meanwhile; then there is nothing to load for.
                await trio.lowlevel.checkpoint_if_cancelled()
                self._first_load()
                self.loaded.set()
                for session in self.session_registry:
                    self.attach(session)
                task_status.started()
                nursery.start_soon(self._watch)
                nursery.start_soon(self.capability_service.watch)
                nursery.start_soon(self.vetting.keep)
                nursery.start_soon(self.webhook_service.keep)
                nursery.start_soon(self.session_registry.announce)
                if self.config.tool_profiles.enabled:
                    nursery.start_soon(self._keep_counts, folder / "state.db")
                if self.session_registry or self.many_clients:
                    nursery.start_soon(self._warm_first)
                    nursery.start_soon(self._in_a_quiet_moment)
                    nursery.start_soon(self._keep_skills)
        finally:
            self.host.guardian.close()

    # -- configuration ---------------------------------------------------------------------

    def _first_load(self) -> None:
        from mcpgw.config.problems import ConfigError

        if self.given is not None:
            self._apply(self.given, self.process_environ, _working_folder())
            return
        try:
            self._load()
        except ConfigError as error:
            # The session goes on, so that the person is told in the client too and a
            # corrected file takes effect; the exit status still tells a script.
            self.problem = f"The configuration could not be loaded:\n{error}"
            self.context.config_problem = self.problem
            if self.session_registry or self.many_clients:
                log.error("config.broken", reason=str(error))

    def _load(self) -> Params:
        """Load the file and apply what changed; where it raises, nothing has changed.

        Raises:
          ConfigError: the file cannot be used.
        """
        from mcpgw.config import changes, loader

        here = _working_folder()
        path = self.config_path or loader.find(self.process_environ, here)
        places = (here / path,) if path else loader.places(self.process_environ, here)
        # Before the reading: a change during it is a change, and a broken file is watched too.
        self._seen = _stamps({**self._seen, **dict.fromkeys(places)})
        if path is not None and not path.exists() and not self.must_exist:
            log.warning("config.missing", path=str(path), hint="the defaults are used")
            path = None
        fresh = loader.load(path, environ=self.process_environ)
        outcome = changes.diff(self.config, fresh.config)
        for warning in fresh.warnings:
            log.warning("config.warning", problem=str(warning))
        watched = fresh.watched or places
        self._seen = {**_stamps(watched), **{p: self._seen[p] for p in watched if p in self._seen}}
        self._apply(fresh.config, fresh.environ, path.parent if path else here)
        restart = [change.name for change in outcome.sections if change.outcome == "restart"]
        return {
            "status": "ok",
            "changes": outcome.describe(),
            "restart_required": outcome.restart_required,
            "restart_reason": f"changed: {', '.join(restart)}" if restart else None,
        }

    def _apply(self, config: GatewayConfig, environ: Mapping[str, str], folder: Path) -> None:
        old, self.config, self.context.config = self.config, config, config
        self.host.take_environ(environ)
        if not self.loaded.is_set():
            # For the life of the process.
            self.host.message_limit = config.server.max_body_size
        self.host.list_ttl = config.meta_mcp.cache_ttl
        if config.security != self.vetting.config:
            self.vetting.config = config.security
            self._vet_again()
        self.capability_service.configure(config, folder)
        self.webhook_service.config = config.webhooks
        before = self._settings()
        self._apply_backends()
        self._take_folders(config, folder)
        for name in before.keys() - set(self.pool.names):
            self.index.remove(name)
        after = self._settings()
        for backend, settings in after.values():
            if before.get(backend.name) != (backend, settings):
                self._index(backend)
        if self.loaded.is_set() and before != after:
            self.session_registry.note(frozenset(ANNOUNCED))
        elif self.loaded.is_set() and any(
            getattr(old, name) != getattr(config, name) for name in _SHOWN_IN_LIST
        ):
            self.session_registry.note(frozenset({"tools"}))
        for session in self.session_registry:
            self.attach(session)
        self.problem = self.context.config_problem = ""
        self.context.config_loaded = True

    def _settings(self) -> dict[str, tuple[Backend, BackendConfig]]:
        return {backend.name: (backend, backend.config) for backend in self.pool}

    def _apply_backends(self) -> None:
        """Make the backends those of the configuration, and of the capabilities as they are."""
        config = self.capability_service.with_server(self.config)
        self.pool.apply(config)
        self.context.pipeline.configure(config)
        self.context.has_states = any(
            each.visible_in_states or any(tool.visible_in_states for tool in each.tools.values())
            for each in config.backends.values()
        )

    async def _capabilities_changed(self) -> None:
        """Take what other capability files say of single tools, and their webhooks."""
        self._apply_backends()
        if self.config.webhooks.enabled and self.capability_service.library is not None:
            await self.webhook_service.take(
                self.capability_service.library, self.capability_service.credentials
            )

    def _whole_sessions(self) -> list[Session]:
        """Return the sessions that see the whole gateway and are ready to be told."""
        return [
            session
            for session in self.session_registry
            if session.server_profile.target is None and session.initialized.is_set()
        ]

    def _take_folders(self, config: GatewayConfig, folder: Path) -> None:
        """Take what other files hold: playbooks and synonyms; paths are below `folder`."""
        names = config.playbooks.directories if config.playbooks.enabled else ()
        self.context.playbooks.use(
            tuple(folder / Path(name).expanduser() for name in names),
            builtin=config.playbooks.enabled,
        )
        self._refresh_playbooks()
        self._take_synonyms(
            tuple(folder / Path(name).expanduser() for name in config.search.synonyms)
        )

    def _take_synonyms(self, files: tuple[Path, ...]) -> None:
        """Read files of synonyms that were not read yet; a broken one leaves the old table."""
        from mcpgw.catalog.synonyms import SynonymError

        if files == self.index.synonym_files:
            return
        try:
            self.index.use_synonyms(files)
        except SynonymError as error:
            log.warning("synonyms.broken", reason=str(error))

    def _reload(self) -> Params:
        """Load again; where the file is broken, keep what runs and say so to everybody."""
        from mcpgw.config.problems import ConfigError

        try:
            outcome = self._load()
        except ConfigError as error:
            self.context.config_problem = f"gateway.yaml has changed but is not used:\n{error}"
            log.error("config.not_reloaded", reason=str(error))
            for session in self.session_registry:
                session.log(
                    None, "mcp-gateway", {"level": "error", "data": self.context.config_problem}
                )
            raise
        log.info("config.reloaded", changes=outcome["changes"])
        self._warm()
        return outcome

    async def _reload_for_client(self) -> Params:
        from mcpgw.config.problems import ConfigError

        try:
            return self._reload()
        except ConfigError as error:
            raise RpcError(INTERNAL_ERROR, f"Failed to parse config: {error}") from error

    async def _watch(self) -> None:
        """Reload when a watched file has changed and rests."""
        from mcpgw.config.problems import ConfigError

        while True:
            await trio.sleep(POLL)
            self._refresh_playbooks()
            now = _stamps(self._seen)
            if now == self._seen:
                continue
            await trio.sleep(POLL / 4)  # an editor may write in several steps
            if _stamps(self._seen) == now:
                self._seen = now
                with contextlib.suppress(ConfigError):  # which everybody was told of
                    self._reload()

    def _refresh_playbooks(self) -> None:
        changes = self.context.playbooks.refresh()
        for path, problem in changes.problems.items():
            log.warning("playbook.broken", path=str(path), reason=problem)
        if changes.added or changes.removed or changes.changed:
            log.info(
                "playbooks.reloaded",
                added=changes.added,
                removed=changes.removed,
                changed=changes.changed,
            )
            self.session_registry.note(
                frozenset({"tools"})
            )  # the description of a meta-tool names them

    async def _keep_skills(self) -> None:
        """Know the skills that there are, and tell clients of changes."""
        from mcpgw.skills.builtin import builtin_folder
        from mcpgw.skills.library import SkillLibrary
        from mcpgw.skills.registry import registry_path

        skills = SkillLibrary(registry_path(self.process_environ), builtin_folder())
        await trio.sleep(QUIET)
        while True:
            changes = await trio.to_thread.run_sync(skills.refresh)
            for problem in changes.problems:
                log.warning("skill.broken", reason=problem)
            if self.context.skills is None:
                self.context.skills = skills
            elif changes.any:
                self.session_registry.note(frozenset({"resources"}))
            await trio.sleep(POLL)

    async def _keep_counts(self, path: Path) -> None:
        from mcpgw.usage.store import UsageStore
        from mcpgw.usage.sync import keep

        interval = self.config.tool_profiles.persistence_interval
        await keep(self.context.usage, UsageStore(path), interval=interval)

    async def _warm_first(self) -> None:
        """Start what `meta_mcp.warm_start` names, once the client's capabilities are known."""
        with trio.move_on_after(2.0):
            for session in self.session_registry:
                await session.initialized.wait()
        self._warm()

    async def _in_a_quiet_moment(self) -> None:
        """Get ready for what is likely next, when a client has had its first answers."""
        await trio.sleep(QUIET)
        await _import_logging()
        builtin = self.pool.get(self.capability_service.name)
        if builtin is not None:
            builtin.want()

    def _warm(self) -> None:
        for backend in self.pool:
            if self.config.meta_mcp.warms(backend.name):
                backend.want()

    # -- what sessions need ------------------------------------------------------------------

    def begin(self, session: Session, state: SessionState | None = None) -> None:
        """Take a session in; it is attached now, or as soon as the configuration is loaded."""
        self.session_registry.join(session, state)
        if self.config.webhooks.enabled and self.host.nursery is not None:
            self.host.nursery.start_soon(
                self.webhook_service.catch_up, session, session.initialized
            )
        if self.loaded.is_set():
            self.attach(session)

    def end(self, session: Session) -> None:
        """Forget a session that has ended, and end what was its own."""
        self.resource_subscriptions.drop(session)
        state = self.session_registry.leave(session)
        if state is not None:
            self.pool.end_session(state.id)

    def attach(self, session: Session) -> None:
        """Let a session call the meta-tools. The configuration must be loaded."""
        grace = min(END_GRACE, self.config.server.shutdown_timeout)
        session.set_limits(self.host.message_limit, grace)
        state = self.session_registry.state_of(session)
        session.attach(
            SessionServices(
                self.context,
                state,
                _served(session),
                self.parked_calls,
                self.resource_subscriptions,
                self.tasks,
            )
        )

    def _tools_changed_for(self, state: SessionState) -> None:
        for session in self.session_registry.of_state(state.id):
            session.tell(ANNOUNCED["tools"])

    def _vet_again(self) -> None:
        for name in self.pool.names:
            for backend in self.pool.all_of(name):
                backend.lists.rescan()

    # -- what backends list ------------------------------------------------------------------

    def _listed(self, backend: Backend, changed: frozenset[str]) -> None:
        """Bring the index up to date and tell the clients."""
        if self.pool.get(backend.name) is backend:
            if "tools" in changed:
                self._index(backend)
            self.session_registry.note(changed, backend.name)
        elif backend.session:
            for session in self.session_registry.clients_of(backend):
                for kind in changed & ANNOUNCED.keys():
                    session.tell(ANNOUNCED[kind])

    def _index(self, backend: Backend) -> None:
        tools = tuple(backend.tools.values())
        self.index.replace(backend.name, tools, description=backend.config.description)


async def _import_logging() -> None:
    """Import in a worker thread what a first log line would have to wait for, half as long as
    for all of Trio."""
    await trio.to_thread.run_sync(prepare_log, abandon_on_cancel=True)
    _settle_memory()


def _served(session: Session) -> Methods:
    """Return the methods of a session's face."""
    if session.server_profile.target is None:
        return methods.METHODS
    from mcpgw.front.passthrough import PassthroughMethods

    return PassthroughMethods()


def _settle_memory() -> None:
    """Let the garbage collector pass over what lives as long as the process anyway.

    Calls make many short-lived objects; walking all modules again and again for them was
    measured as a seventh of what a call costs.
    """
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except OSError:  # it was removed while we are in it
        return Path("/")


def _stamps(paths: Iterable[Path]) -> dict[Path, object]:
    return {path: _stamp(path) for path in paths}


def _stamp(path: Path) -> object:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
