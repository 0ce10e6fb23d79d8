"""Where the built-in capability files are: beside the sources, or in the installed package."""

from __future__ import annotations

from pathlib import Path

from mcpgw.config.shipped import shipped_folder


def builtin_folder() -> Path | None:
    """Return the folder of the built-in files, None where they were not installed."""
    return shipped_folder("capabilities")
