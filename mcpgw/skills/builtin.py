"""The folder of the skills shipped with the package."""

from __future__ import annotations

from pathlib import Path

from mcpgw.config.package_data import shipped_folder


def builtin_folder() -> Path | None:
    """Return the folder of the shipped skills, or None if the package lacks it."""
    return shipped_folder("skills")
