"""`${NAME}` in settings, and the splitting of commands."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.config.expansion import Expanded, expand, expand_home, malformed, split_command

ENVIRON = {"A": "one", "EMPTY": "", "NESTED": "${A}", "lower": "small", "HOME": "/home/ann"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain $A $$ {A}", "plain $A $$ {A}"),
        ("${A}", "one"),
        ("x${A}y${A}z", "xoneyonez"),
        ("${A:-two}", "one"),
        ("${NO:-two words}", "two words"),
        ("${NO:-}", ""),
        ("${EMPTY:-two}", ""),
        ("${NESTED}", "${A}"),
        ("${lower}", "small"),
        ("$${A}", "$one"),
        ("${1A}", "${1A}"),
        ("${A-b}", "${A-b}"),
        ("${", "${"),
    ],
)
def test_references(text: str, expanded: str) -> None:
    """References are replaced in one pass; text that only resembles one stays."""
    assert Expanded(expanded) == expand(text, ENVIRON)


def test_unset_variables_are_named_once_each() -> None:
    """An unset variable becomes nothing, and its name is given once."""
    assert Expanded("a--one", ("NO", "NEITHER")) == expand("a${NO}-${NEITHER}-${NO}${A}", ENVIRON)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [("${A} ${B:-c}", False), ("$A", False), ("${A", True), ("${A-b}", True), ("${${A}}", True)],
)
def test_malformed_references_are_noticed(text: str, wrong: bool) -> None:
    """A `${` without a valid reference is reported."""
    assert wrong is malformed(text)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("npx -y pkg", ["npx", "-y", "pkg"]),
        ("run 'a b' \"c d\" e\\ f", ["run", "a b", "c d", "e f"]),
        ("run ${A:-x y} '${B}'z", ["run", "${A:-x y}", "${B}z"]),
        ('run ${A:-"q"}', ["run", '${A:-"q"}']),
        ("run a|b; c # d", ["run", "a|b;", "c", "#", "d"]),
        ("run ''", ["run", ""]),
    ],
)
def test_commands_are_split_like_a_shell_does(command: str, words: list[str]) -> None:
    """Quotes and backslashes hold words together, and so does a reference."""
    assert words == split_command(command)


@pytest.mark.parametrize("command", ["run 'open", 'run "open', "run \\", "run \0"])
def test_commands_with_open_quotes_are_refused(command: str) -> None:
    """A command that cannot be split is refused, without its text."""
    with pytest.raises(ValueError, match=r"has an unclosed quote|must not contain NUL") as caught:
        split_command(command)
    assert "open" not in str(caught.value)


@given(st.lists(st.text(st.characters(blacklist_characters="\0$", codec="utf-8"))))
def test_quoted_words_come_back(words: list[str]) -> None:
    """Text quoted by shlex is split into the same words, unusual characters included."""
    assert words == split_command(shlex.join(words))


@pytest.mark.parametrize(
    ("path", "expanded"),
    [("~", "/home/ann"), ("~/x", "/home/ann/x"), ("/a/~", "/a/~"), ("x~", "x~")],
)
def test_home_is_that_of_the_environment_given(path: str, expanded: str) -> None:
    """A leading `~` is HOME of the layered environment, not of the process."""
    assert expanded == expand_home(path, ENVIRON)
