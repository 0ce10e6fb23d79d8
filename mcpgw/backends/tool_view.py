"""Tools of one backend as clients see them: renamed, with some left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from mcpgw.backends.list_sync import ListSync
from mcpgw.config.schema import BackendConfig
from mcpgw.observe.log import get_logger
from mcpgw.shaping.names import Naming

log = get_logger("mcpgw.backend")

Tools = Mapping[str, dict[str, Any]]


@attrs.define(eq=False)
class ToolView:
    """A backend's tools after its `transform` settings, updated when either changes."""

    lists: ListSync
    _naming: Naming
    _tools: Tools = attrs.field(factory=dict)
    _made_of: Tools | None = None

    @classmethod
    def of(cls, lists: ListSync, config: BackendConfig) -> ToolView:
        """Return the view of these lists under these settings."""
        return cls(lists, _naming(config))

    def reshape(self, config: BackendConfig) -> None:
        """Apply changed settings."""
        self._naming = _naming(config)
        self._made_of = None

    @property
    def tools(self) -> Tools:
        """The tools by the name under which they are offered, as last listed."""
        listed = self.lists.tools
        if self._naming.identity:
            return listed
        if self._made_of is not listed:
            self._made_of = listed
            self._tools = self._naming.offer(listed.values())
            if self._naming.clashes:
                log.warning(
                    "backend.tool_names_clashed",
                    server=self.lists.server,
                    tools=self._naming.clashes,
                )
        return self._tools

    @property
    def as_is(self) -> bool:
        """True if the tools are offered just as the server lists them."""
        return self._naming.identity

    def reshaped(self, tools: list[Any]) -> list[dict[str, Any]]:
        """Return listed tools as they are offered."""
        return list(self._naming.offer([t for t in tools if isinstance(t, dict)]).values())

    def own_name(self, tool: str) -> str | None:
        """Return the server's own name of an offered tool, None for one that is not offered."""
        return tool if self._naming.identity else self._naming.original(tool)

    def other_name(self, tool: str) -> str | None:
        """Return under which other name a tool of the server is offered, if it is."""
        return None if self._naming.identity else self._naming.hint(tool)


def _naming(config: BackendConfig) -> Naming:
    def reshaped(tool: str) -> bool:
        return config.tool(tool).transform is not None

    return Naming(config.transform, reshaped=reshaped if config.tools else None)
