"""`mcp-gateway serve`: the help and the errors of the command that `mcpgw.cli.quick` runs."""

from __future__ import annotations

import sys

import click

from mcpgw.cli.app import log_options, settle


@click.command("serve")
@click.option(
    "--mode",
    type=click.Choice(["stdio"]),
    default=None,
    help="How clients reach the gateway. stdio: one client over stdin and stdout.",
)
@click.option("--stdio", is_flag=True, help="The same as --mode stdio.")
@log_options
@click.pass_context
def command(
    ctx: click.Context,
    mode: str | None,
    stdio: bool,
    config: str | None,
    log_level: str | None,
    log_format: str | None,
) -> None:
    """Run the gateway for an AI client.

    The client starts this command as a subprocess and speaks MCP with it over stdin and
    stdout; logs go to stderr. It ends when its input ends.
    """
    if mode is None and not stdio and sys.stdin.isatty():
        raise click.UsageError("give --mode stdio (the HTTP front is not part of this version)")
    path = settle(ctx, config, log_level, log_format, level="info")
    from mcpgw.cli.quick import serve

    ctx.exit(serve(config=path or ""))
