"""`mcp-gateway serve`: the gateway, for one client over stdio or many over HTTP."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import click
import trio

from mcpgw.cli.app import log_options, settle
from mcpgw.cli.exit_codes import FAILED, INTERRUPTED
from mcpgw.cli.fast_path import closed_problem, default_mode, loop_problem
from mcpgw.cli.output import say_lines


@click.command("serve")
@click.option(
    "--mode",
    type=click.Choice(["stdio", "http", "proxy", "auto"]),
    default=None,
    help="How clients connect. stdio: one client over stdin and stdout. http: any number over HTTP."
    " proxy: forward stdin and stdout to a running gateway. auto: proxy if a gateway is running,"
    " otherwise stdio. Default: stdio if stdin is a pipe, otherwise http.",
)
@click.option("--stdio", is_flag=True, help="Same as --mode stdio.")
@click.option("--http", is_flag=True, help="Serve HTTP too, in addition to --mode stdio.")
@click.option("--host", default=None, metavar="ADDRESS", help="Address to listen on (127.0.0.1).")
@click.option(
    "-p", "--port", type=click.IntRange(0, 65535), default=None, help="Port to listen on (39400)."
)
@click.option(
    "--allow-unauthenticated",
    is_flag=True,
    help="Listen beyond this machine without a token; something else must guard the address.",
)
@log_options
@click.pass_context
def command(
    ctx: click.Context,
    mode: str | None,
    stdio: bool,
    http: bool,
    host: str | None,
    port: int | None,
    allow_unauthenticated: bool,
    config: str | None,
    log_level: str | None,
    log_format: str | None,
) -> None:
    """Run the gateway for AI clients.

    A client starts this command as a subprocess and uses MCP over stdin and stdout, or connects
    to http://127.0.0.1:39400/mcp. Logs go to stderr. The gateway stops at the end of stdin, if a
    client is connected there, or on Ctrl-C or SIGTERM.
    """
    if stdio and mode not in (None, "stdio"):
        raise click.UsageError(f"--stdio and --mode {mode} are mutually exclusive")
    mode = mode or ("stdio" if stdio else "http" if http else default_mode())
    if http and mode in ("proxy", "auto"):
        raise click.UsageError(f"--http and --mode {mode} are mutually exclusive")
    path = settle(ctx, config, log_level, log_format, level="info")
    config_path = Path(path).expanduser() if path else None
    environ = dict(os.environ)
    closed = closed_problem() if mode != "http" else ""
    if problem := closed or loop_problem(config_path, environ):
        say_lines(f"Error: {problem}", err=True)
        ctx.exit(FAILED)
    if mode in ("proxy", "auto"):
        from mcpgw.gateway.discovery import find_running_gateway
        from mcpgw.gateway.proxy import serve_proxy

        running = find_running_gateway(config_path, environ, host=host, port=port)
        if mode == "proxy" or running is not None:
            ctx.exit(_run(serve_proxy, config_path, environ, host, port))
        mode = "stdio"
    from mcpgw.gateway import tree

    serving = tree.ServeOptions(
        config_path,
        environ,
        stdio=mode == "stdio",
        http=http or mode == "http",
        host=host,
        port=port,
        allow_unauthenticated=allow_unauthenticated,
    )
    ctx.exit(_run(tree.run, serving))


def _run(main: Callable[..., Awaitable[int]], *arguments: object) -> int:
    try:
        return trio.run(main, *arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
