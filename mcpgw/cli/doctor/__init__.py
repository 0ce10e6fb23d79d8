"""`mcp-gateway doctor`: what is wrong with configuration, servers and trust, and what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcpgw.cli.app import log_options, settle
from mcpgw.cli.exit_codes import FAILED, OK
from mcpgw.cli.output import form_option, print_json

if TYPE_CHECKING:
    from mcpgw.cli.doctor.check import Check


@click.command("doctor", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--fix", is_flag=True, help="Mend what can be mended without harm.")
@form_option(
    "table",
    "json",
    "plain",
    help_text="Form of the output; plain is a line for each check, parted by tabs.",
)
@log_options
@click.pass_context
def command(ctx: click.Context, /, fix: bool, form: str, **options: Any) -> None:
    """Look for what is wrong, and say what to do. The status is 1 where a check fails."""
    from mcpgw.cli.doctor.check import mended, report

    given = settle(ctx, **options, level="error")
    environ = dict(os.environ)
    path = Path(given).expanduser() if given else None
    checks = list(look(path, environ))
    if fix:
        checks = mended(checks)
        if any(each.applied and each.category == "config" for each in checks):
            checks = [*(each for each in checks if each.applied), *look(path, environ)]
    failed = any(each.status == "fail" for each in checks)
    if form == "json":
        print_json(report(checks))
    elif form == "plain":
        for each in checks:
            click.echo(f"{each.status}\t{each.category}\t{each.label}\t{each.detail}")
    else:
        _print(checks)
    ctx.exit(FAILED if failed else OK)


def look(path: Path | None, environ: Mapping[str, str]) -> Iterator[Check]:
    """Make all checks; those behind the configuration's only where it can be used."""
    from mcpgw.cli.doctor.configuration import look_at_config, look_at_state
    from mcpgw.cli.doctor.servers import look_at_front, look_at_servers
    from mcpgw.cli.doctor.trust import look_at_capabilities, look_at_definitions
    from mcpgw.state.folder import state_folder

    checks, loaded = look_at_config(path, environ, Path.cwd())
    yield from checks
    if loaded is None:
        return
    folder = state_folder(environ)
    yield from look_at_front(loaded, environ)
    yield from look_at_servers(loaded)
    yield from look_at_definitions(loaded, folder)
    yield from look_at_capabilities(loaded, folder)
    yield from look_at_state(folder)


def _print(checks: list[Check]) -> None:
    colours = {"pass": "green", "fail": "red", "warn": "yellow"}
    click.echo("MCP Gateway doctor\n")
    for each in checks:
        mark = click.style(f"[{each.status.upper()}]", fg=colours[each.status])
        click.echo(f"{mark} {each.label}: {each.detail}")
        if each.applied:
            click.echo(f"       Mended: {each.applied}")
            continue
        if each.hint and each.status != "pass":
            click.echo(f"       Hint: {each.hint}")
        if each.command and each.status != "pass":
            click.echo(f"       {each.command}")
    counts = {s: sum(each.status == s for each in checks) for s in ("pass", "fail", "warn")}
    said = [f"{counts['pass']} checks passed"]
    said += [f"{counts['fail']} failed"] if counts["fail"] else []
    said += [f"{counts['warn']} warnings"] if counts["warn"] else []
    click.echo(f"\n{', '.join(said)}")
    if any(each.repair is not None and each.status != "pass" for each in checks):
        click.echo("Some of it can be mended by itself: mcp-gateway doctor --fix")
