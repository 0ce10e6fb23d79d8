"""Hiding what a client must not see: fields by name, parts of texts by regular expression."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import attrs

from mcpgw.config.transforms import REDACTED, Redaction
from mcpgw.shaping.results import MAX_DEPTH, TOO_DEEP, Result, blocks, dump, is_text, parse


@attrs.frozen
class Redactor:
    """The redactions of one transform. Where it cannot look, it shows nothing.

    Args:
      names: fields that are hidden at any depth, whatever they hold.
      patterns: what is looked for in every text, and what to put there.
    """

    names: frozenset[str]
    patterns: tuple[tuple[re.Pattern[str], str], ...] = ()
    _ends: tuple[str, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        # A name with a dot is a key of that very name, or the end of the way to a value.
        ends = tuple(f".{name}" for name in self.names if "." in name)
        object.__setattr__(self, "_ends", ends)

    @classmethod
    def of(cls, entries: Iterable[str | Redaction]) -> Redactor:
        """Make the redactor of the entries of a setting."""
        entries = tuple(entries)
        return cls(
            frozenset(entry for entry in entries if isinstance(entry, str)),
            tuple(
                (re.compile(entry.pattern), entry.replacement)
                for entry in entries
                if isinstance(entry, Redaction)
            ),
        )

    def value(self, value: Any, depth: int = MAX_DEPTH, way: str = "") -> Any:
        """Return a JSON value redacted; the same object where there was nothing to redact."""
        if isinstance(value, str):
            return self._string(value)
        if not isinstance(value, dict | list):
            return value
        if depth == 0:
            return TOO_DEEP
        if isinstance(value, list):
            items = [self.value(item, depth - 1, way) for item in value]
            same = all(new is old for new, old in zip(items, value, strict=True))
            return value if same else items
        changed: dict[str, Any] = {}
        for key, old in value.items():
            further = f"{way}.{key}" if self._ends else ""
            if key in self.names or (self._ends and further.endswith(self._ends)):
                changed[key] = REDACTED
            elif (new := self.value(old, depth - 1, further)) is not old:
                changed[key] = new
        return {**value, **changed} if changed else value

    def text(self, text: str) -> str:
        """Return a text redacted: as JSON where it is an object or array, else as it stands."""
        try:
            parsed = parse(text)
        except RecursionError:
            return TOO_DEEP if self.names else self._string(text)
        if parsed is None:
            return self._string(text)
        new = self.value(parsed)
        return text if new is parsed else dump(new)

    def result(self, result: Result) -> Result:
        """Return a `tools/call` result redacted: its texts, and `structuredContent`."""
        content = [self._block(block) for block in blocks(result)]
        changes: Result = {}
        if any(new is not old for new, old in zip(content, blocks(result), strict=True)):
            changes["content"] = content
        structured = result.get("structuredContent")
        if (new := self.value(structured)) is not structured:
            # What would be no object any more is not structured content either.
            changes["structuredContent"] = new if isinstance(new, dict | list) else None
        return {**result, **changes} if changes else result

    def _block(self, block: Any) -> Any:
        if not is_text(block):
            return block
        new = self.text(block["text"])
        return block if new is block["text"] else {**block, "text": new}

    def _string(self, text: str) -> str:
        new = text
        for pattern, replacement in self.patterns:
            new = pattern.sub(replacement, new)
        return text if new == text else new
