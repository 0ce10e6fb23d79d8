"""Looking a capability over for texts that try to talk a model into something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

SCAN_VERSION: Final = "2"
"""Of the rules: what was kept by other rules is looked at anew."""
SHOWN: Final = 3
"""Findings of one kind that are told."""


def scan_capability(
    definition: Mapping[str, Any], document: Mapping[str, Any], *, quote: bool = False
) -> tuple[list[str], list[str]]:
    """Return why a capability is blocked, and what is doubtful, a sentence each.

    Args:
      definition: the tool that it is, as a model sees it.
      document: its file, whose other texts reach a model in errors and events.
      quote: whether to quote what was found, which is for people: a model that reads why a tool
        is withheld must not read there what it was to be kept from.
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
    sure = [each for each in findings if each.severity.name == "HIGH"]
    doubtful = [each for each in findings if each.severity.name != "HIGH"]
    return _said(sure, quote), _said(doubtful, quote)


def _texts(value: Any, key: str = "") -> list[tuple[str, str]]:
    if isinstance(value, str):
        return [(key, value)]
    if isinstance(value, Mapping):
        return [each for name, inner in value.items() for each in _texts(inner, f"{key}.{name}")]
    return []


def _said(findings: list[Any], quote: bool) -> list[str]:
    from mcpgw.trust.poisoning.findings import sentence

    said = [sentence(each, quote=quote) for each in findings]
    more = len(said) - SHOWN
    return said[:SHOWN] + ([f"and {more} more"] if more > 0 else [])
