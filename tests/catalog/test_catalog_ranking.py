"""Effects of use, health and permission on the ranking, and their limits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcpgw.catalog.index import SearchResult, ToolIndex
from mcpgw.catalog.ranking import Signals, explained, factor

shares = st.floats(min_value=0.0, max_value=1.0)
any_signals = st.builds(
    Signals,
    health=shares,
    success=shares,
    latency=shares,
    cost=shares,
    uses=st.integers(min_value=0, max_value=10**9),
)


def tools(*names: str) -> list[dict[str, Any]]:
    """Return tools that have nothing but a name."""
    return [{"name": name} for name in names]


def index_of(**servers: list[dict[str, Any]]) -> ToolIndex:
    """Return an index of these servers."""
    index = ToolIndex()
    for server, listed in servers.items():
        index.replace(server, listed)
    return index


def found(result: SearchResult) -> list[str]:
    """Return the names of the hits."""
    return [hit.tool for hit in result.hits]


def test_without_anything_known_nothing_changes() -> None:
    """Neutral signals multiply by one."""
    assert 1.0 == factor(Signals())


@pytest.mark.parametrize(
    ("signals", "expected"),
    [
        (Signals(uses=10), 1.075),
        (Signals(uses=120), 1.15),
        (Signals(uses=10**9), 1.15),
        (Signals(health=0.0), 0.84),
        (Signals(health=0.0, success=0.0, latency=0.0, cost=0.0), 0.6),
        (Signals(health=-5.0, success=9.0), 0.84),
    ],
)
def test_factors(signals: Signals, expected: float) -> None:
    """Use lifts a little and ever more slowly; all that is wrong takes 40 percent at most."""
    assert expected == pytest.approx(factor(signals))


@given(any_signals)
def test_the_factor_is_bounded(signals: Signals) -> None:
    """No signals drown relevance."""
    assert 0.6 - 1e-9 <= factor(signals) <= 1.15 + 1e-9


@given(any_signals, st.integers(min_value=0, max_value=10**6))
def test_use_never_lifts_over_a_tool_that_fits_1_2_times_as_well(
    signals: Signals, uses: int
) -> None:
    """A better fit with the same record stays ahead of a favourite."""
    rarely = Signals(signals.health, signals.success, signals.latency, signals.cost)
    often = Signals(signals.health, signals.success, signals.latency, signals.cost, uses=uses)
    assert 1.2 * factor(rarely) > factor(often)


@given(any_signals, shares)
def test_a_worse_signal_never_helps(signals: Signals, worse: float) -> None:
    """Of two otherwise equal tools the healthier one does not rank lower."""
    healthier = Signals(max(signals.health, worse), uses=signals.uses)
    iller = Signals(min(signals.health, worse), uses=signals.uses)
    assert factor(iller) <= factor(healthier)


def test_an_explanation_names_only_what_moved_the_tool() -> None:
    """Neutral signals are silent, low ones are named as reasons."""
    assert {"relevance": 2.5} == explained(2.5, Signals())
    assert {
        "relevance": 1.0,
        "signals": {"success": 0.6, "cost": 0.9, "uses": 4},
        "reasons": ["success_downgraded", "used_before", "disabled"],
    } == explained(1.0, Signals(success=0.6, cost=0.9, uses=4, disabled=True))


def test_use_and_failures_order_tools_that_fit_alike() -> None:
    """Among equals the proven tool comes first and the failing one last."""
    index = index_of(one=tools("ping_a", "ping_b", "ping_c"))
    known = {"ping_a": Signals(success=0.2), "ping_c": Signals(uses=50)}
    result = index.search("ping", signals=lambda _, name: known.get(name, Signals()))
    assert ["ping_c", "ping_b", "ping_a"] == found(result)
    assert ["ping_a", "ping_b", "ping_c"] == found(index.search("ping"))


def test_disabled_tools_come_last_and_stay_in_the_page() -> None:
    """A disabled tool comes after tools that can be called, however relevant it is."""
    index = index_of(one=tools("send_mail", "send_fax", "mail_list"))
    result = index.search(
        "send mail", signals=lambda _, name: Signals(disabled=name == "send_mail"), explain=True
    )
    assert "send_mail" == found(result)[-1]
    assert 3 == len(result.hits)
    assert result.hits[-1].ranking is not None
    assert ["disabled"] == result.hits[-1].ranking["reasons"]
    scores = [hit.score for hit in result.hits]
    assert sorted(scores, reverse=True) == scores


def test_disabled_tools_never_fill_a_page_while_others_could() -> None:
    """A stopped server leaves most of the page to the tools that run."""
    names = [f"ping_{letter}" for letter in "abcdefghi"]
    index = index_of(off=tools(*names), on=[{"name": f"x_{name}"} for name in names])
    result = index.search(
        "ping", limit=6, signals=lambda server, _: Signals(disabled=server == "off")
    )
    assert ["on"] * 4 + ["off"] * 2 == [hit.server for hit in result.hits]
    only = index.search("ping", limit=6, signals=lambda _, __: Signals(disabled=True))
    assert 6 == len(only.hits)
    one = index.search(
        "ping_a", limit=1, signals=lambda server, _: Signals(disabled=server == "off")
    )
    assert ["on"] == [hit.server for hit in one.hits]


def test_an_exact_name_stays_first_unless_it_is_disabled() -> None:
    """No record, good or bad, moves the tool that was asked for by name."""
    index = index_of(one=tools("read_file", "read_file_lines", "file_read_all"))
    poor = {"read_file": Signals(health=0.0, success=0.0, latency=0.0, cost=0.0)}
    result = index.search("read_file", signals=lambda _, name: poor.get(name, Signals(uses=999)))
    assert "read_file" == found(result)[0]
    scores = [hit.score for hit in result.hits]
    assert sorted(scores, reverse=True) == scores


@pytest.mark.parametrize("bad", [Signals(trust=0.1), Signals(grant=0.0)])
def test_what_is_not_trusted_or_not_granted_is_withheld(bad: Signals) -> None:
    """Such a tool is not shown and not counted as found, only as withheld."""
    index = index_of(one=tools("ping_a", "ping_b"))
    result = index.search("ping", signals=lambda _, name: bad if name == "ping_a" else Signals())
    assert (["ping_b"], 1, 1) == (found(result), result.total, result.withheld)


def test_what_a_profile_hides_is_not_even_counted() -> None:
    """`allowed` works before everything else, exact names included."""
    index = index_of(one=tools("ping_a", "ping_b"), two=tools("ping_a"))
    result = index.search("ping_a", allowed=lambda server, _: server == "two")
    assert ["two"] == [hit.server for hit in result.hits]
    assert (1, 0) == (result.total, result.withheld)
    nothing = index.search("ping", allowed=lambda _, __: False)
    assert SearchResult((), 0, {}, fits=False) == nothing


@given(
    st.lists(
        st.tuples(st.sampled_from(["ping", "ping_pong", "pong", "x_ping"]), any_signals),
        min_size=1,
        max_size=8,
    ),
    st.integers(min_value=1, max_value=4),
)
@settings(max_examples=40)
def test_equal_inputs_give_equal_pages(rows: list[tuple[str, Signals]], limit: int) -> None:
    """Scores never rise within a page, and asking twice gives the same answer."""
    index = index_of(one=tools(*(f"{name}_{n}" for n, (name, _) in enumerate(rows))))
    known = {f"{name}_{n}": signals for n, (name, signals) in enumerate(rows)}

    def ask() -> SearchResult:
        return index.search("ping pong", limit=limit, signals=lambda _, name: known[name])

    result = ask()
    assert result == ask()
    scores = [hit.score for hit in result.hits]
    assert sorted(scores, reverse=True) == scores
    assert all(hit.ranking is None for hit in result.hits)
