"""Which folders of capability files are used: those that a configuration names, and the built-in
ones, which lie beside the sources or in the installed package."""

from __future__ import annotations

from pathlib import Path

from mcpgw.config.package_data import shipped_folder
from mcpgw.config.trust import CapabilitiesConfig


def builtin_folder() -> Path | None:
    """Return the folder of the built-in files, None where they were not installed."""
    return shipped_folder("capabilities")


def folders_of(
    settings: CapabilitiesConfig, here: Path
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Return the folders that are named, below `here`, and that of the built-in files where they
    are wanted too."""
    named = tuple((here / Path(name).expanduser()).resolve() for name in settings.directories)
    shipped = builtin_folder()
    wanted = not settings.directories if settings.builtin is None else settings.builtin
    return named, (shipped,) if shipped is not None and wanted else ()
