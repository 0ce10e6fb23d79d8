"""Output formats of commands: text for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

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


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))
