"""One way to ask the user's side for something that works in both eras of the protocol.

In the modern era the question is the answer to the request, and the request comes again with
what was asked for; in the legacy one the server sends requests of its own while the call runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import anyio
import attrs
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    InputResponseRequestParams,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

Answers = dict[str, Any]
"""Results by the key of their question, as they look on the wire."""

_RESULTS: dict[str, type[ElicitResult | CreateMessageResult | ListRootsResult]] = {
    "elicitation/create": ElicitResult,
    "sampling/createMessage": CreateMessageResult,
    "roots/list": ListRootsResult,
}


class InputNeeded(Exception):
    """The call cannot go on before the client has answered; `result` says what is asked."""

    def __init__(self, result: InputRequiredResult) -> None:
        super().__init__("input needed")
        self.result = result


@attrs.frozen
class Call:
    """A request that may ask for more."""

    context: ServerRequestContext[Any]
    params: InputResponseRequestParams

    @property
    def is_modern(self) -> bool:
        """True if the request carries all known data of its client."""
        return self.context.protocol_version in MODERN_PROTOCOL_VERSIONS

    def allows(self, capability: str) -> bool:
        """True if the client has declared a capability."""
        return getattr(self.context.session.client_capabilities, capability, None) is not None


def form(message: str, **properties: Mapping[str, Any]) -> ElicitRequest:
    """Return a question to the user for all of these properties."""
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def sampling(words: str, tokens: int = 100) -> CreateMessageRequest:
    """Return a question to the client's model."""
    message = SamplingMessage(role="user", content=TextContent(type="text", text=words))
    return CreateMessageRequest(
        params=CreateMessageRequestParams(messages=[message], max_tokens=tokens)
    )


async def ask(
    call: Call, questions: Mapping[str, InputRequest], *, remember: bool = False
) -> Answers:
    """Return the answers to all questions.

    `remember` keeps the answers of earlier rounds in the request state; without it every
    question has to be answered at once. Raises InputNeeded in the modern era where an answer
    is missing, and MCPError in the legacy one where the client refuses.
    """
    if not call.is_modern:
        return await _ask_each(call, questions)
    known: Answers = json.loads(call.params.request_state or "{}") if remember else {}
    for key, response in (call.params.input_responses or {}).items():
        # What answers another question of the call is kept for it, where anything is kept.
        fits = isinstance(response, _RESULTS[questions[key].method]) if key in questions else None
        if fits or (fits is None and remember):
            known[key] = response.model_dump(by_alias=True, mode="json", exclude_none=True)
    missing = {key: question for key, question in questions.items() if key not in known}
    if missing:
        state = json.dumps(known) if remember else None
        raise InputNeeded(InputRequiredResult(input_requests=missing, request_state=state))
    return known


async def ask_whom_it_suits(call: Call, questions: Mapping[str, InputRequest]) -> Answers:
    """Ask only what the client has declared, and in the legacy era leave out what it refuses."""
    capabilities = {
        "elicitation/create": "elicitation",
        "sampling/createMessage": "sampling",
        "roots/list": "roots",
    }
    suited = {
        key: question
        for key, question in questions.items()
        if call.allows(capabilities[question.method])
    }
    if call.is_modern:
        return await ask(call, suited)
    return await _ask_each(call, suited, refusals=True)


async def _ask_each(
    call: Call, questions: Mapping[str, InputRequest], *, refusals: bool = False
) -> Answers:
    answers: Answers = {}
    errors: list[MCPError] = []
    related = ServerMessageMetadata(related_request_id=call.context.request_id)

    async def put(key: str, question: InputRequest) -> None:
        # An error in one of them must not take back the others' requests.
        try:
            result = await call.context.session.send_request(
                question, _RESULTS[question.method], metadata=related
            )
        except MCPError as error:
            errors.append(error)
        else:
            answers[key] = result.model_dump(by_alias=True, mode="json", exclude_none=True)

    async with anyio.create_task_group() as group:
        for key, question in questions.items():
            group.start_soon(put, key, question)
    if errors and not refusals:
        raise errors[0]
    return answers


def roots() -> ListRootsRequest:
    """Return the question for the client's roots."""
    return ListRootsRequest()
