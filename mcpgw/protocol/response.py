"""Responses: from a message to the outcome of a request."""

from __future__ import annotations

from typing import Any

from outcome import Error, Value

from mcpgw.protocol.errors import INTERNAL_ERROR, RpcError
from mcpgw.protocol.jsonrpc import Message


def is_error_without_id(message: Message) -> bool:
    """Return whether a response may be the error of a request that the sender could not read.

    It does not know the id then (JSON-RPC 2.0, section 5).
    """
    return message.get("id") is None and isinstance(message.get("error"), dict)


def outcome_of(response: Message, sender: str) -> Value[dict[str, Any]] | Error:
    """Return the result or error of a response.

    `"error": null` beside a result is not an error, and an empty list is an empty object, as PHP
    writes it.

    Args:
      response: a valid response.
      sender: the name of the peer that sent it.
    """
    error, result = response.get("error"), response.get("result")
    if error is not None or "result" not in response:
        return Error(RpcError.from_wire(error))
    if result.__class__ is dict:
        return Value(result)
    if result == []:
        return Value({})
    return Error(RpcError(INTERNAL_ERROR, f"the result from {sender} must be an object"))
