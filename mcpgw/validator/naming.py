"""Names: in which style they are written, and how they read in snake_case."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_SPACES: Final = re.compile(r"[./:]|__+")
_HUMP: Final = re.compile(r"[a-z0-9][A-Z]|[A-Z]{2,}[a-z]{2}")
ALLOWED: Final = re.compile(r"[A-Za-z0-9_.\-]{1,128}")
"""Names of tools (MCP 2025-11-25, tools, tool names)."""


def style(name: str) -> str:
    """Return `word`, `snake`, `kebab`, `camel`, `pascal`, `upper` or `mixed`.

    A name in a name space (`github.list_issues`, `fs__read`) is looked at part by part; a
    single lower-case word fits every style.
    """
    found = {_one(part) for part in _SPACES.split(name) if part} - {"word"}
    if not found:
        return "word"
    return found.pop() if len(found) == 1 else "mixed"


def _one(part: str) -> str:
    under, dash, capital = "_" in part.strip("_"), "-" in part, part.lower() != part
    if under and dash:
        return "mixed"
    if part.isupper() and len(part) > 1:
        return "upper" if under or dash or part.isalpha() else "word"
    if (under or dash) and capital:
        return "mixed"
    if under or dash:
        return "snake" if under else "kebab"
    if part[:1].isupper():
        return "pascal"
    return "camel" if _HUMP.search(part) or capital else "word"


def to_snake(name: str) -> str:
    """Return the name in snake_case; empty where letters would get lost.

    Accents go, as in `größe_änder` to `grosse_ander`; names of other scripts have no such form.
    """
    decomposed = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    plain = "".join(each for each in decomposed if not unicodedata.combining(each))
    if not plain.isascii():
        return ""
    plain = re.sub(r"([A-Z]{2,})s(?![a-z])", lambda found: found[1].capitalize() + "s", plain)
    plain = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", plain)
    plain = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", plain)
    return re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_").lower()


def folded(name: str) -> str:
    """Return the name without its style, to see which names are the same but for that."""
    return re.sub(r"[^a-z0-9]+", "", name.casefold()) or name.casefold()
