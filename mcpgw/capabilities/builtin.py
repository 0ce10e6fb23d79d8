"""Folders of capability files: the configured ones and the one shipped with the package."""

from __future__ import annotations

from pathlib import Path

from mcpgw.config.package_data import shipped_folder
from mcpgw.config.trust import CapabilitiesConfig


def builtin_folder() -> Path | None:
    """Return the folder of the built-in files, None if they are not installed."""
    return shipped_folder("capabilities")


def folders_of(
    settings: CapabilitiesConfig, here: Path
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Return the configured folders and the built-in ones that are enabled.

    Args:
      settings: the `capabilities` section; built-in files are off by default if it has folders.
      here: the folder that relative paths are resolved against.
    """
    named = tuple((here / Path(name).expanduser()).resolve() for name in settings.directories)
    shipped = builtin_folder()
    wanted = not settings.directories if settings.builtin is None else settings.builtin
    return named, (shipped,) if shipped is not None and wanted else ()
