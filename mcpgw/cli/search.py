"""`mcp-gateway search`: tool search, as AI clients use it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any, Final

import click

from mcpgw.cli.app import log_options
from mcpgw.cli.exit_codes import NOT_FOUND, OK
from mcpgw.cli.in_process import ask, at_terminal, learn, timeout_option, with_context
from mcpgw.cli.output import form_option, print_json, say
from mcpgw.meta.context import GatewayContext
from mcpgw.observe.printable import printable

ENOUGH: Final = 10.0
"""Seconds that a search waits for all servers once some have answered."""


@click.command("search")
@click.argument("words", nargs=-1, required=True, metavar="WORDS...")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, 25),
    default=10,
    show_default=True,
    help="Maximum number of tools.",
)
@click.option("--explain", is_flag=True, help="Explain the ranking.")
@form_option(
    "table", "json", "plain", help_text="Output format; plain is one SERVER:TOOL per line."
)
@timeout_option
@log_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    limit: int,
    explain: bool,
    form: str,
    timeout: float | None,
    **options: Any,
) -> None:
    """Find tools by describing a task.

    Servers whose tools are not yet known are started once. Once some have answered, the search
    waits a few seconds for the others. The exit status is 3 if no tool matches.
    """

    async def run(context: GatewayContext) -> int:
        from mcpgw.meta.discovery import search_tools

        await learn(context, timeout, enough=ENOUGH, waiting=_tell_waiting)
        arguments = {"query": " ".join(words), "limit": limit, "explain": explain}
        result = await search_tools(ask(context, arguments))
        found = result["structuredContent"]
        if form == "json":
            print_json(found)
        else:
            _print(found, plain=form == "plain")
        for name in found.get("starting", ()):
            say(
                f"Warning: the tools of '{name}' are not known yet; --timeout waits longer.",
                err=True,
            )
        return OK if found["matches"] and found.get("fits", True) else NOT_FOUND

    ctx.exit(with_context(ctx, options, run))


def _tell_waiting(names: list[str]) -> None:
    say(f"Waiting for {', '.join(names)} ...", err=True)


def _print(found: Mapping[str, Any], *, plain: bool) -> None:
    names = [printable(f"{match['server']}:{match['tool']}") for match in found["matches"]]
    if plain:
        for name in names:
            say(name)
        return
    for word, used in (found.get("corrections") or {}).items():
        say(f"Searched for '{used}' instead of '{word}'.", err=True)
    width = max(map(len, names), default=0)
    room = max(20, shutil.get_terminal_size().columns - width - 10)
    for name, match in zip(names, found["matches"], strict=True):
        text = printable(" ".join(match["description"].split()))
        if match.get("status") == "disabled":
            text = f"(disabled) {text}"
        shown = text if len(text) <= room else text[: room - 1].rstrip() + "…"
        say(f"{match['score']:6.2f}  {name:<{width}}  {shown}".rstrip())
        for reason in (match.get("ranking") or {}).get("reasons", ()):
            say(f"{'':6}  {'':<{width}}  {reason}")
    if hint := found.get("hint"):
        say(at_terminal(hint), err=True)
