"""Server profiles: how a session presents itself, as the gateway or as one server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from mcpgw import __version__


@attrs.frozen
class ServerProfile:
    """The server that a session presents to its client.

    Args:
      server_info, capabilities, instructions: as answered to `initialize` and `server/discover`.
      target: the one server whose own tools, resources and prompts are shown; None to show the
        whole gateway.
    """

    server_info: Mapping[str, Any]
    capabilities: Mapping[str, Any]
    instructions: str
    target: str | None = None


GATEWAY_PROFILE: Final = ServerProfile(
    server_info={
        "name": "mcp-gateway",
        "title": "MCP Gateway",
        "version": __version__,
        "description": "One MCP server in front of many: search for a tool, then invoke it.",
    },
    capabilities={
        # `filtering` and `resolve` are proposals (SEP-1821, SEP-1862); other clients ignore them.
        "tools": {"listChanged": True, "filtering": True, "resolve": True},
        "resources": {"subscribe": True, "listChanged": True},
        "prompts": {"listChanged": True},
        "completions": {},
        "logging": {},
    },
    instructions=(
        "This server is a gateway to many MCP servers. Find a tool with gateway_search_tools"
        " (describe the task in a few words), then call it with gateway_invoke, giving `server`,"
        " `tool` and `arguments` as the search answered. gateway_list_servers shows which servers"
        " there are and why one does not run."
    ),
)
"""The meta-tools, and the resources and prompts of all servers."""
