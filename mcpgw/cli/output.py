"""The forms in which commands print: text for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])


def form_option(
    *forms: str, default: str = "", help_text: str = "Form of the output."
) -> Callable[[Function], Function]:
    """Return what adds the choice between forms, the first of which is the default if no other is
    named."""
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
    """Print a value as JSON for people and programs."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))
