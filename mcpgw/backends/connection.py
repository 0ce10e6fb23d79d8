"""Connection to a backend that is ready: requests and lists.

Inside the gateway, requests have the form of the handshake revisions. `Connection` sends them
unchanged; `mcpgw.backends.stateless.StatelessConnection` translates them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from mcpgw import __version__
from mcpgw.observe.log import get_logger
from mcpgw.protocol.errors import METHOD_NOT_FOUND, RpcError
from mcpgw.protocol.peer import Params, Peer, ProgressCallback

if TYPE_CHECKING:
    from mcpgw.backends.call_context import AskClient, CallContext

log = get_logger("mcpgw.backend")

CLIENT_INFO: Final = {"name": "mcp-gateway", "title": "MCP Gateway", "version": __version__}
MAX_PAGES: Final = 500
"""Pages of one list that are read; a longer list is cut off there."""

LISTS: Final[Mapping[str, tuple[str, str]]] = {
    "tools": ("tools/list", "tools"),
    "resources": ("resources/list", "resources"),
    "resource_templates": ("resources/templates/list", "resourceTemplates"),
    "prompts": ("prompts/list", "prompts"),
}
"""The lists of a manifest: the method that returns each, and its key in the result."""

_ROUND_PARAMS: Final = ("inputResponses", "requestState")
_CAPABILITY: Final = {"resource_templates": "resources"}


@attrs.define(eq=False)
class Connection:
    """A connection to a backend of the handshake revisions, ready for requests.

    `listed` is set when the lists were read for the first time on this connection. `doubted` is set
    while there is a reason to ping the backend at once.
    """

    peer: Peer
    protocol_version: str
    server_info: Mapping[str, Any]
    capabilities: Mapping[str, Any]
    instructions: str
    listed: trio.Event = attrs.field(factory=trio.Event)
    doubted: trio.Event = attrs.field(factory=trio.Event)

    def doubt(self, received: int) -> None:
        """Have the backend pinged at once if it has sent nothing since `received` messages."""
        if self.peer.received == received:
            self.doubted.set()

    async def request(
        self,
        method: str,
        params: Params | None = None,
        *,
        on_progress: ProgressCallback | None = None,
        context: CallContext | None = None,
    ) -> Params:
        """Send a request and return its result.

        Args:
          method, params: in the form of the handshake revisions.
          on_progress: called for each progress report.
          context: the call that it is part of; requests of the backend meanwhile go to the
            client of that call.

        Raises:
          RpcError: the backend answered with an error.
          ConnectionLost: the connection ended, or the request was lost.
        """
        if context is not None and context.supports_input_required and params is not None:
            # These revisions send requests to the client instead of rounds of input.
            params = {key: value for key, value in params.items() if key not in _ROUND_PARAMS}
        return await self.peer.request(method, params, on_progress=on_progress, owner=context)

    def settle(self, ask: AskClient, watched: frozenset[str]) -> None:
        """Set how clients are asked and which resources are watched; unused by this era."""

    async def run(self) -> None:
        """Run the background work of the era until cancelled; this era has none."""
        await trio.sleep_forever()

    def roots_changed(self) -> None:
        """Notify the backend that the client's roots have changed."""
        self.peer.notify("notifications/roots/list_changed")

    def declares(self, capability: str) -> bool:
        """Tell whether the backend declared a server capability."""
        return isinstance(self.capabilities.get(capability), Mapping)

    async def read_list(self, name: str) -> tuple[dict[str, Any], ...] | None:
        """Read one of `LISTS` to its last page; return None if the backend has no such list.

        Tools are read even from a backend that declares no capabilities at all, since such
        servers exist.

        Raises:
          RpcError: the backend refused, for another reason than an unknown method.
          ConnectionLost: the connection ended.
        """
        if not self.declares(_CAPABILITY.get(name, name)) and (
            self.capabilities or name != "tools"
        ):
            return None
        method, key = LISTS[name]
        entries: list[dict[str, Any]] = []
        seen: set[Any] = set()
        params: Params = {}
        for _ in range(MAX_PAGES):
            try:
                result = await self.request(method, params)
            except RpcError as error:
                if error.code == METHOD_NOT_FOUND and not entries:
                    return None
                raise
            page = result.get(key)
            if isinstance(page, list):
                entries.extend(entry for entry in page if isinstance(entry, dict))
            cursor = result.get("nextCursor")
            # Some servers number their pages.
            valid = isinstance(cursor, (str, int, float)) and not isinstance(cursor, bool)
            if not valid or cursor in seen:
                break
            seen.add(cursor)
            params = {"cursor": cursor}
        else:
            log.warning("list.cut", server=self.peer.name, list=name, pages=MAX_PAGES)
        return tuple(entries)
