"""Name patterns in gateway.yaml: `*` matches any characters, everything else is literal."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable


def matches(pattern: str, name: str) -> bool:
    """Return true if a pattern matches the whole name; case matters."""
    if "*" not in pattern:
        return pattern == name
    return _compiled(pattern).fullmatch(name) is not None


def any_matches(patterns: Iterable[str], *names: str) -> bool:
    """Return true if one of the patterns matches one of the names."""
    return any(matches(pattern, name) for pattern in patterns for name in names)


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    # The first match of a piece is the best one for all pieces after it, so atomic groups suffice
    # and matching takes linear time for each piece. Only the last piece is anchored at the end.
    first, *middle, last = (re.escape(piece) for piece in re.split(r"\*+", pattern))
    inner = "".join(f"(?>.*?{piece})" for piece in middle)
    return re.compile(f"(?s:{first}{inner}.*{last})")
