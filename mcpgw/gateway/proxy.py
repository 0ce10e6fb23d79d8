"""Thin proxy: forwards messages between a client at stdin and stdout and a remote server.

Messages are not inspected, except to restore a lost session: the client's `initialize` is kept
and repeated if the server has dropped the session or was restarted, without the client noticing.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs
import trio

from mcpgw.backends.guarded_channel import GuardedChannel
from mcpgw.config.chain import HEADER, read_chain
from mcpgw.config.environment import CHAIN
from mcpgw.observe.log import get_logger
from mcpgw.observe.redactor import Redactor
from mcpgw.protocol.channel import Arrived, Channel, Failed, Received
from mcpgw.protocol.errors import BACKEND_UNAVAILABLE, INVALID_REQUEST, PARSE_ERROR
from mcpgw.protocol.jsonrpc import Malformed, Message, RequestId, valid_id
from mcpgw.transports.stdio import take_stdio

if TYPE_CHECKING:
    from mcpgw.transports.authorization import Authorizer
    from mcpgw.transports.network import Network

log = get_logger("mcpgw.bridge")

MESSAGE_LIMIT: Final = 64 * 1024 * 1024
"""Largest message that is forwarded, in bytes; the server has a limit of its own."""
END_GRACE: Final = 10.0
"""Seconds that requests in flight have after the end of input."""
HOLD: Final = 30.0
"""Seconds that a request waits for a server that is away, for example while it restarts."""
RETRY: Final = (0.1, 2.0)
"""Seconds until a lost server is tried again: at first, and at most."""
_REOPEN_ID: Final = "mcp-gateway-reopen"

OpenServer = Callable[[], Awaitable[Any]]
"""Opens a new network channel to the server."""


@attrs.define(eq=False)
class Proxy:
    """Forwards messages between a client and a server until the client ends.

    Once the server has answered, the proxy outlives it: it connects again, holds requests that were
    not sent, and answers those that may have had an effect with an error.

    Args:
      client: the channel of the client; the caller runs and closes it.
      open_server: opens a channel to the server; the proxy runs and closes it.
      redactor: knows the secrets that are sent to the server; None if it is a gateway of this user.
    """

    client: Channel
    open_server: OpenServer
    redactor: Redactor | None = None
    _server: Any = None
    """The channel of the live session; None if there is none."""
    _initialize: Message | None = None
    _initialized: Message | None = None
    _waiting: dict[RequestId, Message] = attrs.field(factory=dict)
    """The client's requests that have not been answered yet."""
    _unsent: dict[RequestId, float] = attrs.field(factory=dict)
    """Those that no server has received, and since when they wait."""
    _answered: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _opened: trio.Event = attrs.field(factory=trio.Event)
    """Set when the first session is open."""

    async def run(self) -> str:
        """Forward messages until the client ends.

        Returns:
          Why there was never a connection to the server, or "".
        """
        ending: list[str] = []

        async def serve() -> None:
            ending.append(await self._keep_server())
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            await self._from_client()
            with trio.move_on_after(END_GRACE):
                while self._waiting:
                    await self._answered.park()
            nursery.cancel_scope.cancel()
        return ending[0] if ending else ""

    async def _from_client(self) -> None:
        while True:
            try:
                received = await self.client.receive()
            except (trio.EndOfChannel, trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if isinstance(received, dict):
                await self._forward(received)
            else:
                fault = received if isinstance(received, Malformed) else None
                reason = fault.reason if fault else "send one message per line"
                await self.client.send(_error(fault.id if fault else None, PARSE_ERROR, reason))

    async def _forward(self, message: Message) -> None:
        method, request = message.get("method"), message.get("id")
        is_request = method is not None and request is not None
        if is_request and not valid_id(request):
            reason = "the id of a request must be a string or a number"
            await self.client.send(_error(None, INVALID_REQUEST, reason))
            return
        if method == "notifications/initialized":
            self._initialized = message
        elif method == "notifications/cancelled":
            params = message.get("params")
            cancelled = params.get("requestId") if isinstance(params, dict) else None
            if isinstance(cancelled, (str, int)):
                self._waiting.pop(cancelled, None)
                if self._unsent.pop(cancelled, None) is not None:
                    return
        await self._opened.wait()
        if is_request:
            self._waiting[message["id"]] = message
            self._unsent[message["id"]] = trio.current_time()
        server = self._server
        if server is None:
            return  # a new session begins with `initialized`, and other notifications are void
        try:
            await server.send(message)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
        if is_request:
            self._unsent.pop(message["id"], None)

    async def _keep_server(self) -> str:
        """Keep a session with the server open; return why there never was one."""
        pause = RETRY[0]
        known = False
        while True:
            server = await self.open_server()
            received, why = await self._converse(server)
            known = known or received
            if not known:
                for request in self._unsent:
                    self._unsent[request] = -math.inf
                await self._fail_sent(why)
                await self._fail_unsent(why)
                return why
            log.info("bridge.connection_lost", reason=why, expired=bool(server.expired))
            if server.expired:
                why = f"the server dropped the session before it answered ({why})"
            await self._fail_sent(why)
            await self._fail_unsent(why)
            pause = RETRY[0] if received else min(RETRY[1], 2 * pause)
            await trio.sleep(pause)

    async def _converse(self, server: Any) -> tuple[bool, str]:
        """Open a session over a channel and forward messages until it ends.

        Returns:
          Whether the server sent anything, and the cause of the end.
        """
        received, refused = False, ""
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            try:
                refused = await self._repeat_initialize(server)
                if not refused:
                    self._server = server
                    self._opened.set()
                    for request in list(self._unsent):
                        await server.send(self._waiting[request])
                        self._unsent.pop(request, None)
                    received = await self._from_server(server)
            except (trio.EndOfChannel, trio.BrokenResourceError, trio.ClosedResourceError):
                log.debug("bridge.connection_closed", reason=str(server.ending))
            finally:
                self._server = None
                with trio.move_on_after(2, shield=True):
                    await server.aclose()
            nursery.cancel_scope.cancel()
        why = refused or str(server.ending) or "the server ended the connection"
        return received, why if self.redactor is None else self.redactor.known(why)

    async def _fail_sent(self, why: str) -> None:
        """Answer sent requests with an error: they may have had an effect, so none is repeated."""
        for request in [each for each in self._waiting if each not in self._unsent]:
            await self._fail(request, f"{why}; the request may have had an effect")

    async def _fail_unsent(self, why: str) -> None:
        """Answer requests that have waited too long for a server."""
        latest = trio.current_time() - HOLD
        for request in [each for each, since in self._unsent.items() if since <= latest]:
            del self._unsent[request]
            await self._fail(request, why)

    async def _fail(self, request: RequestId, why: str) -> None:
        if self._waiting.pop(request, None) is None:
            return  # cancelled while another answer was sent
        self._answered.unpark_all()
        await self.client.send(_error(request, BACKEND_UNAVAILABLE, why))

    async def _repeat_initialize(self, server: Any) -> str:
        """Repeat the client's `initialize` for a new session; return why it was refused, or "".

        Raises:
          trio.EndOfChannel, trio.BrokenResourceError: the new session has already ended.
        """
        if self._initialize is None:
            return ""
        await server.send({**self._initialize, "id": _REOPEN_ID})
        while True:
            received = await self._receive(server)
            if isinstance(received, Failed):
                return str(received.error) if received.error.reason else ""
            message = received.message if isinstance(received, Arrived) else received
            if isinstance(message, dict) and message.get("id") == _REOPEN_ID:
                break
        if "error" in message:
            reason = message["error"].get("message") if isinstance(message["error"], dict) else ""
            return f"the server refused a new session: {reason}"
        if self._initialized is not None:
            await server.send(self._initialized)
        return ""

    async def _receive(self, server: Any) -> Received:
        """Return the next message of the server, without the secrets that it was sent."""
        if self.redactor is None:
            received: Received = await server.receive()
            return received
        return await GuardedChannel(server, self.redactor).receive()

    async def _from_server(self, server: Any) -> bool:
        """Forward the server's messages until it ends; return whether there were any."""
        received_any = False
        while True:
            try:
                received = await self._receive(server)
            except (trio.EndOfChannel, trio.BrokenResourceError, trio.ClosedResourceError):
                return received_any
            if isinstance(received, Failed):
                await self._failed(received)
                continue
            message = received.message if isinstance(received, Arrived) else received
            if isinstance(message, dict):
                if "method" not in message and valid_id(message.get("id")):
                    asked = self._waiting.pop(message["id"], {})
                    if asked.get("method") == "initialize" and "result" in message:
                        self._initialize = asked
                    self._answered.unpark_all()
                received_any = True
                await self.client.send(message)

    async def _failed(self, lost: Failed) -> None:
        request = lost.request
        if request not in self._waiting:
            return
        if not lost.error.sent and not lost.error.reason:
            self._unsent.setdefault(request, trio.current_time())  # for the next session
        elif lost.error.reason:
            await self._fail(request, lost.error.reason)
        # Otherwise the whole connection has ended, and its `ending` gives the reason.


async def bridge_stdio(
    open_server: OpenServer, redactor: Redactor | None = None, *, hint: str = ""
) -> int:
    """Bridge the process's stdin and stdout to a server; return the exit status.

    Args:
      open_server: opens the channel to the server.
      redactor: knows the secrets that are sent to it; None if it is a gateway of this user.
      hint: what to do if it cannot be reached.
    """
    channel = take_stdio(limit=MESSAGE_LIMIT)
    why = ""
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.run)
            nursery.start_soon(_end_on_signal, nursery.cancel_scope)
            why = await Proxy(channel, open_server, redactor).run()
            with trio.move_on_after(1):
                await channel.flush()
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await channel.aclose()
    if why:
        log.error("bridge.ended", reason=why, **({"hint": hint} if hint else {}))
    return 1 if why else 0


async def _end_on_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as received:
        async for _number in received:
            scope.cancel()


def network_channel(
    url: str,
    network: Network,
    *,
    headers: Mapping[str, str],
    authorizer: Authorizer | None = None,
    kind: Literal["auto", "streamable", "sse"] = "auto",
    redactor: Redactor | None = None,
) -> Any:
    """Return a new channel to a server at an http, https, ws or wss URL."""
    from mcpgw.transports.http_client import HttpChannel
    from mcpgw.transports.http_exchange import HttpTimeouts

    common: dict[str, Any] = {
        "name": "server",
        "url": url,
        "network": network,
        "headers": headers,
        "authorizer": authorizer,
        "limit": MESSAGE_LIMIT,
        "timeouts": HttpTimeouts(),
        "redactor": redactor or Redactor(),
    }
    if url.startswith(("ws://", "wss://")):
        from mcpgw.transports.websocket_client import WebSocketChannel

        return WebSocketChannel(**common)
    return HttpChannel(kind=kind, **common)


def _error(request: RequestId | None, code: int, reason: str) -> Message:
    answer: Message = {"jsonrpc": "2.0", "error": {"code": int(code), "message": reason}}
    return answer if request is None else {**answer, "id": request}


async def serve_proxy(
    config_path: Path | None, environ: Mapping[str, str], host: str | None, port: int | None
) -> int:
    """Bridge stdin and stdout to the running gateway; return the exit status."""
    from mcpgw.gateway.discovery import gateway_address
    from mcpgw.transports.network import Network

    # A gateway on this machine is never reached through a proxy.
    network = Network({**environ, "NO_PROXY": "*", "no_proxy": "*"})

    async def open_server() -> Any:
        # Read again each time: a restarted gateway may have another port and token.
        found = await trio.to_thread.run_sync(gateway_address, config_path, environ, host, port)
        headers = {"Authorization": f"Bearer {found.token}"} if found.token else {}
        if CHAIN in environ:
            headers[HEADER] = ",".join(read_chain(environ[CHAIN]))
        return network_channel(found.url, network, headers=headers, kind="streamable")

    return await bridge_stdio(open_server, hint="start a gateway with: mcp-gateway serve")
