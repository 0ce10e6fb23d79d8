"""Command group that imports the module of a command when it is called."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from mcpgw import __version__
from mcpgw.cli.exit_codes import INTERRUPTED, OK
from mcpgw.cli.standard_streams import with_output
from mcpgw.config.environment import CONFIG, LOG_FORMAT, LOG_LEVEL
from mcpgw.observe import log

_COMMANDS: Final = {
    "approvals": ("mcpgw.cli.approvals", "Review and accept definitions of servers."),
    "auth": ("mcpgw.cli.auth", "Log in to and out of servers and APIs that require OAuth."),
    "bridge": ("mcpgw.cli.bridge", "Serve one MCP server over another transport."),
    "cap": ("mcpgw.cli.cap", "Manage capabilities: APIs as tools, in YAML files."),
    "doctor": ("mcpgw.cli.doctor", "Diagnose configuration, servers and state."),
    "init": ("mcpgw.cli.init", "Create a gateway.yaml."),
    "serve": ("mcpgw.cli.serve", "Run the gateway for AI clients."),
    "search": ("mcpgw.cli.search", "Find tools by describing a task."),
    "skills": ("mcpgw.cli.skills", "Import, search and read Agent Skills."),
    "stats": ("mcpgw.cli.stats", "Show usage, latency and cost of tools."),
    "validate": ("mcpgw.cli.validation", "Lint tool definitions."),
    "tool": ("mcpgw.cli.tool", "List, inspect and call tools."),
}


class LazyGroup(click.Group):
    """Group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted(_COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command of the arguments; fail with the closest name for an unknown one."""
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            from mcpgw.text.did_you_mean import did_you_mean

            ctx.fail(f"No such command {args[0]!r}.{did_you_mean(args[0], _COMMANDS)}")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command's module and return its `command`."""
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(_COMMANDS[cmd_name][0])
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][1]) for name in self.list_commands(ctx)])


Function = TypeVar("Function", bound=Callable[..., Any])


def log_options(function: Function) -> Function:
    """Add the options that all commands have."""
    function = click.option(
        "--log-format",
        default=None,
        type=click.Choice(log.FORMS),
        help="Format of log lines on stderr (text).",
    )(function)
    function = click.option(
        "--log-level",
        default=None,
        type=click.Choice(list(log.LEVELS), case_sensitive=False),
        help="Minimum level of log lines (serve: info, other commands: warning).",
    )(function)
    return click.option(
        "-c",
        "--config",
        default=None,
        metavar="FILE",
        help="The gateway.yaml to use; searched in the default locations if unset.",
    )(function)


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit statuses and environment variables: docs/reference.md",
)
@click.version_option(__version__, "-V", "--version", message="mcp-gateway %(version)s")
@log_options
@click.pass_context
def group(
    ctx: click.Context, config: str | None, log_level: str | None, log_format: str | None
) -> None:
    """One MCP server in front of all your MCP servers."""
    ctx.obj = {"config": config, "log_level": log_level, "log_format": log_format}
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
        ctx.exit(OK)


def settle(
    ctx: click.Context,
    config: str | None,
    log_level: str | None,
    log_format: str | None,
    *,
    level: str,
) -> str | None:
    """Configure logging and return the path of the configuration file.

    Options after the name of the command take precedence over options before it, which take
    precedence over environment variables.

    Args:
      ctx: the context of the command.
      config: the value of `--config`.
      log_level: the value of `--log-level`.
      log_format: the value of `--log-format`.
      level: the default log level of the command.
    """
    above = ctx.find_root().obj or {}
    chosen = log_level or above.get("log_level") or os.environ.get(LOG_LEVEL) or level
    form = log_format or above.get("log_format") or os.environ.get(LOG_FORMAT) or "text"
    if chosen.lower() not in log.LEVELS:
        raise click.UsageError(
            f"{LOG_LEVEL} must be one of {', '.join(log.LEVELS)}, not {chosen!r}"
        )
    if form not in log.FORMS:
        raise click.UsageError(f"{LOG_FORMAT} must be one of {', '.join(log.FORMS)}, not {form!r}")
    log.configure(level=chosen, form=form)
    return config or above.get("config") or os.environ.get(CONFIG)


def app() -> None:
    """Run the command line and exit with its status."""
    for stream in (sys.stdout, sys.stderr):
        # Lone surrogates (`\ud800` is valid JSON), and characters the terminal cannot show.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(with_output(_run_group))


def _run_group() -> int:
    try:
        group(prog_name="mcp-gateway")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return INTERRUPTED
    return OK
