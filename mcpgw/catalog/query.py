"""A query as the index reads it: its words, each with the known words that it may stand for."""

from __future__ import annotations

from collections.abc import Container
from itertools import pairwise
from typing import Final

import attrs

from mcpgw.catalog.clauses import Clause, clauses
from mcpgw.catalog.stems import stem
from mcpgw.catalog.synonyms import Synonyms, sequence
from mcpgw.catalog.vocabulary import Vocabulary
from mcpgw.text.words import identifier_parts, prose_tokens, token_words

MAX_QUERY: Final = 4_000
"""Characters read of a query."""

MAX_WORDS: Final = 64
"""Different words read of a query."""

SHORT: Final = 6
"""Words of a query that is typed by name rather than told as a sentence."""

NUMBER_WEIGHT: Final = 0.5
"""Worth of a number: in a name it tells tools apart, in a sentence it seldom means a tool."""

REPAIRED_WEIGHT: Final = 0.6
"""Worth of a known word in the place of an unknown one, which may be no typo but foreign."""

FOREIGN_WEIGHT: Final = 0.3
"""The same in a longer text, whose unknown words are names more often than slips."""

SUSPECT_WEIGHT: Final = 0.6
"""Worth of what a known word may be a slip of, once another word was one."""

SYNONYM_WEIGHT: Final = 0.55
"""Worth of a synonym; the measures hardly change between 0.4 and 0.7."""

WEAK_WEIGHT: Final = 0.6
"""Worth of a word that requests are made of and that seldom tells what is wanted."""

LITERAL_WEIGHT: Final = 0.7
"""Worth of a word out of a path or an address: it names a thing rather than a task."""

PROPER_NAME: Final = 0.3
"""How much an unknown name says against a page, beside another unknown word: it is what a
tool is asked about, not what tools say of themselves."""

MIN_JOINED: Final = 6
"""Letters from which an unknown word may be several words of a name, mistyped."""

# Verbs of asking and those who ask, a closed class: no list of words that tasks happen to hold.
_WEAK: Final = (
    "find get give help know like look make need please provide see show tell use user users using"
    " want way"
)
WEAK_STEMS: Final = frozenset(stem(word) for word in _WEAK.split())


@attrs.frozen
class Lexicon:
    """What the index knows: words as written, joined names, `stems` it holds, and synonyms."""

    words: Vocabulary
    joined: Vocabulary
    stems: Container[str]
    synonyms: Synonyms = attrs.field(factory=Synonyms)


@attrs.frozen(cache_hash=True)
class Term:
    """One part of a query: stems that may each fill it, with what each is worth at best.

    `phrases` are several stems that fill it together; `own` the stems that were typed, whose
    rarity bounds what the others are worth.
    """

    variants: tuple[tuple[str, float], ...]
    own: tuple[str, ...] = ()
    phrases: tuple[tuple[tuple[str, ...], float], ...] = ()
    weight: float = 1.0
    """The worth of the words typed, already part of the variants' own."""


@attrs.frozen
class Plan:
    """What to look up for a query, by clause; `corrections` maps a word typed to the word used.

    `sizes` counts the different words of content in each clause, `unknown` those of each that
    mean nothing here, and `pairs` holds the stems that stand side by side.
    """

    clauses: tuple[tuple[Term, ...], ...]
    corrections: dict[str, str]
    sizes: tuple[int, ...]
    unknown: tuple[float, ...]
    pairs: tuple[tuple[str, str], ...]

    @property
    def terms(self) -> tuple[Term, ...]:
        """All terms, those of the first clause first."""
        return tuple(term for clause in self.clauses for term in clause)


def plan(query: str, lexicon: Lexicon) -> Plan:
    """Turn a query into terms; a word of which nothing is known is left out."""
    planned: list[_Reading] = []
    room = MAX_WORDS
    parts = clauses(query, short=SHORT, longest=MAX_QUERY)
    for clause in parts:
        reading = _Reading(clause, lexicon, alone=len(parts) == 1, room=room)
        room -= len(reading.stems)
        planned.append(reading)
    corrections: dict[str, str] = {}
    found: list[tuple[Term, ...]] = []
    for reading in planned:
        found.append(reading.terms())
        corrections.update(reading.corrections)
    return Plan(
        tuple(found),
        corrections,
        tuple(len(set(reading.stems.values())) for reading in planned),
        tuple(reading.unknown for reading in planned),
        tuple(dict.fromkeys(pair for reading in planned for pair in reading.pairs())),
    )


@attrs.define(eq=False, init=False)
class _Reading:
    """Reads one clause."""

    lexicon: Lexicon
    words: list[str]
    literals: frozenset[str]
    dropped: list[str]
    stems: dict[str, str]
    order: list[str]
    short: bool
    corrections: dict[str, str]
    unknown: float
    names: frozenset[str]

    def __init__(self, clause: Clause, lexicon: Lexicon, *, alone: bool, room: int) -> None:
        self.lexicon = lexicon
        self.words, self.dropped = _words(clause, alone=alone)
        self.words = self.words[: max(0, room)]
        self.stems = {word: stem(word) for word in self.words}
        spoken = {word for token in prose_tokens(clause.text) for word in token_words(token)}
        self.literals = frozenset(clause.literals) - spoken
        self.order = sequence(clause.text)[: 4 * MAX_WORDS]
        self.short = alone and len(self.words) + len(self.dropped) <= SHORT
        self.corrections = {}
        self.unknown = 0.0
        self.names = _proper(clause.text)

    def pairs(self) -> list[tuple[str, str]]:
        """Return the stems that stand side by side, words that are never indexed left out."""
        stems = [self.stems[word] for word in self.words if word not in self.literals]
        return [pair for pair in pairwise(stems) if pair[0] != pair[1]]

    def terms(self) -> tuple[Term, ...]:
        lexicon = self.lexicon
        # One slip makes the other words of a short query suspect: `form` may have become `from`.
        suspect = self.short and any(
            key not in lexicon.stems and (key,) not in lexicon.synonyms
            for key in self.stems.values()
        )
        terms: list[Term] = []
        seen: set[str] = set()
        for word in self.words:
            key = self.stems[word]
            if key in seen:
                continue
            if key in lexicon.stems:
                seen.add(key)
                slips = _slips(word, lexicon) if suspect and word.isalpha() else []
                terms.append(self._known(word, key, slips))
            elif (key,) in lexicon.synonyms:
                seen.add(key)
                # A word that the table knows is seldom a slip.
                guesses = _slips(word, lexicon) if self.short else []
                variants = {stem(other): worth for other, worth in guesses}
                term = _expanded(variants, (key,), self._weight(word, key), lexicon)
                if term is None:
                    self.unknown += self._unheard(word)
                else:
                    terms.append(term)
            else:
                terms.extend(self._repaired(word))
        if suspect:
            terms.extend(
                _alternatives(slips) for word in self.dropped if (slips := _slips(word, lexicon))
            )
        terms.extend(self._joined(seen))
        terms.extend(self._phrases())
        return tuple(terms)

    def _weight(self, word: str, key: str) -> float:
        if word.isdigit():
            return NUMBER_WEIGHT
        if word in self.literals:
            return LITERAL_WEIGHT
        return WEAK_WEIGHT if key in WEAK_STEMS else 1.0

    def _unheard(self, word: str) -> float:
        """Return how much it says of a query that nothing is known of one of its words."""
        if word in self.literals or not word.isalpha():
            return 0.0
        return PROPER_NAME if word in self.names else 1.0

    def _known(self, word: str, key: str, slips: list[tuple[str, float]]) -> Term:
        weight = self._weight(word, key)
        if slips:
            # It may itself be a slip, and synonyms of that would be two guesses deep.
            return _alternatives([(word, weight), *slips])
        return _expanded({key: weight}, (key,), weight, self.lexicon) or _one(key, weight)

    def _repaired(self, word: str) -> list[Term]:
        repaired = _repaired(word, self.lexicon, short=self.short)
        if repaired is None:
            self.unknown += self._unheard(word)
            return []
        self.corrections[word], found = repaired
        return found

    def _joined(self, seen: set[str]) -> list[Term]:
        """Return what two neighbours make when written as one: `word cloud`, `wordcloud`."""
        found: list[Term] = []
        for first, second in pairwise(self.words):
            for key in (self.stems[first] + self.stems[second], first + second):
                if key in self.lexicon.stems and key not in seen:
                    seen.add(key)
                    found.append(_one(key, 1.0))
                    break
        return found

    def _phrases(self) -> list[Term]:
        """Return what may stand for several neighbouring words: `pull request`, `pr`."""
        found: dict[tuple[str, ...], Term] = {}
        order, synonyms = self.order, self.lexicon.synonyms
        for length in range(2, min(synonyms.longest, len(order)) + 1):
            for start in range(len(order) - length + 1):
                key = tuple(order[start : start + length])
                if key not in found and key in synonyms:
                    term = _expanded({}, key, 1.0, self.lexicon)
                    if term is not None:
                        found[key] = attrs.evolve(term, weight=0.0)
        return list(found.values())


def _expanded(
    variants: dict[str, float], key: tuple[str, ...], weight: float, lexicon: Lexicon
) -> Term | None:
    """Return a term with the synonyms that the catalog knows, None where nothing fills it."""
    phrases: list[tuple[tuple[str, ...], float]] = []
    worth = weight * SYNONYM_WEIGHT
    for other in lexicon.synonyms.of(key):
        if not all(part in lexicon.stems for part in other):
            continue
        if len(other) > 1:
            phrases.append((other, worth))
        else:
            variants.setdefault(other[0], worth)
    if not variants and not phrases:
        return None
    return Term(tuple(variants.items()), key, tuple(phrases), weight)


def _words(clause: Clause, *, alone: bool) -> tuple[list[str], list[str]]:
    """Return the words that are searched for and the stop words, each once, in order."""
    words: dict[str, None] = {}
    dropped: dict[str, None] = {}
    for token in prose_tokens(clause.text):
        found = (token,) if token.isdigit() else token_words(token)
        for word in found:
            words[word] = None
        if not found:
            dropped[token.lower()] = None
    words.update(dict.fromkeys(clause.literals))
    if not words and alone:
        # A query of nothing but stop words may still name a tool: `who_am_i`.
        words = dict.fromkeys(identifier_parts(clause.text))
        dropped = {}
    return list(words), list(dropped)


def _proper(text: str) -> frozenset[str]:
    """Return the words that are written with a capital where no sentence begins."""
    tokens = prose_tokens(text)[1:]
    return frozenset(word for token in tokens if token[0].isupper() for word in token_words(token))


def _one(key: str, weight: float) -> Term:
    return Term(((key, weight),), (key,), (), weight)


def _alternatives(pairs: list[tuple[str, float]]) -> Term:
    best: dict[str, float] = {}
    for word, weight in pairs:
        key = stem(word)
        if weight > best.get(key, 0.0):
            best[key] = weight
    return Term(tuple(best.items()))


def _slips(word: str, lexicon: Lexicon) -> list[tuple[str, float]]:
    return [(v.word, SUSPECT_WEIGHT * v.likeness) for v in lexicon.words.slips(word)]


def _repaired(word: str, lexicon: Lexicon, *, short: bool) -> tuple[str, list[Term]] | None:
    """Return what an unknown word is read as, and its terms."""
    near = lexicon.words.near(word)
    if near:
        weight = REPAIRED_WEIGHT if short else FOREIGN_WEIGHT
        found = [(v.word, weight * v.likeness) for v in near]
        return near[0].word, [_alternatives(found)]
    halves = lexicon.words.halves(word)
    if halves:
        return " ".join(halves), [_one(stem(half), 1.0) for half in halves]
    if short and len(word) >= MIN_JOINED:
        joined = lexicon.joined.near(word)
        if joined:
            return joined[0].word, [Term(tuple((v.word, v.likeness) for v in joined))]
    return None
