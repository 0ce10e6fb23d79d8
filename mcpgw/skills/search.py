"""Search for skills by words, weighted by the field in which they occur."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Final

import attrs

from mcpgw.skills.model import Skill

NAME: Final = 100.0
DESCRIPTION: Final = 50.0
KEYWORD: Final = 20.0
TRIGGER: Final = 20.0
BODY: Final = 5.0
MOST: Final = 5
"""Keywords, and triggers, that count, so that long lists do not win."""

_WORD: Final = re.compile(r"[^\W_]+")
_JOINING: Final = (
    "a an and are as at be by can do for from how i in is it my of on or that the this to"
    " what when where with you your"
)
_STOP_WORDS: Final = frozenset(_JOINING.split())
_SHORT: Final = 3
"""Letters below which a word is matched only whole."""


@attrs.frozen
class Hit:
    """A skill that matches a query, and its score."""

    skill: Skill
    score: float


def search_skills(skills: Iterable[Skill], query: str, limit: int | None = None) -> list[Hit]:
    """Return the skills that match a query, best first, ties by name.

    The whole query, in any case, scores 100 in the name, 50 in the description, 20 in each
    keyword and each trigger (at most five of each) and 5 in the body. If it has several words,
    each is scored in the same way at the beginnings of words, and the mean of these scores is
    added. An empty query matches every skill.

    Args:
      skills: the skills to search.
      query: one or more words.
      limit: the greatest number of hits, or None for all.
    """
    whole = " ".join(query.casefold().split())
    words = _words(whole)
    hits = [Hit(skill, _score(_Fields.of(skill), whole, words)) for skill in skills]
    if whole:
        hits = [hit for hit in hits if hit.score > 0]
    hits.sort(key=lambda hit: (-hit.score, hit.skill.name))
    return hits if limit is None else hits[: max(0, limit)]


@attrs.frozen
class _Fields:
    """The texts of a skill, case-folded."""

    name: str
    description: str
    keywords: tuple[str, ...]
    triggers: tuple[str, ...]
    body: str

    @classmethod
    def of(cls, skill: Skill) -> _Fields:
        return cls(
            _folded(skill.name),
            _folded(skill.description),
            tuple(map(_folded, skill.keywords)),
            tuple(map(_folded, skill.triggers)),
            _folded(skill.body),
        )


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _words(whole: str) -> list[str]:
    """Return the words of a query without stop words, unless it has only stop words."""
    found = list(dict.fromkeys(_WORD.findall(whole)))
    return [word for word in found if word not in _STOP_WORDS] or found


def _score(fields: _Fields, whole: str, words: list[str]) -> float:
    if not whole:
        return 0.0
    score = _weighted(fields, _Term(whole))
    if words and words != [whole]:
        score += sum(_weighted(fields, _term(word)) for word in words) / len(words)
    return round(score, 2)


@attrs.frozen
class _Term:
    """A text to search for; the pattern restricts it to the beginnings of words."""

    stem: str
    pattern: re.Pattern[str] | None = None

    def is_in(self, text: str) -> bool:
        # The substring test is much faster than the pattern and mostly fails.
        return self.stem in text and (self.pattern is None or self.pattern.search(text) is not None)


def _weighted(fields: _Fields, term: _Term) -> float:
    found = term.is_in
    return (
        NAME * found(fields.name)
        + DESCRIPTION * found(fields.description)
        + KEYWORD * min(MOST, sum(map(found, fields.keywords)))
        + TRIGGER * min(MOST, sum(map(found, fields.triggers)))
        + BODY * found(fields.body)
    )


@functools.lru_cache(maxsize=256)
def _term(word: str) -> _Term:
    """Return a term for a word, without the endings of plural and verb forms."""
    if not word.isascii():
        return _Term(word)  # in scripts without spaces, words have no visible beginning
    before = r"(?<![^\W_])"
    if len(word) < _SHORT:
        return _Term(word, re.compile(rf"{before}{word}(?![^\W_])"))
    stem = word
    for ending in ("ing", "ies", "es", "ed", "s"):
        if word.endswith(ending) and len(word) - len(ending) > _SHORT:
            stem = word[: -len(ending)]
            break
    return _Term(stem, re.compile(f"{before}{stem}"))
