"""The revisions of MCP by name: settings and the protocol name the same ones."""

from __future__ import annotations

from typing import Final

LATEST_PROTOCOL_VERSION: Final = "2025-11-25"
"""The newest revision with the `initialize` handshake."""

PROTOCOL_VERSIONS: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""The revisions with a handshake that both faces speak, newest first."""

MODERN_VERSION: Final = "2026-07-28"
"""The revision without handshake and session: each request says all about itself."""
