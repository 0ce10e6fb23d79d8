"""Where a backend stands, and why it does not run."""

from __future__ import annotations

import enum
import time

import attrs


class State(enum.Enum):
    """Where a backend stands."""

    IDLE = "idle"
    STARTING = "starting"
    READY = "ready"
    BACKING_OFF = "backing off"
    OPEN = "open"
    STOPPED = "stopped"


class Unavailable(Exception):
    """A backend cannot take a call now; the text says why and what to do."""


class Replaced(Unavailable):
    """The backend was changed or removed in the configuration before the call was sent."""


@attrs.frozen
class Failure:
    """Why a backend does not run: the cause in words, and whether trying again is useless."""

    reason: str
    permanent: bool = False
    at: float = attrs.field(factory=time.time)
