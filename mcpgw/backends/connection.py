"""One initialised MCP conversation with a backend: the handshake and the lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
import trio

from mcpgw import __version__
from mcpgw.observe.log import get_logger
from mcpgw.protocol.errors import METHOD_NOT_FOUND, ConnectionLost, RpcError
from mcpgw.protocol.mcp import LATEST_PROTOCOL_VERSION, PROTOCOL_VERSIONS
from mcpgw.protocol.peer import Params, Peer

log = get_logger("mcpgw.backend")

CLIENT_INFO: Final = {"name": "mcp-gateway", "title": "MCP Gateway", "version": __version__}
MAX_PAGES: Final = 500
"""Pages of one list that are followed; a server that goes on for longer is cut off."""

LISTS: Final[Mapping[str, tuple[str, str]]] = {
    "tools": ("tools/list", "tools"),
    "resources": ("resources/list", "resources"),
    "resource_templates": ("resources/templates/list", "resourceTemplates"),
    "prompts": ("prompts/list", "prompts"),
}
"""The lists of a manifest: the method that gives each, and its key in the answer."""

_CAPABILITY: Final = {"resource_templates": "resources"}


class HandshakeFailed(Exception):
    """The backend answered `initialize` with an error or with what we do not speak."""


@attrs.define(eq=False)
class Connection:
    """A backend that answered `initialize`.

    `listed` is set when its lists were read for the first time on this connection.
    """

    peer: Peer
    protocol_version: str
    server_info: Mapping[str, Any]
    capabilities: Mapping[str, Any]
    instructions: str
    listed: trio.Event = attrs.field(factory=trio.Event)

    def declares(self, capability: str) -> bool:
        """Tell whether the backend declared a server capability."""
        return isinstance(self.capabilities.get(capability), Mapping)

    async def read_list(self, name: str) -> tuple[dict[str, Any], ...] | None:
        """Read one of `LISTS` to its last page; None where the backend has no such list.

        Tools are asked for even of a backend that declares nothing at all, since such
        servers exist.

        Raises:
          RpcError: the backend refused for another reason than not having the method.
          ConnectionLost: the conversation ended.
        """
        if not self.declares(_CAPABILITY.get(name, name)) and (
            self.capabilities or name != "tools"
        ):
            return None
        method, key = LISTS[name]
        entries: list[dict[str, Any]] = []
        seen: set[str] = set()
        params: Params = {}
        for _ in range(MAX_PAGES):
            try:
                result = await self.peer.request(method, params)
            except RpcError as error:
                if error.code == METHOD_NOT_FOUND and not entries:
                    return None
                raise
            page = result.get(key)
            if isinstance(page, list):
                entries.extend(entry for entry in page if isinstance(entry, dict))
            cursor = result.get("nextCursor")
            if not isinstance(cursor, str) or cursor in seen:
                break
            seen.add(cursor)
            params = {"cursor": cursor}
        return tuple(entries)


async def handshake(
    peer: Peer, *, capabilities: Params, protocol_version: str | None = None
) -> Connection:
    """Initialise the conversation (MCP 2025-11-25, lifecycle).

    The caller sets the deadline; `initialize` is never cancelled on the wire.

    Args:
      peer: the running peer of the backend.
      capabilities: the client capabilities that can really be served.
      protocol_version: the revision to ask for; our latest where None.

    Raises:
      HandshakeFailed: the backend refused, or answered with a revision that we do not speak.
      ConnectionLost: the backend ended first.
    """
    asked = protocol_version or LATEST_PROTOCOL_VERSION
    params = {"protocolVersion": asked, "capabilities": capabilities, "clientInfo": CLIENT_INFO}
    try:
        result = await peer.request("initialize", params)
    except RpcError as error:
        raise HandshakeFailed(f"it refused `initialize`: {error}") from error
    version = result.get("protocolVersion")
    if version not in PROTOCOL_VERSIONS:
        raise HandshakeFailed(
            f"it speaks MCP {version!r}; this gateway speaks {', '.join(PROTOCOL_VERSIONS)}"
        )
    peer.notify("notifications/initialized")
    return Connection(
        peer,
        version,
        _mapping(result.get("serverInfo")),
        _mapping(result.get("capabilities")),
        instructions if isinstance(instructions := result.get("instructions"), str) else "",
    )


async def read_lists(
    connection: Connection, names: frozenset[str] = frozenset(LISTS)
) -> dict[str, tuple[dict[str, Any], ...]]:
    """Read several lists at once. A list that cannot be read is left out and logged.

    Raises:
      ConnectionLost: the conversation ended.
    """
    lists: dict[str, tuple[dict[str, Any], ...]] = {}
    lost: list[ConnectionLost] = []

    async def read(name: str) -> None:
        try:
            lists[name] = await connection.read_list(name) or ()
        except RpcError as error:
            log.warning("list.failed", server=connection.peer.name, list=name, reason=str(error))
        except ConnectionLost as error:
            lost.append(error)  # raised bare below, not in the nursery's exception group

    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(read, name)
    if lost:
        raise lost[0]
    return lists


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
