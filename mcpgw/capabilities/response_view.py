"""Views of responses: transformed, whole, or projected into the common form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from mcpgw.capabilities.model import Capability
from mcpgw.capabilities.responses import Blob, compact, pick

if TYPE_CHECKING:
    from mcpgw.config.transforms import ResponseTransform

PLAIN: Final = "plain"
PROJECTED: Final = "projected"
FULL: Final = "full"
VIEW: Final = "mcpgw/view"
"""The key of `_meta` by which the gateway asks its own server for a view."""
RAW: Final = "_raw"
"""The key of the whole response beside the common form."""


def view_of(capability: Capability, value: Any, view: str) -> Any:
    """Return a view of a response to which `transform` has been applied already.

    Args:
      capability: the capability.
      value: the response.
      view: `plain` (with `response_transform`), `projected` (also in the common form), or `full`
        (only the redactions of `response_transform`).
    """
    value = transformed(value, capability.response_transform, redact_only=view == FULL)
    if view != PROJECTED or capability.projection is None:
        return value
    return projected(value, capability.projection)


def transformed(
    value: Any, transform: ResponseTransform | None, *, redact_only: bool = False
) -> Any:
    """Return a transformed value; bytes are returned as they are."""
    if transform is None or isinstance(value, Blob):
        return value
    from mcpgw.shaping.response import ResponseShaper

    text = value if isinstance(value, str) else compact(value)
    shaper = ResponseShaper((transform,))
    result = {"content": [{"type": "text", "text": text}]}
    result = shaper.redact(result) if redact_only else shaper.apply(result)
    found: str = result["content"][0]["text"]
    if isinstance(value, str):
        return found
    try:
        return json.loads(found)
    except ValueError:
        return found


def projected(value: Any, projection: Mapping[str, Mapping[str, str]]) -> Any:
    """Return a response in the common form, with the whole response under `_raw`.

    All parts of the form are strings. If none of them is found, the response is returned as it
    is.
    """
    if not isinstance(value, (Mapping, list)):
        return value
    form: dict[str, Any] = {}
    for bucket, paths in projection.items():
        found = {name: pick(value, path) for name, path in paths.items()}
        filled = {name: _text(each) for name, each in found.items() if each not in (None, "")}
        if filled:
            form[bucket] = filled
    return {**form, RAW: value} if form else value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else compact(value)
