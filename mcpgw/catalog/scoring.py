"""Scoring of tools against a query plan, by their own words and those of their server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from heapq import nlargest
from types import MappingProxyType
from typing import Final

import attrs

from mcpgw.catalog.corpus import Corpus, Part
from mcpgw.catalog.query import Plan, Term
from mcpgw.catalog.shard import Document

NARROW: Final = 40
WIDE: Final = 120
"""Tools, best first by their own words, that are rescored in detail: for short queries, whose few
words are specific, and for longer ones, in which more signals count."""

PAGES: Final = 4
"""Least number of pages that are rescored in detail."""

SERVER_WEIGHT: Final = 1.0
"""Weight of the matches in all tools of a server for a long query, beside a tool's own words."""

SERVER_FROM: Final = 4
SERVER_FULL: Final = 14
"""Words of a query up to which the server does not count, and from which it counts in full. Each
tool matches some of many words by chance, and only its server shows whether they are its subject;
language models smooth longer queries more for the same reason."""

NEAR_WEIGHT: Final = 0.15
"""Weight of two words that are neighbours both in the query and in a tool's name or texts."""

NEAR_FIELDS: Final = ((0, 1.0), (1, 1.0), (2, 0.5))
"""Indexes of name, title and description in `FIELDS`, with their weights for neighbours."""

NAMED_WEIGHT: Final = 0.25
"""Gain of a tool if the query has all words of its name; half the name gains a quarter of it."""

WHOLE_WEIGHT: Final = 0.7
"""Weight of matching a compound request as a whole, relative to matching one of its clauses."""

DEPRECATED: Final = 0.4
"""Factor on the score of a tool that calls itself deprecated: what replaces it ranks above it."""

Keep = Callable[[Document], bool]


@attrs.define(eq=False)
class Candidate:
    """A tool that may be in the page; `shares` are the parts of its score by clause."""

    number: int
    document: Document
    score: float
    shares: tuple[float, ...] = ()
    exact: int = 0
    """2 if its name is the query, 1 if it is the query in another spelling, else 0."""


@attrs.frozen(eq=False)
class Scored:
    """The best tools for a query, best first, and the number of all that matched."""

    candidates: list[Candidate]
    total: int


def score(
    corpus: Corpus,
    plan: Plan,
    *,
    limit: int = 10,
    keep: Keep | None = None,
    named: Mapping[int, int] = MappingProxyType({}),
) -> Scored:
    """Return the tools that match a plan best, enough to choose a page of `limit` from.

    Tools for which `keep` is false are ignored. Those in `named`, with their `exact`, are always
    included. Equal scores are ordered by server, then tool.
    """
    looked_up = [[corpus.part(term) for term in terms] for terms in plan.clauses]
    size = sum(plan.sizes)
    wide = max(PAGES * limit, NARROW if size <= SERVER_FROM else WIDE)
    unit = 1.0
    if len(looked_up) == 1:
        whole, unit = _summed(looked_up[0])
        by_clause = [whole]
    else:
        by_clause = [_scaled(*_summed(parts)) for parts in looked_up]
        whole = _added(by_clause)
    for number in named:
        whole.setdefault(number, 0.0)
    documents = corpus.documents
    if keep is not None:
        kept = {number for number in whole if keep(documents[number])}
        whole = {number: whole[number] for number in kept}
        by_clause = [{n: value for n, value in found.items() if n in kept} for found in by_clause]
    if not whole:
        return Scored([], 0)
    chosen = {*best(whole, wide), *(number for number in named if number in whole)}
    scores = {number: whole[number] * unit for number in chosen}
    _add_neighbours(corpus, plan, scores)
    if len(by_clause) == 1:
        _lift_named(corpus, plan.terms, scores)
    _add_servers(corpus, plan.terms, size, scores)
    shares: dict[int, tuple[float, ...]] = {}
    if len(by_clause) > 1:
        scores = _mixed(corpus, plan, by_clause, scores, wide)
        shares = {number: _shares(number, by_clause) for number in scores}
    candidates = [
        Candidate(
            number,
            documents[number],
            value * DEPRECATED if documents[number].deprecated else value,
            shares.get(number, ()),
            named.get(number, 0),
        )
        for number, value in scores.items()
    ]
    candidates.sort(key=order)
    return Scored(candidates, len(whole))


def order(candidate: Candidate) -> tuple[int, float, str, str, int]:
    """Return the key that sorts exact names first, then by score, server, tool."""
    document = candidate.document
    return (
        -candidate.exact,
        -candidate.score,
        document.server,
        document.tool,
        candidate.number,
    )


def best(scores: dict[int, float], count: int) -> list[int]:
    """Return the tools with the best scores, including ties with the last one."""
    if len(scores) <= count:
        return list(scores)
    floor = nlargest(count, scores.values())[-1]
    return [number for number, value in scores.items() if value >= floor]


def _summed(parts: Iterable[Part]) -> tuple[dict[int, float], float]:
    """Return the scores of all tools that the parts find, and the unit of the scores."""
    found = sorted(
        (part for part in parts if part.count and part.worth), key=lambda part: -part.count
    )
    scores: dict[int, float] = {}
    if not found:
        return scores, 1.0
    # The longest list is copied unscaled, which is fast, and the others are scaled to it.
    unit = found[0].worth
    for posting in found[0].postings:
        scores.update(posting)
    get = scores.get
    for part in found[1:]:
        factor = part.worth / unit
        for posting in part.postings:
            for number, impact in posting.items():
                scores[number] = get(number, 0.0) + impact * factor
    return scores, unit


def _scaled(scores: dict[int, float], unit: float) -> dict[int, float]:
    return {number: value * unit for number, value in scores.items()}


def _added(by_clause: list[dict[int, float]]) -> dict[int, float]:
    longest = max(range(len(by_clause)), key=lambda place: len(by_clause[place]))
    whole = dict(by_clause[longest])
    get = whole.get
    for place, scores in enumerate(by_clause):
        if place != longest:
            for number, value in scores.items():
                whole[number] = get(number, 0.0) + value
    return whole


def _lift_named(corpus: Corpus, terms: Iterable[Term], scores: dict[int, float]) -> None:
    """Raise each tool's score by the share of its name that the terms contain.

    BM25 measures how much of the query a tool has; this measures the reverse, to distinguish
    `create_document` from `create_document_template`.
    """
    spoken: dict[str, float] = {}
    for term in terms:
        for word, weight in term.variants:
            if weight > spoken.get(word, 0.0):
                spoken[word] = weight
    documents = corpus.documents
    for number in scores:
        name = documents[number].fields[0]
        share = 0.0
        for word in name:
            if word in spoken:
                share += spoken[word] / len(name)
        if share:
            scores[number] *= 1.0 + NAMED_WEIGHT * share * share


def _share_of_server(size: int) -> float:
    part = (size - SERVER_FROM) / (SERVER_FULL - SERVER_FROM)
    return SERVER_WEIGHT * min(1.0, max(0.0, part))


def _add_servers(
    corpus: Corpus, terms: Iterable[Term], size: int, scores: dict[int, float]
) -> None:
    """Add to each tool the score of its whole server for the query's words."""
    share = _share_of_server(size)
    if not share:
        return
    total: dict[str, float] = {}
    for term in terms:
        for server, value in corpus.evidence(term).items():
            total[server] = total.get(server, 0.0) + value
    documents = corpus.documents
    for number in scores:
        scores[number] += share * total.get(documents[number].server, 0.0)


def _add_neighbours(corpus: Corpus, plan: Plan, scores: dict[int, float]) -> None:
    """Add to each tool the score of neighbouring query words that are neighbours in it too."""
    pairs = [
        (one, two, NEAR_WEIGHT * (corpus.rarity(corpus.count(one)) + corpus.rarity(count)))
        for one, two in plan.pairs
        if one in corpus.postings and (count := corpus.count(two))
    ]
    if not pairs:
        return
    documents = corpus.documents
    for number in scores:
        fields = documents[number].fields
        for place, weight in NEAR_FIELDS:
            words = fields[place]
            for one, two, worth in pairs:
                if one in words and two in words and _adjacent(words, one, two):
                    scores[number] += weight * worth


def _adjacent(words: tuple[str, ...], one: str, two: str) -> bool:
    start = 0
    last = len(words) - 1
    for _ in range(words.count(one)):
        start = words.index(one, start) + 1
        if start <= last and words[start] == two:
            return True
    return False


def _mixed(
    corpus: Corpus,
    plan: Plan,
    by_clause: list[dict[int, float]],
    scores: dict[int, float],
    wide: int,
) -> dict[int, float]:
    """Return the weighted mean of the scores for the whole request and for its clauses.

    Only the best tools of a clause count, so matching a little of every clause is not enough.
    """
    mixed = {number: WHOLE_WEIGHT * value for number, value in scores.items()}
    for terms, size, found in zip(plan.clauses, plan.sizes, by_clause, strict=True):
        part = {number: found[number] for number in best(found, wide)}
        _lift_named(corpus, terms, part)
        _add_servers(corpus, terms, size, part)
        for number, value in part.items():
            mixed[number] = mixed.get(number, 0.0) + value
    return {number: value / (1.0 + WHOLE_WEIGHT) for number, value in mixed.items()}


def _shares(number: int, by_clause: list[dict[int, float]]) -> tuple[float, ...]:
    values = [scores.get(number, 0.0) for scores in by_clause]
    total = sum(values)
    return tuple(value / total for value in values) if total else ()
