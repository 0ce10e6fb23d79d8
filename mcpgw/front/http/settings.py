"""What the HTTP front asks of the gateway behind it, and the settings it runs by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import attrs

from mcpgw.front.http.event_buffer import MemoryBudget
from mcpgw.protocol.channel import Channel

ANONYMOUS: Final = "anonymous"
"""The principal of clients that need not authenticate."""


class FrontChannel(Channel, Protocol):
    """The channel of one session of the HTTP front."""

    def end(self) -> None:
        """Say that nobody serves the channel any more: its open answers end, later ones fail."""


@attrs.frozen
class NoSuchTarget(Exception):
    """There is no backend of this name.

    Args:
      name: what was asked for.
      known: the names that there are.
    """

    name: str
    known: tuple[str, ...] = ()

    def __str__(self) -> str:
        names = ", ".join(sorted(self.known)) if self.known else "none is configured"
        return f"no server is called {self.name!r}; there are: {names}"


@attrs.frozen
class HealthReport:
    """How the gateway is, in what anybody may know.

    Args:
      ready: whether the configuration is loaded.
      version: the gateway's own version.
      count: how many backends are configured.
      all_healthy: whether every one of them works.
    """

    ready: bool
    version: str
    count: int = 0
    all_healthy: bool = True


class GatewayApi(Protocol):
    """The way from the HTTP front into the gateway."""

    async def open(
        self,
        channel: FrontChannel,
        target: str | None,
        principal: str,
        *,
        stateless: bool = False,
    ) -> None:
        """Begin a session over the channel in a task of the front's own; return once it listens.

        The session ends when `channel.receive` raises `trio.EndOfChannel`. One that ends before
        that calls `channel.end()`.

        Args:
          channel: where its messages come from and go to.
          target: a backend's name, or None for the surface of them all.
          principal: who the client is: `anonymous` where nobody has to say.
          stateless: the channel carries requests of many clients, all of the stateless era.

        Raises:
          NoSuchTarget: there is no such backend.
        """

    def tool(self, target: str | None, name: str) -> Mapping[str, Any] | None:
        """Return a tool's definition as clients see it, or None where it is not known."""

    def health(self) -> HealthReport:
        """Return how the gateway is, without waiting."""


@attrs.frozen
class HttpSettings:
    """How the HTTP front listens, whom it lets in and what it keeps. Seconds and bytes."""

    host: str = "127.0.0.1"
    port: int = 39400
    max_body_size: int = 10 * 1024 * 1024
    """The largest message accepted; one that is larger is refused while it comes."""
    session_ttl: float = 1800.0
    """How long a session is kept that nobody uses."""
    max_sessions: int = 10_000
    keep_alive: float = 15.0
    """Time between signs of life on a stream on which nothing else is sent."""
    answer_wait: float = 0.1
    """How long a POST waits for its answer before it becomes a stream of events."""
    status_wait: float = 5.0
    """The same in the stateless era, where the answer decides on the HTTP status."""
    body_timeout: float = 30.0
    """How long the body of a request may take to come."""
    head_timeout: float = 10.0
    """How long the first request's head may take on a new connection."""
    idle_timeout: float = 60.0
    """How long a connection is kept open between two requests."""
    write_timeout: float = 30.0
    """How long a client may leave one write waiting before its connection is closed."""
    shutdown_grace: float = 10.0
    """How long requests in flight may take to finish when the front ends."""
    max_connections: int = 4096
    header_limit: int = 32 * 1024
    """The largest head of a request, request line included."""
    replay_messages: int = 100
    replay_bytes: int = 1024 * 1024
    replay_age: float = 300.0
    """What is kept of one stream for a client that comes back; its newest message always is."""
    replay_streams: int = 64
    """How many streams of one session are kept after their end."""
    unread_messages: int = 2000
    unread_bytes: int = 16 * 1024 * 1024
    """What may wait for a client that reads slowly before its connection is closed."""
    memory_budget: MemoryBudget = attrs.field(
        factory=lambda: MemoryBudget(128 * 1024 * 1024), eq=False, repr=False
    )
    """The bound of what waits for all clients together."""
    retry: float = 1.0
    """What clients are told to wait before they come back for a stream."""
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    bearer_token: str | None = attrs.field(default=None, repr=False)
    """The token that every request needs; None where none does."""
    public_paths: tuple[str, ...] = ("/health",)
    """Paths that need no token, each exactly as it stands."""
