"""Find the tool's definition or suggest names; refuse withheld definitions."""

from __future__ import annotations

from typing import Final

import attrs

from mcpgw.backends.pool import BackendPool
from mcpgw.backends.server import BackendServer
from mcpgw.backends.states import Replaced, Unavailable
from mcpgw.pipeline.call import Call, CallFailed, Proceed, Recovery
from mcpgw.pipeline.stages.resolve import unreachable
from mcpgw.protocol.peer import Params

_NAME_PARAMS: Final = {
    "prompts/get": ("prompt", "name"),
    "resources/read": ("resource", "uri"),
    "resources/subscribe": ("resource", "uri"),
}
"""Requests for a listed item: the kind of the item, and the parameter with its name."""


@attrs.frozen
class FindTool:
    """The stage that looks a tool up in its backend's list."""

    pool: BackendPool

    async def __call__(self, call: Call, proceed: Proceed) -> Params:
        """Attach the definition; refuse a name that the live backend does not list.

        The manifest may be outdated, so a name missing from it is looked up in the live list,
        which starts the backend.
        """
        backend, instance = call.backend, call.instance
        if call.method == "tools/call":
            _refuse_withheld_tool(call)
            call.tool = instance.tools.get(call.name)
            if call.tool is None and not backend.breaker_open and not call.transparent:
                await self._look_again(call)
            own = instance.tool_view.own_name(call.name)
            if own is None:
                raise self._no_tool(call)
            if own != call.name:
                call.params = {**call.params, "name": own}
        elif call.method in _NAME_PARAMS:
            kind, key = _NAME_PARAMS[call.method]
            _refuse_withheld(backend, kind, str(call.params.get(key, "")))
        return await proceed(call)

    async def _look_again(self, call: Call) -> None:
        instance = call.instance
        connection = instance.connection
        if connection is None or not connection.listed.is_set():
            try:
                await instance.learned()
            except Replaced:
                raise
            except Unavailable as error:
                raise unreachable(call.backend, error) from error
        _refuse_withheld_tool(call)  # the definition may be known only now
        call.tool = instance.tools.get(call.name)
        if call.tool is None and (instance.tools or instance.lists.tools):
            raise self._no_tool(call)

    def _no_tool(self, call: Call) -> CallFailed:
        from mcpgw.text.did_you_mean import nearest

        backend = call.instance
        offered = backend.tool_view.other_name(call.name)
        near = (offered,) if offered else tuple(nearest(call.name, backend.tools))
        others = tuple(b.name for b in self.pool if call.name in b.tools)
        hint = f"Did you mean: {', '.join(near)}?" if near else ""
        if others:
            hint = f"{hint} It exists on: {', '.join(others)}.".strip()
        if not hint:
            hint = f"List its tools with gateway_list_tools (server: {backend.name})."
        return CallFailed(
            Recovery.TOOL_NOT_FOUND,
            f"Tool '{call.name}' not found on server '{backend.name}'.",
            hint,
            related=near or tuple(f"{name}:{call.name}" for name in others),
        )


def _refuse_withheld_tool(call: Call) -> None:
    _refuse_withheld(call.backend, "tool", call.name)
    own = call.instance.tool_view.own_name(call.name)
    if own is not None and own != call.name:
        _refuse_withheld(call.backend, "tool", own)


def _refuse_withheld(backend: BackendServer, kind: str, name: str) -> None:
    """Refuse an item whose definition is withheld."""
    if reason := backend.services.vetting.withheld(backend.name, kind, name):
        raise CallFailed(
            Recovery.NOT_ALLOWED,
            f"The {kind} '{name:.80}' of server '{backend.name}' is withheld: {reason}",
            "An operator must review it first.",
        )
