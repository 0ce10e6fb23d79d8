"""Cleaning of descriptions and names for capability files."""

from __future__ import annotations

import hashlib
import html
import re
from typing import Any, Final

LONGEST: Final = 480
"""Characters of a description."""
LONGEST_NAME: Final = 60
"""Characters of a name, of 64, which leaves room for a number."""
_HUMPS: Final = re.compile(
    r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])(?!(?<=[A-Z]{2})[A-Z]s(?![a-z]))"
)
"""Places between the words of `camelCase` and `HTTPServer`, but not within `listURLs`."""
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


def snake_case(text: str) -> str:
    """Return a text as an identifier; the words of `camelCase` are separated."""
    return identifier(_HUMPS.sub("_", text))


def operation_name(operation_id: Any, method: str, path: str, prefix: str) -> str:
    """Return a name for the capability of an operation, from its id or its method and path.

    A name that is too long ends with a hash of the whole, so that it does not depend on the other
    operations of the document.
    """
    own = snake_case(operation_id) if isinstance(operation_id, str) else ""
    own = own or identifier(f"{method}_{path}") or method.lower()
    start = identifier(prefix)
    name = f"{start}_{own}" if start else own
    if len(name) > LONGEST_NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()[:6]
        name = f"{name[: LONGEST_NAME - 7].rstrip('_')}_{digest}"
    return name
