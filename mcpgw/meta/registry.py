"""Registry of the meta-tools. To add a group, list the tools of its module here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from mcpgw.meta import (
    code_mode,
    discovery,
    invoke,
    operator,
    playbook,
    routing,
    statistics,
    surfaced_tools,
)
from mcpgw.meta.context import GatewayContext, ToolRequest
from mcpgw.meta.tool import MetaTool
from mcpgw.observe.log import get_logger
from mcpgw.pipeline.session_state import SessionState
from mcpgw.protocol.errors import INVALID_PARAMS, RpcError
from mcpgw.protocol.peer import Params

log = get_logger("mcpgw.call")

META_TOOLS: Final[tuple[MetaTool, ...]] = (
    *discovery.TOOLS,
    *invoke.TOOLS,
    *statistics.TOOLS,
    *playbook.TOOLS,
    *operator.TOOLS,
    *routing.TOOLS,
    *code_mode.TOOLS,
)
"""All meta-tools in the order of `tools/list`."""


@attrs.frozen
class MetaToolRegistry:
    """The meta-tools by name."""

    tools: tuple[MetaTool, ...] = META_TOOLS
    _by_name: Mapping[str, MetaTool] = attrs.field(init=False)

    @_by_name.default
    def _index(self) -> Mapping[str, MetaTool]:
        return {tool.name: tool for tool in self.tools}

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def properties(self, name: str) -> Mapping[str, Any] | None:
        """Return the arguments of a meta-tool by name; None if there is no such tool, or if its
        arguments may be another tool's."""
        tool = self._by_name.get(name)
        return None if tool is None or tool.takes_others else tool.properties

    def listed(self, context: GatewayContext) -> list[MetaTool]:
        """Return the meta-tools of a configuration: in code mode its two, otherwise the others."""
        if context.config.code_mode.enabled:
            return list(code_mode.TOOLS)
        return [tool for tool in self.tools if tool.listed(context)]

    def definitions(self, context: GatewayContext, session: SessionState) -> list[dict[str, Any]]:
        """Return the answer of `tools/list`: the meta-tools, then surfaced and promoted tools."""
        own = [tool.definition(context) for tool in self.listed(context)]
        if context.config.code_mode.enabled:
            return own
        return own + surfaced_tools.definitions(context, session, self._by_name)

    async def call(self, tool_request: ToolRequest, name: str) -> Params:
        """Call a meta-tool, or a tool that is listed beside them.

        Raises:
          RpcError: there is no such tool (with similar names), or its arguments are invalid.
        """
        tool = self._by_name.get(name)
        if tool is None:
            server = surfaced_tools.owner(tool_request, name)
            if server is None:
                raise self._unknown(tool_request, name)
            return await invoke.invoke_tool(
                tool_request, server, name, tool_request.arguments, direct=True
            )
        tool.check_names(tool_request.arguments)
        log.debug("meta_tool.called", tool=name, session=tool_request.session.id)
        return await tool.call(tool_request)

    def _unknown(self, tool_request: ToolRequest, name: str) -> RpcError:
        from mcpgw.text.did_you_mean import did_you_mean

        context = tool_request.context
        owners = [backend.name for backend in context.pool if name in backend.tools]
        if owners:
            hint = f" It is a tool of '{owners[0]}': call it with gateway_invoke."
        else:
            shown = surfaced_tools.definitions(context, tool_request.session, ())
            hint = did_you_mean(name, [*self._by_name, *(tool["name"] for tool in shown)])
        return RpcError(INVALID_PARAMS, f"Unknown tool: {name}.{hint}")
