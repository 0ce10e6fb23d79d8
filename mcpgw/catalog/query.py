"""Query planning: the words of a query, with synonyms and corrections that the index knows."""

from __future__ import annotations

from collections.abc import Container
from itertools import pairwise
from typing import Final

import attrs

from mcpgw.catalog.clauses import Clause, clauses
from mcpgw.catalog.stems import stem
from mcpgw.catalog.synonyms import Synonyms, sequence
from mcpgw.catalog.vocabulary import Vocabulary
from mcpgw.text.words import identifier_parts, prose_tokens, token_words, without_contractions

MAX_QUERY: Final = 4_000
"""Characters read of a query."""

MAX_WORDS: Final = 64
"""Different words read of a query."""

SHORT: Final = 6
"""Greatest number of words in a query by name; longer queries are read as sentences."""

NUMBER_WEIGHT: Final = 0.5
"""Weight of a number: it distinguishes names, but in a sentence it seldom means a tool."""

REPAIRED_WEIGHT: Final = 0.6
"""Weight of a known word that replaces an unknown one, which may not be a typo."""

FOREIGN_WEIGHT: Final = 0.3
"""The same in a long query, where an unknown word is more often a name than a typo."""

SUSPECT_WEIGHT: Final = 0.6
"""Weight of a correction of a known word, if another word of the query is a typo."""

SYNONYM_WEIGHT: Final = 0.55
"""Weight of a synonym; the search benchmark hardly changes between 0.4 and 0.7."""

WEAK_WEIGHT: Final = 0.6
"""Weight of a word that is common in requests and seldom names the task."""

LITERAL_WEIGHT: Final = 0.7
"""Weight of a word from a path or URL, which names a thing rather than a task."""

PROPER_NAME: Final = 0.3
"""Weight of an unknown proper name, relative to another unknown word, in `page.fit`: it is the
subject of a request, and tools do not mention it."""

_FUNCTION_WORDS: Final = (
    "der das und ist wird mein meine eine einen einem mit nach auf nicht wie wo ich wir im am zum"
    " le les une est pour avec dans sur que qui mon mes nos aux ces je il elle"
    " el los las una para por como mi mis cual donde quiero"
    " uma meu minha meus onde quero gli della nel nella che mio mia sono"
    " het een van voor naar mijn wat ik och att det ett jag som til og jeg mig"
)
# Words that are not English; those that are English too or common in code are left out.
FUNCTION_WORDS: Final = frozenset(_FUNCTION_WORDS.split())
"""Frequent words of other European languages: a request that has one is not full of typos."""

REPAIRED_FROM: Final = 6
"""Letters of a word that is repaired in such a clause: nearly every shorter one resembles some
known word."""

MIN_JOINED: Final = 6
"""Letters from which an unknown word may be a mistyped name of several words."""

# Verbs of asking and words for the asker: a closed class, unlike the words of tasks.
_WEAK: Final = (
    "find get give help know like look make need please provide see show tell use user users using"
    " want way"
)
WEAK_STEMS: Final = frozenset(stem(word) for word in _WEAK.split())


@attrs.frozen
class Lexicon:
    """The vocabulary of the index: words as written, joined names, stems, and synonyms."""

    words: Vocabulary
    joined: Vocabulary
    stems: Container[str]
    synonyms: Synonyms = attrs.field(factory=Synonyms)


@attrs.frozen(cache_hash=True)
class Term:
    """One word or phrase of a query: the stems that match it, each with its weight.

    `phrases` are several stems that match it together. `own` are the stems typed, whose rarity
    bounds the weight of the others.
    """

    variants: tuple[tuple[str, float], ...]
    own: tuple[str, ...] = ()
    phrases: tuple[tuple[tuple[str, ...], float], ...] = ()
    weight: float = 1.0
    """The weight of the words typed, already included in those of the variants."""


@attrs.frozen
class Plan:
    """The terms to look up, by clause; `corrections` maps a word typed to the word used.

    `sizes` are the numbers of different content words in each clause, `unknown` the weights of
    its unknown words, and `pairs` the neighbouring stems. `foreign` tells which clauses consist
    mostly of unknown words.
    """

    clauses: tuple[tuple[Term, ...], ...]
    corrections: dict[str, str]
    sizes: tuple[int, ...]
    unknown: tuple[float, ...]
    pairs: tuple[tuple[str, str], ...]
    foreign: tuple[bool, ...] = ()

    @property
    def terms(self) -> tuple[Term, ...]:
        """All terms, those of the first clause first."""
        return tuple(term for clause in self.clauses for term in clause)


def plan(query: str, lexicon: Lexicon) -> Plan:
    """Turn a query into terms; words that cannot be resolved are left out."""
    planned: list[_Reading] = []
    room = MAX_WORDS
    parts = clauses(without_contractions(query), short=SHORT, longest=MAX_QUERY)
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
        tuple(reading.foreign for reading in planned),
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
    foreign: bool

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
        unknown = [word for word in self.words if not self._is_known(self.stems[word])]
        self.foreign = 2 * len(unknown) > len(self.words) and (
            not self.short or _has_function_words(unknown)
        )

    def _is_known(self, key: str) -> bool:
        return key in self.lexicon.stems or (key,) in self.lexicon.synonyms

    def pairs(self) -> list[tuple[str, str]]:
        """Return the neighbouring stems, ignoring stop words between them."""
        stems = [self.stems[word] for word in self.words if word not in self.literals]
        return [pair for pair in pairwise(stems) if pair[0] != pair[1]]

    def terms(self) -> tuple[Term, ...]:
        lexicon = self.lexicon
        # One typo in a short query makes its other words suspect: `from` may mean `form`.
        suspect = (
            self.short and not self.foreign and not all(map(self._is_known, self.stems.values()))
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
                # A word in the synonym table is seldom a typo.
                guesses = _slips(word, lexicon) if self.short else []
                variants = {stem(other): weight for other, weight in guesses}
                term = _expanded(variants, (key,), self._weight(word, key), lexicon)
                if term is None:
                    self.unknown += self._unknown_weight(word)
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

    def _unknown_weight(self, word: str) -> float:
        """Return the weight of an unknown word in `page.fit`."""
        if word in self.literals or not word.isalpha():
            return 0.0
        return PROPER_NAME if word in self.names else 1.0

    def _known(self, word: str, key: str, slips: list[tuple[str, float]]) -> Term:
        weight = self._weight(word, key)
        if slips:
            # It may itself be a typo, and synonyms of a correction would be two guesses.
            return _alternatives([(word, weight), *slips])
        return _expanded({key: weight}, (key,), weight, self.lexicon) or _one(key, weight)

    def _repaired(self, word: str) -> list[Term]:
        repaired = None
        if word not in self.names and not (self.foreign and len(word) < REPAIRED_FROM):
            repaired = _repaired(word, self.lexicon, short=self.short)
        if repaired is None:
            self.unknown += self._unknown_weight(word)
            return []
        self.corrections[word], found = repaired
        return found

    def _joined(self, seen: set[str]) -> list[Term]:
        """Return terms for neighbouring words written as one: `word cloud`, `wordcloud`."""
        found: list[Term] = []
        for first, second in pairwise(self.words):
            for key in (self.stems[first] + self.stems[second], first + second):
                if key in self.lexicon.stems and key not in seen:
                    seen.add(key)
                    found.append(_one(key, 1.0))
                    break
        return found

    def _phrases(self) -> list[Term]:
        """Return terms for synonyms of neighbouring words: `pull request`, `pr`."""
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


def _has_function_words(unknown: list[str]) -> bool:
    """Return whether unknown words are those of another language, not typos that resemble them."""
    found = FUNCTION_WORDS.intersection(unknown)
    return len(found) > 1 or any(len(word) > 3 for word in found)


def _expanded(
    variants: dict[str, float], key: tuple[str, ...], weight: float, lexicon: Lexicon
) -> Term | None:
    """Return a term with the synonyms that the index has, or None if nothing matches it."""
    phrases: list[tuple[tuple[str, ...], float]] = []
    synonym_weight = weight * SYNONYM_WEIGHT
    for other in lexicon.synonyms.of(key):
        if not all(part in lexicon.stems for part in other):
            continue
        if len(other) > 1:
            phrases.append((other, synonym_weight))
        else:
            variants.setdefault(other[0], synonym_weight)
    if not variants and not phrases:
        return None
    return Term(tuple(variants.items()), key, tuple(phrases), weight)


def _words(clause: Clause, *, alone: bool) -> tuple[list[str], list[str]]:
    """Return the words to search for and the stop words, each once, in order."""
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
        # A query of stop words only may still name a tool: `who_am_i`.
        words = dict.fromkeys(identifier_parts(clause.text))
        dropped = {}
    return list(words), list(dropped)


def _proper(text: str) -> frozenset[str]:
    """Return the words written with a capital in a text that is not in capitals throughout.

    The first word of a sentence is left out. They are names of things, which are not repaired.
    """
    first, *tokens = prose_tokens(text) or [""]
    if first[:1].isupper() and all(token[0].isupper() or token.isdigit() for token in tokens):
        return frozenset()
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
    """Return the correction of an unknown word, as text and as terms, or None."""
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
