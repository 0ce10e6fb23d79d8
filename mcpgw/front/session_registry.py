"""Registry of live sessions; sends them list_changed notifications."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import attrs
import trio

from mcpgw.backends.services import Instance
from mcpgw.front.session import Session
from mcpgw.pipeline.session_state import SessionState

SETTLE: Final = 0.05
"""Seconds within which several changes become one notification."""
RETRY: Final = 1.0
"""Seconds until a client that does not read is notified again."""

LIST_CHANGED: Final[Mapping[str, str]] = {
    "tools": "notifications/tools/list_changed",
    "resources": "notifications/resources/list_changed",
    "resource_templates": "notifications/resources/list_changed",
    "prompts": "notifications/prompts/list_changed",
}


@attrs.define(eq=False)
class SessionRegistry:
    """The live sessions, in the order of their arrival, and their states. `notify` is a task."""

    _sessions: list[Session] = attrs.field(factory=list)
    _states: dict[Session, SessionState] = attrs.field(factory=dict)
    _by_id: dict[str, SessionState] = attrs.field(factory=dict)
    _changed: set[tuple[str, str | None]] = attrs.field(factory=set)
    """Queued notifications, each with its server; None stands for all servers."""
    _undelivered: dict[Session, set[str]] = attrs.field(factory=dict)
    """Notifications that a session could not take yet."""
    tools_of: Callable[[SessionState], object] | None = None
    """Returns the definitions that a session of the whole gateway would list now."""
    _wake: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._sessions))

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def only(self) -> Session | None:
        """The one session, if there is just one."""
        return self._sessions[0] if len(self._sessions) == 1 else None

    def add(self, session: Session, state: SessionState | None = None) -> None:
        """Register a session, with its state if that exists already."""
        self._sessions.append(session)
        if state is not None:
            self._keep(session, state)

    def remove(self, session: Session) -> SessionState | None:
        """Forget a session; return its state."""
        if session in self._sessions:
            self._sessions.remove(session)
        self._undelivered.pop(session, None)
        state = self._states.pop(session, None)
        if state is not None:
            self._by_id.pop(state.id, None)
        return state

    def _keep(self, session: Session, state: SessionState) -> SessionState:
        self._states[session] = self._by_id[state.id] = state
        return state

    def state_of(self, session: Session) -> SessionState:
        """Return the state that lives as long as a session."""
        state = self._states.get(session)
        if state is None:
            state = SessionState(caller=session.principal, profile=session.profile)
            self._keep(session, state)
        return state

    def states(self) -> tuple[SessionState, ...]:
        """Return the states of all sessions."""
        return tuple(self._by_id.values())

    def find_state(self, state_id: str) -> SessionState | None:
        """Return the state of this id; None if no live session has it."""
        return self._by_id.get(state_id)

    def of_state(self, state_id: str) -> Iterator[Session]:
        """Iterate over the sessions of a state: one, or none if it has ended."""
        for session, state in list(self._states.items()):
            if state.id == state_id:
                yield session

    def clients_of(self, instance: Instance) -> Iterator[Session]:
        """Iterate over the initialized sessions that see a backend instance."""
        found = self.of_state(instance.session) if instance.session else iter(self)
        for session in found:
            target = session.server_profile.target
            if session.protocol_version and target in (None, instance.name):
                yield session

    def _has_listed(self, session: Session) -> bool:
        """Return whether a client has listed just the tools that it would list now.

        Many changes of servers concern none of the gateway's own tools.
        """
        state = self._states.get(session)
        if state is None or state.listed_tools is None or session.server_profile.target is not None:
            return False
        return self.tools_of is not None and self.tools_of(state) == state.listed_tools

    # -- notifications -----------------------------------------------------------------------

    def queue_change(self, kinds: frozenset[str], server: str | None = None) -> None:
        """Have all sessions notified soon that lists have changed, of one server or of all."""
        self._changed |= {(LIST_CHANGED[kind], server) for kind in kinds if kind in LIST_CHANGED}
        self._wake.unpark_all()

    async def notify(self) -> None:
        """Notify every session once of all changes within a moment, until cancelled."""
        while True:
            while not self._changed and not self._undelivered:
                await self._wake.park()
            await trio.sleep(SETTLE)
            changed, self._changed = self._changed, set()
            for session in self:
                own = session.server_profile.target
                wanted = {m for m, server in changed if own is None or server in (None, own)}
                if LIST_CHANGED["tools"] in wanted and self._has_listed(session):
                    wanted.remove(LIST_CHANGED["tools"])
                wanted |= self._undelivered.pop(session, set())
                if late := {
                    method for method in sorted(wanted) if not session.notify_change(method)
                }:
                    self._undelivered[session] = late
            if self._undelivered:
                await trio.sleep(RETRY)
