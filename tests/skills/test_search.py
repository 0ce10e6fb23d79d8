"""Finding skills."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.skills.model import Skill
from mcpgw.skills.search import search_skills

ALL = (
    Skill(
        name="debug-server", description="Find why a server does not start.", keywords=("stderr",)
    ),
    Skill(name="yaml", description="Write YAML.", body="To debug, look at the line.\n"),
    Skill(name="tokens", description="Save tokens.", triggers=("too long", "cost")),
    Skill(name="notes", description="漢字の説明", keywords=("a", "b")),
)


def found(query: str) -> list[str]:
    return [hit.skill.name for hit in search_skills(ALL, query)]


@pytest.mark.parametrize(
    ("query", "scores"),
    [
        ("debug", {"debug-server": 100.0, "yaml": 5.0}),
        ("YAML", {"yaml": 150.0}),
        ("tokens", {"tokens": 150.0}),
        ("stderr", {"debug-server": 20.0}),
        ("too long", {"tokens": 20.0 + 20.0}),
        ("cost", {"tokens": 20.0}),
        ("debug-server", {"debug-server": 100.0 + (100 + 100 + 50) / 2, "yaml": 2.5}),
        ("server start", {"debug-server": (150 + 50) / 2}),
        ("nothing of the kind", {}),
    ],
)
def test_scores(query: str, scores: dict[str, float]) -> None:
    """The whole query scores by field, and so does each of several words."""
    assert scores == {hit.skill.name: hit.score for hit in search_skills(ALL, query)}


def test_words_need_not_stand_together() -> None:
    """Words in another order, and in other forms, find what they are about."""
    assert "debug-server" == found("my servers are not starting, how can I debug them")[0]
    assert "tokens" == found("saving token")[0]


def test_short_words_are_found_whole() -> None:
    """A word of two letters is not found inside of another one."""
    assert [] == found("ya zz")


def test_scripts_without_spaces() -> None:
    """A part of a text without spaces is found."""
    assert ["notes"] == found("説明")
    assert ["notes"] == found("説明 漢字")


def test_an_empty_query_finds_all_by_name() -> None:
    """Without words, all skills come in the order of their names."""
    assert ["debug-server", "notes", "tokens", "yaml"] == found("  ")
    assert 2 == len(search_skills(ALL, "", 2))


def test_long_lists_of_keywords_do_not_win() -> None:
    """A skill with very many keywords does not come before the one of that name."""
    loud = Skill(name="loud", description="d", keywords=tuple(f"mail {n}" for n in range(500)))
    quiet = Skill(name="mail", description="Mail.")
    assert ["mail", "loud"] == [hit.skill.name for hit in search_skills((loud, quiet), "mail")]


@given(st.text(max_size=40))
def test_any_query(query: str) -> None:
    """Whatever is asked, the answer is in one order, and only what fits is in it."""
    hits = search_skills(ALL, query)
    assert hits == sorted(hits, key=lambda hit: (-hit.score, hit.skill.name))
    assert hits == search_skills(tuple(reversed(ALL)), query)
    assert all(hit.score > 0 for hit in hits) or not query.split()
