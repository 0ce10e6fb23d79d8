"""Help texts: the lists of commands are complete sentences."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import mcpgw.cli
from mcpgw.cli.app import group

LIMIT = 60
"""Characters of a help text in a list of commands."""


def commands(parent: click.Group, *names: str) -> Iterator[tuple[str, click.Command]]:
    """Yield all commands with their path."""
    context = click.Context(parent)
    for name in parent.list_commands(context):
        command = parent.get_command(context, name)
        assert command is not None
        yield " ".join((*names, name)), command
        if isinstance(command, click.Group):
            yield from commands(command, *names, name)


COMMANDS = dict(commands(group))


@pytest.mark.parametrize("path", COMMANDS)
def test_short_help_is_not_cut(path: str) -> None:
    """The first sentence fits the list of commands."""
    text = COMMANDS[path].get_short_help_str(LIMIT)
    assert not text.endswith("...")
    assert text.endswith(".")
    assert LIMIT >= len(text)


def test_lists_are_not_cut() -> None:
    """In 80 columns, each command has one line in the help of its group, as in its own help."""
    for path, command in {"": group, **COMMANDS}.items():
        if isinstance(command, click.Group):
            context = click.Context(command, info_name="mcp-gateway", terminal_width=80)
            listed = command.get_help(context).partition("Commands:\n")[2]
            for name in command.list_commands(context):
                own = COMMANDS[f"{path} {name}".strip()].get_short_help_str(LIMIT)
                assert f"  {own}\n" in f"{listed}\n", (path, name)


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_is_explained(path: str) -> None:
    """No option is without a help text."""
    options = [each for each in COMMANDS[path].params if isinstance(each, click.Option)]
    assert [] == [each.name for each in options if not each.help]


def test_lines_are_printed_one_by_one() -> None:
    """`say` escapes line breaks, so a text of the program that contains one is a mistake."""
    found = [
        f"{path.name}:{node.lineno}"
        for path in Path(mcpgw.cli.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say"
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and "\n" in str(part.value)
    ]
    assert [] == found
