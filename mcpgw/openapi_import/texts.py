"""Cleaning of descriptions and names for capability files."""

from __future__ import annotations

import html
import re
from typing import Any, Final

LONGEST: Final = 480
"""Characters of a description."""
LONGEST_NAME: Final = 60
_TAG: Final = re.compile(r"</?[A-Za-z][^<>]{0,500}>")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_SPACES: Final = re.compile(r"[ \t]{2,}")
_LINES: Final = re.compile(r"\n{3,}")


def sentence(value: Any, longest: int = LONGEST) -> str:
    """Return a description without HTML tags and control characters, shortened with `…`."""
    if not isinstance(value, str):
        return ""
    text = html.unescape(_TAG.sub("", value))
    text = _CONTROL.sub("", text.replace("\r\n", "\n"))
    text = _LINES.sub("\n\n", _SPACES.sub(" ", text)).strip()
    if len(text) <= longest:
        return text
    cut = text[: longest - 1]
    space = cut.rfind(" ")
    return f"{cut[:space] if space > longest // 2 else cut}…"


def identifier(text: str) -> str:
    """Return a text as lower-case ASCII letters, digits and `_`; "" if none are left."""
    return re.sub(r"_+", "_", re.sub(r"[^a-z0-9]", "_", text.lower())).strip("_")


def operation_name(operation_id: Any, method: str, path: str, prefix: str) -> str:
    """Return a name for the capability of an operation, from its id or its method and path."""
    own = identifier(operation_id) if isinstance(operation_id, str) else ""
    own = own or identifier(f"{method}_{path}") or method.lower()
    start = identifier(prefix)
    name = f"{start}_{own}" if start else own
    return name[:LONGEST_NAME].rstrip("_") or "operation"
