"""The core behind the fronts: configuration, backends, index and pipeline as one task."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import trio

from mcpgw.backends.backend import Backend
from mcpgw.backends.guardian import Guardian
from mcpgw.backends.host import Errand
from mcpgw.backends.manifest import ManifestStore
from mcpgw.backends.pool import BackendPool
from mcpgw.catalog.index import ToolIndex
from mcpgw.config.oauth import OAuthConfig
from mcpgw.config.schema import GatewayConfig
from mcpgw.front import methods, transparent
from mcpgw.front.rounds import Rounds
from mcpgw.front.session import END_GRACE, Inside, Session, elicitation_modes
from mcpgw.front.tasks import Tasks
from mcpgw.front.watches import Watches
from mcpgw.meta.surface import Surface
from mcpgw.observe.log import get_logger
from mcpgw.pipeline.order import Pipeline
from mcpgw.pipeline.session import SessionState
from mcpgw.protocol.errors import INTERNAL_ERROR, METHOD_NOT_FOUND, ConnectionLost, RpcError
from mcpgw.protocol.mcp import LOG_LEVELS
from mcpgw.protocol.peer import Client, Params, ProgressCallback
from mcpgw.state.folder import state_folder
from mcpgw.state.usage import Usage

if TYPE_CHECKING:
    from mcpgw.transports.authorization import Authorizer
    from mcpgw.transports.network import Network

log = get_logger("mcpgw.gateway")

POLL: Final = 1.0
"""Seconds between looks at the configuration files."""
CLIENT_PATIENCE: Final = 600.0
"""Seconds that calls on a backend have at least while it waits for an answer of the client."""
QUIET: Final = 0.5
"""Seconds after the loading of the configuration until the rest is imported."""
COLLECT_AFTER: Final = 5_000
"""New objects after which the youngest generation is collected."""
SETTLE: Final = 0.05
"""Seconds in which several changes become one notification."""

_SHOWN_IN_LIST: Final = (
    "meta_mcp",
    "code_mode",
    "spec_preview",
    "webhooks",
    "routing_profiles",
    "default_routing_profile",
)
"""Sections of gateway.yaml that `tools/list` depends on."""

_WIDEST: Final[Params] = {
    "roots": {"listChanged": True},
    "sampling": {"tools": {}, "context": {}},
    "elicitation": {"form": {}, "url": {}},
}
"""What is declared to servers where clients come and go: each request is refused by itself where
its own client lacks the capability."""
_ABOUT_TASKS: Final = ("notifications/tasks/status", "notifications/tasks")
MOST_ELICITATIONS: Final = 1_000
"""Elicitations by URL whose completion is still waited for; the oldest are forgotten first."""

_ANNOUNCED: Final[Mapping[str, str]] = {
    "tools": "notifications/tools/list_changed",
    "resources": "notifications/resources/list_changed",
    "resource_templates": "notifications/resources/list_changed",
    "prompts": "notifications/prompts/list_changed",
}


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
    environ: Mapping[str, str] = attrs.field(factory=dict)
    """The environment with the files of `env_files` over it."""
    guardian: Guardian = attrs.field(factory=Guardian)
    manifests: ManifestStore | None = None
    message_limit: int = attrs.field(init=False)
    list_ttl: float = 300.0
    many_clients: bool = False
    """Whether clients come and go, as they do by HTTP."""
    sessions: list[Session] = attrs.field(factory=list)
    rounds: Rounds = attrs.field(factory=Rounds)
    tasks: Tasks = attrs.field(factory=Tasks)
    watches: Watches = attrs.field(init=False)
    loaded: trio.Event = attrs.field(factory=trio.Event)
    pool: BackendPool = attrs.field(init=False)
    index: ToolIndex = attrs.field(init=False)
    surface: Surface = attrs.field(init=False)
    _seen: dict[Path, object] = attrs.field(factory=dict)
    """The watched files as they were when they were last looked at."""
    _states: dict[Session, SessionState] = attrs.field(factory=dict)
    _authorizers: dict[str, tuple[object, Authorizer]] = attrs.field(factory=dict)
    _elicited: dict[str, Client] = attrs.field(factory=dict)
    """Who was asked to open a URL, by the id of the elicitation."""
    _network: Network | None = None
    _nursery: trio.Nursery | None = None
    _changed: set[tuple[str, str | None]] = attrs.field(factory=set)
    """What clients are to be told, and of which server; None stands for all."""
    _owed: dict[Session, set[str]] = attrs.field(factory=dict)
    """Who could not be told of what yet."""
    _news: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)

    def __attrs_post_init__(self) -> None:
        usage = Usage()
        self.pool = BackendPool(self)
        self.index = ToolIndex()
        self.message_limit = self.config.server.max_body_size
        self.surface = Surface(
            self.pool,
            self.index,
            Pipeline(self.pool, usage),
            usage,
            self._reload_for_client,
            self._tools_changed_for,
        )
        self.watches = Watches(self.surface)

    def __repr__(self) -> str:
        state = "LOADED" if self.loaded.is_set() else "NEW"
        return f"<Gateway {state} {self.pool!r} sessions={self.sessions!r}>"

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Load the configuration and keep the core running until cancelled."""
        folder = state_folder(self.process_environ)
        self.manifests = ManifestStore(folder / "manifests")
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                await nursery.start(self.pool.run)
                await nursery.start(self.rounds.run)
                await nursery.start(self.watches.run)
                # The session may have ended meanwhile; then there is nothing to load for.
                await trio.lowlevel.checkpoint_if_cancelled()
                self._first_load()
                self.loaded.set()
                for session in self.sessions:
                    self.attach(session)
                task_status.started()
                nursery.start_soon(self._watch)
                nursery.start_soon(self._announce)
                if self.config.tool_profiles.enabled:
                    nursery.start_soon(self._keep_counts, folder / "state.db")
                if self.sessions or self.many_clients:
                    nursery.start_soon(self._warm_first)
                    nursery.start_soon(_import_in_a_quiet_moment)
        finally:
            self.guardian.close()

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
            self.surface.config_problem = self.problem
            if self.sessions or self.many_clients:
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
        old, self.config, self.surface.config = self.config, config, config
        self.environ = environ
        self._network = None
        if not self.loaded.is_set():
            self.message_limit = config.server.max_body_size  # for the life of the process
        self.list_ttl = config.meta_mcp.cache_ttl
        before = {backend.name: (backend, backend.config) for backend in self.pool}
        self.pool.apply(config)
        self.surface.pipeline.configure(config)
        self.surface.has_states = any(
            each.visible_in_states or any(tool.visible_in_states for tool in each.tools.values())
            for each in config.backends.values()
        )
        self._take_folders(config, folder)
        for name in before.keys() - set(self.pool.names):
            self.index.remove(name)
        after = {backend.name: (backend, backend.config) for backend in self.pool}
        for backend, settings in after.values():
            if before.get(backend.name) != (backend, settings):
                self._index(backend)
        if self.loaded.is_set() and before != after:
            self._note(frozenset(_ANNOUNCED))
        elif self.loaded.is_set() and any(
            getattr(old, name) != getattr(config, name) for name in _SHOWN_IN_LIST
        ):
            self._note(frozenset({"tools"}))
        for session in self.sessions:
            self.attach(session)
        self.problem = self.surface.config_problem = ""
        self.surface.config_loaded = True

    def _take_folders(self, config: GatewayConfig, folder: Path) -> None:
        """Take what other files hold: playbooks and synonyms; paths are below `folder`."""
        names = config.playbooks.directories if config.playbooks.enabled else ()
        self.surface.playbooks.use(
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
            self.surface.config_problem = f"gateway.yaml has changed but is not used:\n{error}"
            log.error("config.not_reloaded", reason=str(error))
            for session in self.sessions:
                session.log(
                    None, "mcp-gateway", {"level": "error", "data": self.surface.config_problem}
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
        changes = self.surface.playbooks.refresh()
        for path, problem in changes.problems.items():
            log.warning("playbook.broken", path=str(path), reason=problem)
        if changes.added or changes.removed or changes.changed:
            log.info(
                "playbooks.reloaded",
                added=changes.added,
                removed=changes.removed,
                changed=changes.changed,
            )
            self._note(frozenset({"tools"}))  # the description of a meta-tool names them

    async def _keep_counts(self, path: Path) -> None:
        from mcpgw.state.keeper import keep
        from mcpgw.state.usage_store import UsageStore

        interval = self.config.tool_profiles.persistence_interval
        await keep(self.surface.usage, UsageStore(path), interval=interval)

    async def _warm_first(self) -> None:
        """Start what `meta_mcp.warm_start` names, once the client's capabilities are known."""
        with trio.move_on_after(2.0):
            for session in self.sessions:
                await session.initialized.wait()
        self._warm()

    def _warm(self) -> None:
        for backend in self.pool:
            if self.config.meta_mcp.warms(backend.name):
                backend.want()

    # -- what sessions need ------------------------------------------------------------------

    def begin(self, session: Session, state: SessionState | None = None) -> None:
        """Take a session in; it is attached now, or as soon as the configuration is loaded."""
        self.sessions.append(session)
        if state is not None:
            self._states[session] = self.surface.sessions.begin(state)
        if self.loaded.is_set():
            self.attach(session)

    def end(self, session: Session) -> None:
        """Forget a session that has ended, and end what was its own."""
        if session in self.sessions:
            self.sessions.remove(session)
        self._owed.pop(session, None)
        self.watches.drop(session)
        state = self._states.pop(session, None)
        if state is not None:
            self.surface.sessions.end(state)
            self.pool.end_session(state.id)

    def attach(self, session: Session) -> None:
        """Let a session call the meta-tools. The configuration must be loaded."""
        session.set_limits(self.message_limit, min(END_GRACE, self.config.server.shutdown_timeout))
        state = self._states.get(session)
        if state is None:
            state = SessionState(caller=session.principal, profile=session.profile)
            self._states[session] = self.surface.sessions.begin(state)
        served = methods.METHODS if session.face.target is None else transparent.Forwarded()
        session.attach(Inside(self.surface, state, served, self.rounds, self.watches, self.tasks))

    # -- what backends need (backends.backend.Host) -----------------------------------------

    @property
    def network(self) -> Network:
        """What all network backends share; made when the first needs it."""
        if self._network is None:
            from mcpgw.transports.network import Network

            self._network = Network(self.environ)
        return self._network

    def authorizer(self, backend: Backend) -> Authorizer | None:
        """Return what logs in to a network backend, if it may have to.

        A backend that is given its credentials by a header of its own has none.
        """
        config = backend.config
        given = any(name.lower() == "authorization" for name in config.headers)
        if config.transport == "stdio" or given or (config.oauth and not config.oauth.enabled):
            return None
        known = self._authorizers.get(backend.name)
        if known is None or known[0] != config:
            from mcpgw.oauth.authorizer import OAuthAuthorizer
            from mcpgw.oauth.store import TokenStore

            oauth = config.oauth or OAuthConfig()
            folder = state_folder(self.process_environ) / "oauth"
            made = OAuthAuthorizer(
                server=backend.name,
                url=config.http_url or config.ws_url,
                config=oauth,
                store=TokenStore(folder, storage=oauth.storage),
                network=self.network,
                present=partial(self._show_link, oauth) if self._is_attended else None,
                nursery=self._nursery,
            )
            known = self._authorizers[backend.name] = (config, made)
        return known[1]

    @property
    def _is_attended(self) -> bool:
        """Whether a person may be there: not where commands use the servers themselves."""
        return bool(self.sessions) or self.many_clients

    async def _show_link(self, oauth: OAuthConfig, url: str) -> None:
        """Show a person the link by which they log in: in the client, else in the browser."""
        from mcpgw.oauth.browser import open_browser

        if len(self.sessions) == 1 and "url" in elicitation_modes(self.sessions[0].capabilities):
            question = {
                "mode": "url",
                "message": "A server behind the gateway wants you to log in.",
                "url": url,
                "elicitationId": os.urandom(12).hex(),
            }
            with contextlib.suppress(RpcError, ConnectionLost):
                answer = await self.sessions[0].ask(None, "elicitation/create", question)
                if answer.get("action") == "accept":
                    return
        if oauth.open_browser:
            await open_browser(url)

    def client_capabilities(self, backend: Backend) -> Params:
        """Return the client capabilities that can be served now: the union over sessions."""
        if self.many_clients and not backend.session:
            return _WIDEST
        union: Params = {}
        for session in self.sessions:
            state = self._states.get(session)
            if not backend.session or (state is not None and state.id == backend.session):
                union |= session.forwardable_capabilities()
        return union

    async def ask_client(
        self,
        backend: Backend,
        errand: Errand | None,
        method: str,
        params: Params,
        *,
        key: str = "",
        on_progress: ProgressCallback | None = None,
    ) -> Params:
        """Put a backend's question to the client that it works for, and give its answer back."""
        request = errand.asker if errand is not None else None
        client = request.client if request is not None else None
        if client is None:
            if method == "roots/list":
                return await self._all_roots(backend, params)
            client = self._only_client(backend, method)
        if method == "elicitation/create" and isinstance(params.get("elicitationId"), str):
            self._elicited[params["elicitationId"]] = client
            while len(self._elicited) > MOST_ELICITATIONS:
                del self._elicited[next(iter(self._elicited))]
        _task, params = self.tasks.named(backend.name, params)
        # A person may have to answer: the calls on this backend have more time meanwhile.
        backend.stretch(CLIENT_PATIENCE)
        if errand is not None:
            errand.asking += 1
            errand.asked_at = trio.current_time()
        try:
            return await client.ask(request, method, params, key=key, on_progress=on_progress)
        except ConnectionLost as error:
            raise RpcError(INTERNAL_ERROR, "the client has gone") from error
        finally:
            if errand is not None:
                errand.asking -= 1
            backend.stretch(backend.config.timeout)

    def _clients_of(self, backend: Backend) -> Iterator[Session]:
        """Go through the sessions that could be asked outside of a call."""
        for session in self.sessions:
            state = self._states.get(session)
            own = state is not None and state.id == backend.session
            fits = session.face.target in (None, backend.name)
            if session.protocol_version and (own if backend.session else fits):
                yield session

    def _only_client(self, backend: Backend, method: str) -> Session:
        clients = list(self._clients_of(backend))
        if len(clients) != 1:
            why = "several clients" if clients else "no client"
            raise RpcError(METHOD_NOT_FOUND, f"there is {why} to answer {method} outside of a call")
        return clients[0]

    async def _all_roots(self, backend: Backend, params: Params) -> Params:
        """Return the roots of all clients: a server asks for them when none is calling."""
        roots: dict[str, object] = {}
        able = [each for each in self._clients_of(backend) if "roots" in each.capabilities]
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

    def backend_notified(
        self, backend: Backend, errand: Errand | None, method: str, params: Params
    ) -> None:
        """Pass log messages, updated resources and completed elicitations on."""
        if method == "notifications/message":
            request = errand.asker if errand is not None else None
            if request is not None and request.client is not None:
                request.client.log(request, backend.name, params)
                return
            for session in self._clients_of(backend):
                session.log(None, backend.name, params)
        elif method in _ABOUT_TASKS:
            task, told = self.tasks.named(backend.name, params)
            for session in self.sessions:
                state = self._states.get(session)
                if task is not None and state is not None and state.id == task.session:
                    session.send(method, told)
        elif method == "notifications/resources/updated":
            self.watches.updated(backend, params)
        elif method == "notifications/elicitation/complete":
            client = self._elicited.pop(str(params.get("elicitationId")), None)
            if isinstance(client, Session):
                client.send(method, params)

    def backend_listed(self, backend: Backend, changed: frozenset[str]) -> None:
        """Bring the index up to date and tell the clients."""
        if not changed:
            return
        if self.pool.get(backend.name) is backend:
            if "tools" in changed:
                self._index(backend)
            self._note(changed, backend.name)
        elif backend.session:
            for session in self._clients_of(backend):
                for kind in changed & _ANNOUNCED.keys():
                    session.tell(_ANNOUNCED[kind])

    def watched_resources(self, backend: Backend) -> Iterable[str]:
        """Return the resources of a backend that clients watch."""
        return self.watches.of(backend)

    def wanted_log_level(self) -> str | None:
        """Return the lowest level that a session asked for."""
        levels = [session.log_level for session in self.sessions if session.log_level]
        return min(levels, key=LOG_LEVELS.index) if levels else None

    def _index(self, backend: Backend) -> None:
        tools = tuple(backend.tools.values())
        self.index.replace(backend.name, tools, description=backend.config.description)

    # -- telling clients ---------------------------------------------------------------------

    def _tools_changed_for(self, state: SessionState) -> None:
        for session, own in self._states.items():
            if own is state:
                session.tell("notifications/tools/list_changed")

    def _note(self, kinds: frozenset[str], server: str | None = None) -> None:
        self._changed |= {(_ANNOUNCED[kind], server) for kind in kinds if kind in _ANNOUNCED}
        self._news.unpark_all()

    async def _announce(self) -> None:
        """Tell every session once of what changed within a moment."""
        while True:
            while not self._changed and not self._owed:
                await self._news.park()
            await trio.sleep(SETTLE)
            changed, self._changed = self._changed, set()
            for session in self.sessions:
                own = session.face.target
                wanted = {m for m, server in changed if own is None or server in (None, own)}
                wanted |= self._owed.pop(session, set())
                if late := {method for method in sorted(wanted) if not session.tell(method)}:
                    self._owed[session] = late
            if self._owed:
                await trio.sleep(POLL)  # a client that does not read is told later


async def _import_in_a_quiet_moment() -> None:
    """Import what a first log line would have to wait for, half as long as for all of Trio.

    In a worker thread, when a client has had its first answers and is likely thinking.
    """
    await trio.sleep(QUIET)
    await trio.to_thread.run_sync(importlib.import_module, "structlog", abandon_on_cancel=True)
    _settle_memory()


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
