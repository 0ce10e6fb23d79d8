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
      unauthorized: whether the API refused the credential.
    """

    message: str
    again: bool = False
    sent: bool = False
    inside: bool = False
    unauthorized: bool = False

    def __str__(self) -> str:
        return self.message


def failure(message: str) -> dict[str, Any]:
    """Return an error message as the result of a tool call."""
    return {"content": [{"type": "text", "text": message}], "isError": True}
