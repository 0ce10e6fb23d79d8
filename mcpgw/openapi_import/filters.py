"""Which operations are wanted."""

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
        """Read patterns as they are written on a command line."""
        found = []
        for text in texts:
            kind, colon, rest = text.partition(":")
            known = colon and kind in ("tag", "path", "method")
            found.append((kind, rest.strip()) if known else ("name", text.strip()))
        return cls(tuple(found))

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self.patterns)

    def fits(self, method: str, path: str, names: Sequence[str], tags: Sequence[str]) -> bool:
        """Tell whether one of the patterns fits an operation."""
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
