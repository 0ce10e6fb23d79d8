"""Operator tools: kill switch, restart, reload, disabled tools."""

from __future__ import annotations

from typing import Any, Final

import trio

from mcpgw.backends.server import BackendServer
from mcpgw.backends.states import Unavailable
from mcpgw.capabilities.refusals import file_for_model
from mcpgw.meta.context import LEARNING_PATIENCE, GatewayContext, ToolRequest
from mcpgw.meta.tool import DESTROYS, READS, WRITES, Hints, MetaTool, answer, text_argument
from mcpgw.protocol.errors import (
    BACKEND_UNAVAILABLE,
    NOT_FOUND,
    ConnectionLost,
    RpcError,
)
from mcpgw.protocol.peer import Params
from mcpgw.text.did_you_mean import did_you_mean

CONFIRM_PATIENCE: Final = 120.0
"""Seconds that the user has to confirm; without an answer the server is stopped."""
RESTARTS: Final = Hints(read_only=False, destructive=True, idempotent=False, open_world=False)


def _backend(tool_request: ToolRequest) -> BackendServer:
    name = text_argument(tool_request.arguments, "server", "backend")
    backend = tool_request.context.pool.get(name)
    if backend is None:
        known = did_you_mean(name, tool_request.context.pool.names)
        raise RpcError(NOT_FOUND, f"Backend not found: {name}.{known}")
    return backend


async def kill_server(tool_request: ToolRequest) -> Params:
    """Stop a server and refuse its calls until it is revived; the user may be asked first."""
    backend = _backend(tool_request)
    if not backend.killed:
        await _confirm(tool_request, backend)
    newly = backend.kill()
    return answer(
        {
            "server": backend.name,
            "status": "disabled",
            "was_already_killed": not newly,
            "message": f"Server '{backend.name}' is stopped; its calls are refused until"
            " gateway_revive_server.",
        }
    )


async def _confirm(tool_request: ToolRequest, backend: BackendServer) -> None:
    """Ask the user to confirm, if the client can; an error or a timeout counts as consent.

    Raises:
      RpcError: the user declined.
    """
    client = tool_request.request.client if tool_request.request is not None else None
    if tool_request.request is None or client is None or "elicitation" not in client.capabilities:
        return
    question = {
        "message": f"Stop the server '{backend.name}' and refuse its calls until it is revived?",
        "requestedSchema": {
            "type": "object",
            "properties": {"confirm": {"type": "boolean", "title": "Stop it", "default": True}},
        },
    }
    reply: Params = {"action": "accept"}
    with trio.move_on_after(CONFIRM_PATIENCE):
        try:
            reply = await client.ask(
                tool_request.request, "elicitation/create", question, key="confirm"
            )
        except (RpcError, ConnectionLost):
            return
    content = reply.get("content")
    refused = isinstance(content, dict) and content.get("confirm") is False
    if reply.get("action") != "accept" or refused:
        raise RpcError(NOT_FOUND, f"Operator declined: kill server '{backend.name}'")


async def revive_server(tool_request: ToolRequest) -> Params:
    """Enable a server again: lift the kill switch, close its breaker, forget failures."""
    backend = _backend(tool_request)
    was_killed, was_open = backend.killed, backend.breaker_open
    backend.revive()
    enabled = tool_request.context.pipeline.errors.forget(backend.name)
    await tool_request.context.pool.look_again(patience=LEARNING_PATIENCE, only=backend.name)
    return answer(
        {
            "server": backend.name,
            "status": "active",
            "was_killed": was_killed,
            "breaker_was_open": was_open,
            "capabilities_enabled": enabled,
            "message": f"Server '{backend.name}' is enabled; it starts at its next call.",
        }
    )


async def restart_server(tool_request: ToolRequest) -> Params:
    """Restart a server, and wait until it is ready.

    Each restart counts as a failure in the server's circuit breaker until a call succeeds, which
    stops agents that restart it in a loop.

    Raises:
      RpcError: the server is killed, its breaker is open, it was restarted too often, or it
        failed to start.
    """
    backend = _backend(tool_request)
    name = backend.name
    if backend.killed:
        raise RpcError(
            BACKEND_UNAVAILABLE,
            f"Server '{name}' is disabled; enable it with gateway_revive_server first.",
        )
    if backend.breaker_open:
        raise RpcError(
            BACKEND_UNAVAILABLE,
            f"Server '{name}' was not restarted: its circuit breaker is open for another"
            f" {backend.breaker.retry_after():.0f} s."
            " gateway_revive_server closes it at once.",
        )
    if not backend.restarts_left:
        raise RpcError(
            BACKEND_UNAVAILABLE,
            f"Server '{name}' was not restarted: it was restarted or failed too often without a"
            " successful call. Call one of its tools first, or use gateway_revive_server.",
        )
    before = backend.pid
    restarted, waiting = backend.restart("restarted by gateway_restart_server")
    with trio.move_on_after(backend.config.start_timeout):
        try:
            for instance in restarted:
                await instance.connected()
        except Unavailable as error:
            raise RpcError(
                BACKEND_UNAVAILABLE, f"Server '{name}' failed to start: {error}"
            ) from error
    return answer(
        {
            "server": name,
            "status": "active",
            "state": backend.state.value,
            "was_running": before is not None,
            "calls_interrupted": waiting,
            "restarts_left": backend.restarts_left,
        }
    )


async def reload_config(tool_request: ToolRequest) -> Params:
    """Load gateway.yaml again and apply the changes."""
    outcome = await tool_request.context.reload()
    # Withheld definitions may be corrected meanwhile.
    await tool_request.context.pool.look_again(patience=LEARNING_PATIENCE)
    return answer(outcome)


async def reload_capabilities(tool_request: ToolRequest) -> Params:
    """Read capability and playbook files again; return those added, removed and changed."""
    context = tool_request.context
    payload: dict[str, Any] = {"status": "ok"}
    problems: dict[str, str] = {}
    if context.capability_service is not None and context.capability_service.name:
        found = await context.capability_service.reload()
        if found and (backend := context.pool.get(context.capability_service.name)) is not None:
            await backend.lists.refresh()  # so that they can be found and called at once
        library = context.capability_service.library
        assert library is not None, "a reload makes it"
        payload |= {
            "backend": context.capability_service.name,
            "total_capabilities": len(library),
            "added": list(found.added),
            "removed": list(found.removed),
            "changed": list(found.changed),
        }
        for path, text in library.refused.items():
            refused = file_for_model(path, text)
            problems[refused["file"]] = refused["reason"]
    else:
        payload |= {"total_capabilities": 0, "added": [], "removed": [], "changed": []}
        payload["note"] = "Capabilities are disabled; set capabilities.enabled: true."
    changes = context.playbooks.refresh()
    payload["playbooks"] = {
        "total": len(context.playbooks.names),
        "added": list(changes.added),
        "removed": list(changes.removed),
        "changed": list(changes.changed),
    }
    problems |= {str(path): text for path, text in context.playbooks.problems.items()}
    if problems:
        payload["problems"] = problems
    return answer(payload)


async def list_disabled(tool_request: ToolRequest) -> Params:
    """Return the tools and servers disabled by error budgets, and for how long."""
    disabled = [
        {
            "backend": each.server,
            "capability": each.tool or "*",
            "error_rate": round(each.error_rate, 3),
            "cooldown_seconds": round(each.cooldown),
            "remaining_seconds": round(each.remaining),
        }
        for each in tool_request.context.pipeline.errors.disabled()
    ]
    note = "They are enabled again after their cooldown; gateway_revive_server does so at once."
    return answer(
        {"disabled_count": len(disabled), "disabled_capabilities": disabled, "note": note}
    )


def _operators(context: GatewayContext) -> bool:
    return context.config.meta_mcp.operator_tools


TOOLS = (
    MetaTool(
        name="gateway_kill_server",
        title="Kill Server",
        describe=lambda _context: (
            "Stop a misbehaving server and refuse its calls until gateway_revive_server."
        ),
        hints=DESTROYS,
        call=kill_server,
        properties={"server": {"type": "string"}},
        required=("server",),
        result_keys=("server", "status"),
        unlisted=("backend",),
    ),
    MetaTool(
        name="gateway_revive_server",
        title="Revive Server",
        describe=lambda _context: (
            "Enable a killed or failing server and its tools again; closes its circuit breaker."
        ),
        hints=WRITES,
        call=revive_server,
        properties={"server": {"type": "string"}},
        required=("server",),
        result_keys=("server", "status"),
        unlisted=("backend",),
    ),
    MetaTool(
        name="gateway_restart_server",
        title="Restart Server",
        describe=lambda _context: (
            "Restart one server's process, e.g. when it hangs; refused if repeated too often."
        ),
        hints=RESTARTS,
        call=restart_server,
        properties={"server": {"type": "string"}},
        required=("server",),
        result_keys=("server", "state"),
        listed=_operators,
        unlisted=("backend",),
    ),
    MetaTool(
        name="gateway_reload_config",
        title="Reload Config",
        describe=lambda _context: "Apply an edited gateway.yaml now. Returns what changed.",
        hints=WRITES,
        call=reload_config,
        result_keys=("status", "changes"),
    ),
    MetaTool(
        name="gateway_reload_capabilities",
        title="Reload Capabilities",
        describe=lambda _context: (
            "Read capability and playbook files again. Returns added, removed, changed."
        ),
        hints=WRITES,
        call=reload_capabilities,
        result_keys=("status", "added", "removed", "changed"),
    ),
    MetaTool(
        name="gateway_list_disabled_capabilities",
        title="List Disabled Capabilities",
        describe=lambda _context: (
            "List tools and servers disabled for high error rates, and for how long."
        ),
        hints=READS,
        call=list_disabled,
        result_keys=("disabled_count", "disabled_capabilities"),
    ),
)
