"""All tools of a report, in an order in which those that may be mistaken are found quickly."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator, Mapping

import attrs

from mcpgw.catalog.words import text_words
from mcpgw.validator.naming import folded, style
from mcpgw.validator.view import ToolView


@attrs.frozen(eq=False)
class Neighbours:
    """The tools of a report, by what makes two of them alike."""

    by_name: Mapping[str, list[ToolView]]
    by_folded: Mapping[str, list[ToolView]]
    by_ends: Mapping[tuple[str, str], list[ToolView]]
    styles: Mapping[str, collections.Counter[str]]
    """How many names of an origin are written in which style."""

    @classmethod
    def of(cls, tools: Iterable[ToolView]) -> Neighbours:
        """Return the tools, which may include the one that is looked at."""
        by_name: dict[str, list[ToolView]] = {}
        by_folded: dict[str, list[ToolView]] = {}
        by_ends: dict[tuple[str, str], list[ToolView]] = {}
        styles: dict[str, collections.Counter[str]] = {}
        for tool in tools:
            if tool.kind == "events" or not tool.name:
                continue
            by_name.setdefault(tool.name, []).append(tool)
            by_folded.setdefault(folded(tool.name), []).append(tool)
            if len(tool.words) > 1:
                by_ends.setdefault((tool.words[0], tool.words[-1]), []).append(tool)
            styles.setdefault(tool.origin, collections.Counter())[style(tool.name)] += 1
        return cls(by_name, by_folded, by_ends, styles)

    def same_name(self, tool: ToolView) -> Iterator[ToolView]:
        """Give the other tools of exactly this name."""
        return (each for each in self.by_name.get(tool.name, ()) if each is not tool)

    def same_but_style(self, tool: ToolView) -> Iterator[ToolView]:
        """Give the tools whose names differ in case and separators only."""
        return (
            each for each in self.by_folded.get(folded(tool.name), ()) if each.name != tool.name
        )

    def same_ends(self, tool: ToolView) -> Iterator[ToolView]:
        """Give the tools whose names begin and end with the same words, with others between."""
        if len(tool.words) < 2:
            return iter(())
        found = self.by_ends.get((tool.words[0], tool.words[-1]), ())
        return (each for each in found if len(each.words) != len(tool.words))


def likeness(first: ToolView, second: ToolView) -> float:
    """Return how much of the words of two descriptions is common, from 0 to 1.

    Two tools of which one has no description cannot be told apart: 1.
    """
    ours, theirs = set(text_words(first.description)), set(text_words(second.description))
    if not ours or not theirs:
        return 1.0
    return len(ours & theirs) / len(ours | theirs)
