"""Approved hashes of definitions, and changes of approvals that are to be written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

Key = tuple[str, str, str]
"""Server, kind and name of a definition."""


@attrs.frozen
class Approved:
    """The hashes that are stored for a definition: the approved and the pending one, or "".

    `reviewed` is true if a person has accepted the approved one.
    """

    hash: str = ""
    reviewed: bool = False
    pending: str = ""
    cause: str = ""
    """Why the pending definition is pending."""


@attrs.frozen
class Change:
    """A change to be written. `action` is `approve`, `hold` or `settle`."""

    action: str
    key: Key
    digest: str = ""
    definition: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    cause: str = ""
    reason: str = ""
    at: float = 0.0
