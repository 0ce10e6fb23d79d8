"""Check a call against the server's live lists right before it is sent."""

from __future__ import annotations

from typing import Final

from mcpgw.pipeline.call import Call, CallFailed, Proceed, Recovery
from mcpgw.pipeline.definitions import is_listed, item_of, refuse_withheld
from mcpgw.protocol.peer import Params

LIST_PATIENCE: Final = 5.0
"""Seconds that a call waits for the lists of a server that has just started. They are read right
after the handshake; half of the call's timeout if that is shorter."""
_LISTS: Final = {"tool": "tools", "prompt": "prompts"}
"""The kinds that must be listed. A resource need not be (MCP 2025-11-25, resource links)."""


async def live_definition(call: Call, proceed: Proceed) -> Params:
    """Wait after each start for the live lists; refuse what they withhold or do not contain.

    If the lists are not answered in time, the stored ones decide: what they allow may be used, and
    what they do not contain only if the policy lets unseen definitions pass.
    """
    item = item_of(call)
    if item is None and not call.transparent:
        return await proceed(call)
    instance = call.instance
    patience = list_patience(call)
    while True:
        connection = instance.connection or await instance.connected()
        live = connection.listed.is_set() or await instance.lists_read(connection, patience)
        if instance.connection is connection:
            break
    refuse_withheld(call)
    if item is not None and call.method in ("tools/call", "prompts/get"):
        _check_listed(call, *item, live=live)
    return await proceed(call)


def list_patience(call: Call) -> float:
    """Return the seconds that a call waits for the lists of a server that is ready."""
    return min(LIST_PATIENCE, call.timeout / 2)


def _check_listed(call: Call, kind: str, name: str, *, live: bool) -> None:
    if is_listed(call):
        return
    instance, field = call.instance, _LISTS[kind]
    lists = instance.lists
    if live and field in lists.live:
        raise CallFailed(
            Recovery.TOOL_NOT_FOUND,
            f"Unknown {kind}: {name}.",
            f"Server '{instance.name}' does not list it.",
        )
    if instance.services.vetting.lenient:
        return
    raise CallFailed(
        Recovery.NOT_ALLOWED,
        f"Server '{instance.name}' has not listed this {kind}, so its definition was never"
        f" checked: {lists.problems.get(field) or 'its lists are not answered yet'}.",
        "Call again in a moment; gateway_list_servers shows its state.",
    )
