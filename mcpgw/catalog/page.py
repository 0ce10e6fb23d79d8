"""The page: which of the candidates are shown, so that no hit repeats what another has said."""

from __future__ import annotations

from typing import Final

from mcpgw.catalog.corpus import Corpus
from mcpgw.catalog.query import Plan
from mcpgw.catalog.scoring import Candidate

TWIN_FACTOR: Final = 0.6
"""What a tool keeps of its score after one of the same name from another server."""

CLAUSE_DISCOUNT: Final = 0.2
"""How soon a part of a request that has its tool gives way to the others."""

SIBLINGS_FREE: Final = 4
"""Tools of one server in a page that take nothing from each other."""

SIBLING_DISCOUNT: Final = 0.03
"""What each further tool of the same server lacks, beside others that fit as well."""

LOOKED_AT: Final = 5
"""Hits of which one must fit for the page to fit."""

PLAIN_IMPACT: Final = 0.4
"""Impact of a word that stands once in a description of the usual length."""

ENOUGH: Final = 1.75
"""Words of one tool alone that a query's meaning amounts to at most: who tells a long story is
understood by a tool that has some of it."""

MIN_FIT: Final = 0.45
"""Share of a query's meaning that a fitting hit has."""


def pick(candidates: list[Candidate], limit: int) -> list[Candidate]:
    """Return the page: the best candidate, then ever the best beside those before it.

    A tool loses score by a hit of its own name from another server, by a crowd of its own
    server, and by the parts of the request that have been answered. Exact names come first
    and lose nothing. Scores never rise from one hit to the next.
    """
    page = [candidate for candidate in candidates if candidate.exact][:limit]
    lift = 1.0 + max((candidate.score for candidate in candidates), default=0.0)
    for candidate in page:
        candidate.score += candidate.exact * lift
    waiting = candidates[len(page) :] if len(page) < limit else []
    names: dict[str, int] = {}
    servers: dict[str, int] = {}
    answered: dict[int, float] = {}
    for candidate in page:
        _note(candidate, names, servers, answered)
    while waiting and len(page) < limit:
        place, worth = 0, -1.0
        for at, candidate in enumerate(waiting):
            if candidate.score <= worth:
                break
            value = candidate.score * _freshness(candidate, names, servers, answered)
            if value > worth:
                place, worth = at, value
        chosen = waiting.pop(place)
        chosen.score = worth
        page.append(chosen)
        _note(chosen, names, servers, answered)
    return page


def _freshness(
    candidate: Candidate,
    names: dict[str, int],
    servers: dict[str, int],
    answered: dict[int, float],
) -> float:
    document = candidate.document
    fresh: float = TWIN_FACTOR ** names.get(document.tool.casefold(), 0)
    crowd = servers.get(document.server, 0) - SIBLINGS_FREE
    if crowd >= 0:
        fresh /= 1.0 + SIBLING_DISCOUNT * (crowd + 1)
    if candidate.shares and answered:
        fresh *= sum(
            share / (1.0 + CLAUSE_DISCOUNT * answered.get(place, 0.0))
            for place, share in enumerate(candidate.shares)
        )
    return fresh


def _note(
    candidate: Candidate, names: dict[str, int], servers: dict[str, int], answered: dict[int, float]
) -> None:
    document = candidate.document
    name = document.tool.casefold()
    names[name] = names.get(name, 0) + 1
    servers[document.server] = servers.get(document.server, 0) + 1
    for place, share in enumerate(candidate.shares):
        answered[place] = answered.get(place, 0.0) + share


def fit(corpus: Corpus, plan: Plan, page: list[Candidate]) -> float:
    """Return the share of the query's meaning, 0 to 1, that the best fitting hit has.

    A word's meaning is its rarity; what nobody here has ever heard of counts like a word of
    one tool. A tool has it whole where the very word stands in its description, and in part
    where a synonym, a repaired word or a mention in passing does. Of a compound request the
    part that is answered best decides.
    """
    found = 0.0
    rarest = corpus.rarity(1)
    for terms, unknown in zip(plan.clauses, plan.unknown, strict=True):
        wanted = [(term, corpus.own_rarity(term)) for term in terms if term.weight]
        mass = unknown * rarest + sum(term.weight * rarity for term, rarity in wanted)
        if not mass:
            continue
        mass = min(mass, ENOUGH * rarest)
        for candidate in page[:LOOKED_AT]:
            held = 0.0
            for term, rarity in wanted:
                value = corpus.part(term).value(candidate.number)
                held += min(term.weight * rarity, value / PLAIN_IMPACT)
            found = max(found, held / mass)
    return min(1.0, found)


def fits(corpus: Corpus, plan: Plan, page: list[Candidate]) -> bool:
    """Tell whether a page holds what the query may have meant."""
    if not page:
        return False
    return any(candidate.exact for candidate in page) or fit(corpus, plan, page) >= MIN_FIT
