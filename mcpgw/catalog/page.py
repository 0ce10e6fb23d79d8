"""Selection of a result page from the candidates, with diversity across servers and clauses."""

from __future__ import annotations

from typing import Final

from mcpgw.catalog.corpus import Corpus
from mcpgw.catalog.query import Plan
from mcpgw.catalog.scoring import Candidate

TWIN_FACTOR: Final = 0.6
"""Factor on the score of a tool with the same name as one already in the page."""

CLAUSE_DISCOUNT: Final = 0.2
"""Discount on a clause for each tool in the page that answers it."""

SIBLINGS_FREE: Final = 4
"""Tools of one server in a page that do not lower each other's score."""

SIBLING_DISCOUNT: Final = 0.03
"""Discount for each further tool of the same server."""

CHECKED: Final = 5
"""Best hits that are checked for a fit with the query."""

PLAIN_IMPACT: Final = 0.4
"""Impact of a word that occurs once in a description of the usual length."""

ENOUGH: Final = 1.75
"""Upper bound of a query's weight, in words that occur in one tool only: a long story need not be
matched in full."""

MIN_FIT: Final = 0.45
"""Share of a query's weight that a fitting hit must have."""


def pick(candidates: list[Candidate], limit: int) -> list[Candidate]:
    """Return the page: repeatedly the best candidate given those already chosen.

    A tool loses score if the page has a tool of its name from another server, many tools of its
    own server, or tools for the same clause of the request. Exact names come first and lose
    nothing. Scores never rise from one hit to the next.
    """
    page = [candidate for candidate in candidates if candidate.exact][:limit]
    lift = 1.0 + max((candidate.score for candidate in candidates), default=0.0)
    for candidate in page:
        candidate.score += candidate.exact * lift
    rest = candidates[len(page) :] if len(page) < limit else []
    names: dict[str, int] = {}
    servers: dict[str, int] = {}
    answered: dict[int, float] = {}
    for candidate in page:
        _count(candidate, names, servers, answered)
    while rest and len(page) < limit:
        place, worth = 0, -1.0
        for at, candidate in enumerate(rest):
            if candidate.score <= worth:
                break
            value = candidate.score * _freshness(candidate, names, servers, answered)
            if value > worth:
                place, worth = at, value
        chosen = rest.pop(place)
        chosen.score = worth
        page.append(chosen)
        _count(chosen, names, servers, answered)
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


def _count(
    candidate: Candidate, names: dict[str, int], servers: dict[str, int], answered: dict[int, float]
) -> None:
    document = candidate.document
    name = document.tool.casefold()
    names[name] = names.get(name, 0) + 1
    servers[document.server] = servers.get(document.server, 0) + 1
    for place, share in enumerate(candidate.shares):
        answered[place] = answered.get(place, 0.0) + share


def fit(corpus: Corpus, plan: Plan, page: list[Candidate]) -> float:
    """Return the share of the query's weight, 0 to 1, that the best fitting hit has.

    A word weighs as much as it is rare; an unknown word weighs as much as one that occurs in a
    single tool. A tool has the whole weight if its description has the word itself, and a part of
    it for a synonym, a corrected word or a passing mention. In a compound request the best
    answered clause counts.
    """
    found = 0.0
    rarest = corpus.rarity(1)
    for place, (terms, unknown) in enumerate(zip(plan.clauses, plan.unknown, strict=True)):
        wanted = [(term, corpus.own_rarity(term)) for term in terms if term.weight]
        if plan.foreign[place] and not any(term.own for term in terms):
            continue  # resemblance alone is not a fit
        mass = unknown * rarest + sum(term.weight * rarity for term, rarity in wanted)
        if not mass:
            continue
        mass = min(mass, ENOUGH * rarest)
        for candidate in page[:CHECKED]:
            held = 0.0
            for term, rarity in wanted:
                value = corpus.part(term).value(candidate.number)
                held += min(term.weight * rarity, value / PLAIN_IMPACT)
            found = max(found, held / mass)
    return min(1.0, found)


def fits(corpus: Corpus, plan: Plan, page: list[Candidate]) -> bool:
    """Return whether a page has a hit that the query may have meant."""
    if not page:
        return False
    return any(candidate.exact for candidate in page) or fit(corpus, plan, page) >= MIN_FIT
