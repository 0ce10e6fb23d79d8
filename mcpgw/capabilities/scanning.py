"""Scan of capabilities for tool poisoning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

SCAN_VERSION: Final = "3"
"""Version of the rules; files that were scanned with another version are scanned again."""
SHOWN: Final = 3
"""Findings of one severity that are reported."""


def scan_capability(
    definition: Mapping[str, Any], document: Mapping[str, Any], *, quote: bool = False
) -> tuple[list[str], list[str]]:
    """Return the reasons to block a capability, and warnings, as sentences.

    Args:
      definition: its tool definition.
      document: the data of its file, whose other texts reach a model in errors and events.
      quote: whether to quote the suspicious texts. They must not be quoted to a model, which they
        are to be kept from.
    """
    from mcpgw.trust.poisoning import scan_definition, scan_text

    findings = list(scan_definition("tool", definition)) if definition else []
    auth = document.get("auth")
    if isinstance(auth, Mapping) and isinstance(auth.get("description"), str):
        findings += scan_text(auth["description"], "auth.description")
    hooks = document.get("webhooks")
    for name, hook in hooks.items() if isinstance(hooks, Mapping) else ():
        transform = hook.get("transform") if isinstance(hook, Mapping) else None
        for key, text in _texts(transform):
            findings += scan_text(text, f"webhooks.{name}.transform{key}")
    high = [each for each in findings if each.severity.name == "HIGH"]
    lower = [each for each in findings if each.severity.name != "HIGH"]
    return _sentences(high, quote), _sentences(lower, quote)


def _texts(value: Any, key: str = "") -> list[tuple[str, str]]:
    if isinstance(value, str):
        return [(key, value)]
    if isinstance(value, Mapping):
        return [each for name, inner in value.items() for each in _texts(inner, f"{key}.{name}")]
    return []


def _sentences(findings: list[Any], quote: bool) -> list[str]:
    from mcpgw.trust.poisoning.findings import sentence

    sentences = [sentence(each, quote=quote) for each in findings]
    more = len(sentences) - SHOWN
    return sentences[:SHOWN] + ([f"and {more} more"] if more > 0 else [])
