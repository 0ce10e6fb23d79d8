"""Output of commands: text for people, JSON for programs.

Names, descriptions and errors of servers are foreign. No command writes them to a terminal as they
are; all output goes through the functions here, which escape control characters.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from mcpgw.observe.printable import printable, printable_json, printable_lines

Function = TypeVar("Function", bound=Callable[..., Any])


def form_option(
    *forms: str, default: str = "", help_text: str = "Output format."
) -> Callable[[Function], Function]:
    """Return a decorator that adds the option `--format`.

    Args:
      forms: the formats.
      default: the default format; the first one if empty.
      help_text: the help text of the option.
    """
    return click.option(
        "-f",
        "--format",
        "form",
        type=click.Choice(forms),
        default=default or forms[0],
        show_default=True,
        help=help_text,
    )


format_option: Final = form_option("text", "json")


def say(line: str, *, err: bool = False) -> None:
    """Print one line. A line break within it is escaped, so that no value can forge a line."""
    click.echo(printable(line), err=err)


def one_line(text: str) -> str:
    """Return a text on one line, for a table or list."""
    return printable(" ".join(text.splitlines()))


def say_lines(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text of several lines; only its line breaks and tabs reach the terminal as such."""
    click.echo(printable_lines(text), err=err, nl=nl)


def pretty(value: Any) -> str:
    """Return a value as indented JSON, with control characters as escapes of JSON."""
    return printable_json(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(pretty(value))


def print_result(text: str, *, err: bool = False) -> None:
    """Print a text of a result: as it is for a program, with escapes for a terminal."""
    stream = sys.stderr if err else sys.stdout
    # With `color` click strips nothing from what goes to a program.
    click.echo(printable_lines(text) if stream.isatty() else text, err=err, color=True)
