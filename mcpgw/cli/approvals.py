"""`mcp-gateway approvals`: changed definitions of servers, and their approval."""

from __future__ import annotations

import difflib
import json
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from mcpgw.cli.app import log_options, settle
from mcpgw.cli.configuration import usable_state_folder
from mcpgw.cli.exit_codes import FAILED, NOT_FOUND, OK
from mcpgw.cli.output import format_option, print_json, say, say_lines
from mcpgw.text.plural import plural

if TYPE_CHECKING:
    from mcpgw.trust.approvals import ApprovalStore, ApprovedDefinition


@click.group("approvals", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Review and accept changed definitions of servers.

    A definition is accepted when it is first seen. Later changes are listed here as pending.
    Until a change is accepted, `security.definition_changes` in gateway.yaml determines how it is
    handled.
    """


@command.command("list")
@click.argument("server", required=False, default="")
@click.option("--all", "everything", is_flag=True, help="Include unchanged definitions.")
@format_option
@log_options
@click.pass_context
def list_command(
    ctx: click.Context, /, server: str, everything: bool, form: str, **options: Any
) -> None:
    """List pending changes.

    Only those of SERVER, if given.
    """
    settle(ctx, **options, level="error")
    store = _store()
    found = [d for d in _definitions(ctx, store, server) if everything or d.pending_hash]
    _, quarantined = store.files()
    files = [] if server else sorted(quarantined.values(), key=lambda each: each.path)
    if form == "json":
        rows = [_row(each) for each in found]
        print_json(
            {
                "definitions": rows,
                "files": [{"file": f.path, "name": f.name, "reason": f.reason} for f in files],
            }
        )
        ctx.exit(OK)
    for each in found:
        when = _when(each.pending_at if each.pending_hash else each.at)
        state = "CHANGED" if each.pending_hash else "accepted"
        say(f"{state}  {each.server}  {each.kind}  {each.name}  ({when})")
    for file in files:
        say(f"QUARANTINED  {file.path}  ({_when(file.at)})")
        say(f"  {file.reason}")
    waiting = sum(bool(each.pending_hash) for each in found)
    if waiting:
        say(
            f"\n{plural(waiting, 'pending change')}."
            " Review: mcp-gateway approvals show SERVER [NAME]"
        )
    elif not found and not files:
        say("No pending changes.")
    ctx.exit(OK)


@command.command("show")
@click.argument("server")
@click.argument("name", required=False, default="")
@format_option
@log_options
@click.pass_context
def show_command(ctx: click.Context, /, server: str, name: str, form: str, **options: Any) -> None:
    """Show the pending changes of a server.

    With NAME, show that definition, even if it has not changed.
    """
    settle(ctx, **options, level="error")
    found = [
        each
        for each in _definitions(ctx, _store(), server)
        if (each.name == name if name else each.pending_hash)
    ]
    if not found:
        what = f"'{name}' of '{server}'" if name else f"'{server}'"
        known = "is not known" if name else "has no pending changes"
        say(f"Error: {what} {known}.", err=True)
        ctx.exit(NOT_FOUND)
    if form == "json":
        print_json([_row(each, whole=True) for each in found])
        ctx.exit(OK)
    for each in found:
        say(f"{each.kind} {each.name} of {each.server}")
        for line in diff(each) if each.pending_hash else _lines(each.definition):
            say_lines(line)
        say("")
    ctx.exit(OK)


@command.command("accept")
@click.argument("server")
@click.argument("names", nargs=-1)
@click.option("--kind", default="", help="Only definitions of this kind, such as tool.")
@format_option
@log_options
@click.pass_context
def accept_command(
    ctx: click.Context, /, server: str, names: tuple[str, ...], kind: str, form: str, **options: Any
) -> None:
    """Accept the pending changes of a server.

    With NAMES, only those of the definitions with these names. A running gateway adopts them
    within two seconds.
    """
    settle(ctx, **options, level="error")
    store = _store()
    waiting = [
        each
        for each in _definitions(ctx, store, server)
        if each.pending_hash and (not names or each.name in names) and kind in ("", each.kind)
    ]
    missing = sorted(set(names) - {each.name for each in waiting})
    if missing or not waiting:
        what = ", ".join(missing) if missing else f"'{server}'"
        say(f"Error: no pending changes of {what}.", err=True)
        ctx.exit(NOT_FOUND)
    accepted = store.accept((each.server, each.kind, each.name) for each in waiting)
    if form == "json":
        print_json([_row(each) for each in accepted])
    else:
        for each in accepted:
            say(f"Accepted {each.kind} {each.name} of {each.server}")
    ctx.exit(OK)


def diff(each: ApprovedDefinition) -> list[str]:
    """Return the lines of a unified diff between the accepted and the pending definition."""
    old, new = _lines(each.definition), _lines(each.pending)
    accepted, seen = f"accepted {_when(each.at)}", f"seen {_when(each.pending_at)}"
    return list(difflib.unified_diff(old, new, accepted, seen, lineterm=""))


def _lines(definition: str) -> list[str]:
    try:
        value = json.loads(definition)
    except ValueError:
        return []
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True).splitlines()


def _store() -> ApprovalStore:
    from mcpgw.trust.approvals import ApprovalStore

    return ApprovalStore.of(usable_state_folder())


def _definitions(
    ctx: click.Context, store: ApprovalStore, server: str
) -> Iterable[ApprovedDefinition]:
    from mcpgw.state.database import StateError

    try:
        found = store.definitions(server)
    except StateError as error:
        say_lines(f"Error: {error}", err=True)
        ctx.exit(FAILED)
    return [found[key] for key in sorted(found)]


def _row(each: ApprovedDefinition, *, whole: bool = False) -> dict[str, Any]:
    row: dict[str, Any] = {
        "server": each.server,
        "kind": each.kind,
        "name": each.name,
        "state": "changed" if each.pending_hash else "accepted",
        "accepted_hash": each.hash,
        "accepted_at": each.at,
    }
    if each.pending_hash:
        row |= {"pending_hash": each.pending_hash, "pending_at": each.pending_at}
    if whole:
        row["accepted"] = json.loads(each.definition)
        if each.pending_hash:
            row |= {"pending": json.loads(each.pending), "diff": diff(each)}
    return row


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
