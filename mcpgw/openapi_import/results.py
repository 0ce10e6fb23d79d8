"""Results of an import: capabilities, skipped operations and warnings."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen
class Imported:
    """A capability made from an operation, as the data of its file.

    Args:
      name: name of the capability.
      document: contents of its file.
      method: HTTP method of the operation, in upper case.
      path: path of the operation, as the OpenAPI document writes it.
      notes: parts of the operation that were left out or assumed.
      suspicious: whether it looks like tool poisoning and is imported all the same.
    """

    name: str
    document: dict[str, Any]
    method: str
    path: str
    notes: tuple[str, ...] = ()
    suspicious: bool = False


@attrs.frozen
class Skipped:
    """An operation that was not imported, with the reason.

    `suspicious` is its name if it looks like tool poisoning, so that a person may allow it.
    """

    method: str
    path: str
    reason: str
    suspicious: str = ""


@attrs.frozen
class Conversion:
    """The capabilities made from a document, by name, and what could not be imported.

    Args:
      capabilities: the capabilities.
      skipped: operations that were not imported.
      warnings: references that could not be resolved.
      source: name of the document, as the files mention it.
      operations: all operations of the document, as `GET /path`.
    """

    capabilities: tuple[Imported, ...]
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()
    source: str = ""
    operations: frozenset[str] = frozenset()
