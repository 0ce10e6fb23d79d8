"""The nursery tree: what runs in a gateway, and who waits for whom.

serve
├── stdio channel       writes what is queued
├── signals             SIGTERM, SIGINT and SIGHUP end the gateway
├── front: stdio        the session; a task for each request in flight
├── front: http         only when asked for: the server, and a task for each session
└── core                begins after the first answer (mcpgw.gateway.gateway)
    ├── backends        a supervised task for each backend
    │   └── NAME        process or connection, reader, writer, lists, health, idle stop
    ├── rounds          calls that wait for their client's next request
    ├── watches         subscriptions that nobody needs any more are ended
    ├── watcher         gateway.yaml and its env files
    ├── announcer       tells the clients once of many changes
    └── warm start      what `meta_mcp.warm_start` names
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import trio

from mcpgw.front.session import END_GRACE, Session
from mcpgw.observe.log import get_logger
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
    """How a gateway is to be run.

    Args:
      config_path: gateway.yaml; None to look in the usual places. Where it is missing the
        defaults are used, and it is loaded when it appears.
      environ: the environment of the process.
      stdio: whether there is a client at stdin and stdout; its end ends the gateway.
      http: whether to listen for clients by HTTP.
      host, port: where to, over what the configuration says.
      config: a configuration made by a command, in place of a file.
      only: the one server that clients see, as if they had it before them (a bridge).
    """

    config_path: Path | None
    environ: Mapping[str, str] = attrs.field(repr=False)
    stdio: bool = True
    http: bool = False
    host: str | None = None
    port: int | None = None
    config: GatewayConfig | None = None
    only: str | None = None


async def serve(serving: ServeOptions) -> int:
    """Run a gateway until its client has gone, or a signal ends it.

    Returns:
      The exit status: 0, or 1 where the configuration could not be loaded or the port is taken.
    """
    return await _Tree(serving).run()


@attrs.define(eq=False)
class _Tree:
    serving: ServeOptions
    session: Session | None = None
    problem: str = ""
    _stop: trio.Event = attrs.field(factory=trio.Event)
    _closed: trio.Event = attrs.field(factory=trio.Event)

    async def run(self) -> int:
        channel = take_stdio(limit=MESSAGE_LIMIT) if self.serving.stdio else None
        if channel is not None:
            self.session = Session(channel, end_grace=END_GRACE)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._end_on_signal)
                if channel is None or self.session is None:
                    await self._core()
                else:
                    nursery.start_soon(channel.run)
                    nursery.start_soon(self._core)
                    await self.session.run()
                    self._stop.set()
                    with trio.move_on_after(SIGNAL_GRACE):
                        await channel.flush()
                        if self.serving.http:
                            await self._closed.wait()
                nursery.cancel_scope.cancel()
        finally:
            if channel is not None:
                with trio.CancelScope(shield=True):
                    await channel.aclose()
        return 1 if self.problem else 0

    async def _core(self) -> None:
        """Load what answers the requests, and listen where that is wanted."""
        if self.session is not None and not self.serving.http:
            # The imports take longer than all else; the first answer goes out before them.
            await self.session.greeted.wait()
        from mcpgw.gateway.gateway import Gateway

        gateway = Gateway(
            self.serving.config_path,
            self.serving.environ,
            must_exist=not self.serving.stdio and self.serving.config_path is not None,
            sessions=[self.session] if self.session is not None else [],
            many_clients=self.serving.http,
            given=self.serving.config,
        )
        not_listening = ""
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(gateway.run)
                if not self.serving.http:
                    await trio.sleep_forever()
                if gateway.problem and self.session is None:
                    log.error("gateway.not_started", reason=gateway.problem)
                else:
                    not_listening = await self._listen(gateway)
                    if self.session is not None and not_listening:
                        await trio.sleep_forever()  # the client at stdin is served all the same
                nursery.cancel_scope.cancel()
        finally:
            self.problem = not_listening or gateway.problem
            self._closed.set()

    async def _listen(self, gateway: Gateway) -> str:
        """Serve clients by HTTP until the gateway ends; return why that could not be done."""
        from mcpgw.gateway.http import listen

        serving = self.serving
        why = await listen(
            gateway, self._stop, host=serving.host, port=serving.port, only=serving.only
        )
        if why:
            log.error("http.not_listening", reason=why)
        return why

    async def _end_on_signal(self) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as received:
            async for number in received:
                log.info("gateway.ending", signal=signal.Signals(number).name)
                self._stop.set()
                if self.session is not None:
                    self.session.peer.finish(SIGNAL_GRACE)
