"""One call on its way to a backend, and what can go wrong with it."""

from __future__ import annotations

import enum
import random
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, Protocol

import attrs
import trio

from mcpgw.backends.instance import BackendInstance
from mcpgw.backends.server import BackendServer
from mcpgw.pipeline.session_state import SessionState
from mcpgw.protocol.mcp import is_repeatable
from mcpgw.protocol.peer import Params, Request

_UUID_FIXED: Final = 0xF000_C000_0000_0000_0000
_UUID_VERSION_4: Final = 0x4000_8000_0000_0000_0000


class Recovery(enum.Enum):
    """Why a call failed, in words that a model can act on."""

    INVALID_PARAM = ("INVALID_PARAM", True, "an argument is wrong; correct it and call again")
    TOOL_NOT_FOUND = ("TOOL_NOT_FOUND", False, "no such server or tool; use a suggested name")
    BACKEND_ERROR = ("BACKEND_ERROR", True, "the server failed or its process ended")
    BACKEND_TIMEOUT = ("BACKEND_TIMEOUT", True, "the server did not answer in time")
    BACKEND_UNREACHABLE = ("BACKEND_UNREACHABLE", False, "the server cannot be started")
    CIRCUIT_OPEN = ("CIRCUIT_OPEN", False, "the server failed repeatedly; wait, or revive it")
    RATE_LIMITED = ("RATE_LIMITED", True, "too many calls; wait and call again")
    SERVER_DISABLED = ("SERVER_DISABLED", False, "an operator has disabled the server")
    TOOL_DISABLED = ("TOOL_DISABLED", False, "it mostly failed lately and is disabled for a while")
    NOT_ALLOWED = ("NOT_ALLOWED", False, "this session may not use it")
    NOT_AUTHORIZED = (
        "NOT_AUTHORIZED",
        False,
        "the server refuses these credentials; ask the person",
    )
    BUDGET_EXCEEDED = ("BUDGET_EXCEEDED", False, "a budget is used up")
    DUPLICATE_REQUEST = ("DUPLICATE_REQUEST", True, "the same call is still being answered")

    def __init__(self, code: str, retry: bool, meaning: str) -> None:
        self.code = code
        self.retry = retry
        self.meaning = meaning


@attrs.define(eq=False)
class CallFailed(Exception):
    """A call that ends without an answer of the backend.

    Args:
      recovery: the kind of failure.
      message: what happened, with the values involved.
      suggest: what to do next.
      related: names of tools or servers that may have been meant.
      data: more for a program, such as the backend's own error.
      happened: the call may have taken effect all the same, so it is not to be repeated blindly.
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
    """A request for a backend on its way through the stages.

    `client_request` is the client's request that caused it; progress goes back to it. `name` is the
    tool's name as it is offered, which `params` has too until the tool is found.
    """

    server: str
    method: str
    name: str
    params: Params
    client_request: Request | None = None
    session: SessionState = attrs.field(factory=SessionState)
    full: bool = False
    """Without cache, idempotency and shaping of the answer."""
    fields: tuple[str, ...] = ()
    """The only parts of the answer that are wanted, as paths."""
    supports_input_required: bool = False
    """Whether an answer may be `input_required`, for the client to come again with."""
    transparent: bool = False
    """On the way to one server's own face: nothing is added to the answer, and the server is the
    judge of names and arguments."""
    patience: float | None = None
    """Seconds that it may take, where that is not for the server's settings to say."""
    open_questions: int = 0
    """How many questions of the backend wait for the client now."""
    last_question_at: float = 0.0
    idempotency_key: str = ""
    trace_id: str = ""
    backend: BackendServer = attrs.field(default=None)  # set by the stage `resolve`
    instance: BackendInstance = attrs.field(default=None)  # likewise
    tool: Mapping[str, Any] | None = None
    deadline: trio.CancelScope = attrs.field(default=None)  # set by the stage `deadline`
    sent: bool = False
    connection: object = None
    """The connection that it was sent on."""
    cached: bool = False
    """Answered without asking the backend."""
    fault: Recovery | None = None
    """What an answer with `isError` tells of its cause, where it does."""

    def __repr__(self) -> str:
        state = "SENT" if self.sent else "WAITING"
        return f"<Call {self.server}:{self.name} {self.method} {state} {self.trace_id}>"

    @property
    def repeatable(self) -> bool:
        """Whether making the call twice is the same as making it once, as far as is known."""
        if self.method != "tools/call":
            return True  # reading resources and prompts changes nothing
        return self.tool is not None and is_repeatable(self.tool)

    @property
    def timed_out(self) -> bool:
        """Tell whether the call's own time is up."""
        return trio.current_time() >= self.deadline.deadline


Proceed = Callable[[Call], Awaitable[Params]]


class Stage(Protocol):
    """One step of the way: let the call through, answer it, or refuse it."""

    def __call__(self, call: Call, proceed: Proceed) -> Awaitable[Params]:
        """Take the call; `proceed` goes on with it and gives its answer."""


def compose(stages: tuple[Stage, ...], last: Proceed) -> Proceed:
    """Chain stages in their order: each gets the call and a function that goes on."""
    proceed = last
    for stage in reversed(stages):
        proceed = partial(stage, proceed=proceed)
    return proceed


def new_trace_id() -> str:
    """Return `gw-` and a random UUID (RFC 9562, version 4). It tells calls apart, no more."""
    bits = random.getrandbits(128) & ~_UUID_FIXED | _UUID_VERSION_4
    text = f"{bits:032x}"
    return f"gw-{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
