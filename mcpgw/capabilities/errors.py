"""What can go wrong with the call of a capability, in words for the caller."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen
class CallProblem(Exception):
    """The call cannot be made, or failed.

    Args:
      message: what happened and what to do; no secret is in it.
      again: whether another provider, or the same a little later, may do better.
      sent: whether the request may have had an effect.
      inside: whether it was refused for an address inside of this network.
    """

    message: str
    again: bool = False
    sent: bool = False
    inside: bool = False

    def __str__(self) -> str:
        return self.message


def failure(message: str) -> dict[str, Any]:
    """Return a failure as the result of a tool."""
    return {"content": [{"type": "text", "text": message}], "isError": True}
