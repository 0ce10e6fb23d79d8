"""Find the tool's definition or suggest names; refuse withheld definitions."""

from __future__ import annotations

import attrs

from mcpgw.backends.pool import BackendPool
from mcpgw.backends.states import Replaced, Unavailable
from mcpgw.pipeline.call import Call, CallFailed, Proceed, Recovery
from mcpgw.pipeline.definitions import is_listed, item_of, refuse_withheld, withheld_of
from mcpgw.pipeline.stages.live_definition import list_patience
from mcpgw.pipeline.stages.resolve import unreachable
from mcpgw.protocol.peer import Params


@attrs.frozen
class FindTool:
    """The stage that looks a tool up in its backend's list."""

    pool: BackendPool

    async def __call__(self, call: Call, proceed: Proceed) -> Params:
        """Attach the definition; refuse a name that the live backend does not list or offer.

        The manifest may be outdated. So for a name that is missing from it or withheld, the live
        list is read first, which starts the backend.
        """
        if call.method != "tools/call" and item_of(call) is None:
            return await proceed(call)
        instance = call.instance
        if not instance.lists.prepared:
            await instance.lists.prepare()
        withheld = withheld_of(call) is not None
        if call.method != "tools/call":
            if withheld or (call.method == "prompts/get" and not is_listed(call)):
                await self._look_again(call, again=True)
                refuse_withheld(call)
            return await proceed(call)
        call.tool = instance.tools.get(call.name)
        if call.tool is None or withheld:
            # A client of the server's own endpoint may have just seen it in a live list.
            again = withheld or call.transparent or not instance.lists.tools
            await self._look_again(call, again=again)
            refuse_withheld(call)
            call.tool = instance.tools.get(call.name)
            live = instance.connection is not None and "tools" in instance.lists.live
            if call.tool is None and live:
                raise self._no_tool(call)
        own = instance.tool_view.own_name(call.name)
        if own is None:
            raise self._no_tool(call)
        if own != call.name:
            call.params = {**call.params, "name": own}
        return await proceed(call)

    async def _look_again(self, call: Call, *, again: bool) -> None:
        """Read the live lists, if they were not read yet, or in any case with `again`."""
        if call.backend.breaker_open:
            return
        try:
            await call.instance.learned(again=again, patience=list_patience(call))
        except Replaced:
            raise
        except Unavailable as error:
            refuse_withheld(call)
            raise unreachable(call.backend, error) from error

    def _no_tool(self, call: Call) -> CallFailed:
        from mcpgw.text.did_you_mean import nearest

        backend = call.instance
        offered = backend.tool_view.other_name(call.name)
        near = (offered,) if offered else tuple(nearest(call.name, backend.tools))
        others = tuple(b.name for b in self.pool if call.name in b.tools)
        hint = f"Did you mean: {', '.join(near)}?" if near else ""
        if call.transparent:
            return CallFailed(Recovery.TOOL_NOT_FOUND, f"Unknown tool: {call.name}.", hint)
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
