"""The nursery tree: every task of a gateway, under the parent that waits for it.

run                            gateway/tree.py
├── stdio channel              writes what could not be written at once
├── signals                    SIGTERM, SIGINT, SIGHUP: stop reading, finish, end
├── front: stdio               the session (front/session.py, protocol/peer.py)
│   └── a task for each request in flight
└── gateway                    starts after the first answer (gateway/gateway.py)
    ├── backends               backends/pool.py
    │   └── SERVER             backends/server.py: limits, breaker, kill switch
    │       └── INSTANCE       backends/instance.py: waits for demand, starts, restarts;
    │           │              one for all sessions, or with `scope: session` one for each
    │           ├── endpoint       the child (exit, stderr, writer), or the network channel
    │           ├── peer           its answers; a task for each of its own requests
    │           ├── lists          tools, resources, prompts; again when they change
    │           ├── notifications  the stream of a server of the stateless era
    │           ├── health         pings while no answer proves that it is alive
    │           ├── source watch   only with `watch`: a change restarts it
    │           └── idle stop      only with `stop_when_idle_for`
    ├── parked calls           calls that wait for their client's next request
    ├── subscriptions          unsubscribes at servers when the last client leaves
    ├── guardian               starts the guardian process again if it has ended
    ├── approvals              writes definitions that were first seen, at the end too
    ├── file watcher           gateway.yaml, capabilities, playbooks, skills, approvals, sources
    ├── webhooks               events that other gateways of the user received
    ├── notifications          one list_changed for many changes
    ├── usage                  counters: to state.db and back, in a worker thread
    ├── warm start             starts what `meta_mcp.warm_start` names
    ├── preparation            imports and starts what the first call is likely to need
    └── front: http            only on request (gateway/http.py, front/http)
        ├── server             Hypercorn's protocols over our own listeners
        └── a task for each session
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import trio

from mcpgw.front.session import END_GRACE, Session
from mcpgw.observe.log import OwnWords, get_logger
from mcpgw.transports.stdio import take_stdio

if TYPE_CHECKING:
    from mcpgw.config.schema import GatewayConfig
    from mcpgw.gateway.gateway import Gateway

log = get_logger("mcpgw.gateway")

SIGNAL_GRACE: Final = 1.0
"""Seconds that calls in flight have after SIGTERM, SIGINT or SIGHUP."""
MESSAGE_LIMIT: Final = 10 * 1024 * 1024
"""Largest message, in bytes, until the configuration is loaded (`server.max_body_size`)."""


@attrs.frozen
class ServeOptions:
    """Options of `mcp-gateway serve` and of commands that serve.

    Args:
      config_path: gateway.yaml; None to look in the usual places. If it is missing, the defaults
        are used, and it is loaded when it appears.
      environ: the environment of the process.
      stdio: whether a client is connected at stdin and stdout; its end ends the gateway.
      http: whether to listen for clients by HTTP.
      host, port: the address to listen on; overrides the configuration.
      config: a configuration made by a command, instead of a file.
      only: the one server that clients see, as if they were connected to it (a bridge).
      allow_unauthenticated: listen beyond this machine without a token.
    """

    config_path: Path | None
    environ: Mapping[str, str] = attrs.field(repr=False)
    stdio: bool = True
    http: bool = False
    host: str | None = None
    port: int | None = None
    config: GatewayConfig | None = None
    only: str | None = None
    allow_unauthenticated: bool = False


async def run(options: ServeOptions) -> int:
    """Run a gateway until its client disconnects, or a signal ends it.

    Returns:
      The exit status: 0, or 1 if the configuration could not be loaded or the port is taken.
    """
    return await _Tree(options).run()


def end_at_once(number: int) -> None:
    """End the process by a signal, as after its second one: a user who repeats it does not want to
    wait for calls in flight. The guardian ends all children."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


@attrs.define(eq=False)
class _Tree:
    options: ServeOptions
    session: Session | None = None
    problem: str = ""
    _stop: trio.Event = attrs.field(factory=trio.Event)
    _closed: trio.Event = attrs.field(factory=trio.Event)

    async def run(self) -> int:
        channel = take_stdio(limit=MESSAGE_LIMIT) if self.options.stdio else None
        if channel is not None:
            self.session = Session(channel, end_grace=END_GRACE)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._end_on_signal)
                if channel is None or self.session is None:
                    await self._run_gateway()
                else:
                    nursery.start_soon(channel.run)
                    nursery.start_soon(self._run_gateway)
                    await self.session.run()
                    self._stop.set()
                    with trio.move_on_after(SIGNAL_GRACE):
                        await channel.flush()
                        if self.options.http:
                            await self._closed.wait()
                nursery.cancel_scope.cancel()
        finally:
            if channel is not None:
                with trio.CancelScope(shield=True):
                    await channel.aclose()
        return 1 if self.problem else 0

    async def _run_gateway(self) -> None:
        """Load the gateway, and listen for HTTP clients on request."""
        if self.session is not None and not self.options.http:
            # The imports take longer than all else; the first answer goes out before them.
            await self.session.greeted.wait()
        from mcpgw.gateway.gateway import Gateway

        gateway = Gateway(
            self.options.config_path,
            self.options.environ,
            must_exist=not self.options.stdio and self.options.config_path is not None,
            sessions=[self.session] if self.session is not None else [],
            many_clients=self.options.http,
            given=self.options.config,
        )
        listen_problem = ""
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(gateway.run)
                if not self.options.http:
                    await trio.sleep_forever()
                if gateway.problem and self.session is None:
                    log.error("gateway.start_failed", reason=OwnWords(gateway.problem))
                else:
                    listen_problem = await self._listen(gateway)
                    if self.session is not None and listen_problem:
                        await trio.sleep_forever()  # the client at stdin is served all the same
                nursery.cancel_scope.cancel()
        finally:
            self.problem = listen_problem or gateway.problem
            self._closed.set()

    async def _listen(self, gateway: Gateway) -> str:
        """Serve HTTP clients until the gateway ends; return why that failed."""
        from mcpgw.gateway.http import listen

        options = self.options
        why = await listen(
            gateway,
            self._stop,
            host=options.host,
            port=options.port,
            only=options.only,
            allow_unauthenticated=options.allow_unauthenticated,
        )
        if why:
            log.error("http.listen_failed", reason=why)
        return why

    async def _end_on_signal(self) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as received:
            async for number in received:
                log.info("gateway.signal_received", signal=signal.Signals(number).name)
                if self._stop.is_set():
                    end_at_once(number)
                self._stop.set()
                if self.session is not None:
                    self.session.peer.finish(SIGNAL_GRACE)
