"""Where the skills that come with the package are."""

from __future__ import annotations

from pathlib import Path

from mcpgw.config.package_data import shipped_folder


def builtin_folder() -> Path | None:
    """Return the folder of the shipped skills, or None where a package was stripped of it."""
    return shipped_folder("skills")
