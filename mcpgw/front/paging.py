"""Lists in pages, with cursors that notice when the list has changed."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

from mcpgw.protocol.errors import INVALID_PARAMS, RpcError
from mcpgw.protocol.peer import Params

PAGE: Final = 500
"""Entries of one page."""


def page(entries: Sequence[dict[str, Any]], key: str, params: Params) -> Params:
    """Return the page that a request's cursor asks for, and where the next one begins.

    Raises:
      RpcError: the cursor is not ours, or the list has changed since it was given (MCP
        2025-11-25, pagination: an invalid cursor is -32602).
    """
    cursor = params.get("cursor")
    if cursor is None and len(entries) <= PAGE:
        return {key: list(entries)}
    mark = _mark(entries)
    start = 0 if cursor is None else _position(cursor, mark)
    result: Params = {key: list(entries[start : start + PAGE])}
    if start + PAGE < len(entries):
        text = json.dumps([start + PAGE, mark]).encode()
        result["nextCursor"] = base64.urlsafe_b64encode(text).decode()
    return result


def _position(cursor: object, mark: str) -> int:
    try:
        position, given = json.loads(base64.urlsafe_b64decode(str(cursor)))
        if not isinstance(position, int) or isinstance(position, bool) or position < 0:
            raise ValueError
    except ValueError:  # of base64, of JSON, and of a wrong shape alike
        raise RpcError(INVALID_PARAMS, "unknown cursor; begin again without one") from None
    except TypeError:
        raise RpcError(INVALID_PARAMS, "unknown cursor; begin again without one") from None
    if given != mark:
        raise RpcError(INVALID_PARAMS, "the list has changed; begin again without a cursor")
    return position


def _mark(entries: Sequence[dict[str, Any]]) -> str:
    """Return a mark of a list: of its length and of what its entries are called."""
    names = [entry.get("name") or entry.get("taskId") for entry in entries]
    uris = [entry.get("uri") or entry.get("uriTemplate") for entry in entries]
    return hashlib.sha256(json.dumps([names, uris]).encode()).hexdigest()[:16]
