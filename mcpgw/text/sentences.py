"""Sentences of messages: their marks, and which of them concern a reader."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_MARKS: Final = (".", "!", "?", "…")
_BETWEEN: Final = re.compile(r"(?<=[.!?;])[ \t]+")
_META_TOOL: Final = re.compile(r"\bgateway_[a-z_]+\b")


def sentence(text: str) -> str:
    """Return a text with one mark at its end: a cause may be a sentence of its own."""
    text = text.rstrip()
    return text if text.endswith(_MARKS) or not text else f"{text}."


def without_meta_tools(text: str, commands: Mapping[str, str]) -> str:
    """Return a message for a person at a terminal, who cannot call meta-tools.

    Args:
      text: a message for a model.
      commands: what a person uses in place of a meta-tool. Sentences that name other meta-tools
        are left out.
    """
    if "gateway_" not in text:
        return text
    lines = []
    for line in text.split("\n"):
        parts = []
        for part in _BETWEEN.split(line):
            told = _META_TOOL.sub(lambda found: commands.get(found.group(), found.group()), part)
            if not _META_TOOL.search(told):
                parts.append(told)
        kept = " ".join(parts)
        lines.append(kept[:-1] + "." if kept.endswith(";") else kept)
    return "\n".join(lines)
