"""`mcp-gateway search`: find tools by describing a task, as the AI client does."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

import click

from mcpgw.cli.app import log_options
from mcpgw.cli.exit_codes import NOT_FOUND, OK
from mcpgw.cli.in_process import LEARNING, ask, with_context
from mcpgw.cli.output import form_option, print_json
from mcpgw.meta.context import GatewayContext


@click.command("search")
@click.argument("words", nargs=-1, required=True, metavar="WORDS...")
@click.option("-n", "--limit", type=click.IntRange(1, 25), default=10, show_default=True)
@click.option("--explain", is_flag=True, help="Say what moved a tool up or down.")
@form_option(
    "table", "json", "plain", help_text="Form of the output; plain is one SERVER:TOOL a line."
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

    Servers that were never started are started once, to learn what they offer. Exits with
    the status "not found" where nothing fits.
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
    names = [f"{match['server']}:{match['tool']}" for match in found["matches"]]
    if plain:
        for name in names:
            click.echo(name)
        return
    for word, used in (found.get("corrections") or {}).items():
        click.echo(f"'{word}' was read as '{used}'.", err=True)
    width = max(map(len, names), default=0)
    room = max(20, shutil.get_terminal_size().columns - width - 10)
    for name, match in zip(names, found["matches"], strict=True):
        text = " ".join(match["description"].split())
        if match.get("status") == "disabled":
            text = f"(disabled) {text}"
        shown = text if len(text) <= room else text[: room - 1].rstrip() + "…"
        click.echo(f"{match['score']:6.2f}  {name:<{width}}  {shown}".rstrip())
        for reason in (match.get("ranking") or {}).get("reasons", ()):
            click.echo(f"{'':6}  {'':<{width}}  {reason}")
    if hint := found.get("hint"):
        click.echo(hint, err=True)
