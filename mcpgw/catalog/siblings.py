"""Differences between sibling tools: words that only some tools of a family have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

from mcpgw.catalog.fields import string_of
from mcpgw.text.words import identifier_parts

SHOWN: Final = 8
"""Distinguishing words that are shown for a tool."""

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
    """Return the words that distinguish each tool of a family, by server and tool.

    A family is two or more tools of one server, on one page of hits, whose names start with the
    same word. The result has the first eight words of each tool's description that not every
    member has, in order and capitalised. Tools without such words are left out.
    """
    families: dict[tuple[str, str], dict[str, list[str]]] = {}
    for hit in hits:
        parts = identifier_parts(hit.tool)
        if parts:
            words = _WORD.findall(string_of(hit.definition, "description"))
            families.setdefault((hit.server, parts[0]), {}).setdefault(hit.tool, words)
    differences: dict[tuple[str, str], str] = {}
    for (server, _), members in families.items():
        if len(members) < 2:
            continue
        shared = set.intersection(*(set(map(str.casefold, words)) for words in members.values()))
        for tool, words in members.items():
            own = [word for word in words if word.casefold() not in shared][:SHOWN]
            if own:
                text = " ".join(own)
                differences[server, tool] = text[0].upper() + text[1:]
    return differences
