"""One server's own face: its tools, resources and prompts as they are, under the same guards.

What is asked goes to the server and its answer comes back with all that it carries. The gateway
keeps for itself what belongs to a session: its log level and its subscriptions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from mcpgw.backends.backend import Backend
from mcpgw.backends.states import Unavailable
from mcpgw.front import methods, offers
from mcpgw.front.face import Face
from mcpgw.front.session import Method, Session
from mcpgw.meta.surface import Surface
from mcpgw.pipeline.call import Call, CallAbandoned, CallFailed, Recovery
from mcpgw.protocol.errors import BACKEND_UNAVAILABLE, INVALID_PARAMS, RpcError
from mcpgw.protocol.peer import Params, Request

_UNKNOWN: Final = {
    "name": "mcp-gateway",
    "title": "MCP Gateway",
    "version": "0",
}


async def face_of(backend: Backend) -> Face:
    """Return the face of one server, which is started for it.

    Raises:
      Unavailable: it cannot be started.
    """
    connection = await backend.connected()
    return Face(
        connection.server_info or _UNKNOWN,
        connection.capabilities,
        connection.instructions,
        target=backend.name,
    )


async def _list_tools(session: Session, surface: Surface, request: Request) -> Params:
    result = await _forward(session, surface, request)
    backend = _backend(session, surface)
    listed = result.get("tools")
    if not isinstance(listed, list) or backend.offered.as_is:
        return result
    return {**result, "tools": backend.offered.reshaped(listed)}


async def _call_tool(session: Session, surface: Surface, request: Request) -> Params:
    params = request.params
    name = params.get("name")
    if not isinstance(name, str) or not name:
        raise RpcError(INVALID_PARAMS, "Missing 'name' parameter of tools/call")
    if not isinstance(params.get("arguments"), dict):
        if params.get("arguments") is not None:
            raise RpcError(INVALID_PARAMS, "'arguments' is an object")
        params = {**params, "arguments": {}}
    backend = _backend(session, surface)
    call = Call(backend.name, "tools/call", name, _ours_out(params), request, session.state)
    call.transparent = True
    call.rounds = request.client is not None and request.client.takes_rounds
    try:
        return await surface.pipeline.pass_on(call)
    except CallAbandoned:
        return {}
    except CallFailed as error:
        unknown = error.recovery in (Recovery.TOOL_NOT_FOUND, Recovery.INVALID_PARAM)
        code = INVALID_PARAMS if unknown else BACKEND_UNAVAILABLE
        raise RpcError(code, str(error), error.data) from error


async def _forward(session: Session, surface: Surface, request: Request) -> Params:
    """Pass any request on to the server."""
    backend = _backend(session, surface)
    try:
        await backend.connected()
    except Unavailable as error:
        raise RpcError(BACKEND_UNAVAILABLE, f"{error}.") from error
    params = _ours_out(request.params)
    return await offers.ask(
        surface, session.state, backend, request.method, params, request, transparent=True
    )


def _ours_out(params: Params) -> Params:
    """Leave out the client's progress token: the gateway mints one of its own."""
    meta = params.get("_meta")
    if not isinstance(meta, dict) or "progressToken" not in meta:
        return params
    kept = {key: value for key, value in meta.items() if key != "progressToken"}
    rest = {key: value for key, value in params.items() if key != "_meta"}
    return {**rest, "_meta": kept} if kept else rest


def _backend(session: Session, surface: Surface) -> Backend:
    assert session.face.target is not None
    backend = surface.pool.of(session.face.target, session.state.id)
    if backend is None:
        raise RpcError(
            BACKEND_UNAVAILABLE, f"Server '{session.face.target}' is not configured any more"
        )
    return backend


_OWN: Final[Mapping[str, Method]] = {
    "tools/list": _list_tools,
    "tools/call": _call_tool,
    "resources/subscribe": methods.subscribe,
    "resources/unsubscribe": methods.unsubscribe,
    "logging/setLevel": methods.set_level,
}

_NOT_FORWARDED: Final = ("notifications/", "sampling/", "elicitation/", "roots/")


@attrs.frozen
class Forwarded:
    """The methods of one server's face: all there are, for it is the server that knows them."""

    def get(self, name: str) -> Method | None:
        """Return what answers a method."""
        if name.startswith(_NOT_FORWARDED):
            return None
        return _OWN.get(name, _forward)


def no_such_server(surface: Surface, name: str) -> str:
    """Say that there is no server of this name, and which there are."""
    from mcpgw.catalog.suggest import did_you_mean

    known = surface.pool.names
    hint = did_you_mean(name, list(known))
    return f"Server '{name}' not found.{hint or ' Configured: ' + (', '.join(known) or 'none')}"
