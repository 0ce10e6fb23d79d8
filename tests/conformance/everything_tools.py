"""The tools of the everything-server; a tool is a function, its docstring the description."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import attrs
from everything_asking import Answers, Call, ask, ask_whom_it_suits, form, roots, sampling
from everything_content import SILENCE, embedded, image, text
from mcp.shared.exceptions import MCPError
from mcp_types import (
    AudioContent,
    CallToolRequestParams,
    CallToolResult,
    ClientCapabilities,
    ContentBlock,
    ElicitRequest,
    ElicitRequestFormParams,
    MissingRequiredClientCapabilityErrorData,
    SamplingCapability,
)
from mcp_types import Tool as Definition
from mcp_types.jsonrpc import MISSING_REQUIRED_CLIENT_CAPABILITY

Blocks = str | list[ContentBlock]
Function = Callable[[Call, Mapping[str, Any]], Awaitable[Blocks]]
PAUSE = 0.05
"""Seconds between two notifications of a tool, so that they come one by one."""


@attrs.frozen
class Tool:
    """A tool: what it does and what it takes."""

    run: Function
    schema: Mapping[str, Any]

    def definition(self, name: str) -> Definition:
        """Return what `tools/list` says of it."""
        assert self.run.__doc__ is not None
        return Definition(name=name, description=self.run.__doc__, input_schema=dict(self.schema))


TOOLS: dict[str, Tool] = {}


def tool(
    schema: Mapping[str, Any] | None = None, **properties: Any
) -> Callable[[Function], Function]:
    """Offer a function as a tool that takes these properties, or arguments of this schema."""
    plain = {"type": "object", "properties": properties, "required": list(properties)}

    def offer(function: Function) -> Function:
        TOOLS[function.__name__] = Tool(function, schema or plain)
        return function

    return offer


async def call_tool(call: Call, params: CallToolRequestParams) -> CallToolResult:
    """Call a tool; what it raises other than MCPError and InputNeeded is a failure of the tool."""
    found = TOOLS.get(params.name)
    if found is None:
        return CallToolResult(content=[text(f"There is no tool {params.name!r}.")], is_error=True)
    try:
        blocks = await found.run(call, params.arguments or {})
    except (KeyError, ValueError) as error:
        return CallToolResult(content=[text(str(error))], is_error=True)
    return CallToolResult(content=[text(blocks)] if isinstance(blocks, str) else blocks)


async def log(call: Call, words: str) -> None:
    """Send a log message about a call, where the client wants such."""
    await call.context.session.send_log_message(
        "info", words, related_request_id=call.context.request_id
    )


STRING = {"type": "string"}


# The first of the list is what a suite tries out headers with: it must take no arguments.
@tool()
async def test_simple_text(call: Call, arguments: Mapping[str, Any]) -> Blocks:
    """Answers with a text."""
    return "This is a simple text response for testing."


@tool()
async def test_image_content(call: Call, arguments: Mapping[str, Any]) -> Blocks:
    """Answers with a picture."""
    return [image()]


@tool()
async def test_audio_content(call: Call, arguments: Mapping[str, Any]) -> Blocks:
    """Answers with a sound."""
    return [AudioContent(type="audio", data=SILENCE, mime_type="audio/wav")]


@tool()
async def test_embedded_resource(call: Call, arguments: Mapping[str, Any]) -> Blocks:
    """Answers with a resource."""
    return [embedded("test://embedded-resource", "This is an embedded resource content.")]


@tool()
async def test_multiple_content_types(call: Call, arguments: Mapping[str, Any]) -> Blocks:
    """Answers with a text, a picture and a resource."""
    document = json.dumps({"test": "data", "value": 123})
    resource = embedded("test://mixed-content-resource", document, "application/json")
    return [text("Multiple content types test:"), image(), resource]


@tool()
async def test_error_handling(call: Call, arguments: Mapping[str, Any]) -> Blocks:
    """Always fails."""
    raise ValueError("This tool intentionally returns an error for testing")


@tool()
async def test_tool_with_logging(call: Call, arguments: Mapping[str, Any]) -> Blocks:
    """Logs three messages on its way."""
    await log(call, "Tool execution started")
    await anyio.sleep(PAUSE)
    await log(call, "Tool processing data")
    await anyio.sleep(PAUSE)
    await log(call, "Tool execution completed")
    return "Logged three messages."


@tool()
async def test_logging_tool(call: Call, arguments: Mapping[str, Any]) -> Blocks:
    """Logs a message, which only a client that asked for it may see."""
    await log(call, "Only for those who asked")
    return "Logged a message."


@tool()
async def test_tool_with_progress(call: Call, arguments: Mapping[str, Any]) -> Blocks:
    """Tells its progress three times."""
    for done in (0, 50, 100):
        await call.context.session.report_progress(done, 100, f"{done} of 100")
        await anyio.sleep(PAUSE if done < 100 else 0)
    return "All done."


@tool()
async def test_reconnection(call: Call, arguments: Mapping[str, Any]) -> Blocks:
    """Closes the stream of its answer midway, where it has one, and answers later."""
    await log(call, "Before the end of the stream")
    if call.context.close_sse_stream is not None:
        await call.context.close_sse_stream()
    await anyio.sleep(2 * PAUSE)
    return "Reconnection test completed."


@tool(prompt=STRING)
async def test_sampling(call: Call, arguments: Mapping[str, Any]) -> Blocks:
    """Asks the client's model."""
    answers = await ask(call, {"answer": sampling(arguments["prompt"])})
    return f"LLM response: {answers['answer']['content']['text']}"


@tool(message=STRING)
async def test_elicitation(call: Call, arguments: Mapping[str, Any]) -> Blocks:
    """Asks the user for a name and an address."""
    question = form(
        arguments["message"],
        username={**STRING, "description": "The user's name"},
        email={**STRING, "description": "The user's email address"},
    )
    return _outcome("User response", await ask(call, {"user": question}))


def _outcome(words: str, answers: Answers) -> str:
    [answer] = answers.values()
    content = json.dumps(answer.get("content"))
    return f"{words}: action={answer['action']}, content={content}"


@tool()
async def test_elicitation_sep1034_defaults(call: Call, arguments: Mapping[str, Any]) -> Blocks:
    """Asks the user with a default for each kind of value."""
    properties = {
        "name": {**STRING, "description": "A name", "default": "John Doe"},
        "age": {"type": "integer", "description": "An age", "default": 30},
        "score": {"type": "number", "description": "A score", "default": 95.5},
        "status": {**STRING, "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "description": "A flag", "default": True},
    }
    question = _optional_form("Please review these values", properties)
    return _outcome("Elicitation completed", await ask(call, {"values": question}))


@tool()
async def test_elicitation_sep1330_enums(call: Call, arguments: Mapping[str, Any]) -> Blocks:
    """Asks the user with each way to write a choice."""
    titled = [{"const": f"value{n}", "title": f"Choice {n}"} for n in (1, 2, 3)]
    plain = ["option1", "option2", "option3"]
    properties = {
        "untitledSingle": {**STRING, "enum": plain},
        "titledSingle": {**STRING, "oneOf": titled},
        "legacyEnum": {
            **STRING,
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["One", "Two", "Three"],
        },
        "untitledMulti": {"type": "array", "items": {**STRING, "enum": plain}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    }
    question = _optional_form("Please choose", properties)
    return _outcome("Elicitation completed", await ask(call, {"choices": question}))


def _optional_form(message: str, properties: Mapping[str, Any]) -> ElicitRequest:
    schema = {"type": "object", "properties": dict(properties), "required": []}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


RICH_SCHEMA: Mapping[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": STRING, "city": STRING},
        }
    },
    "properties": {
        "name": STRING,
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {**STRING, "enum": ["phone", "email"]},
        "phone": STRING,
        "email": STRING,
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


@tool(RICH_SCHEMA)
async def json_schema_2020_12_tool(call: Call, arguments: Mapping[str, Any]) -> Blocks:
    """Has a schema with much of what JSON Schema 2020-12 can say."""
    return json.dumps(dict(arguments))


@tool(
    {
        "type": "object",
        "properties": {
            "region": {**STRING, "x-mcp-header": "Region"},
            "priority": {"type": "integer", "x-mcp-header": "Priority"},
        },
        "required": ["region"],
    }
)
async def test_header_parameters(call: Call, arguments: Mapping[str, Any]) -> Blocks:
    """Has arguments that come in headers of the request, too."""
    return f"region={arguments['region']}"


@tool()
async def test_missing_capability(call: Call, arguments: Mapping[str, Any]) -> Blocks:
    """Works only for a client that can sample."""
    if not call.allows("sampling"):
        needed = ClientCapabilities(sampling=SamplingCapability())
        data = MissingRequiredClientCapabilityErrorData(required_capabilities=needed)
        raise MCPError(
            MISSING_REQUIRED_CLIENT_CAPABILITY,
            "The tool needs the capability sampling.",
            data.model_dump(by_alias=True, exclude_none=True),
        )
    answers = await ask(call, {"answer": sampling("Say anything.")})
    return f"The client answered: {answers['answer']['content']['text']}"


@tool()
async def test_streaming_elicitation(call: Call, arguments: Mapping[str, Any]) -> Blocks:
    """Asks the user once, and sends nothing but notifications and the answer."""
    await call.context.session.report_progress(1, 2)
    answers = await ask(call, {"confirm": form("Go on?", ok={"type": "boolean"})})
    return _outcome("Went on", answers)


USER_NAME = form("What is your name?", name=STRING)


@tool()
async def test_input_required_result_elicitation(
    call: Call, arguments: Mapping[str, Any]
) -> Blocks:
    """Asks for the user's name and greets."""
    answers = await ask(call, {"user_name": USER_NAME})
    return f"Hello, {answers['user_name']['content']['name']}!"


@tool()
async def test_input_required_result_sampling(call: Call, arguments: Mapping[str, Any]) -> Blocks:
    """Asks the client's model a question."""
    question = sampling("What is the capital of France?")
    answers = await ask(call, {"capital_question": question})
    return f"The model says: {answers['capital_question']['content']['text']}"


@tool()
async def test_input_required_result_list_roots(call: Call, arguments: Mapping[str, Any]) -> Blocks:
    """Asks for the client's roots."""
    answers = await ask(call, {"client_roots": roots()})
    return f"Roots: {', '.join(root['uri'] for root in answers['client_roots']['roots'])}"


CONFIRM = form("Please confirm", ok={"type": "boolean"})


@tool()
async def test_input_required_result_request_state(
    call: Call, arguments: Mapping[str, Any]
) -> Blocks:
    """Asks once and keeps a state between the rounds."""
    await ask(call, {"confirm": CONFIRM}, remember=True)
    return "state-ok"


@tool()
async def test_input_required_result_tampered_state(
    call: Call, arguments: Mapping[str, Any]
) -> Blocks:
    """Asks once; a state that was tampered with is refused before the tool sees it."""
    await ask(call, {"confirm": CONFIRM}, remember=True)
    return "The state is as it was."


@tool()
async def test_input_required_result_multiple_inputs(
    call: Call, arguments: Mapping[str, Any]
) -> Blocks:
    """Asks the user, the model and for the roots at once."""
    greeting = sampling("Generate a greeting", tokens=50)
    questions = {"user_name": USER_NAME, "greeting": greeting, "client_roots": roots()}
    answers = await ask(call, questions, remember=True)
    return f"{answers['greeting']['content']['text']} {json.dumps(answers['client_roots'])}"


@tool()
async def test_input_required_result_multi_round(
    call: Call, arguments: Mapping[str, Any]
) -> Blocks:
    """Asks two questions one after the other."""
    first = await ask(
        call, {"step1": form("Step 1: What is your name?", name=STRING)}, remember=True
    )
    second = await ask(
        call, {"step2": form("Step 2: What is your favorite color?", color=STRING)}, remember=True
    )
    name, color = first["step1"]["content"]["name"], second["step2"]["content"]["color"]
    return f"{name} likes {color}."


@tool()
async def test_input_required_result_capabilities(
    call: Call, arguments: Mapping[str, Any]
) -> Blocks:
    """Asks only what the client can answer."""
    questions = {"user_name": USER_NAME, "thought": sampling("Think."), "places": roots()}
    answers = await ask_whom_it_suits(call, questions)
    return f"Answered: {', '.join(sorted(answers)) or 'nothing'}"
