"""`mcp-gateway validate`: lints tool definitions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

import click

from mcpgw.cli.exit_codes import FAILED, OK, USAGE
from mcpgw.cli.output import form_option, print_json, say, say_lines
from mcpgw.validation.model import Severity


@click.command("validate", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@form_option("text", "json", "sarif", help_text="Report format.")
@click.option(
    "-s", "--severity", type=click.Choice(["fail", "warn", "info"]), default="info",
    help="Minimum severity to show.",
)  # fmt: skip
@click.option("--fix", is_flag=True, help="Fix missing types and names that are not snake_case.")
@click.option("--dry-run", is_flag=True, help="With --fix: show the changes without writing them.")
@click.option(
    "--repin", is_flag=True, help="With --fix: also change pinned files, and pin them again."
)
@click.option("--no-color", is_flag=True, help="Disable colours.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    paths: tuple[Path, ...],
    form: str,
    severity: str,
    fix: bool,
    dry_run: bool,
    repin: bool,
    no_color: bool,
) -> None:
    """Lint tool definitions.

    PATHS are capability files, folders of them, or JSON files with MCP tool definitions. The exit
    status is 0 if all rules pass, 1 if a rule fails, 2 if a file cannot be read.
    """
    from mcpgw.validation import output_formats
    from mcpgw.validation.report import report

    unfixed = _fix(paths, dry_run=dry_run, repin=repin) if fix else False
    if fix and dry_run:
        ctx.exit(FAILED if unfixed else OK)
    found = report(paths)
    least = cast(Severity, severity.upper())
    if form == "text":
        colour = not no_color and sys.stdout.isatty()
        click.echo(output_formats.as_text(found, least, colour=colour), color=colour)
    else:
        made = (
            output_formats.as_json(found, least)
            if form == "json"
            else output_formats.as_sarif(found, least)
        )
        print_json(made)
    if found.broken or not (found.tools or found.notes):
        if not (found.tools or found.broken):
            say("No tools found.", err=True)
        ctx.exit(USAGE)
    ctx.exit(FAILED if found.failed or unfixed else OK)


def _fix(paths: tuple[Path, ...], *, dry_run: bool, repin: bool) -> bool:
    """Fix files. Return true if a file could not be fixed."""
    from mcpgw.capabilities.parsing import SUFFIXES
    from mcpgw.cli.cap.common import files_of
    from mcpgw.validation.fixes import CannotFix, apply, plan

    unfixed = False
    for path in files_of(paths):
        if path.suffix not in SUFFIXES:
            continue
        try:
            fix = plan(path, repin=repin)
            if fix is None:
                continue
            if dry_run:
                say_lines(fix.diff())
                continue
            apply(fix)
            say(f"Fixed {fix.target}: {'; '.join(fix.done)}", err=True)
        except CannotFix as error:
            unfixed = True
            say_lines(f"Not fixed: {error}", err=True)
    return unfixed
