"""`mcp-gateway cap validate`, `pin` and `verify`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcpgw.cli.app import log_options
from mcpgw.cli.cap.common import files_of, scanned
from mcpgw.cli.configuration import configured
from mcpgw.cli.exit_codes import FAILED, OK
from mcpgw.cli.output import format_option, print_json
from mcpgw.text.plural import plural

if TYPE_CHECKING:
    from mcpgw.capabilities.model import Provider


@click.command("validate")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@format_option
@click.pass_context
def validate_command(ctx: click.Context, /, paths: tuple[Path, ...], form: str) -> None:
    """Check that capability files are valid.

    PATHS are files or folders.
    """
    rows = [_checked(path) for path in files_of(paths)]
    if form == "json":
        print_json(rows)
    for row in rows if form == "text" else ():
        if row["valid"]:
            click.echo(f"{row['name']} - valid")
            click.echo(f"  {row['description']}")
            click.echo(f"  Provider: {row['provider']}")
            if row["url"]:
                click.echo(f"  URL: {row['url']}")
            click.echo(f"  Auth: {row['auth']}")
        for problem in row["problems"]:
            mark = "ERROR" if problem["severity"] == "error" else "WARN"
            where = row["file"] + (f":{problem['line']}" if problem["line"] else "")
            click.echo(f"[{mark}] {problem['code']} {where}: {problem['message']}", err=True)
    if not rows:
        click.echo("No capability files found.", err=True)
    ctx.exit(OK if rows and all(row["valid"] for row in rows) else FAILED)


def _checked(path: Path) -> dict[str, Any]:
    from mcpgw.capabilities.parsing import read_capability, structural_problems
    from mcpgw.capabilities.pins import PinProblem, read_pin
    from mcpgw.config.problems import ConfigError

    row: dict[str, Any] = {"file": str(path), "valid": False, "problems": []}
    try:
        data = path.read_bytes()
        pinned = read_pin(data)
    except (OSError, PinProblem) as error:
        reason = getattr(error, "strerror", None) or str(error)
        row["problems"] = [_problem("CAP-000", None, reason)]
        return row
    found = structural_problems(path, data)
    row["problems"] = [
        {"code": p.code, "severity": p.severity, "line": p.line, "message": p.message}
        for p in found
    ]
    if not pinned.holds:
        row["problems"].append(_problem("CAP-PIN", 1, pinned.mismatch(path)))
    try:
        capability, _ = read_capability(path, data)
    except ConfigError:
        return row
    blocked, doubts = scanned(capability, data)
    row["problems"] += [_problem("AX-010", None, text) for text in blocked]
    row["problems"] += [_problem("AX-010", None, text, "warn") for text in doubts]
    primary = capability.primary
    method = _described(primary) if primary else "webhooks only"
    auth = capability.auth
    row |= {
        "valid": pinned.holds and not blocked,
        "name": capability.name,
        "description": capability.description,
        "provider": method,
        "url": (primary.config.endpoint or primary.config.base_url + primary.config.path)
        if primary
        else "",
        "auth": f"{auth.type or 'bearer'} ({auth.key or auth.grant})" if auth.used else "none",
        "pinned": bool(pinned.pin),
        "sha256": pinned.actual,
    }
    return row


def _described(provider: Provider) -> str:
    """Return the service of a provider with what it calls."""
    config = provider.config
    target = {
        "rest": config.method,
        "jsonrpc": config.method,
        "mcp": f"{config.server}: {config.tool}",
        "cli": str(config.command[0]) if config.command else "",
    }.get(provider.service)
    return f"{provider.service} ({target})" if target else provider.service


def _problem(code: str, line: int | None, message: str, severity: str = "error") -> dict[str, Any]:
    return {"code": code, "severity": severity, "line": line, "message": message}


@click.command("pin")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@format_option
@click.pass_context
def pin_command(ctx: click.Context, /, paths: tuple[Path, ...], form: str) -> None:
    """Pin files to their current content.

    The pin is the hash of the file without its `sha256:` line, as printed by `grep -v '^sha256:'
    FILE | sha256sum`. Pinning a quarantined file releases it.
    """
    status = OK
    rows = []
    for path in files_of(paths):
        row, message = _pinned(path)
        if message:
            click.echo(f"Error: {message}", err=True)
            status = FAILED
        else:
            rows.append(row)
            if form == "text":
                click.echo(f"Pinned {row['file']}\n  sha256: {row['sha256']}")
    if form == "json":
        print_json(rows)
    if not rows and status == OK:
        click.echo("No capability files found.", err=True)
        status = FAILED
    ctx.exit(status)


def _pinned(path: Path) -> tuple[dict[str, Any], str]:
    from mcpgw.capabilities.pinning import pin_file
    from mcpgw.state.folder import state_folder

    try:
        digest = pin_file(path, state_folder(os.environ))
    except ValueError as error:
        return {}, str(error)
    return {"file": str(path), "sha256": digest}, ""


@click.command("verify")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@format_option
@log_options
@click.pass_context
def verify_command(
    ctx: click.Context, /, paths: tuple[Path, ...], form: str, **options: Any
) -> None:
    """Verify pins, and list quarantined files.

    Without PATHS, all configured files are verified.
    """
    from mcpgw.capabilities.builtin import folders_of
    from mcpgw.capabilities.pins import PinProblem, read_pin

    loaded, here = configured(ctx, options)
    named, _ = folders_of(loaded.config.capabilities, here)
    wanted = list(files_of(paths or named))
    quarantined = _quarantined()
    rows = []
    for path in wanted:
        try:
            pinned = read_pin(path.read_bytes())
        except (OSError, PinProblem) as error:
            reason = getattr(error, "strerror", None) or str(error)
            rows.append({"file": str(path), "state": "broken", "reason": reason})
            continue
        state = "pinned" if pinned.pin else "unpinned"
        row = {"file": str(path), "state": state, "sha256": pinned.actual}
        if not pinned.holds:
            row |= {"state": "mismatch", "reason": pinned.mismatch(path)}
        elif (reason := quarantined.get(str(path.resolve()))) is not None:
            row |= {"state": "quarantined", "reason": reason}
        rows.append(row)
    bad = [row for row in rows if row["state"] not in ("pinned", "unpinned")]
    if form == "json":
        print_json(rows)
    else:
        for row in bad:
            click.echo(f"{row['state'].upper()} {row['file']}\n  {row['reason']}", err=True)
        unpinned = sum(row["state"] == "unpinned" for row in rows)
        click.echo(f"{plural(len(rows), 'file')}: {len(bad)} invalid, {unpinned} without a pin.")
    ctx.exit(FAILED if bad else OK)


def _quarantined() -> dict[str, str]:
    from mcpgw.state.folder import state_folder
    from mcpgw.trust.approvals import ApprovalStore

    _, quarantined = ApprovalStore.of(state_folder(os.environ)).files()
    return {path: each.reason for path, each in quarantined.items()}
