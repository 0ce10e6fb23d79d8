"""HTTP sessions of the handshake revisions: ownership, expiry and shutdown."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import attrs
import trio

from mcpgw.front.http.asgi import Refusal
from mcpgw.front.http.event_buffer import MemoryBudget, Streams
from mcpgw.front.http.session_channel import SessionChannel
from mcpgw.front.http.settings import HttpSettings
from mcpgw.observe.log import get_logger
from mcpgw.protocol.errors import INTERNAL_ERROR

_ID_BYTES: Final = 24

_LONGEST_PERIOD: Final = 60.0
EVICT_AFTER: Final = 60.0
"""Seconds without use after which a session makes room for a new one, if there are too many."""

log = get_logger("mcpgw.http")


@attrs.define(eq=False)
class HttpSession:
    """One client's session over many connections.

    Args:
      id: the value of `Mcp-Session-Id`; unguessable, but not a credential.
      principal: the client that it belongs to.
      target: the backend's name; None for the surface of all backends.
      session_channel: the channel of its peer.
      streams: its resumable streams.
    """

    id: str
    principal: str
    target: str | None
    session_channel: SessionChannel
    streams: Streams
    version: str = ""
    """The negotiated protocol revision."""
    _users: int = 0
    _used: float = attrs.field(factory=trio.current_time)

    def __repr__(self) -> str:
        return f"<HttpSession MCP {self.version} users={self._users} {self.session_channel!r}>"

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the session from expiring while the block runs; its time to live starts after it."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            self._used = trio.current_time()

    def touch(self) -> None:
        """Restart its time to live."""
        self._used = trio.current_time()

    def idle_time(self) -> float:
        """Return the seconds since its last use; 0 while it is in use."""
        if self._users or self.session_channel.is_busy:
            self._used = trio.current_time()
        return trio.current_time() - self._used


@attrs.define(eq=False)
class HttpSessions:
    """All open sessions, by their ids."""

    settings: HttpSettings
    memory_budget: MemoryBudget
    _open: dict[str, HttpSession] = attrs.field(factory=dict)
    _opening: int = 0
    """Sessions that are made, and neither added nor given up yet."""

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[HttpSession]:
        return iter(tuple(self._open.values()))

    def make(self, principal: str, target: str | None) -> HttpSession:
        """Return a new session, which requests can use only after `add`; if that is not called,
        `give_up` must be.

        Raises:
          Refusal: too many sessions are open (503).
        """
        if len(self._open) + self._opening >= self.settings.max_sessions:
            self.expire()
            self._evict()
        if len(self._open) + self._opening >= self.settings.max_sessions:
            reason = (
                f"{self.settings.max_sessions} sessions are open, which is the limit"
                " (streaming.max_sessions); try again later"
            )
            raise Refusal(503, reason, INTERNAL_ERROR, headers=[(b"retry-after", b"60")])
        self._opening += 1
        streams = Streams(self.settings, self.memory_budget)
        return HttpSession(
            secrets.token_urlsafe(_ID_BYTES),
            principal,
            target,
            SessionChannel(streams.standalone),
            streams,
        )

    def add(self, session: HttpSession) -> None:
        """Make a session available to its client."""
        self._opening -= 1
        self._open[session.id] = session

    def give_up(self, session: HttpSession) -> None:
        """End a session that was not opened."""
        self._opening -= 1
        session.session_channel.drop()

    def find(self, session_id: str, principal: str, target: str | None) -> HttpSession:
        """Return a session of this client for this target.

        Raises:
          Refusal: there is no such session, or it belongs to another client (404).
        """
        session = self._open.get(session_id)
        if session is not None and session.session_channel.is_dead:
            del self._open[session_id]
            session = None
        if session is None or session.principal != principal or session.target != target:
            raise Refusal(404, "no such session: it has ended; send initialize again")
        return session

    def end(self, session: HttpSession) -> None:
        """End a session: cancel its calls and end its streams."""
        self._open.pop(session.id, None)
        session.session_channel.drop()
        session.streams.end()

    def expire(self) -> None:
        """End the sessions that were unused for longer than `session_ttl`."""
        for session in self:
            if session.session_channel.is_dead or session.idle_time() > self.settings.session_ttl:
                self.end(session)
            else:
                session.streams.purge()

    def _evict(self) -> None:
        """End the session that was unused for the longest time, to make room for a new one.

        A client that abandoned it is most likely gone; any other opens a new session.
        """
        idle = max(self, key=HttpSession.idle_time, default=None)
        full = len(self._open) + self._opening >= self.settings.max_sessions
        if full and idle is not None and idle.idle_time() >= EVICT_AFTER:
            log.info("http.session_evicted", idle_seconds=round(idle.idle_time()))
            self.end(idle)

    async def housekeeping(self) -> None:
        """Expire sessions periodically, until cancelled."""
        while True:
            await trio.sleep(min(_LONGEST_PERIOD, self.settings.session_ttl / 4))
            self.expire()

    def close(self) -> None:
        """Stop reading from all clients; answers are still sent, standalone streams end."""
        for session in self:
            session.session_channel.close()
            session.streams.standalone.end()

    def end_streams(self) -> None:
        """End every stream, answered or not."""
        for session in self:
            session.session_channel.end()
            session.streams.end()
