"""JSON-RPC batches: an array of messages, answered by an array of responses (section 6)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from mcpgw.protocol.channel import Channel
from mcpgw.protocol.errors import INTERNAL_ERROR, INVALID_REQUEST, RpcError
from mcpgw.protocol.jsonrpc import Message, check, encode, error_response, valid_id
from mcpgw.protocol.request import Request


async def serve_batch(
    messages: list[Any],
    admit: Callable[[Message], Request | Message],
    respond: Callable[[Request], Awaitable[Message | None]],
    dispatch: Callable[[Message], Awaitable[None]],
) -> list[Message]:
    """Serve the requests of a batch concurrently, and return their responses.

    Args:
      messages: the batch.
      admit: returns the request to serve, or its immediate response.
      respond: serves a request; None if its sender cancelled it.
      dispatch: handles responses and notifications.
    """
    responses: list[Message] = []

    async def serve(request: Request) -> None:
        if (response := await respond(request)) is not None:
            responses.append(response)

    async with trio.open_nursery() as nursery:
        for message in messages:
            if not isinstance(message, dict):
                fault = RpcError(INVALID_REQUEST, "a message must be a JSON object")
                responses.append(error_response(None, fault))
            elif (problem := check(message)) is not None:
                known = message.get("id")
                responses.append(error_response(known if valid_id(known) else None, problem))
            elif message.get("method") == "initialize":
                fault = RpcError(INVALID_REQUEST, "a batch must not contain initialize")
                responses.append(error_response(message.get("id"), fault))
            elif "method" in message and "id" in message:
                admitted = admit(message)
                if isinstance(admitted, Request):
                    nursery.start_soon(serve, admitted)
                else:
                    responses.append(admitted)
            else:
                await dispatch(message)
    return responses


async def send_batch(channel: Channel, responses: list[Message]) -> bool:
    """Send the responses of a batch; return False if the other side reads no more."""
    try:
        try:
            await channel.send(responses)
        except ValueError:
            await channel.send([_valid(response) for response in responses])
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return False
    return True


def _valid(response: Message) -> Message:
    """Return the response, or an error in its place if it is not valid JSON."""
    try:
        encode(response)
    except ValueError as error:
        fault = RpcError(INTERNAL_ERROR, f"the result is not valid JSON: {error}")
        return error_response(response.get("id"), fault)
    return response
