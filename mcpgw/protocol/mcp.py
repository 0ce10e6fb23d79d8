"""MCP constants and small rules that both sides of the gateway need."""

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
PROFILE_META: Final = "mcpgw/profile"
"""The key of `_meta` for the routing profile of a request without a session."""

TASKS_EXTENSION: Final = "io.modelcontextprotocol/tasks"
"""The extension of the stateless era for calls whose result is fetched later."""
RELATED_TASK_META: Final = "io.modelcontextprotocol/related-task"
"""The key of `_meta` that names a message's task (MCP 2025-11-25, tasks)."""

FORWARDED_CAPABILITIES: Final = ("roots", "sampling", "elicitation")
"""Client capabilities that backends may use through the gateway."""

BATCH_VERSION: Final = "2025-03-26"
"""The only revision with JSON-RPC batches."""

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

    It is the requested one if it is supported, else our latest (MCP 2025-11-25, lifecycle, version
    negotiation). A client that requests none is assumed to use the first revision.
    """
    if requested is None:
        return PROTOCOL_VERSIONS[-1]
    if requested in PROTOCOL_VERSIONS:
        return str(requested)
    return LATEST_PROTOCOL_VERSION


def is_modern(params: Mapping[str, Any]) -> bool:
    """Return whether a request is of the stateless era: its `_meta` names the revision."""
    meta = params.get("_meta")
    return isinstance(meta, dict) and VERSION_META in meta


def is_complete(result: Mapping[str, Any]) -> bool:
    """Return whether a result is final, as all results before 2026-07-28 are."""
    return bool(result.get("resultType", "complete") == "complete")


def reads_only(tool: Mapping[str, Any]) -> bool:
    """Return whether a tool declares itself read-only."""
    annotations = tool.get("annotations")
    return isinstance(annotations, dict) and annotations.get("readOnlyHint") is True


def repeats_alike(tool: Mapping[str, Any]) -> bool:
    """Return whether a tool declares itself idempotent."""
    annotations = tool.get("annotations")
    return isinstance(annotations, dict) and annotations.get("idempotentHint") is True


def is_repeatable(tool: Mapping[str, Any]) -> bool:
    """Return whether a tool declares that repeating a call has no further effect."""
    return reads_only(tool) or repeats_alike(tool)
