"""The words of MCP that both faces of the gateway need: revisions and method names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

LATEST_PROTOCOL_VERSION: Final = "2025-11-25"
"""The newest revision with the `initialize` handshake."""

PROTOCOL_VERSIONS: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""The revisions with a handshake that both faces speak, newest first."""

BATCH_VERSION: Final = "2025-03-26"
"""The one revision in which a client may send JSON-RPC batches."""

LOG_LEVELS: Final = (
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
)
"""The levels of `logging/setLevel`, least severe first (RFC 5424, section 6.2.1)."""


def negotiate(requested: object) -> str:
    """Return the revision to answer `initialize` with.

    The client's own where we speak it, else our latest (MCP 2025-11-25, lifecycle, version
    negotiation). A client that names none is taken for the first revision.
    """
    if requested is None:
        return PROTOCOL_VERSIONS[-1]
    if requested in PROTOCOL_VERSIONS:
        return str(requested)
    return LATEST_PROTOCOL_VERSION


def reads_only(tool: Mapping[str, Any]) -> bool:
    """Tell whether a tool declares that it changes nothing."""
    annotations = tool.get("annotations")
    return isinstance(annotations, dict) and annotations.get("readOnlyHint") is True


def repeats_alike(tool: Mapping[str, Any]) -> bool:
    """Tell whether a tool declares that a second call does no more than the first."""
    annotations = tool.get("annotations")
    return isinstance(annotations, dict) and annotations.get("idempotentHint") is True


def is_repeatable(tool: Mapping[str, Any]) -> bool:
    """Tell whether calling a tool twice is declared to be the same as calling it once."""
    return reads_only(tool) or repeats_alike(tool)
