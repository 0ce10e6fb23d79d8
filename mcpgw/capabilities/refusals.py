"""Refused capability files, as a model may see them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_POISONED: Final = "tool poisoning"


def reason_for_model(reason: str) -> str:
    """Return why a file is refused; without the findings, whose places quote the file."""
    return _POISONED if _POISONED in reason else reason


def file_for_model(path: Path, reason: str) -> dict[str, str]:
    """Return a refused file: its path, or a hash if that is not plain, and the reason."""
    plain = all(_PLAIN.fullmatch(part) for part in path.parts[1:]) and path.is_absolute()
    digest = hashlib.sha256(str(path).encode("utf-8", "surrogatepass")).hexdigest()[:12]
    shown = str(path) if plain else f"file {digest}"
    return {"file": shown, "reason": reason_for_model(reason)}
