"""`mcp-gateway doctor`: diagnoses configuration, servers, trust and state."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcpgw.cli.app import log_options, settle
from mcpgw.cli.exit_codes import FAILED, OK
from mcpgw.cli.output import form_option, one_line, print_json, say, say_lines
from mcpgw.text.plural import plural

if TYPE_CHECKING:
    from mcpgw.cli.doctor.check import Check


@click.command("doctor", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--fix", is_flag=True, help="Fix what can be fixed safely.")
@form_option(
    "table",
    "json",
    "plain",
    help_text="Output format; plain is one line per check, tab-separated.",
)
@log_options
@click.pass_context
def command(ctx: click.Context, /, fix: bool, form: str, **options: Any) -> None:
    """Diagnose configuration, servers and state.

    The exit status is 1 if a check fails.
    """
    from mcpgw.cli.doctor.check import repaired, report

    given = settle(ctx, **options, level="error")
    environ = dict(os.environ)
    path = Path(given).expanduser() if given else None
    checks = list(run_checks(path, environ))
    if fix:
        checks = repaired(checks)
        if any(each.applied and each.category == "config" for each in checks):
            checks = [*(each for each in checks if each.applied), *run_checks(path, environ)]
    failed = any(each.status == "fail" for each in checks)
    if form == "json":
        print_json(report(checks))
    elif form == "plain":
        for each in checks:
            words = (each.status, each.category, each.label, each.detail)
            say_lines("\t".join(map(one_line, words)))
    else:
        _print(checks)
    ctx.exit(FAILED if failed else OK)


def run_checks(path: Path | None, environ: Mapping[str, str]) -> Iterator[Check]:
    """Run all checks. If the configuration is not valid, run only that check."""
    from mcpgw.cli.doctor.configuration import check_config, check_state
    from mcpgw.cli.doctor.servers import check_front, check_servers
    from mcpgw.cli.doctor.trust import check_capabilities, check_definitions
    from mcpgw.state.folder import state_folder

    checks, loaded = check_config(path, environ, Path.cwd())
    yield from checks
    if loaded is None:
        return
    folder = state_folder(environ)
    yield from check_front(loaded, environ)
    yield from check_servers(loaded)
    yield from check_definitions(loaded, folder)
    yield from check_capabilities(loaded, folder)
    yield from check_state(folder)


def _print(checks: list[Check]) -> None:
    colours = {"pass": "green", "fail": "red", "warn": "yellow"}
    say_lines("MCP Gateway doctor\n")
    for each in checks:
        mark = click.style(f"[{each.status.upper()}]", fg=colours[each.status])
        click.echo(f"{mark} {one_line(each.label)}: {one_line(each.detail)}")
        if each.applied:
            say(f"       Fixed: {each.applied}")
            continue
        if each.hint and each.status != "pass":
            say(f"       Hint: {one_line(each.hint)}")
        if each.command and each.status != "pass":
            say(f"       {each.command}")
    counts = {s: sum(each.status == s for each in checks) for s in ("pass", "fail", "warn")}
    summary = [f"{plural(counts['pass'], 'check')} passed"]
    summary += [f"{counts['fail']} failed"] if counts["fail"] else []
    summary += [plural(counts["warn"], "warning")] if counts["warn"] else []
    say_lines(f"\n{', '.join(summary)}")
    if any(each.repair is not None and each.status != "pass" for each in checks):
        say("Some problems can be fixed automatically: mcp-gateway doctor --fix")
