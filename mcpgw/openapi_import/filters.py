"""Filters of operations by tag, path, method or name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import attrs


@attrs.frozen
class Filter:
    """Patterns of operations: `tag:NAME`, `path:GLOB`, `method:GET`, or a glob over their name."""

    patterns: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, texts: Iterable[str]) -> Filter:
        """Parse patterns as they are written on a command line."""
        found = []
        for text in texts:
            kind, colon, rest = text.partition(":")
            known = colon and kind in ("tag", "path", "method")
            found.append((kind, rest.strip()) if known else ("name", text.strip()))
        return cls(tuple(found))

    def __bool__(self) -> bool:
        """Return whether there are any patterns."""
        return bool(self.patterns)

    def fits(self, method: str, path: str, names: Sequence[str], tags: Sequence[str]) -> bool:
        """Return whether an operation matches one of the patterns.

        Args:
          method: its HTTP method.
          path: its path.
          names: its id and the name of its capability.
          tags: its tags.
        """
        for kind, pattern in self.patterns:
            if kind == "tag":
                good = any(fnmatchcase(tag.lower(), pattern.lower()) for tag in tags)
            elif kind == "path":
                good = fnmatchcase(path, pattern)
            elif kind == "method":
                good = method.lower() == pattern.lower()
            else:
                good = any(fnmatchcase(name.lower(), pattern.lower()) for name in names)
            if good:
                return True
        return False
