"""Finding skills by words: where the words stand says how much they count."""

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
"""Keywords, and triggers, that count: a skill does not win by the length of its lists."""

_WORD: Final = re.compile(r"[^\W_]+")
_JOINING: Final = (
    "a an and are as at be by can do for from how i in is it my of on or that the this to"
    " what when where with you your"
)
_STOP_WORDS: Final = frozenset(_JOINING.split())
_SHORT: Final = 3
"""Letters below which a word is only found whole."""


@attrs.frozen
class Hit:
    """A skill that was found, and how well it fits."""

    skill: Skill
    score: float


def search_skills(skills: Iterable[Skill], query: str, limit: int | None = None) -> list[Hit]:
    """Return the skills that fit a query, best first, ties by name.

    The whole query counts where it stands as it is, whatever the case: 100 in the name, 50 in
    the description, 20 in each keyword and each trigger (five of each at most), 5 in the body.
    With several words, each of them counts by the same measure, the mean of all added to what
    the whole query has; it is found at the beginning of a word. An empty query fits all.

    Args:
      skills: where to look.
      query: words.
      limit: how many to return at most, or None for all.
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
    """The texts of a skill in the form in which they are compared."""

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
    """Return the words of a query; those that join others only where there are no others."""
    found = list(dict.fromkeys(_WORD.findall(whole)))
    return [word for word in found if word not in _STOP_WORDS] or found


def _score(fields: _Fields, whole: str, words: list[str]) -> float:
    if not whole:
        return 0.0
    score = _weighed(fields, _Sought(whole))
    if words and words != [whole]:
        score += sum(_weighed(fields, _sought(word)) for word in words) / len(words)
    return round(score, 2)


@attrs.frozen
class _Sought:
    """A text that is looked for, and where the beginnings of words matter also how."""

    stem: str
    pattern: re.Pattern[str] | None = None

    def stands_in(self, text: str) -> bool:
        # The plain look comes first: it is far quicker, and mostly finds nothing.
        return self.stem in text and (self.pattern is None or self.pattern.search(text) is not None)


def _weighed(fields: _Fields, sought: _Sought) -> float:
    found = sought.stands_in
    return (
        NAME * found(fields.name)
        + DESCRIPTION * found(fields.description)
        + KEYWORD * min(MOST, sum(map(found, fields.keywords)))
        + TRIGGER * min(MOST, sum(map(found, fields.triggers)))
        + BODY * found(fields.body)
    )


@functools.lru_cache(maxsize=256)
def _sought(word: str) -> _Sought:
    """Return what finds a word, with or without the endings of plural and verb forms."""
    if not word.isascii():
        return _Sought(word)  # scripts without spaces have no beginnings of words
    before = r"(?<![^\W_])"
    if len(word) < _SHORT:
        return _Sought(word, re.compile(rf"{before}{word}(?![^\W_])"))
    stem = word
    for ending in ("ing", "ies", "es", "ed", "s"):
        if word.endswith(ending) and len(word) - len(ending) > _SHORT:
            stem = word[: -len(ending)]
            break
    return _Sought(stem, re.compile(f"{before}{stem}"))
