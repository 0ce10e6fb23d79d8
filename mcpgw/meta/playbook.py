"""`gateway_run_playbook`: runs a named series of tool calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from mcpgw.meta.context import GatewayContext, ToolRequest
from mcpgw.meta.invoke import beside, invoke_tool
from mcpgw.meta.tool import INVOKES, MetaTool, answer, flag, object_argument, text_argument
from mcpgw.protocol.errors import INVALID_PARAMS, RpcError
from mcpgw.protocol.mcp import is_repeatable
from mcpgw.protocol.peer import Params
from mcpgw.text.did_you_mean import did_you_mean

if TYPE_CHECKING:
    from mcpgw.playbooks.model import Playbook
    from mcpgw.playbooks.runner import PlaybookFailed

_ARGUMENTS: Final = ("name", "dry_run", "arguments", "playbook", "args", "inputs")
NAMED: int = 4
"""The most playbooks that the tool's description names."""


async def run_playbook(tool_request: ToolRequest) -> Params:
    """Run a playbook, or describe its steps (`dry_run`).

    Every step is an ordinary call of the session: profile, sandbox, budgets and statistics apply.
    A failed playbook is a result with `isError` that names the step.

    Raises:
      RpcError: playbooks are disabled, there is no such playbook, or its inputs are invalid.
    """
    from mcpgw.playbooks.runner import PlaybookFailed, StepFailed, run
    from mcpgw.protocol.arguments import InvalidArguments

    context = tool_request.context
    if not context.config.playbooks.enabled:
        raise RpcError(INVALID_PARAMS, "Playbooks are disabled; set playbooks.enabled: true")
    name = text_argument(tool_request.arguments, "name", "playbook")
    playbook = context.playbooks.get(name)
    if playbook is None:
        known = context.playbooks.names
        hint = did_you_mean(name, known) or f" Known: {', '.join(known) or 'none'}."
        raise RpcError(INVALID_PARAMS, f"Playbook not found: {name}.{hint}")
    inputs = object_argument(tool_request.arguments, "arguments", "args", "inputs")
    inputs = beside(tool_request.arguments, inputs, _ARGUMENTS, _inputs_of(playbook))
    dry = flag(tool_request.arguments, "dry_run")

    async def step(server: str, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            result = await invoke_tool(tool_request, server, tool, arguments, full=True)
        except RpcError as error:
            raise StepFailed(str(error.code), error.message) from error
        return result if _may_retry(tool_request, server, tool, result) else _final(result)

    try:
        result = await run(playbook, inputs, step, dry_run=dry)
    except InvalidArguments as error:
        raise RpcError(INVALID_PARAMS, f"Playbook '{name}': {error}") from error
    except PlaybookFailed as error:
        return _failed(error)
    payload = result.to_json()
    uncut = answer(payload)
    limit = context.config.meta_mcp.result_limit
    page = (
        tool_request.session.pages.cut(uncut, limit, origin=f"playbook:{name}") if limit else uncut
    )
    if page is not uncut:
        page["structuredContent"] = {**payload, "output": page["_meta"]}
    return page


def _inputs_of(playbook: Playbook) -> Mapping[str, Any] | None:
    properties = (playbook.inputs or {}).get("properties")
    return properties if isinstance(properties, Mapping) and properties else None


def _may_retry(tool_request: ToolRequest, server: str, tool: str, result: Params) -> bool:
    """Tell whether a step can be retried without executing anything twice."""
    if result.get("isError") is not True or result["_meta"].get("gateway/sent") is False:
        return True
    definition = tool_request.context.find((server, tool))
    return definition is not None and is_repeatable(definition)


def _final(result: Params) -> Params:
    """Return a failed result that advises against a retry."""
    return {**result, "recovery": {**result.get("recovery", {}), "retry": False}}


def _failed(error: PlaybookFailed) -> Params:
    wrapped = answer({"error": str(error), **error.result.to_json()})
    return {**wrapped, "isError": True}


def _describe(context: GatewayContext) -> str:
    names = context.playbooks.names
    shown = ", ".join(names[:NAMED]) + (f" (+{len(names) - NAMED})" if len(names) > NAMED else "")
    known = f"({shown})" if names else "(none configured)"
    return f"Run a playbook, a named series of tool calls {known}. Returns output and steps."


TOOLS = (
    MetaTool(
        name="gateway_run_playbook",
        title="Run Playbook",
        describe=_describe,
        hints=INVOKES,
        call=run_playbook,
        properties={
            "name": {"type": "string"},
            "arguments": {"type": "object"},
            "dry_run": {"type": "boolean"},
        },
        required=("name",),
        result_keys=("output", "steps_completed"),
        takes_others=True,
    ),
)
