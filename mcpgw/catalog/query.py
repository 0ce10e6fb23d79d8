"""A query as the index reads it: its words, each with the known words that it may stand for."""

from __future__ import annotations

from collections.abc import Container
from itertools import pairwise
from typing import Final

import attrs

from mcpgw.catalog.stems import stem
from mcpgw.catalog.vocabulary import Vocabulary
from mcpgw.catalog.words import identifier_parts, prose_tokens, token_words

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

SUSPECT_WEIGHT: Final = 0.6
"""Worth of what a known word may be a slip of, once another word was one."""

MIN_JOINED: Final = 6
"""Letters from which an unknown word may be several words of a name, mistyped."""


@attrs.frozen
class Lexicon:
    """What the index knows: words as written, joined names, and `stems` it holds."""

    words: Vocabulary
    joined: Vocabulary
    stems: Container[str]


@attrs.frozen
class Term:
    """One part of a query: stems that may each fill it, with what each is worth at best."""

    variants: tuple[tuple[str, float], ...]


@attrs.frozen
class Plan:
    """What to look up for a query; `corrections` maps a word typed to the word used."""

    terms: tuple[Term, ...]
    corrections: dict[str, str]


def plan(query: str, lexicon: Lexicon) -> Plan:
    """Turn a query into terms; a word of which nothing is known is left out."""
    words, dropped = _words(query[:MAX_QUERY])
    stems = {word: stem(word) for word in words}
    short = len(words) + len(dropped) <= SHORT
    # One slip makes the other words of a short query suspect: `form` may have become `from`.
    suspect = short and any(key not in lexicon.stems for key in stems.values())
    corrections: dict[str, str] = {}
    terms: list[Term] = []
    seen: set[str] = set()
    for word in words:
        key = stems[word]
        if key not in lexicon.stems:
            repaired = _repaired(word, lexicon, short=short)
            if repaired:
                corrections[word], found = repaired
                terms.extend(found)
        elif key not in seen:
            seen.add(key)
            if suspect and word.isalpha():
                terms.append(_alternatives([(word, 1.0), *_slips(word, lexicon)]))
            else:
                terms.append(_one(key, NUMBER_WEIGHT if word.isdigit() else 1.0))
    if suspect:
        terms.extend(_alternatives(slips) for word in dropped if (slips := _slips(word, lexicon)))
    terms.extend(_joined(words, stems, lexicon.stems, seen))
    return Plan(tuple(terms), corrections)


def _words(query: str) -> tuple[list[str], list[str]]:
    """Return the words that are searched for and the stop words, each once, in order."""
    words: dict[str, None] = {}
    dropped: dict[str, None] = {}
    for token in prose_tokens(query):
        found = (token,) if token.isdigit() else token_words(token)
        for word in found:
            words[word] = None
        if not found:
            dropped[token.lower()] = None
    if not words:
        # A query of nothing but stop words may still name a tool: `who_am_i`.
        words = dict.fromkeys(identifier_parts(query))
        dropped = {}
    return list(words)[:MAX_WORDS], list(dropped)


def _one(key: str, weight: float) -> Term:
    return Term(((key, weight),))


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
        found = [(v.word, REPAIRED_WEIGHT * v.likeness) for v in near]
        return near[0].word, [_alternatives(found)]
    halves = lexicon.words.halves(word)
    if halves:
        return " ".join(halves), [_one(stem(half), 1.0) for half in halves]
    if short and len(word) >= MIN_JOINED:
        joined = lexicon.joined.near(word)
        if joined:
            return joined[0].word, [Term(tuple((v.word, v.likeness) for v in joined))]
    return None


def _joined(
    words: list[str], stems: dict[str, str], known: Container[str], seen: set[str]
) -> list[Term]:
    """Return what two neighbours make when written as one: `word cloud`, `wordcloud`."""
    found: list[Term] = []
    for first, second in pairwise(words):
        for key in (stems[first] + stems[second], first + second):
            if key in known and key not in seen:
                seen.add(key)
                found.append(_one(key, 1.0))
                break
    return found
