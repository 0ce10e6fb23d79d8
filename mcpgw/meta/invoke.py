"""`gateway_invoke`: calls any tool of any server through the pipeline."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any, Final

from mcpgw.meta.context import GatewayContext, ToolRequest
from mcpgw.meta.tool import (
    INVOKES,
    LONGEST_NAME,
    MetaTool,
    object_argument,
    others,
    text_argument,
    unknown_argument,
)
from mcpgw.pipeline.call import Call, CallFailed, Recovery
from mcpgw.pipeline.error_classifier import recovery_object
from mcpgw.protocol.errors import INVALID_PARAMS, URL_ELICITATION_REQUIRED, RpcError
from mcpgw.protocol.peer import Params
from mcpgw.shaping.pages import NoSuchResult

OWN: Final = "gateway"
"""The server name by which the gateway's own tools can be invoked."""
READ_RESULT: Final = "read_result"
"""The gateway's own tool that returns the next part of a long result."""
OWN_ARGUMENTS: Final[Mapping[str, Any]] = {"id": {}, "offset": {}}
"""The arguments of `read_result`."""
OPTIONS: Final = ("_full", "_fields")
"""Arguments of every call that are for the gateway."""
_FORM: Final = frozenset({"server", "tool", "arguments"})
_NAMES: Final = (
    "server",
    "tool",
    "arguments",
    "idempotency_key",
    "backend",
    "server_name",
    "args",
    "params",
)
"""All names that `gateway_invoke` accepts for its arguments."""
LONGEST_CACHE_KEY: Final = 64
"""Characters to which a `prompt_cache_key` is cut."""


async def invoke(tool_request: ToolRequest) -> Params:
    """Call a tool and return its own result, with the gateway's data in `_meta`.

    A failure is a result with `isError` and a `recovery` object, so that the model sees it
    and can act (MCP 2025-11-25, tools, error handling).

    Raises:
      RpcError: `server`, `tool` or `arguments` is missing or invalid, or the backend requires
        the user to open a URL first.
    """
    arguments = tool_request.arguments
    server, tool = arguments.get("server"), arguments.get("tool")
    if not (isinstance(server, str) and isinstance(tool, str) and server and tool):
        server = text_argument(arguments, "server", "backend", "server_name")
        tool = text_argument(arguments, "tool")
    given = arguments.get("arguments")
    if not isinstance(given, dict):
        given = object_argument(arguments, "arguments", "args", "params")
    if not arguments.keys() <= _FORM:
        given = beside(arguments, given, _NAMES, names_of(tool_request, server, tool))
    key = ""
    if "idempotency_key" in arguments:
        key = text_argument(arguments, "idempotency_key", required=False)
    return await invoke_tool(tool_request, server, tool, given, idempotency_key=key, top=True)


def names_of(tool_request: ToolRequest, server: str, tool: str) -> Mapping[str, Any] | None:
    """Return the properties of a tool's input schema by name; None if any name may be right."""
    context = tool_request.context
    if server == OWN and _is_own(tool_request, tool):
        return OWN_ARGUMENTS if tool == READ_RESULT else context.meta_tools.properties(tool)
    definition = context.find((context.server_named(server), tool))
    schema = definition.get("inputSchema") if definition is not None else None
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return properties if isinstance(properties, dict) and properties else None


def beside(
    arguments: Params, given: Params, own: tuple[str, ...], names: Mapping[str, Any] | None
) -> Params:
    """Return the arguments of a called tool, with those that a model put beside `arguments`.

    Args:
      arguments: the arguments of the meta-tool.
      given: the object of the called tool's arguments, as far as there is one.
      own: the names of the meta-tool's own arguments.
      names: the called tool's arguments; None if they are not known, or any name is allowed.

    Raises:
      RpcError: some are beside `arguments` although that is given, or are not the called tool's.
    """
    found = others(arguments, own)
    options = {name: arguments[name] for name in found if name in OPTIONS}
    found = [name for name in found if name not in OPTIONS]
    wrong = [name for name in found if names is not None and name not in names]
    if found and (wrong or given):
        shown = {name: "…" for name in own[:2] if name in arguments}
        inner = dict.fromkeys([*given, *(set(found) - set(wrong) or names or ("name",))], "…")
        form = json.dumps({**shown, "arguments": inner}, ensure_ascii=False)
        what = (
            unknown_argument(wrong[0], [*own[:4], *(names or ())])
            if wrong
            else f"'{found[0][:LONGEST_NAME]}' is given beside 'arguments'"
        )
        raise RpcError(
            INVALID_PARAMS, f"{what}. Put the arguments of the tool into 'arguments': {form}"
        )
    return {**given, **options, **{name: arguments[name] for name in found}}


async def invoke_tool(
    tool_request: ToolRequest,
    server: str,
    tool: str,
    arguments: Params,
    *,
    idempotency_key: str = "",
    full: bool = False,
    direct: bool = False,
    top: bool = False,
) -> Params:
    """Call a tool of a server, or one of the gateway's own by the server name `gateway`.

    Args:
      tool_request: the call of the meta-tool.
      server, tool: the tool, by the name under which it is offered.
      arguments: arguments of the tool; `_full` and `_fields` are for the gateway, unless the tool
        has arguments of these names.
      idempotency_key: identifies the call, so that it is executed only once.
      full: return the backend's own result: not cached, reshaped or cut.
      direct: the tool is called by its own name; a result with structured content is not cut.
      top: the client's request is just this call, so it may be answered by `input_required`.
    """
    if server == OWN and _is_own(tool_request, tool):
        return await _own(tool_request, tool, arguments)
    server = tool_request.context.server_named(server)
    call = _call(tool_request, server, tool, arguments, direct=direct)
    call.idempotency_key = idempotency_key
    call.full = call.full or full
    if (
        tool_request.context.capability_service is not None
        and server == tool_request.context.capability_service.name
        and not direct
    ):
        call.params["_meta"]["mcpgw/view"] = _view(tool_request, call)
    if (
        (top or direct)
        and tool_request.request is not None
        and tool_request.request.client is not None
    ):
        call.supports_input_required = tool_request.request.client.supports_input_required
        for name in ("inputResponses", "requestState"):
            if name in tool_request.request.params:
                call.params[name] = tool_request.request.params[name]
    if tool_request.context.config_problem and tool_request.context.pool.get(server) is None:
        return failed(
            call, CallFailed(Recovery.BACKEND_UNREACHABLE, tool_request.context.config_problem)
        )
    try:
        result = await tool_request.context.pipeline.call(call)
    except CallFailed as error:
        return failed(call, error)
    except RpcError as error:
        if error.code == URL_ELICITATION_REQUIRED:
            raise
        return failed(call, from_backend(call, error))
    _promote(tool_request, call, result)
    limit = tool_request.context.config.meta_mcp.result_limit
    if limit and not full and not (direct and "structuredContent" in result):
        return tool_request.session.pages.cut(result, limit, origin=f"{server}:{tool}")
    return result


def _call(
    tool_request: ToolRequest, server: str, tool: str, arguments: Params, *, direct: bool
) -> Call:
    """Return the call, without the arguments that are for the gateway.

    A tool that is called by its own name must keep to its output schema, so all arguments are
    passed to it.
    """
    if direct:
        params: Params = {"name": tool, "arguments": arguments, "_meta": _meta(tool_request)}
        return Call(server, "tools/call", tool, params, tool_request.request, tool_request.session)
    full = False
    fields: tuple[str, ...] = ()
    if "_full" in arguments or "_fields" in arguments:
        definition = tool_request.context.find((server, tool)) or {}
        schema = definition.get("inputSchema")
        own = schema.get("properties", {}) if isinstance(schema, dict) else {}
        arguments = dict(arguments)
        if "_full" in arguments and "_full" not in own:
            full = arguments.pop("_full") in (True, "true")
        if "_fields" in arguments and "_fields" not in own:
            fields = _paths(arguments.pop("_fields"))
    params = {"name": tool, "arguments": arguments, "_meta": _meta(tool_request)}
    return Call(
        server,
        "tools/call",
        tool,
        params,
        tool_request.request,
        tool_request.session,
        full=full,
        fields=fields,
    )


def _view(tool_request: ToolRequest, call: Call) -> str:
    """Return the wanted form of a capability's result (`capabilities.views`)."""
    if call.full:
        return "full"
    mode = tool_request.context.config.meta_mcp.projection_mode
    half = mode == "experimental" and zlib.crc32(tool_request.session.id.encode()) & 1 == 1
    return "projected" if mode == "on" or half else "plain"


def _paths(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise RpcError(INVALID_PARAMS, "'_fields' must be a list of paths such as 'items[].id'")
    return tuple(value)


def _meta(tool_request: ToolRequest) -> Params:
    """Return the `_meta` for the backend: the client's without its progress token, and a key for
    the prompt cache of a backend that calls a model."""
    meta: Params = {}
    if tool_request.request is not None and isinstance(
        carried := tool_request.request.params.get("_meta"), dict
    ):
        meta = {key: value for key, value in carried.items() if key != "progressToken"}
    if isinstance(inner := tool_request.arguments.get("_meta"), dict):
        meta |= {key: value for key, value in inner.items() if key != "progressToken"}
    key = meta.get("prompt_cache_key")
    if isinstance(key, str) and key:
        meta["prompt_cache_key"] = key[:LONGEST_CACHE_KEY]
    else:
        meta["prompt_cache_key"] = tool_request.session.prompt_cache_key
    return meta


def _promote(tool_request: ToolRequest, call: Call, result: Params) -> None:
    """Add a successfully used tool to the session's `tools/list` if `spec_preview` is enabled."""
    preview = tool_request.context.config.spec_preview
    if preview.enabled and result.get("isError") is not True:
        key = (call.server, call.name)
        if tool_request.session.promote(key, preview.max_promoted):
            tool_request.context.notify_tools_changed(tool_request.session)


def _is_own(tool_request: ToolRequest, tool: str) -> bool:
    """Tell whether a tool of the server `gateway` is the gateway's own, not a capability."""
    server = tool_request.context.server_named(OWN)
    if tool_request.context.pool.get(server) is None:
        return True
    capability_service = tool_request.context.capability_service
    builtin = capability_service is not None and capability_service.name == server
    return builtin and (tool == READ_RESULT or tool in tool_request.context.meta_tools)


async def call_for_capability(
    context: GatewayContext, server: str, tool: str, arguments: Mapping[str, Any]
) -> Params:
    """Call a tool on behalf of a capability; a failure is a result with `isError`."""
    name = context.server_named(server)
    if context.capability_service is not None and name == context.capability_service.name:
        text = "a capability cannot call another capability; name a server of gateway.yaml"
        return {"content": [{"type": "text", "text": text}], "isError": True}
    call = Call(name, "tools/call", tool, {"name": tool, "arguments": dict(arguments)})
    try:
        return await context.pipeline.call(call)
    except CallFailed as error:
        return failed(call, error)
    except RpcError as error:
        return failed(call, from_backend(call, error))
    finally:
        context.pool.end_session(call.session.id)


async def _own(tool_request: ToolRequest, tool: str, arguments: Params) -> Params:
    """Call one of the gateway's own tools."""
    if tool == READ_RESULT:
        return read_result(tool_request.with_arguments(arguments))
    return await tool_request.context.meta_tools.call(tool_request.with_arguments(arguments), tool)


def read_result(tool_request: ToolRequest) -> Params:
    """Return the next part of a result that was cut.

    Raises:
      RpcError: there is no such result, the offset is outside of it, or an argument is unknown.
    """
    if names := others(tool_request.arguments, OWN_ARGUMENTS):
        known = unknown_argument(names[0], OWN_ARGUMENTS)
        raise RpcError(INVALID_PARAMS, f"{known}. {READ_RESULT} has the arguments: id, offset.")
    result_id = text_argument(tool_request.arguments, "id")
    offset = tool_request.arguments.get("offset", 0)
    if isinstance(offset, str) and offset.isdecimal():
        offset = int(offset)
    if isinstance(offset, bool) or not isinstance(offset, int) or offset < 0:
        raise RpcError(INVALID_PARAMS, f"'offset' must be a whole number >= 0, not {offset!r:.40}")
    limit = tool_request.context.config.meta_mcp.result_limit
    try:
        return tool_request.session.pages.read(result_id, offset, limit=limit or 10**9)
    except NoSuchResult as error:
        raise RpcError(INVALID_PARAMS, str(error)) from error


def from_backend(call: Call, error: RpcError) -> CallFailed:
    """Return a backend's error as a failed call, with its code, message and data."""
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
    """Return a result that reports to the model what failed and what to do."""
    meta: dict[str, Any] = {"gateway/trace_id": call.trace_id, "gateway/sent": call.sent}
    recovery = recovery_object(error.recovery, error.message, error.suggest, related=error.related)
    if error.happened:
        recovery["retry"] = False
    if error.data is not None:
        meta["gateway/backend_error"] = dict(error.data)
    return {
        "content": [{"type": "text", "text": str(error)}],
        "isError": True,
        "recovery": recovery,
        "_meta": meta,
        "trace_id": call.trace_id,
    }


TOOLS = (
    MetaTool(
        name="gateway_invoke",
        title="Invoke Tool",
        describe=lambda _context: (
            "Call any tool of any server, with retries, caching and limits. Search first for"
            " its name and schema. Returns the tool's own result."
        ),
        hints=INVOKES,
        call=invoke,
        properties={
            "server": {"type": "string"},
            "tool": {"type": "string"},
            "arguments": {"type": "object"},
        },
        required=("server", "tool"),
        takes_others=True,
    ),
)
