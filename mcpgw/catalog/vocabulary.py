"""The vocabulary of the catalog, with correction of typos and completion of prefixes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

import attrs

from mcpgw.text.words import is_unspaced

MAX_VARIANTS: Final = 12
"""Known words that one unknown word may be corrected to."""

MAX_COMPLETIONS: Final = 8
"""Known words that an unknown word may be a prefix of."""

MAX_CACHED: Final = 2_000
"""Corrections that are cached until the vocabulary changes."""

SLIGHT: Final = 1
"""Edits of a common typo: a letter replaced, missing, added, or swapped with the next."""


@attrs.frozen
class Variant:
    """A known word that may be meant by another; `likeness` is at most 1."""

    word: str
    likeness: float


@attrs.define(eq=False)
class Vocabulary:
    """The number of servers that use each word; sorted tables are built on first use.

    Results do not depend on the order in which words are added and removed.
    """

    _uses: dict[str, int] = attrs.field(factory=dict)
    _sorted: list[str] | None = None
    _by_length: dict[int, list[str]] = attrs.field(factory=dict)
    _cached: dict[str, tuple[Variant, ...]] = attrs.field(factory=dict)
    _cached_slips: dict[str, tuple[Variant, ...]] = attrs.field(factory=dict)

    def __contains__(self, word: str) -> bool:
        return word in self._uses

    def add(self, words: Iterable[str]) -> None:
        """Add the words of one server."""
        uses = self._uses
        for word in words:
            uses[word] = uses.get(word, 0) + 1
        self._forget()

    def remove(self, words: Iterable[str]) -> None:
        """Remove the words of one server; a word without servers is no longer known."""
        uses = self._uses
        for word in words:
            if uses[word] == 1:
                del uses[word]
            else:
                uses[word] -= 1
        self._forget()

    def near(self, word: str) -> tuple[Variant, ...]:
        """Return the known words that an unknown one may mean, most likely first.

        These are words one edit away and words with this prefix or else, for longer words, those
        two edits away. Words of scripts without spaces are not corrected; a single such
        character matches every pair that contains it.
        """
        found = self._cached.get(word)
        if found is None:
            if len(self._cached) >= MAX_CACHED:
                self._cached.clear()
            found = self._cached[word] = self._search(word)
        return found

    def slips(self, word: str) -> tuple[Variant, ...]:
        """Return the known words one edit away from a word, without itself."""
        found = self._cached_slips.get(word)
        if found is None:
            if len(self._cached_slips) >= MAX_CACHED:
                self._cached_slips.clear()
            found = self._cached_slips[word] = self._ranked(self._within(word, SLIGHT))
        return found

    def halves(self, word: str) -> tuple[str, str] | None:
        """Split an unknown word into two known words, the first as long as possible."""
        for place in range(len(word) - 3, 2, -1):
            if word[:place] in self._uses and word[place:] in self._uses:
                return word[:place], word[place:]
        return None

    def _forget(self) -> None:
        self._sorted = None
        self._by_length = {}
        self._cached = {}
        self._cached_slips = {}

    def _tables(self) -> list[str]:
        if self._sorted is None:
            self._sorted = sorted(word for word in self._uses if not word.isdigit())
            by_length: dict[int, list[str]] = {}
            for word in self._sorted:
                if len(word) > 2 and not is_unspaced(word[0]):
                    by_length.setdefault(len(word), []).append(word)
            self._by_length = by_length
        return self._sorted

    def _search(self, word: str) -> tuple[Variant, ...]:
        if word.isdigit():
            return ()
        table = self._tables()
        if is_unspaced(word[0]):
            pairs = [known for known in table if word in known] if len(word) == 1 else []
            return tuple(Variant(pair, 0.5) for pair in pairs[:MAX_VARIANTS])
        likeness = self._completions(word, table)
        for known, value in self._within(word, SLIGHT).items():
            likeness[known] = max(value, likeness.get(known, 0.0))
        if not likeness and len(word) > 4:
            likeness = self._within(word, SLIGHT + 1)
        return self._ranked(likeness)

    def _completions(self, word: str, table: list[str]) -> dict[str, float]:
        if len(word) < 2:
            return {}
        completions: list[str] = []
        for place in range(bisect_left(table, word), len(table)):
            if not table[place].startswith(word):
                break
            completions.append(table[place])
        completions.sort(key=lambda known: (len(known), known))
        best = completions[:MAX_COMPLETIONS]
        return {known: 0.4 + 0.5 * len(word) / len(known) for known in best}

    def _within(self, word: str, edits: int) -> dict[str, float]:
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

        self._tables()
        likeness: dict[str, float] = {}
        for length in range(max(3, len(word) - edits), len(word) + edits + 1):
            choices = self._by_length.get(length)
            if not choices:
                continue
            for known, distance, _ in process.extract(
                word, choices, scorer=OSA.distance, score_cutoff=edits, limit=None
            ):
                if distance:
                    # Typos in the first letter are rare.
                    first = 0.05 if known[0] != word[0] else 0.0
                    likeness[known] = 1.0 - distance / (len(word) + 1) - first
        return likeness

    def _ranked(self, likeness: dict[str, float]) -> tuple[Variant, ...]:
        uses = self._uses
        ranked = sorted(likeness.items(), key=lambda item: (-item[1], -uses[item[0]], item[0]))
        return tuple(Variant(word, value) for word, value in ranked[:MAX_VARIANTS])
