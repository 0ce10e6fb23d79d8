"""Transparent sessions: one server's own tools, resources and prompts, under the same guards.

Requests are forwarded to the server, and its results are returned with all their fields. Log
level and subscriptions are handled by the gateway, since other sessions may use the same server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import attrs
import trio

from mcpgw.backends.connection import Connection
from mcpgw.backends.instance import BackendInstance
from mcpgw.backends.server import BackendServer
from mcpgw.backends.states import Unavailable
from mcpgw.front import aggregation, methods, tasks
from mcpgw.front.paging import page
from mcpgw.front.server_profile import ServerProfile
from mcpgw.front.services import Method
from mcpgw.front.session import Session
from mcpgw.meta.context import GatewayContext
from mcpgw.pipeline.call import Call, CallFailed, Recovery
from mcpgw.pipeline.stages.live_definition import LIST_PATIENCE
from mcpgw.protocol.errors import BACKEND_UNAVAILABLE, INVALID_PARAMS, RpcError
from mcpgw.protocol.peer import Params, Request
from mcpgw.protocol.request import arguments_of
from mcpgw.text.sentences import sentence

_DEFAULT_INFO: Final = {
    "name": "mcp-gateway",
    "title": "MCP Gateway",
    "version": "0",
}


_LISTS: Final = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resource_templates",
}
_RESULT_KEYS: Final = {"resource_templates": "resourceTemplates"}


async def profile_of(backend: BackendServer, session: str) -> ServerProfile:
    """Return the profile of one server; its instance for the session is started.

    Its instructions and its title are vetted together with its lists, so these are waited for.

    Raises:
      Unavailable: it cannot be started.
    """
    instance = backend.instance(session)
    connection = await instance.connected()
    await instance.lists_read(connection, LIST_PATIENCE)
    return _profile(instance, connection)


def current_profile_of(context: GatewayContext, session: Session) -> Callable[[], ServerProfile]:
    """Return a function that returns the profile of a session's one server.

    The profile is that of its live connection, or of the latest one while there is none: a session
    that carries requests of many clients outlives restarts and reloads of the server. The session
    must be attached.
    """
    connection: Connection | None = None

    def current() -> ServerProfile:
        nonlocal connection
        backend = context.pool.get(session.target or "")
        if backend is not None:
            instance = backend.instance(session.state.instance_id)
            live = instance.connection
            if live is not None and live is not connection and live.listed.is_set():
                connection = live
                return _profile(instance, live)
        return session.server_profile

    return current


def _profile(instance: BackendInstance, connection: Connection) -> ServerProfile:
    vetted = instance.lists.manifest
    return ServerProfile(
        (vetted.server_info if vetted is not None else {}) or _DEFAULT_INFO,
        tasks.declared(connection.capabilities),
        vetted.instructions if vetted is not None else "",
        target=instance.name,
    )


async def _list_tools(session: Session, context: GatewayContext, request: Request) -> Params:
    result = await _forward(session, context, request)
    backend = _backend(session, context)
    view = backend.tool_view
    listed = result.get("tools")
    if not isinstance(listed, list) or view.as_is:
        return result
    return {**result, "tools": view.reshaped(listed)}


async def _call_tool(session: Session, context: GatewayContext, request: Request) -> Params:
    params = request.params
    name = params.get("name")
    if not isinstance(name, str) or not name:
        raise RpcError(INVALID_PARAMS, "Missing 'name' parameter of tools/call")
    if not isinstance(params.get("arguments"), dict):
        params = {**params, "arguments": arguments_of(params)}
    backend = _backend(session, context)
    instance = backend.instance(session.state.instance_id)
    params = await tasks.prepared(instance, request, _without_progress_token(params))
    call = Call(backend.name, "tools/call", name, params, request, session.state)
    call.transparent = True
    call.supports_input_required = (
        request.client is not None and request.client.supports_input_required
    )
    try:
        result = await context.pipeline.call_transparent(call)
        return tasks.created(session.services.tasks, session, instance, request, result)
    except CallFailed as error:
        unknown = error.recovery in (Recovery.TOOL_NOT_FOUND, Recovery.INVALID_PARAM)
        code = INVALID_PARAMS if unknown else BACKEND_UNAVAILABLE
        raise RpcError(code, str(error), error.data) from error


async def _forward(session: Session, context: GatewayContext, request: Request) -> Params:
    """Forward any request to the server."""
    backend = _backend(session, context)
    instance = backend.instance(session.state.instance_id)
    try:
        await instance.connected()
    except Unavailable as error:
        raise RpcError(BACKEND_UNAVAILABLE, sentence(str(error))) from error
    params = _without_progress_token(request.params)
    result = await aggregation.ask(
        context, session.state, backend, request.method, params, request, transparent=True
    )
    return await _vetted(instance, request.method, result)


async def _vetted(instance: BackendInstance, method: str, result: Params) -> Params:
    """Return a result without the withheld definitions of a list."""
    field = _LISTS.get(method)
    if field is None:
        return result
    key = _RESULT_KEYS.get(field, field)
    listed = result.get(key)
    if not listed:
        return result
    if not isinstance(listed, list):
        return {**result, key: []}
    connection = instance.connection
    if connection is not None:
        # The first lists of a server are approved together.
        await instance.lists_read(connection, LIST_PATIENCE)
    if (verdict := instance.lists.verdict) is not None and verdict.blocked is not None:
        return {**result, key: []}
    allowed = await instance.lists.vet_page(field, listed)
    return result if len(allowed) == len(listed) else {**result, key: allowed}


async def _task_get(session: Session, context: GatewayContext, request: Request) -> Params:
    return await _task(session, context, request, "tasks/get")


async def _task_cancel(session: Session, context: GatewayContext, request: Request) -> Params:
    return await _task(session, context, request, "tasks/cancel")


async def _task(session: Session, context: GatewayContext, request: Request, method: str) -> Params:
    """Get or cancel a task; the answer is in the client's flavour of tasks."""
    known = session.services.tasks
    task = known.find(session, request.params.get("taskId"))
    backend = _backend(session, context)
    modern = request.client is not None and request.client.supports_input_required
    if tasks.lost(task, backend.instance(session.state.instance_id)):
        return {} if modern and method == "tasks/cancel" else tasks.gone(task, modern=modern)
    params = {**_without_progress_token(request.params), "taskId": task.own_id}

    async def ask(name: str) -> Params:
        return await aggregation.ask(
            context, session.state, backend, name, params, request, transparent=True
        )

    answered = await ask(method)
    if method == "tasks/cancel":
        if modern:
            return {}
        return (
            tasks.older(known.learned(task, await ask("tasks/get")))
            if task.modern
            else (known.learned(task, answered))
        )
    named = known.learned(task, answered)
    if modern == task.modern:
        return named
    if not modern:
        return tasks.older(named)
    if tasks.is_terminal(named) and named.get("status") == "completed":
        named = {**named, "result": await ask("tasks/result")}
    return {**tasks.newer(named), "resultType": "complete"}


async def _task_result(session: Session, context: GatewayContext, request: Request) -> Params:
    """Wait for the end of a task, and return the result of its call."""
    task = session.services.tasks.find(session, request.params.get("taskId"))
    backend = _backend(session, context)
    if tasks.lost(task, backend.instance(session.state.instance_id)):
        raise RpcError(BACKEND_UNAVAILABLE, str(tasks.gone(task, modern=False)["statusMessage"]))
    params = {**_without_progress_token(request.params), "taskId": task.own_id}
    if task.modern:
        result = await _poll(session, context, request, backend, params)
    else:
        result = await aggregation.ask(
            context, session.state, backend, "tasks/result", params, request,
            transparent=True, patience=tasks.RESULT_PATIENCE,
        )  # fmt: skip
    return tasks.related_to(result, task.id)


async def _poll(
    session: Session,
    context: GatewayContext,
    request: Request,
    backend: BackendServer,
    params: Params,
) -> Params:
    """Poll a server of the stateless era until a task has ended; return its result."""
    while True:
        answered = await aggregation.ask(
            context, session.state, backend, "tasks/get", params, request, transparent=True
        )
        if tasks.is_terminal(answered):
            error = answered.get("error")
            if isinstance(error, dict):
                raise RpcError.from_wire(error)
            result = answered.get("result")
            return result if isinstance(result, dict) else {"content": []}
        pause = answered.get("pollIntervalMs")
        milliseconds = pause if isinstance(pause, int | float) else 1000
        await trio.sleep(min(10.0, max(0.1, milliseconds / 1000)))


async def _task_update(session: Session, context: GatewayContext, request: Request) -> Params:
    """Forward answers to a task's questions (only the extension has this)."""
    task = session.services.tasks.find(session, request.params.get("taskId"))
    backend = _backend(session, context)
    if not task.modern or tasks.lost(task, backend.instance(session.state.instance_id)):
        raise RpcError(INVALID_PARAMS, "this task is not waiting for input")
    params = {**_without_progress_token(request.params), "taskId": task.own_id}
    return await aggregation.ask(
        context, session.state, backend, "tasks/update", params, request, transparent=True
    )


async def _task_list(session: Session, context: GatewayContext, request: Request) -> Params:
    """List the tasks that the session has created."""
    found = [
        tasks.older(task.known) if task.modern else task.known
        for task in session.services.tasks.of(session)
    ]
    return page(found, "tasks", request.params)


def _without_progress_token(params: Params) -> Params:
    """Return params without the client's progress token: the gateway uses one of its own."""
    meta = params.get("_meta")
    if not isinstance(meta, dict) or "progressToken" not in meta:
        return params
    kept = {key: value for key, value in meta.items() if key != "progressToken"}
    rest = {key: value for key, value in params.items() if key != "_meta"}
    return {**rest, "_meta": kept} if kept else rest


def _backend(session: Session, context: GatewayContext) -> BackendServer:
    assert session.server_profile.target is not None
    backend = context.pool.get(session.server_profile.target)
    if backend is None:
        raise RpcError(
            BACKEND_UNAVAILABLE,
            f"Server '{session.server_profile.target}' is no longer configured",
        )
    return backend


_OWN: Final[Mapping[str, Method]] = {
    "tools/list": _list_tools,
    "tools/call": _call_tool,
    "resources/subscribe": methods.subscribe,
    "resources/unsubscribe": methods.unsubscribe,
    "logging/setLevel": methods.set_level,
    "tasks/get": _task_get,
    "tasks/cancel": _task_cancel,
    "tasks/result": _task_result,
    "tasks/list": _task_list,
    "tasks/update": _task_update,
}

_NOT_FORWARDED: Final = ("notifications/", "sampling/", "elicitation/", "roots/")


@attrs.frozen
class PassthroughMethods:
    """Methods of a transparent session: unknown ones are forwarded, as the server may know them."""

    def get(self, name: str) -> Method | None:
        """Return the handler of a method; None for methods that clients do not send."""
        if name.startswith(_NOT_FORWARDED):
            return None
        return _OWN.get(name, _forward)


def no_such_server(context: GatewayContext, name: str) -> str:
    """Return an error message for an unknown server, with suggestions or the known names."""
    from mcpgw.text.did_you_mean import did_you_mean

    known = context.pool.names
    hint = did_you_mean(name, list(known))
    return f"Server '{name}' not found.{hint or ' Configured: ' + (', '.join(known) or 'none')}"
