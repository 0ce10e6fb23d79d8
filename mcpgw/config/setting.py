"""How a setting is declared: its default, its sentence for the docs, its kind of value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import attrs

from mcpgw.config.value_types import Kind

T = TypeVar("T")
Reload = Literal["live", "restart"]


def setting(
    default: T,
    doc: str,
    kind: Kind[T],
    *,
    reload: Reload = "live",
    show: bool | Callable[[Any], str] = True,
) -> T:
    """Declare one setting: its default, its sentence for the docs, its kind of value.

    `reload` says whether a change takes effect in the running gateway; `show` whether (or how)
    the value appears in a repr, for settings that may hold secrets.
    """
    metadata = {"doc": doc, "kind": kind, "reload": reload}
    return attrs.field(default=default, repr=show, metadata=metadata)


def section(of: type[object], doc: str) -> dict[str, object]:
    """Make the metadata of a field that is a map of settings of its own."""
    return {"doc": doc, "section": of}


def named(of: type[object], doc: str) -> dict[str, object]:
    """Make the metadata of a field that maps names of free choice to settings of their own."""
    return {"doc": doc, "named": of, "reload": "live"}


def listed(of: type[object], doc: str) -> dict[str, object]:
    """Make the metadata of a field that is a list of settings of their own."""
    return {"doc": doc, "listed": of, "reload": "live"}
