"""The one number that tells whether a skill is still the one that was looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from mcpgw.skills.model import FILE


def content_hash(data: bytes, auxiliary: Mapping[str, bytes]) -> str:
    """Return `sha256:` and the hash over a skill's files, each byte as it came.

    What is hashed is the list that `sha256sum SKILL.md reference.md ...` prints, SKILL.md
    first and the auxiliary files in the order of their paths, so that a shell can check it.
    """
    files = [(FILE, data), *sorted(auxiliary.items())]
    lines = "".join(f"{hashlib.sha256(each).hexdigest()}  {name}\n" for name, each in files)
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"
