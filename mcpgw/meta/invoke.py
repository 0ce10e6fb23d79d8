"""`gateway_invoke`: any tool of any server, through the pipeline."""

from __future__ import annotations

import json
from typing import Any

from mcpgw.meta.surface import INVOKES, MetaTool, Surface, text_argument
from mcpgw.pipeline.call import Call, CallFailed, Recovery
from mcpgw.protocol.errors import INVALID_PARAMS, URL_ELICITATION_REQUIRED, RpcError
from mcpgw.protocol.peer import Params, Request


async def invoke(surface: Surface, arguments: Params, request: Request | None) -> Params:
    """Call a tool and return its own result, with the gateway's data in `_meta`.

    A failure is a result with `isError` and a `recovery` object, so that the model sees it
    and can act (MCP 2025-11-25, tools, error handling).

    Raises:
      RpcError: `server`, `tool` or `arguments` is missing or misshapen, or the backend
        wants the person to open a URL first.
    """
    server = text_argument(arguments, "server", "backend", "server_name")
    tool = text_argument(arguments, "tool")
    params: Params = {"name": tool, "arguments": tool_arguments(arguments)}
    if request is not None and (meta := _carried_meta(request.params)):
        params["_meta"] = meta
    call = Call(server, "tools/call", tool, params, request)
    if surface.config_problem and surface.pool.get(server) is None:
        return failed(call, CallFailed(Recovery.BACKEND_UNREACHABLE, surface.config_problem))
    try:
        return await surface.pipeline.call(call)
    except CallFailed as error:
        return failed(call, error)
    except RpcError as error:
        if error.code == URL_ELICITATION_REQUIRED:
            raise
        return failed(call, from_backend(call, error))


def tool_arguments(arguments: Params) -> Params:
    """Return the arguments for the tool: an object, or a JSON object in a string.

    Raises:
      RpcError: they are neither.
    """
    value: Any = None
    for name in ("arguments", "args", "params"):
        if (value := arguments.get(name)) is not None:
            break
    if value is None:
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else {}
        except ValueError as error:
            raise RpcError(INVALID_PARAMS, f"Invalid 'arguments' JSON string: {error}") from error
    if not isinstance(value, dict):
        raise RpcError(INVALID_PARAMS, "Invalid 'arguments': expected object or JSON object string")
    return value


def from_backend(call: Call, error: RpcError) -> CallFailed:
    """Turn a backend's error answer into a failed call that loses nothing of it."""
    wrong = error.code == INVALID_PARAMS
    data: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        data["data"] = error.data
    return CallFailed(
        Recovery.INVALID_PARAM if wrong else Recovery.BACKEND_ERROR,
        f"Server '{call.server}' answered '{call.name}' with an error:"
        f" {error.message} (code {error.code}).",
        "Compare the arguments with the tool's inputSchema (gateway_search_tools)."
        if wrong
        else "",
        data=data,
    )


def failed(call: Call, error: CallFailed) -> Params:
    """Return the result that tells a model what failed and what to do."""
    recovery: dict[str, Any] = {
        "error_code": error.recovery.code,
        "message": error.message,
        "suggest": error.suggest or error.recovery.meaning,
        "retry": error.recovery.retry,
    }
    if error.related:
        recovery["related_tools"] = list(error.related)
    meta: dict[str, Any] = {"gateway/trace_id": call.trace_id}
    if error.data is not None:
        meta["gateway/backend_error"] = dict(error.data)
    return {
        "content": [{"type": "text", "text": str(error)}],
        "isError": True,
        "recovery": recovery,
        "_meta": meta,
        "trace_id": call.trace_id,
    }


def _carried_meta(params: Params) -> Params | None:
    """Return the client's `_meta` for the backend, without the token that is ours to mint."""
    meta = params.get("_meta")
    if not isinstance(meta, dict):
        return None
    return {key: value for key, value in meta.items() if key != "progressToken"}


TOOLS = (
    MetaTool(
        name="gateway_invoke",
        title="Invoke Tool",
        describe=lambda _surface: (
            "Call any tool of any server. Find it and its schema with gateway_search_tools first."
        ),
        hints=INVOKES,
        own_scope=True,
        call=invoke,
        properties={
            "server": {"type": "string", "description": "Server name"},
            "tool": {"type": "string", "description": "Tool name"},
            "arguments": {"type": "object", "description": "Arguments of the tool"},
        },
        required=("server", "tool"),
    ),
)
