"""The names of tools, there and back."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.config.transforms import (
    Describe,
    Filter,
    Namespace,
    Rename,
    ResponseTransform,
    Transform,
)
from mcpgw.shaping.names import Naming


def tools(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "description": f"Does {name}", "inputSchema": {}} for name in names]


def test_transforms_apply_from_left_to_right() -> None:
    """Each transform sees the names that the one before it has made; a call goes back the way."""
    naming = Naming(
        (
            Rename((("search", "find"),)),
            Namespace("mail"),
            Filter(allow=("mail_*",), deny=("*_delete",)),
            Describe((("mail_find", "Find a mail."),)),
        )
    )
    given_tools = tools("search", "delete", "send")
    before = copy.deepcopy(given_tools)
    offered = naming.offer(given_tools)
    assert before == given_tools
    assert ["mail_find", "mail_send"] == list(offered)
    assert {"name": "mail_find", "description": "Find a mail.", "inputSchema": {}} == offered[
        "mail_find"
    ]
    assert "Does send" == offered["mail_send"]["description"]
    assert ["search", "send"] == [naming.original(name) for name in offered]


@pytest.mark.parametrize("name", ["search", "find", "mail_search", "delete", "mail_delete", ""])
def test_only_an_offered_name_leads_to_a_tool(name: str) -> None:
    """Neither old, bare nor filtered names pass, before and after the first listing."""
    naming = Naming(
        (Rename((("search", "find"),)), Namespace("mail"), Filter(deny=("mail_delete",)))
    )
    assert naming.original(name) is None
    naming.offer(tools("search", "delete"))
    assert naming.original(name) is None


def test_a_hint_names_the_offered_tool() -> None:
    """The own name of an offered tool gives its new name; that of a hidden tool gives none."""
    naming = Naming((Namespace("mail"), Filter(deny=("*delete",))))
    naming.offer(tools("search", "delete"))
    assert "mail_search" == naming.hint("search")
    assert naming.hint("delete") is None
    assert naming.hint("other") is None


def test_a_tool_that_came_later_can_be_called() -> None:
    """A tool that is not in the last listing is found by the rules, a hidden one never."""
    naming = Naming((Namespace("mail"), Filter(deny=("*delete",))))
    naming.offer(tools("search"))
    assert "archive" == naming.original("mail_archive")
    assert naming.original("mail_delete") is None


@pytest.mark.parametrize("order", [("old", "new"), ("new", "old")])
def test_the_first_of_two_keeps_the_name(order: tuple[str, str]) -> None:
    """Of two tools with the same name the first gets it; the other is reported as a clash."""
    naming = Naming((Rename((("old", "new"),)),))
    assert ["new"] == list(naming.offer(tools(*order)))
    assert order[0] == naming.original("new")
    assert (order[1],) == naming.clashes
    naming.offer(tools("old"))
    assert () == naming.clashes


def test_names_can_be_swapped() -> None:
    """Two renames that cross each other are done at once."""
    naming = Naming((Rename((("a", "b"), ("b", "a"))),))
    assert ["b", "a"] == list(naming.offer(tools("a", "b")))
    assert ("b", "a") == (naming.original("a"), naming.original("b"))


def test_nothing_to_do_copies_nothing() -> None:
    """Without transforms the definitions are the given ones, in their order."""
    naming = Naming(())
    given_tools = tools("b", "a", "c")
    offered = naming.offer(given_tools)
    assert naming.identity
    assert ["b", "a", "c"] == list(offered)
    assert all(offered[tool["name"]] is tool for tool in given_tools)
    assert "anything" == naming.original("anything")


def test_a_reshaped_answer_has_no_output_schema() -> None:
    """A schema that answers no longer keep to is not offered; the own definition keeps it."""
    tool = {"name": "read", "outputSchema": {"type": "object"}}
    of_all = Naming((ResponseTransform(redact=("password",)),))
    assert {"name": "read"} == of_all.offer([tool])["read"]
    of_one = Naming((), reshaped=lambda name: name == "read")
    other = {**tool, "name": "other"}
    assert [{"name": "read"}, other] == list(of_one.offer([tool, other]).values())
    assert "outputSchema" in tool


_WORDS = st.sampled_from(["a", "b", "ab", "a_a", "b_a", "a_b", "c"])
_PATTERNS = st.sampled_from(["a", "*", "a*", "*b", "a_*", "*_*", "b"])
_CHAINS = st.lists(
    st.one_of(
        st.builds(Namespace, st.sampled_from(["a", "b"]), st.sampled_from(["_", ""])),
        st.builds(
            Filter,
            st.lists(_PATTERNS, max_size=2).map(tuple),
            st.lists(_PATTERNS, max_size=1).map(tuple),
        ),
        st.lists(
            st.tuples(_WORDS, _WORDS),
            min_size=1,
            max_size=3,
            unique_by=(lambda p: p[0], lambda p: p[1]),
        ).map(lambda pairs: Rename(tuple(pairs))),
        st.builds(lambda name: Describe(((name, "Other"),)), _WORDS),
    ),
    max_size=5,
).map(tuple)


@given(
    chain=_CHAINS,
    names=st.lists(_WORDS, max_size=7),
    asked=st.text(alphabet="ab_c", max_size=8),
)
def test_every_offered_name_leads_back(
    chain: tuple[Transform, ...], names: list[str], asked: str
) -> None:
    """For all tools and chains: offered names lead to their tools, and nothing to hidden ones."""
    naming = Naming(chain)
    marked = [{"name": name, "at": at} for at, name in enumerate(names)]
    offered = naming.offer(marked)
    by_place = dict(enumerate(names))
    for name, definition in offered.items():
        assert name == definition["name"]
        assert by_place[definition["at"]] == naming.original(name)
        assert name == naming.hint(by_place[definition["at"]])
    shown = {by_place[definition["at"]] for definition in offered.values()}
    hidden = set(names) - shown
    for name in {asked, *names, *offered}:
        assert naming.original(name) not in hidden
    assert len(names) == len(offered) + len(naming.clashes) + sum(
        1 for name in names if name in hidden and name not in naming.clashes
    )
