"""Redaction of results: fields by name, parts of texts by regular expression."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import attrs

from mcpgw.config.transforms import REDACTED, Redaction
from mcpgw.shaping.results import MAX_DEPTH, TOO_DEEP, Result, blocks, dump, is_text, parse


@attrs.frozen
class Redactor:
    """The redactions of one transform. Data that cannot be inspected is removed.

    Args:
      names: fields to redact at any depth, whatever their value.
      patterns: patterns to replace in every text, with their replacements.
    """

    names: frozenset[str]
    patterns: tuple[tuple[re.Pattern[str], str], ...] = ()
    _ends: tuple[str, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        # A name with a dot is a key of exactly that name, or the end of a path to a value.
        ends = tuple(f".{name}" for name in self.names if "." in name)
        object.__setattr__(self, "_ends", ends)

    @classmethod
    def of(cls, entries: Iterable[str | Redaction]) -> Redactor:
        """Return the redactor for the entries of a setting."""
        entries = tuple(entries)
        return cls(
            frozenset(entry for entry in entries if isinstance(entry, str)),
            tuple(
                (re.compile(entry.pattern), entry.replacement)
                for entry in entries
                if isinstance(entry, Redaction)
            ),
        )

    def value(self, value: Any, depth: int = MAX_DEPTH, path: str = "") -> Any:
        """Return a JSON value redacted, or the same object if there is nothing to redact."""
        if isinstance(value, str):
            return self._string(value)
        if not isinstance(value, dict | list):
            return value
        if depth == 0:
            return TOO_DEEP
        if isinstance(value, list):
            items = [self.value(item, depth - 1, path) for item in value]
            same = all(new is old for new, old in zip(items, value, strict=True))
            return value if same else items
        changed: dict[str, Any] = {}
        for key, old in value.items():
            inner_path = f"{path}.{key}" if self._ends else ""
            if key in self.names or (self._ends and inner_path.endswith(self._ends)):
                changed[key] = REDACTED
            elif (new := self.value(old, depth - 1, inner_path)) is not old:
                changed[key] = new
        return {**value, **changed} if changed else value

    def text(self, text: str) -> str:
        """Return a text redacted: as JSON if it is an object or array, otherwise as text."""
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
            # Structured content must be an object; a redacted string is not.
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
