"""The sessions that are there now: what is kept of each, and what all of them are told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import attrs
import trio

from mcpgw.backends.server import Backend
from mcpgw.front.session import Session
from mcpgw.pipeline.session_state import Sessions, SessionState

SETTLE: Final = 0.05
"""Seconds in which several changes become one notification."""
AGAIN: Final = 1.0
"""Seconds until a client that does not read is told again."""

ANNOUNCED: Final[Mapping[str, str]] = {
    "tools": "notifications/tools/list_changed",
    "resources": "notifications/resources/list_changed",
    "resource_templates": "notifications/resources/list_changed",
    "prompts": "notifications/prompts/list_changed",
}


@attrs.define(eq=False)
class SessionRegistry:
    """The sessions, in the order in which they came. `announce` is a task.

    `known` is where the meta-tools look the sessions up.
    """

    known: Sessions
    _sessions: list[Session] = attrs.field(factory=list)
    _states: dict[Session, SessionState] = attrs.field(factory=dict)
    _changed: set[tuple[str, str | None]] = attrs.field(factory=set)
    """What clients are to be told, and of which server; None stands for all."""
    _owed: dict[Session, set[str]] = attrs.field(factory=dict)
    """Who could not be told of what yet."""
    _news: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._sessions))

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def only(self) -> Session | None:
        """The one session where there is just one."""
        return self._sessions[0] if len(self._sessions) == 1 else None

    def join(self, session: Session, state: SessionState | None = None) -> None:
        """Take a session in, with what is kept of it where that is there already."""
        self._sessions.append(session)
        if state is not None:
            self._states[session] = self.known.begin(state)

    def leave(self, session: Session) -> SessionState | None:
        """Forget a session; return what was kept of it."""
        if session in self._sessions:
            self._sessions.remove(session)
        self._owed.pop(session, None)
        state = self._states.pop(session, None)
        if state is not None:
            self.known.end(state)
        return state

    def state_of(self, session: Session) -> SessionState:
        """Return what is kept of a session between its calls."""
        state = self._states.get(session)
        if state is None:
            state = SessionState(caller=session.principal, profile=session.profile)
            self._states[session] = self.known.begin(state)
        return state

    def of_state(self, state_id: str) -> Iterator[Session]:
        """Go through the sessions of a state: one, or none any more."""
        for session, state in list(self._states.items()):
            if state.id == state_id:
                yield session

    def clients_of(self, backend: Backend) -> Iterator[Session]:
        """Go through the sessions of the handshake revisions that see a backend."""
        found = self.of_state(backend.session) if backend.session else iter(self)
        for session in found:
            if session.protocol_version and session.server_profile.target in (None, backend.name):
                yield session

    # -- telling them ------------------------------------------------------------------------

    def note(self, kinds: frozenset[str], server: str | None = None) -> None:
        """Have all told soon that lists have changed, of one server or of all."""
        self._changed |= {(ANNOUNCED[kind], server) for kind in kinds if kind in ANNOUNCED}
        self._news.unpark_all()

    async def announce(self) -> None:
        """Tell every session once of what changed within a moment, until cancelled."""
        while True:
            while not self._changed and not self._owed:
                await self._news.park()
            await trio.sleep(SETTLE)
            changed, self._changed = self._changed, set()
            for session in self:
                own = session.server_profile.target
                wanted = {m for m, server in changed if own is None or server in (None, own)}
                wanted |= self._owed.pop(session, set())
                if late := {method for method in sorted(wanted) if not session.tell(method)}:
                    self._owed[session] = late
            if self._owed:
                await trio.sleep(AGAIN)
