"""Endpoints: a backend as a child process, over the network, or within this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
import trio

from mcpgw.backends.process import open_process
from mcpgw.backends.services import ProcessServices
from mcpgw.config.chain import HEADER
from mcpgw.config.environment import CHAIN
from mcpgw.config.schema import BackendConfig
from mcpgw.observe.redactor import Redactor
from mcpgw.protocol.channel import Channel
from mcpgw.protocol.memory import channel_pair

if TYPE_CHECKING:
    from mcpgw.transports.authorization import Authorizer

CLOSE_GRACE: Final = 2.0
"""Seconds that an orderly close of a network connection may take."""


class Endpoint(Protocol):
    """An open endpoint of a backend."""

    @property
    def channel(self) -> Channel:
        """The channel that messages go over."""

    @property
    def exited(self) -> trio.Event:
        """Set when a child has exited; never set if only the channel shows the end."""

    @property
    def closing(self) -> trio.Event:
        """Set when nothing more can be sent, though requests in flight may still be answered."""

    @property
    def pid(self) -> int | None:
        """The process id of a child; None for other endpoints."""

    @property
    def expired(self) -> bool:
        """True if it ended only because the server dropped the session."""

    def stderr_tail(self) -> str:
        """Return the last lines of stderr, secrets redacted; "" if there is no child."""

    def why(self, note: str) -> str:
        """Return `note`, the situation at its end, with the cause of the end."""


@attrs.define(eq=False)
class NetworkEndpoint:
    """A server reached over the network."""

    channel: Any
    """A network channel; its `ending` describes why it has ended."""
    exited: trio.Event = attrs.field(factory=trio.Event)
    closing: trio.Event = attrs.field(init=False)
    pid: int | None = None

    def __attrs_post_init__(self) -> None:
        self.closing = getattr(self.channel, "closing", trio.Event())

    @property
    def expired(self) -> bool:
        """True if it ended only because the server dropped the session."""
        return bool(getattr(self.channel, "expired", False))

    def stderr_tail(self) -> str:
        """Return "": the stderr of a remote server is not available."""
        return ""

    def why(self, note: str) -> str:
        """Return `note`, the situation at its end, with the cause of the end."""
        ending = str(self.channel.ending)
        return f"{note}: {ending}" if ending else note


@attrs.define(eq=False)
class BuiltinEndpoint:
    """A server within this process."""

    channel: Channel
    exited: trio.Event = attrs.field(factory=trio.Event)
    closing: trio.Event = attrs.field(factory=trio.Event)
    pid: int | None = None
    expired: bool = False

    def stderr_tail(self) -> str:
        """Return "": it writes to the gateway's own log."""
        return ""

    def why(self, note: str) -> str:
        """Return `note`; there is nothing to add."""
        return note


def open_endpoint(
    config: BackendConfig,
    processes: ProcessServices,
    authorizer: Authorizer | None,
    redactor: Redactor,
) -> AbstractAsyncContextManager[Endpoint]:
    """Open the endpoint that a backend's configuration names; close it when the block is left.

    Args:
      config: the settings of the backend.
      processes: the gateway, as far as processes and connections need it.
      authorizer: the source of credentials of a network backend.
      redactor: knows the secrets of the backend.

    Raises:
      SpawnFailed: the command cannot be started.
    """
    if config.transport == "stdio":
        return open_process(
            config.command,
            env={CHAIN: processes.chain(config.name), **config.env},
            environ=processes.environ,
            cwd=config.cwd,
            limit=processes.message_limit,
            guardian=processes.guardian,
            redactor=redactor,
        )
    if config.transport == "builtin":
        return _open_builtin(config, processes)
    return _open_network(config, processes, authorizer, redactor)


@asynccontextmanager
async def _open_builtin(
    config: BackendConfig, processes: ProcessServices
) -> AsyncIterator[Endpoint]:
    gateway_end, server_end = channel_pair()
    async with trio.open_nursery() as nursery:
        await nursery.start(processes.serve_builtin, config.name, server_end)
        try:
            yield BuiltinEndpoint(gateway_end)
        finally:
            gateway_end.close()
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def _open_network(
    config: BackendConfig,
    processes: ProcessServices,
    authorizer: Authorizer | None,
    redactor: Redactor,
) -> AsyncIterator[Endpoint]:
    channel = _channel(config, processes, authorizer, redactor)
    async with trio.open_nursery() as nursery:
        await nursery.start(channel.run)
        try:
            yield NetworkEndpoint(channel)
        finally:
            with trio.move_on_after(CLOSE_GRACE, shield=True):
                await channel.aclose()
            nursery.cancel_scope.cancel()


def _channel(
    config: BackendConfig,
    processes: ProcessServices,
    authorizer: Authorizer | None,
    redactor: Redactor,
) -> Any:
    from mcpgw.transports.http_client import HttpChannel
    from mcpgw.transports.http_exchange import HttpTimeouts

    timeouts = HttpTimeouts(
        connect=config.connect_timeout,
        first_byte=config.first_byte_timeout,
        idle=config.stream_idle_timeout,
    )
    common: dict[str, Any] = {
        "name": config.name,
        "network": processes.network,
        "headers": {HEADER: processes.chain(config.name), **config.headers},
        "authorizer": authorizer,
        "limit": processes.message_limit,
        "timeouts": timeouts,
        "redactor": redactor,
    }
    if config.transport == "websocket":
        from mcpgw.transports.websocket_client import WebSocketChannel

        return WebSocketChannel(url=config.ws_url, **common)
    return HttpChannel(url=config.http_url, kind=config.http_kind, **common)
