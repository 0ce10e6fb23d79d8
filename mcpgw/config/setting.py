"""Declaration of settings as attrs fields with metadata."""

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
    """Declare one setting.

    Args:
      default: its default.
      doc: its description for the docs.
      kind: its kind of value.
      reload: `live` if a change takes effect in a running gateway, otherwise `restart`.
      show: whether, or how, the value appears in a repr; for settings that may contain secrets.
    """
    metadata = {"doc": doc, "kind": kind, "reload": reload}
    return attrs.field(default=default, repr=show, metadata=metadata)


def section(of: type[object], doc: str) -> dict[str, object]:
    """Return the metadata of a field that is a section of settings."""
    return {"doc": doc, "section": of}


def named(of: type[object], doc: str) -> dict[str, object]:
    """Return the metadata of a field that maps arbitrary names to sections of settings."""
    return {"doc": doc, "named": of, "reload": "live"}


def listed(of: type[object], doc: str) -> dict[str, object]:
    """Return the metadata of a field that is a list of sections of settings."""
    return {"doc": doc, "listed": of, "reload": "live"}
