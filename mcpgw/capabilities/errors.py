"""Errors of capability calls, with messages for the caller."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen
class CallProblem(Exception):
    """A call that failed or could not be made.

    Args:
      message: what happened and what to do, without secrets.
      again: whether another provider, or a retry, may succeed.
      sent: whether the request may have had an effect.
      inside: whether the request was refused because of a private address.
      status: the HTTP status that describes the failure: that of the response, or 429 if the API
        asks to wait in another way.
      unauthorized: whether the API refused the credential.
    """

    message: str
    again: bool = False
    sent: bool = False
    inside: bool = False
    status: int | None = None
    unauthorized: bool = False

    def __str__(self) -> str:
        return self.message


def failure(message: str, status: int | None = None) -> dict[str, Any]:
    """Return an error message as the result of a tool call.

    Args:
      message: the message.
      status: the HTTP status, by which the gateway classifies the failure.
    """
    result: dict[str, Any] = {"content": [{"type": "text", "text": message}], "isError": True}
    if status is not None:
        result["_meta"] = {"http_status": status}
    return result
