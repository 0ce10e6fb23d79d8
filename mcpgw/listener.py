"""The gateway's doors to the network: who listens, and a session for each client that comes."""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from mcpgw import __version__
from mcpgw.backends.states import Unavailable
from mcpgw.config.expansion import expand
from mcpgw.config.listening import AUTO_TOKEN, AuthConfig
from mcpgw.core import Gateway
from mcpgw.front.face import WHOLE
from mcpgw.front.http.doors import HealthReport, NoSuchTarget
from mcpgw.front.session import END_GRACE, Session
from mcpgw.front.transparent import face_of
from mcpgw.observe.log import get_logger
from mcpgw.pipeline.session import SessionState
from mcpgw.protocol.channel import Channel
from mcpgw.protocol.errors import BACKEND_UNAVAILABLE, RpcError
from mcpgw.state.files import read_json, write_atomically
from mcpgw.state.folder import state_folder

if TYPE_CHECKING:
    from mcpgw.gateway import Serving

log = get_logger("mcpgw.gateway")

ANONYMOUS: Final = "anonymous"
"""The principal of those who need not say who they are."""


@attrs.define(eq=False)
class GatewayDoors:
    """Opens sessions over the channels that the HTTP front brings. `run` is their nursery.

    Args:
      core: the gateway behind the doors.
      only: the one server that stands behind `/mcp` itself, where there is no other (a bridge).
    """

    core: Gateway
    only: str | None = None
    _nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hold the sessions' tasks; on cancellation all end."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    async def open(
        self, channel: Channel, target: str | None, principal: str, *, stateless: bool = False
    ) -> None:
        """Start a session over a channel and return once it listens.

        Raises:
          NoSuchTarget: there is no server of this name.
          RpcError: the server cannot be started.
        """
        assert self._nursery is not None, "the doors must run first"
        await self.core.loaded.wait()
        caller = "" if principal == ANONYMOUS else principal
        state = SessionState(caller=caller)
        target = target or self.only
        face = WHOLE
        if target is not None:
            backend = self.core.pool.of(target, state.id)
            if backend is None:
                raise NoSuchTarget(target, self.core.pool.names)
            try:
                with trio.fail_after(backend.config.start_timeout):
                    face = await face_of(backend)
            except (Unavailable, trio.TooSlowError) as error:
                self.core.pool.end_session(state.id)
                why = str(error) or backend.situation()
                raise RpcError(BACKEND_UNAVAILABLE, f"{why}.") from error
        session = Session(channel, END_GRACE, face=face, principal=caller, shared=stateless)
        self.core.begin(session, state)
        await self._nursery.start(self._serve, session)

    async def _serve(
        self, session: Session, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        try:
            await session.run(task_status=task_status)
        finally:
            self.core.end(session)
            session.channel.end()  # type: ignore[attr-defined]

    def tool(self, target: str | None, name: str) -> Mapping[str, Any] | None:
        """Return the definition of a tool by the name that clients of a face call it by."""
        target = target or self.only
        if target is None:
            return None  # the meta-tools have no header parameters
        backend = self.core.pool.get(target)
        return backend.tools.get(name) if backend is not None else None

    def health(self) -> HealthReport:
        """Say how the gateway is; a sick server does not make it sick."""
        return HealthReport(
            version=__version__,
            ready=self.core.loaded.is_set() and not self.core.problem,
            count=len(self.core.pool),
            all_healthy=all(
                backend.failure is None and not backend.breaker_open for backend in self.core.pool
            ),
        )


async def listen(gateway: Gateway, serving: Serving, stop: trio.Event) -> str:
    """Serve clients by HTTP until `stop` is set; return why that could not be done, or "".

    Streams are ended in order before the return.
    """
    from mcpgw.front.http.app import make_app
    from mcpgw.front.http.server import PortTaken, serve

    config = gateway.config
    host = serving.host or config.server.host
    port = config.server.port if serving.port is None else serving.port
    token = bearer_token(config.auth, gateway.environ)
    made = token == AUTO_TOKEN
    if made:
        token = f"mcp_{secrets.token_urlsafe(32)}"
    if config.auth.enabled and not token:
        return "auth.enabled is true, but auth.bearer_token is not set; give one, or `auto`"
    settings = _settings(gateway, host, port, token)
    doors = GatewayDoors(gateway, serving.only)
    app = make_app(doors, settings, more_routes=_more_routes(gateway, settings))
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(doors.run)
            bound = await nursery.start(
                partial(serve, app, host=host, port=port, settings=settings, shutdown=stop)
            )
            note = _Note(state_folder(gateway.process_environ), port)
            note.write(bound_port(bound), token if made else "")
            _announce(host, bound_port(bound), token if made else "", secured=bool(token))
            try:
                await app.ended.wait()
            finally:
                note.remove()
            nursery.cancel_scope.cancel()
    except* PortTaken as group:
        return str(group.exceptions[0])
    return ""
