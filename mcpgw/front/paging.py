"""Pagination: pages of a list, with cursors that become invalid if the list changes."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

from mcpgw.protocol.errors import INVALID_PARAMS, RpcError
from mcpgw.protocol.peer import Params

PAGE: Final = 500
"""Entries per page."""
LONGEST_CURSOR: Final = 200
"""Characters of a cursor; those of the gateway are far shorter."""


def page(entries: Sequence[dict[str, Any]], key: str, params: Params) -> Params:
    """Return the page at a request's cursor, with `nextCursor` if there are more.

    Raises:
      RpcError: the cursor is unknown, or the list has changed since it was issued (MCP
        2025-11-25, pagination: an invalid cursor is -32602).
    """
    cursor = params.get("cursor")
    if cursor is None and len(entries) <= PAGE:
        return {key: list(entries)}
    fingerprint = _fingerprint(entries)
    start = 0 if cursor is None else _position(cursor, fingerprint)
    result: Params = {key: list(entries[start : start + PAGE])}
    if start + PAGE < len(entries):
        text = json.dumps([start + PAGE, fingerprint]).encode()
        result["nextCursor"] = base64.urlsafe_b64encode(text).decode()
    return result


def _position(cursor: object, fingerprint: str) -> int:
    try:
        if not isinstance(cursor, str) or len(cursor) > LONGEST_CURSOR:
            raise ValueError
        position, given = json.loads(base64.urlsafe_b64decode(cursor))
        if not isinstance(position, int) or isinstance(position, bool) or position < 0:
            raise ValueError
    except (ValueError, TypeError, RecursionError):  # base64, JSON, its shape or depth
        raise RpcError(INVALID_PARAMS, "unknown cursor; restart without a cursor") from None
    if given != fingerprint:
        raise RpcError(INVALID_PARAMS, "the list has changed; restart without a cursor")
    return position


def _fingerprint(entries: Sequence[dict[str, Any]]) -> str:
    """Return a hash of the names, task ids and URIs of a list's entries."""
    names = [entry.get("name") or entry.get("taskId") for entry in entries]
    uris = [entry.get("uri") or entry.get("uriTemplate") for entry in entries]
    return hashlib.sha256(json.dumps([names, uris]).encode()).hexdigest()[:16]
