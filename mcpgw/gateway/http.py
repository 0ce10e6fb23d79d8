"""HTTP side of the gateway: the listener, and a session for each client."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs
import trio

from mcpgw import __version__
from mcpgw.backends.server import BackendServer
from mcpgw.backends.states import Unavailable
from mcpgw.config.chain import read_chain
from mcpgw.config.loopback import is_loopback
from mcpgw.config.schema import GatewayConfig
from mcpgw.config.server import AUTO_TOKEN
from mcpgw.front.http.gateway_api import (
    ANONYMOUS,
    FrontChannel,
    HealthReport,
    NoSuchTarget,
)
from mcpgw.front.http.settings import HttpSettings
from mcpgw.front.passthrough import current_profile_of, no_such_server, profile_of
from mcpgw.front.server_profile import GATEWAY_PROFILE
from mcpgw.front.session import END_GRACE, Session
from mcpgw.gateway.gateway import Gateway
from mcpgw.gateway.run_file import RunFile
from mcpgw.gateway.tokens import bearer_token, missing_token
from mcpgw.observe.log import get_logger, protect
from mcpgw.observe.redactor import Redactor
from mcpgw.pipeline.call import Call, CallFailed
from mcpgw.pipeline.session_state import SessionState
from mcpgw.protocol.errors import BACKEND_UNAVAILABLE, RpcError
from mcpgw.shaping.pages import ResultPages
from mcpgw.state.folder import state_folder
from mcpgw.text.sentences import sentence

if TYPE_CHECKING:
    from mcpgw.front.http.openapi.routes import OpenApiRoutes
    from mcpgw.front.http.server import Address

log = get_logger("mcpgw.gateway")

EXPOSED: Final = (
    "{host} can be reached from other machines, and without a token everyone there could use every"
    " tool. Set auth.enabled and auth.bearer_token (`auto` generates a token), or listen on"
    " 127.0.0.1. If something else guards this address, set server.allow_unauthenticated: true, or"
    " use --allow-unauthenticated"
)
"""Why the gateway does not listen beyond this machine without authentication."""
MOST_RESULTS_OF_MANY: Final = 256
"""Long results that are kept for all clients of one identity that have no session."""
MOST_CHARACTERS_OF_MANY: Final = 32_000_000
"""Characters of these results together."""


@attrs.define(eq=False)
class HttpGateway:
    """Opens sessions over the channels of the HTTP front. `run` is their nursery.

    Args:
      core: the gateway that serves the sessions.
      only: the one server that `/mcp` itself shows (a bridge); None to show the whole gateway.
    """

    core: Gateway
    only: str | None = None
    _nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hold the tasks of the sessions; on cancellation all end."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    async def open(
        self, channel: FrontChannel, target: str | None, principal: str, *, stateless: bool = False
    ) -> None:
        """Start a session over a channel; return when it reads from the channel.

        Raises:
          NoSuchTarget: there is no server of this name.
          RpcError: the server cannot be started.
        """
        assert self._nursery is not None, "`run` must run first"
        await self.core.loaded.wait()
        caller = "" if principal == ANONYMOUS else principal
        state = SessionState(caller=caller)
        if stateless:
            state.pages = ResultPages(
                MOST_RESULTS_OF_MANY, MOST_CHARACTERS_OF_MANY, unguessable=True
            )
        target = target or self.only
        server_profile = GATEWAY_PROFILE
        if target is not None:
            backend = self.core.pool.get(target)
            if backend is None:
                raise NoSuchTarget(target, self.core.pool.names)
            try:
                with trio.fail_after(backend.config.start_timeout):
                    server_profile = await profile_of(backend, state.id)
            except (Unavailable, trio.TooSlowError) as error:
                self.core.pool.end_session(state.id)
                why = str(error) or backend.situation()
                raise RpcError(BACKEND_UNAVAILABLE, sentence(why)) from error
        session = Session(
            channel, END_GRACE, server_profile=server_profile, principal=caller, shared=stateless
        )
        self.core.begin(session, state)
        if stateless and server_profile.target is not None:
            session.current_profile = current_profile_of(self.core.context, session)
        await self._nursery.start(self._serve, session, channel)

    async def _serve(
        self,
        session: Session,
        channel: FrontChannel,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        try:
            await session.run(task_status=task_status)
        finally:
            self.core.end(session)
            channel.end()

    def tool(self, target: str | None, name: str) -> Mapping[str, Any] | None:
        """Return the definition of a tool that a server's own endpoint offers; None if unknown."""
        target = target or self.only
        if target is None:
            return None  # the meta-tools have no header parameters
        backend = self.core.pool.get(target)
        return backend.tools.get(name) if backend is not None else None

    def loop(self, chain: str, target: str | None) -> str:
        """Return why a client is this gateway itself, by the chain that it passed on; "" if not."""
        processes, names = self.core.processes, self.core.pool.names
        server = processes.gateway_chain.loop(read_chain(chain), target or self.only, names)
        if not server:
            return ""
        return (
            f"the gateway is among its own servers: '{server}' leads back to it. Remove that server"
            " from `backends`, or connect it to another address"
        )

    def health(self) -> HealthReport:
        """Return the health of the gateway; failing servers do not make the gateway unready."""
        return HealthReport(
            version=__version__,
            ready=self.core.loaded.is_set() and not self.core.problem,
            count=len(self.core.pool),
            all_healthy=all(
                backend.failure is None and not backend.breaker_open for backend in self.core.pool
            ),
        )


async def listen(
    gateway: Gateway,
    stop: trio.Event,
    *,
    host: str | None = None,
    port: int | None = None,
    only: str | None = None,
    allow_unauthenticated: bool = False,
) -> str:
    """Serve clients by HTTP until `stop` is set; return why that failed, or "".

    Open streams are closed in order before it returns.

    Args:
      gateway: the gateway to serve; its configuration must be loaded.
      stop: set to end.
      host, port: the address to listen on; overrides the configuration.
      only: the one server that `/mcp` itself shows (a bridge).
      allow_unauthenticated: like the setting `server.allow_unauthenticated`.
    """
    from mcpgw.front.http.app import make_app
    from mcpgw.front.http.server import CannotListen, serve
    from mcpgw.front.http.webhooks import Webhooks

    config = gateway.config
    host = host or config.server.host
    port = config.server.port if port is None else port
    token = bearer_token(config.auth, gateway.settings.environ)
    generated = token == AUTO_TOKEN
    if generated:
        token = f"mcp_{secrets.token_urlsafe(32)}"
    if config.auth.enabled and not token:
        return missing_token(config.auth)
    allowed = allow_unauthenticated or config.server.allow_unauthenticated
    if not token and not allowed and not is_loopback(host):
        return EXPOSED.format(host=host or "all addresses")
    redactor = Redactor((token,))
    protect(redactor)
    settings = _settings(config, host, port, token)
    gateway_api = HttpGateway(gateway, only)
    app = make_app(gateway_api, settings, more_routes=openapi_routes(gateway, settings).routes())
    if config.webhooks.enabled:
        app.before = Webhooks(
            app.access_checked,
            config.webhooks.base_path,
            gateway.webhook_service.receiver,
            settings,
        )
    problem = ""
    run_file = RunFile(state_folder(gateway.process_environ), port)
    async with trio.open_nursery() as nursery:
        await nursery.start(gateway_api.run)
        listening = partial(serve, app, host=host, port=port, settings=settings, shutdown=stop)

        async def run(*, task_status: trio.TaskStatus[Address | None]) -> None:
            nonlocal problem
            try:
                await listening(task_status=task_status)
            except CannotListen as error:
                problem = str(error)
                task_status.started(None)
            nursery.cancel_scope.cancel()

        address = await nursery.start(run)
        if address is not None:
            run_file.write(address.port, token if generated else "")
            _announce(address, token, generated=generated, host=host)
    run_file.remove()
    return problem


def _settings(config: GatewayConfig, host: str, port: int, token: str) -> HttpSettings:
    public = urlsplit(config.server.public_url)
    hosts = (*config.server.allowed_hosts, *((public.hostname,) if public.hostname else ()))
    origins = config.server.allowed_origins
    if public.hostname:
        origins = (*origins, f"{public.scheme}://{public.netloc}")
    return HttpSettings(
        host=host,
        port=port,
        max_body_size=config.server.max_body_size,
        session_ttl=config.streaming.session_ttl,
        max_sessions=config.streaming.max_sessions,
        keep_alive=config.streaming.keep_alive_interval,
        shutdown_grace=config.server.shutdown_timeout,
        replay_messages=config.streaming.buffer_size,
        allowed_hosts=hosts,
        allowed_origins=origins,
        bearer_token=token or None,
        public_paths=config.auth.public_paths,
    )


def _announce(address: Address, token: str, *, generated: bool, host: str) -> None:
    """Write the address of the gateway to the log, and a generated token to stderr."""
    if generated:
        sys.stderr.write(f"mcp-gateway: bearer token for this run: {token}\n")
        sys.stderr.flush()
    log.info("http.listening", url=f"{address}/mcp", secured=bool(token))
    if not token and not is_loopback(host):
        log.warning(
            "http.unauthenticated_listener",
            host=host,
            hint="anyone who can reach this address can use every tool; set auth.enabled and"
            " auth.bearer_token, or listen on 127.0.0.1",
        )


def openapi_routes(gateway: Gateway, settings: HttpSettings) -> OpenApiRoutes:
    """Return the routes that show each server as a REST API, below `/openapi`."""
    from mcpgw.front.http.openapi.routes import OpenApiRoutes

    def backend_of(server: str) -> BackendServer:
        backend = gateway.pool.get(server)
        if backend is None:
            raise LookupError(no_such_server(gateway.context, server))
        return backend

    async def tools(server: str) -> Sequence[Mapping[str, Any]]:
        backend = backend_of(server)
        if not backend.known:
            try:
                with trio.fail_after(backend.config.start_timeout):
                    await backend.learned()
            except (Unavailable, trio.TooSlowError) as error:
                raise RpcError(BACKEND_UNAVAILABLE, sentence(backend.situation())) from error
        return tuple(backend.tools.values())

    def info(server: str) -> Mapping[str, Any]:
        backend = backend_of(server)
        known = dict(backend.manifest.server_info) if backend.manifest else {}
        if backend.config.description:
            known.setdefault("description", backend.config.description)
        return known

    async def call(
        server: str, tool: str, arguments: dict[str, Any], principal: str
    ) -> dict[str, Any]:
        session = SessionState(caller="" if principal == ANONYMOUS else principal)
        params = {"name": tool, "arguments": arguments}
        try:
            return await gateway.context.pipeline.call(
                Call(server, "tools/call", tool, params, session=session, exact=True)
            )
        except CallFailed as error:
            raise RpcError(BACKEND_UNAVAILABLE, str(error), error.data) from error
        finally:
            gateway.pool.end_session(session.id)

    return OpenApiRoutes(
        servers=lambda: gateway.pool.names,
        tools=tools,
        info=info,
        call=call,
        secured=settings.bearer_token is not None,
        limit=settings.max_body_size,
        public_url=gateway.config.server.public_url.rstrip("/"),
    )
