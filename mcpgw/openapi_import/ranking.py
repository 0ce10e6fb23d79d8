"""Ranking of imported capabilities by their usefulness to a model."""

from __future__ import annotations

import attrs

from mcpgw.openapi_import.results import Conversion, Imported, Skipped


def rank(conversion: Conversion, most: int) -> Conversion:
    """Keep the most useful capabilities, in their order; the others become skipped operations.

    Args:
      conversion: the capabilities.
      most: how many to keep.
    """
    scored = sorted(conversion.capabilities, key=lambda each: -_usefulness(each))[:most]
    kept = {each.name for each in scored}
    left = tuple(
        Skipped(each.method, each.path, f"not among the {most} most useful")
        for each in conversion.capabilities
        if each.name not in kept
    )
    chosen = tuple(each for each in conversion.capabilities if each.name in kept)
    return attrs.evolve(conversion, capabilities=chosen, skipped=conversion.skipped + left)


def _usefulness(each: Imported) -> int:
    """Score a capability from 0 to 100: described, easy to call, with a known output."""
    schema = each.document["schema"]
    inputs = schema["input"].get("properties", {})
    text = each.document.get("description", "")
    points = 30 if text and text != f"{each.method} {each.path}" else 0
    points += 15 if schema["input"].get("required") else 0
    points += 15 if 1 <= len(inputs) <= 5 else 0
    points += 10 if each.method in ("GET", "POST") else 0
    points += 10 if len(each.name) > 5 else 0
    points += 10 if "output" in schema else 0
    return points + (10 if len(text) > 20 else 0)
