"""What a caller sees of an answer: its transforms, and the common form that a file may map to."""

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
"""Where the untouched answer stands beside the common form."""


def viewed(capability: Capability, value: Any, view: str) -> Any:
    """Return what a caller sees of an answer that `transform` has shaped already.

    Args:
      capability: whose answer it is.
      value: the answer.
      view: `plain` (after `response_transform`), `projected` (and in the common form), or `full`
        (whole; what is redacted stays so).
    """
    value = shaped(value, capability.response_transform, redact_only=view == FULL)
    if view != PROJECTED or capability.projection is None:
        return value
    return projected(value, capability.projection)


def shaped(value: Any, transform: ResponseTransform | None, *, redact_only: bool = False) -> Any:
    """Return what a transform makes of a value; bytes have no parts and stay."""
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
    """Return an answer in the common form: who, what, when, where and the text, all as texts,
    beside the untouched answer; the answer itself where nothing of that is found."""
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
