"""Location of the data files in the package: capabilities, skills."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped_folder(name: str) -> Path | None:
    """Return a data folder by name, or None if the package does not contain it.

    In an installed package it is `mcpgw/_data/NAME`. In a checkout it is `NAME` beside the
    package; a `pyproject.toml` there distinguishes it from an unrelated folder of this name.
    """
    shipped = _PACKAGE / "_data" / name
    if shipped.is_dir():
        return shipped
    checkout = _PACKAGE.parent / name
    if checkout.is_dir() and (_PACKAGE.parent / "pyproject.toml").is_file():
        return checkout
    return None
