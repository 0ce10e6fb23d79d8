"""`mcp-gateway validate`: are tools good for an agent?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import cast

import click

from mcpgw.cli.exit_codes import FAILED, OK, USAGE
from mcpgw.cli.output import form_option
from mcpgw.validation.model import Severity


@click.command("validate", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@form_option("text", "json", "sarif", help_text="Form of the report.")
@click.option(
    "-s", "--severity", type=click.Choice(["fail", "warn", "info"]), default="info",
    help="The least severity that is shown.",
)  # fmt: skip
@click.option("--fix", is_flag=True, help="Mend what can be mended without inventing anything.")
@click.option("--dry-run", is_flag=True, help="With --fix: show the differences, write nothing.")
@click.option("--repin", is_flag=True, help="With --fix: change pinned files too, and pin them.")
@click.option("--no-color", is_flag=True, help="No colours.")
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
    """Look at tools with an agent's eyes: capability files, folders of them, or JSON lists of
    MCP tool definitions.

    The exit status is 0 where no rule fails, 1 where one does, 2 where a file cannot be read.
    """
    from mcpgw.validation import output_formats
    from mcpgw.validation.report import report

    unfixed = _mend(paths, dry_run=dry_run, repin=repin) if fix else False
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
        click.echo(json.dumps(made, indent=2, ensure_ascii=False))
    if found.broken or not (found.tools or found.notes):
        if not (found.tools or found.broken):
            click.echo("No tools there.", err=True)
        ctx.exit(USAGE)
    ctx.exit(FAILED if found.failed or unfixed else OK)


def _mend(paths: tuple[Path, ...], *, dry_run: bool, repin: bool) -> bool:
    """Mend files; tell whether one had to be left as it is."""
    from mcpgw.capabilities.parsing import SUFFIXES
    from mcpgw.cli.cap.common import files_of
    from mcpgw.validation.fixes import CannotFix, apply, plan

    left = False
    for path in files_of(paths):
        if path.suffix not in SUFFIXES:
            continue
        try:
            fix = plan(path, repin=repin)
            if fix is None:
                continue
            if dry_run:
                click.echo(fix.diff())
                continue
            apply(fix)
            click.echo(f"Mended {fix.target}: {'; '.join(fix.done)}", err=True)
        except CannotFix as error:
            left = True
            click.echo(f"Not mended: {error}", err=True)
    return left
