"""The number of sessions: those that are being opened count too."""

from __future__ import annotations

import pytest

from mcpgw.front.http.asgi import Refusal
from mcpgw.front.http.event_buffer import MemoryBudget
from mcpgw.front.http.sessions import HttpSessions
from mcpgw.front.http.settings import HttpSettings


async def test_sessions_that_are_opened_at_once_do_not_exceed_the_limit() -> None:
    """A session has its place from the start of `initialize`, and leaves it if that fails."""
    sessions = HttpSessions(HttpSettings(max_sessions=2), MemoryBudget(10**6))
    first, second = sessions.make("a", None), sessions.make("a", None)
    with pytest.raises(Refusal):
        sessions.make("a", None)
    sessions.give_up(first)
    third = sessions.make("a", None)
    sessions.add(second)
    sessions.add(third)
    assert 2 == len(sessions)
    with pytest.raises(Refusal):
        sessions.make("a", None)
    sessions.end(third)
    sessions.make("a", None)
