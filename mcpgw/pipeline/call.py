"""Calls to backends, the stages that process them, and the failures of a call."""

from __future__ import annotations

import enum
import random
from collections.abc import Awaitable, Callable, Hashable, Mapping
from functools import partial
from typing import Any, Final, Protocol

import attrs
import trio

from mcpgw.backends.connection import Connection
from mcpgw.backends.instance import BackendInstance
from mcpgw.backends.server import BackendServer
from mcpgw.pipeline.session_state import SessionState
from mcpgw.protocol.mcp import is_repeatable
from mcpgw.protocol.peer import Params, Request

_UUID_FIXED: Final = 0xF000_C000_0000_0000_0000
_UUID_VERSION_4: Final = 0x4000_8000_0000_0000_0000


class Recovery(enum.Enum):
    """Kinds of failure, each with its code, whether to retry, and advice for a model."""

    INVALID_PARAM = ("INVALID_PARAM", True, "an argument is wrong; correct it and call again")
    TOOL_NOT_FOUND = ("TOOL_NOT_FOUND", False, "no such server or tool; use a suggested name")
    BACKEND_ERROR = ("BACKEND_ERROR", True, "the server failed or its process ended")
    BACKEND_TIMEOUT = ("BACKEND_TIMEOUT", True, "the server did not answer in time")
    BACKEND_UNREACHABLE = ("BACKEND_UNREACHABLE", False, "the server cannot be started")
    CIRCUIT_OPEN = ("CIRCUIT_OPEN", False, "the server failed repeatedly; wait or revive it")
    RATE_LIMITED = ("RATE_LIMITED", True, "too many calls; wait and call again")
    SERVER_DISABLED = ("SERVER_DISABLED", False, "an operator has disabled the server")
    TOOL_DISABLED = ("TOOL_DISABLED", False, "temporarily disabled: high error rate")
    NOT_ALLOWED = ("NOT_ALLOWED", False, "not allowed for this session")
    NOT_AUTHORIZED = (
        "NOT_AUTHORIZED",
        False,
        "the server rejected the credentials; ask the user",
    )
    BUDGET_EXCEEDED = ("BUDGET_EXCEEDED", False, "a budget is exhausted")
    DUPLICATE_REQUEST = ("DUPLICATE_REQUEST", True, "the same call is still in progress")

    def __init__(self, code: str, retry: bool, meaning: str) -> None:
        self.code = code
        self.retry = retry
        self.meaning = meaning


@attrs.define(eq=False)
class CallFailed(Exception):
    """A call that ends without a result from the backend.

    Args:
      recovery: the kind of failure.
      message: what happened, with the values involved.
      suggest: what to do next.
      related: names of tools or servers that may have been meant.
      data: further details for programs, such as the backend's own error.
      happened: whether the call may have taken effect nevertheless, so it must not be repeated
        blindly.
    """

    recovery: Recovery
    message: str
    suggest: str = ""
    related: tuple[str, ...] = ()
    data: Mapping[str, Any] | None = None
    happened: bool = False

    def __str__(self) -> str:
        return f"{self.message} {self.suggest}".rstrip()


@attrs.define(slots=True, eq=False)
class Call:
    """A request for a backend, as it passes through the stages.

    `client_request` is the client's request that caused the call and receives its progress.
    `name` is the tool's offered name; `params` has it too until the stage `find_tool` replaces it.
    """

    server: str
    method: str
    name: str
    params: Params
    client_request: Request | None = None
    session: SessionState = attrs.field(factory=SessionState)
    full: bool = False
    """Bypass the response cache and the response transforms, except redaction."""
    fields: tuple[str, ...] = ()
    """Paths of the only parts of the result to return; empty for all."""
    supports_input_required: bool = False
    """True if the result may be `input_required`, which the client answers with a new request."""
    transparent: bool = False
    """The call is for a server's own endpoint: nothing is added to the result, and the server
    itself checks names and arguments."""
    exact: bool = False
    """Refuse arguments of a wrong type instead of converting them: the caller is a program."""
    patience: float | None = None
    """Timeout in seconds instead of the one in the server's settings."""
    open_questions: int = 0
    """Requests of the backend to the client that are waiting for a response."""
    last_question_at: float = 0.0
    idempotency_key: str = ""
    trace_id: str = ""
    backend: BackendServer = attrs.field(default=None)  # set by the stage `resolve`
    instance: BackendInstance = attrs.field(default=None)  # likewise
    tool: Mapping[str, Any] | None = None
    deadline: trio.CancelScope = attrs.field(default=None)  # set by the stage `deadline`
    sent: bool = False
    connection: Connection | None = None
    """The connection on which the call was sent."""
    incarnation: Hashable = None
    """The process that it was sent to; see `BackendInstance.incarnation`."""
    sent_at: float = 0.0
    """When it was sent, by Trio's clock."""
    received: int = 0
    """Messages that the backend had sent before the call."""
    noise: int = 0
    """Lines of it that are not messages, likewise."""
    cached: bool = False
    """Answered without a request to the backend."""
    fault: Recovery | None = None
    """The kind of failure recognised in a result with `isError`, if any."""

    def __repr__(self) -> str:
        state = "SENT" if self.sent else "WAITING"
        return f"<Call {self.server}:{self.name} {self.method} {state} {self.trace_id}>"

    @property
    def repeatable(self) -> bool:
        """True if the call can safely be repeated, according to the tool's annotations."""
        if self.method != "tools/call":
            return True  # reading resources and prompts has no side effects
        return self.tool is not None and is_repeatable(self.tool)

    def question_sent(self, patience: float) -> None:
        """Note that the backend waits for the client, which has `patience` seconds to answer."""
        now = trio.current_time()
        self.open_questions += 1
        self.last_question_at = now
        self.deadline.deadline = max(self.deadline.deadline, now + patience)

    def question_answered(self) -> None:
        """Note an answer; after the last one the backend has its full time again."""
        self.open_questions -= 1
        if not self.open_questions:
            self.deadline.deadline = trio.current_time() + self.timeout

    @property
    def timeout(self) -> float:
        """The seconds that the backend has to answer."""
        return self.patience or self.backend.config.timeout

    @property
    def timed_out(self) -> bool:
        """True if the call's deadline has passed."""
        return trio.current_time() >= self.deadline.deadline


Proceed = Callable[[Call], Awaitable[Params]]


class Stage(Protocol):
    """One stage of the pipeline: passes the call on, answers it, or refuses it."""

    def __call__(self, call: Call, proceed: Proceed) -> Awaitable[Params]:
        """Process the call; `proceed` runs the later stages and returns the result."""


def compose(stages: tuple[Stage, ...], last: Proceed) -> Proceed:
    """Chain stages in order: each gets the call and a function that runs the later ones."""
    proceed = last
    for stage in reversed(stages):
        proceed = partial(stage, proceed=proceed)
    return proceed


def new_trace_id() -> str:
    """Return `gw-` and a random UUID (RFC 9562, version 4); not cryptographically secure."""
    bits = random.getrandbits(128) & ~_UUID_FIXED | _UUID_VERSION_4
    text = f"{bits:032x}"
    return f"gw-{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
