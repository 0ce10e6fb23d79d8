"""`mcp-gateway search`: tool search, as AI clients use it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

import click

from mcpgw.cli.app import log_options
from mcpgw.cli.exit_codes import NOT_FOUND, OK
from mcpgw.cli.in_process import LEARNING, ask, with_context
from mcpgw.cli.output import form_option, print_json, say
from mcpgw.meta.context import GatewayContext
from mcpgw.observe.printable import printable


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
@log_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    limit: int,
    explain: bool,
    form: str,
    **options: Any,
) -> None:
    """Find tools by describing a task.

    Servers whose tools are not yet known are started once. The exit status is 3 if no tool
    matches.
    """

    async def run(context: GatewayContext) -> int:
        from mcpgw.meta.discovery import search_tools

        await context.pool.learn(patience=LEARNING, thorough=True)
        arguments = {"query": " ".join(words), "limit": limit, "explain": explain}
        result = await search_tools(ask(context, arguments))
        found = result["structuredContent"]
        if form == "json":
            print_json(found)
        else:
            _print(found, plain=form == "plain")
        return OK if found["matches"] and found.get("fits", True) else NOT_FOUND

    ctx.exit(with_context(ctx, options, run))


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
        say(hint, err=True)
