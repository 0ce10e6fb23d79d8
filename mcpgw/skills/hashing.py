"""Content hash of a skill, to detect changes after it was reviewed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from mcpgw.skills.model import FILE


def content_hash(data: bytes, auxiliary: Mapping[str, bytes]) -> str:
    """Return `sha256:` and the hash of a skill's files, byte for byte.

    The input of the hash is the list that `sha256sum SKILL.md reference.md ...` prints, SKILL.md
    first and then the auxiliary files by path, so a shell can verify it.
    """
    files = [(FILE, data), *sorted(auxiliary.items())]
    lines = "".join(f"{hashlib.sha256(each).hexdigest()}  {name}\n" for name, each in files)
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"
