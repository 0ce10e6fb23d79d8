"""Siblings told apart: what is said of one tool of a family and not of all the others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

from mcpgw.catalog.fields import string_of
from mcpgw.text.words import identifier_parts

SHOWN: Final = 8
"""Words that are shown of what sets a tool apart."""

_WORD: Final = re.compile(r"[^\W_]+(?:['’.\-][^\W_]+)*")


class Found(Protocol):
    """A tool that a query found."""

    @property
    def server(self) -> str: ...
    @property
    def tool(self) -> str: ...
    @property
    def definition(self) -> Mapping[str, Any]: ...


def differential(hits: Iterable[Found]) -> dict[tuple[str, str], str]:
    """Return what sets each tool of a family apart from the others of one page of hits.

    A family is two or more tools of one server whose names begin with the same word. Of each
    tool's description the words that every member has are left out, and the first eight others
    are given, in their order, the first with a capital. A tool of which nothing is left is
    not in the answer.
    """
    families: dict[tuple[str, str], dict[str, list[str]]] = {}
    for hit in hits:
        parts = identifier_parts(hit.tool)
        if parts:
            words = _WORD.findall(string_of(hit.definition, "description"))
            families.setdefault((hit.server, parts[0]), {}).setdefault(hit.tool, words)
    told: dict[tuple[str, str], str] = {}
    for (server, _), members in families.items():
        if len(members) < 2:
            continue
        shared = set.intersection(*(set(map(str.casefold, words)) for words in members.values()))
        for tool, words in members.items():
            own = [word for word in words if word.casefold() not in shared][:SHOWN]
            if own:
                text = " ".join(own)
                told[server, tool] = text[0].upper() + text[1:]
    return told
