"""Settings of the HTTP front: addresses, limits and access."""

from __future__ import annotations

import attrs


@attrs.frozen
class HttpSettings:
    """Address, limits and access rules of the HTTP front. Times are seconds, sizes bytes."""

    host: str = "127.0.0.1"
    port: int = 39400
    max_body_size: int = 10 * 1024 * 1024
    """The largest message accepted; a larger one is refused while it arrives."""
    session_ttl: float = 1800.0
    """Lifetime of an unused session."""
    max_sessions: int = 10_000
    keep_alive: float = 15.0
    """Time between keep-alive comments on an idle stream."""
    answer_wait: float = 0.1
    """Time that a POST waits for its answer before it becomes an event stream."""
    status_wait: float = 5.0
    """The same in the stateless era, in which the answer decides the HTTP status."""
    body_timeout: float = 30.0
    """The longest time that a request's body may take."""
    head_timeout: float = 10.0
    """The longest time to the end of the first request's head on a new connection."""
    idle_timeout: float = 60.0
    """Time that an idle connection is kept open between two requests."""
    write_timeout: float = 30.0
    """Time that one write may wait for a slow client before its connection is closed."""
    shutdown_grace: float = 10.0
    """Time that requests in flight have to finish at shutdown."""
    max_connections: int = 4096
    header_limit: int = 32 * 1024
    """The largest head of a request, request line included."""
    replay_messages: int = 100
    replay_bytes: int = 1024 * 1024
    replay_age: float = 300.0
    """Bounds of what one stream keeps for a client that reconnects. Its newest message is always
    kept."""
    replay_streams: int = 64
    """Ended streams that are kept for each session."""
    unread_messages: int = 2000
    unread_bytes: int = 16 * 1024 * 1024
    """Bounds of what may wait for one slow client before its connection is closed."""
    unread_total_bytes: int = 128 * 1024 * 1024
    """The bound of what all streams together hold for their clients."""
    retry: float = 1.0
    """The reconnection time that is sent to clients with a stream (SSE field `retry`)."""
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    bearer_token: str | None = attrs.field(default=None, repr=False)
    """The token that every request must carry; None if no token is required."""
    public_paths: tuple[str, ...] = ("/health",)
    """Paths that need no token; compared exactly."""
