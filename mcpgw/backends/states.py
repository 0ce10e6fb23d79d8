"""States of a backend, and its failures."""

from __future__ import annotations

import enum
import time

import attrs


class State(enum.Enum):
    """State of a backend."""

    IDLE = "idle"
    STARTING = "starting"
    READY = "ready"
    BACKING_OFF = "backing off"
    OPEN = "open"
    STOPPED = "stopped"


class Unavailable(Exception):
    """A backend cannot take a call now; the message gives the reason."""


class Replaced(Unavailable):
    """The backend was changed or removed in the configuration before the call was sent."""


@attrs.frozen
class Failure:
    """The cause of a failure in words; `permanent` if trying again is useless."""

    reason: str
    permanent: bool = False
    at: float = attrs.field(factory=time.time)
