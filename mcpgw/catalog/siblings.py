"""Differences between sibling tools: sentences that only one tool of a family has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

from mcpgw.catalog.fields import string_of
from mcpgw.text.words import identifier_parts

LEAST: Final = 3
"""Words of a sentence that is shown."""
LONGEST: Final = 200
"""Characters of a sentence that is shown."""

_WORD: Final = re.compile(r"[^\W_]+(?:['’.\-][^\W_]+)*")
_BETWEEN: Final = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)\s+(?=[A-Z\u00c0-\u00de\d`(])")
"""Between two sentences of a line."""
_WHOLE: Final = re.compile(r"[A-Z\u00c0-\u00de\d`'\"(].*[.!?]")
"""A whole sentence, unlike a heading or an item of a list."""


class Found(Protocol):
    """A tool that a query found."""

    @property
    def server(self) -> str: ...
    @property
    def tool(self) -> str: ...
    @property
    def definition(self) -> Mapping[str, Any]: ...


def differential(hits: Iterable[Found]) -> dict[tuple[str, str], str]:
    """Return a sentence that distinguishes each tool of a family, by server and tool.

    A family is two or more tools of one server, on one page of hits, whose names start with the
    same word. The sentence is the one of the tool's description, after the first, with the most
    words that no other member has. Tools without such a sentence are left out: their name and
    first sentence tell them apart, or nothing does.
    """
    families: dict[tuple[str, str], dict[str, str]] = {}
    for hit in hits:
        parts = identifier_parts(hit.tool)
        if parts:
            text = string_of(hit.definition, "description")
            families.setdefault((hit.server, parts[0]), {}).setdefault(hit.tool, text)
    differences: dict[tuple[str, str], str] = {}
    for (server, _), members in families.items():
        if len(members) < 2:
            continue
        words = {tool: _words(text) for tool, text in members.items()}
        for tool, text in members.items():
            others = set().union(*(known for name, known in words.items() if name != tool))
            sentence = _own_sentence(text, others)
            if sentence:
                differences[server, tool] = sentence
    return differences


def _own_sentence(text: str, others: set[str]) -> str:
    best, most = "", 0
    for sentence in _sentences(text)[1:]:
        count = len(_words(sentence) - others)
        if count > most and len(sentence) <= LONGEST and len(sentence.split()) >= LEAST:
            best, most = sentence, count
    return best


def _words(text: str) -> set[str]:
    return set(map(str.casefold, _WORD.findall(text)))


def _sentences(text: str) -> list[str]:
    found = (part for line in text.splitlines() for part in _BETWEEN.split(line.strip()))
    return [part for part in found if _WHOLE.fullmatch(part)]
