"""Names of the MCP protocol revisions, shared by settings and protocol."""

from __future__ import annotations

from typing import Final

LATEST_PROTOCOL_VERSION: Final = "2025-11-25"
"""The latest revision with the `initialize` handshake."""

PROTOCOL_VERSIONS: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""The supported revisions with a handshake, towards clients and servers, latest first."""

MODERN_VERSION: Final = "2026-07-28"
"""The revision without handshake and session, whose requests are self-contained."""
