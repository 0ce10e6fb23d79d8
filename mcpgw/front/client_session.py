"""A client session, as far as tasks, subscriptions and parked calls need to know it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mcpgw.pipeline.session_state import SessionState


class ClientSession(Protocol):
    """One client's session."""

    @property
    def principal(self) -> str:
        """The authenticated identity of the client; empty without authentication."""

    @property
    def target(self) -> str | None:
        """The one server that it shows; None if it shows the whole gateway."""

    @property
    def state(self) -> SessionState:
        """Its state between calls."""
