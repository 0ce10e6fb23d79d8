"""The words of MCP that both faces of the gateway need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mcpgw.config.revisions import LATEST_PROTOCOL_VERSION as LATEST_PROTOCOL_VERSION
from mcpgw.config.revisions import MODERN_VERSION as MODERN_VERSION
from mcpgw.config.revisions import PROTOCOL_VERSIONS as PROTOCOL_VERSIONS

VERSION_META: Final = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_META: Final = "io.modelcontextprotocol/clientCapabilities"
CLIENT_INFO_META: Final = "io.modelcontextprotocol/clientInfo"
LOG_LEVEL_META: Final = "io.modelcontextprotocol/logLevel"
SERVER_INFO_META: Final = "io.modelcontextprotocol/serverInfo"
SUBSCRIPTION_META: Final = "io.modelcontextprotocol/subscriptionId"
"""The keys of `_meta` of the stateless era (MCP 2026-07-28, base protocol, `_meta`)."""

TASKS_EXTENSION: Final = "io.modelcontextprotocol/tasks"
"""The extension of the stateless era for calls whose answer is fetched later."""
RELATED_TASK_META: Final = "io.modelcontextprotocol/related-task"
"""The key of `_meta` that names the task a message belongs to (MCP 2025-11-25, tasks)."""

FORWARDED_CAPABILITIES: Final = ("roots", "sampling", "elicitation")
"""Client capabilities that backends may use through us."""

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


def is_modern(params: Mapping[str, Any]) -> bool:
    """Tell whether the params of a request are of the stateless era: they name their revision."""
    meta = params.get("_meta")
    return isinstance(meta, dict) and VERSION_META in meta


def is_complete(result: Mapping[str, Any]) -> bool:
    """Tell whether a result is the whole answer, as all are before 2026-07-28."""
    return bool(result.get("resultType", "complete") == "complete")


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
