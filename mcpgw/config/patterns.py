"""Patterns of names in gateway.yaml: `*` stands for any run of characters, all else for itself."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable


def matches(pattern: str, name: str) -> bool:
    """Tell whether a pattern fits a whole name; case counts."""
    if "*" not in pattern:
        return pattern == name
    return _compiled(pattern).fullmatch(name) is not None


def any_matches(patterns: Iterable[str], *names: str) -> bool:
    """Tell whether one of the patterns fits one of the names."""
    return any(matches(pattern, name) for pattern in patterns for name in names)


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    # The first place where a piece fits is the best for all that follow, so none is tried twice
    # (atomic groups); only the last piece stands at the end. So no pattern takes long.
    first, *middle, last = (re.escape(piece) for piece in re.split(r"\*+", pattern))
    inner = "".join(f"(?>.*?{piece})" for piece in middle)
    return re.compile(f"(?s:{first}{inner}.*{last})")
