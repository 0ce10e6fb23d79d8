"""JSON-RPC error codes, and the exceptions that carry them.

The documentation generator reads the same table, so every code that is used is documented.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs


class ErrorCode(int):
    """A JSON-RPC error code with its name and meaning."""

    name: str
    meaning: str

    def __new__(cls, value: int, name: str, meaning: str) -> ErrorCode:
        code = super().__new__(cls, value)
        code.name = name
        code.meaning = meaning
        return code


PARSE_ERROR = ErrorCode(-32700, "parse error", "the line is not JSON")
INVALID_REQUEST = ErrorCode(
    -32600,
    "invalid request",
    "JSON, but not a valid request: a batch, a wrong or repeated id, a request before `initialize`,"
    " a second `initialize`, a message over the size limit",
)
METHOD_NOT_FOUND = ErrorCode(
    -32601, "method not found", "an unknown method, or one whose capability was not declared"
)
INVALID_PARAMS = ErrorCode(
    -32602, "invalid params", "parameters of the wrong shape, an unknown tool, a missing argument"
)
INTERNAL_ERROR = ErrorCode(-32603, "internal error", "a fault of the gateway itself (see the log)")
BACKEND_UNAVAILABLE = ErrorCode(
    -32000,
    "backend unavailable",
    "the server is killed, its breaker is open, it does not start, it did not answer in time",
)
NOT_FOUND = ErrorCode(-32001, "not found", "no such server in the configuration")
RESOURCE_NOT_FOUND = ErrorCode(
    -32002, "resource not found", "no server offers this resource (MCP up to 2025-11-25)"
)
HEADER_MISMATCH = ErrorCode(
    -32020,
    "header mismatch",
    "a header of the request is missing or differs from its body (MCP 2026-07-28)",
)
MISSING_CAPABILITY = ErrorCode(
    -32021,
    "missing client capability",
    "the request needs a capability that the client did not declare;"
    " `data.requiredCapabilities` names it"
    " (MCP 2026-07-28)",
)
UNSUPPORTED_VERSION = ErrorCode(
    -32022,
    "unsupported protocol version",
    "`data.supported` lists the supported revisions (MCP 2026-07-28)",
)
URL_ELICITATION_REQUIRED = ErrorCode(
    -32042,
    "URL elicitation required",
    "a backend asks the user to open a URL first (MCP 2025-11-25); forwarded unchanged",
)

ERROR_CODES: tuple[ErrorCode, ...] = (
    PARSE_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    INVALID_PARAMS,
    INTERNAL_ERROR,
    BACKEND_UNAVAILABLE,
    NOT_FOUND,
    RESOURCE_NOT_FOUND,
    HEADER_MISMATCH,
    MISSING_CAPABILITY,
    UNSUPPORTED_VERSION,
    URL_ELICITATION_REQUIRED,
)


class RpcError(Exception):
    """A JSON-RPC error, to be sent or as received.

    Args:
      code: the JSON-RPC code.
      message: one sentence for people.
      data: further details, any JSON value.
    """

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = int(code)
        self.message = message
        self.data = data

    def __str__(self) -> str:
        return f"{self.message} (code {self.code})"

    def to_wire(self) -> dict[str, Any]:
        """Return the `error` object of a response."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data is not None:
            error["data"] = self.data
        return error

    @classmethod
    def from_wire(cls, error: Any) -> RpcError:
        """Parse the `error` object of a response; malformed ones become an internal error."""
        if not isinstance(error, Mapping):
            return cls(INTERNAL_ERROR, f"malformed error object: {error!r:.200}")
        code = error.get("code")
        message = error.get("message")
        if not isinstance(code, int) or isinstance(code, bool):
            code = INTERNAL_ERROR
        if not isinstance(message, str):
            message = "error without a message"
        return cls(code, message, error.get("data"))


CUT_OFF: Final = RpcError(
    BACKEND_UNAVAILABLE,
    "the session ended before the answer; the call was cut off and may have taken effect",
)
"""The error of requests that the end of a session or of the gateway cuts off."""


@attrs.frozen
class ConnectionLost(Exception):
    """The conversation ended before a request was answered.

    `sent` is False only if the request certainly had no effect, because it never left this process
    or was refused unread. Then repeating it is safe, whatever it does. `retry_after` is the time in
    seconds after which the other side takes requests again, if it refused this one for now;
    `refused` is True if it refused this request as such, so that repeating it is useless.
    """

    peer: str
    sent: bool
    reason: str = ""
    retry_after: float | None = None
    refused: bool = False

    def __str__(self) -> str:
        when = "before the answer arrived" if self.sent else "before the request was sent"
        return f"the connection to {self.peer} was lost {when}" + (
            f": {self.reason}" if self.reason else ""
        )
