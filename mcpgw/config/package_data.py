"""Where the data is that comes with the package: capability files, skills."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped_folder(name: str) -> Path | None:
    """Return a folder of data by its name, None where a package was stripped of it.

    In an installed package it is `mcpgw/_data/NAME`, where the wheel puts it; in a checkout it is
    `NAME` beside the package, known by the project's file beside it, so that no stranger's folder
    of this name in an environment is taken for it.
    """
    shipped = _PACKAGE / "_data" / name
    if shipped.is_dir():
        return shipped
    checkout = _PACKAGE.parent / name
    if checkout.is_dir() and (_PACKAGE.parent / "pyproject.toml").is_file():
        return checkout
    return None
