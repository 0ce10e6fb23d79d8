"""The everything-server beside its tools: prompts, resources and shared content."""

from __future__ import annotations

import json

from everything_asking import Call, ask, form
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    BlobResourceContents,
    EmbeddedResource,
    GetPromptResult,
    ImageContent,
    Prompt,
    PromptArgument,
    PromptMessage,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextContent,
    TextResourceContents,
)

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJ"
    "RU5ErkJggg=="
)
SILENCE = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="

RESOURCES = [
    Resource(
        uri="test://static-text",
        name="static-text",
        description="A text that never changes.",
        mime_type="text/plain",
    ),
    Resource(
        uri="test://static-binary",
        name="static-binary",
        description="A picture of one pixel.",
        mime_type="image/png",
    ),
    Resource(
        uri="test://watched-resource",
        name="watched-resource",
        description="A text whose changes can be subscribed to.",
        mime_type="text/plain",
    ),
]
TEMPLATES = [
    ResourceTemplate(
        uri_template="test://template/{id}/data",
        name="template",
        description="A document made from the id in its URI.",
        mime_type="application/json",
    )
]
PROMPTS = [
    Prompt(name="test_simple_prompt", description="A prompt without arguments."),
    Prompt(
        name="test_prompt_with_arguments",
        description="A prompt that repeats its two arguments.",
        arguments=[
            PromptArgument(name="arg1", description="The first one.", required=True),
            PromptArgument(name="arg2", description="The second one.", required=True),
        ],
    ),
    Prompt(
        name="test_prompt_with_embedded_resource",
        description="A prompt that holds a resource.",
        arguments=[
            PromptArgument(name="resourceUri", description="Its URI.", required=True),
        ],
    ),
    Prompt(name="test_prompt_with_image", description="A prompt that holds a picture."),
    Prompt(
        name="test_input_required_result_prompt",
        description="A prompt that asks the user for its context first.",
    ),
]
CHANGED_PROMPT = Prompt(name="test_changed_prompt", description="Comes and goes.")


def text(words: str) -> TextContent:
    """Return a text block."""
    return TextContent(type="text", text=words)


def image() -> ImageContent:
    """Return the picture of one pixel."""
    return ImageContent(type="image", data=PIXEL, mime_type="image/png")


def embedded(uri: str, words: str, mime_type: str = "text/plain") -> EmbeddedResource:
    """Return a text resource as a content block."""
    resource = TextResourceContents(uri=uri, mime_type=mime_type, text=words)
    return EmbeddedResource(type="resource", resource=resource)


def read(uri: str) -> ReadResourceResult:
    """Return a resource; raise MCPError if there is none with this URI."""
    contents: TextResourceContents | BlobResourceContents
    if uri == "test://static-text":
        words = "This is the content of the static text resource."
        contents = TextResourceContents(uri=uri, mime_type="text/plain", text=words)
    elif uri == "test://static-binary":
        contents = BlobResourceContents(uri=uri, mime_type="image/png", blob=PIXEL)
    elif uri == "test://watched-resource":
        contents = TextResourceContents(uri=uri, mime_type="text/plain", text="Watch me.")
    elif uri.startswith("test://template/") and uri.endswith("/data") and uri.count("/") == 4:
        number = uri.split("/")[3]
        document = {"id": number, "templateTest": True, "data": f"Data for ID: {number}"}
        contents = TextResourceContents(
            uri=uri, mime_type="application/json", text=json.dumps(document)
        )
    else:
        raise MCPError(INVALID_PARAMS, f"There is no resource {uri}.", {"uri": uri})
    return ReadResourceResult(contents=[contents])


async def prompt(name: str, arguments: dict[str, str], call: Call) -> GetPromptResult:
    """Return a prompt; raise MCPError if there is none with this name."""
    blocks: list[TextContent | ImageContent | EmbeddedResource]
    if name == "test_simple_prompt":
        blocks = [text("This is a simple prompt for testing.")]
    elif name == "test_prompt_with_arguments":
        one, two = _argument(arguments, "arg1"), _argument(arguments, "arg2")
        blocks = [text(f"Prompt with arguments: arg1='{one}', arg2='{two}'")]
    elif name == "test_prompt_with_embedded_resource":
        uri = _argument(arguments, "resourceUri")
        words = "Embedded resource content for testing."
        blocks = [embedded(uri, words), text("Please process the embedded resource above.")]
    elif name == "test_prompt_with_image":
        blocks = [image(), text("Please analyze the image above.")]
    elif name == "test_input_required_result_prompt":
        question = form("What context should the prompt use?", context={"type": "string"})
        answers = await ask(call, {"user_context": question})
        blocks = [text(f"Use this context: {answers['user_context']['content']['context']}")]
    elif name == CHANGED_PROMPT.name:
        blocks = [text("Here today.")]
    else:
        raise MCPError(INVALID_PARAMS, f"There is no prompt {name!r}.")
    return GetPromptResult(messages=[PromptMessage(role="user", content=one) for one in blocks])


def _argument(arguments: dict[str, str], name: str) -> str:
    if name not in arguments:
        raise MCPError(INVALID_PARAMS, f"The prompt wants the argument {name!r}.")
    return arguments[name]
