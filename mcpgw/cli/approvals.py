"""`mcp-gateway approvals`: definitions of servers that wait for a person, and their approval."""

from __future__ import annotations

import difflib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mcpgw.backends.verdict import Cause
from mcpgw.cli.app import log_options, settle
from mcpgw.cli.configuration import usable_state_folder
from mcpgw.cli.exit_codes import FAILED, NOT_FOUND, OK
from mcpgw.cli.output import format_option, print_json, say, say_lines
from mcpgw.state.database import StateError
from mcpgw.text.plural import plural

if TYPE_CHECKING:
    from mcpgw.trust.approvals import ApprovalStore, ApprovedDefinition, QuarantinedFile

HASH_SHOWN: Final = 12
"""Hex digits of a hash that are shown."""
SEVERE: Final = (Cause.POISONING.value, Cause.UNSCANNABLE.value)
"""Causes of pending definitions that are accepted only one by one."""
hash_option = click.option(
    "--hash", "digest", default="", help="Only the definition whose hash begins so."
)


@click.group("approvals", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Review and accept definitions of servers.

    The first definitions of a server are approved when they are first seen. Those that wait for a
    person are listed here: definitions that look like tool poisoning, that have changed, or that
    are new on a known server. `security` in gateway.yaml determines which of them are withheld.
    """


@command.command("list")
@click.argument("server", required=False, default="")
@click.option("--all", "everything", is_flag=True, help="Include approved definitions.")
@format_option
@log_options
@click.pass_context
def list_command(
    ctx: click.Context, /, server: str, everything: bool, form: str, **options: Any
) -> None:
    """List definitions and files that wait for a person.

    Only those of SERVER, if given.
    """
    settle(ctx, **options, level="error")
    store = _store()
    found = [d for d in _definitions(ctx, store, server) if _is_shown(d, everything)]
    files = [] if server else _files(ctx, store, everything)
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
        line = f"{_state(each)}  {each.server}  {each.kind}  {each.name}  ({when})"
        say(line)
        if each.pending_hash:
            why = f"{each.reason or each.cause or Cause.CHANGED.value}"
            say(f"  hash {each.pending_hash[:HASH_SHOWN]}: {why}")
    for file in files:
        say(f"QUARANTINED  {file.path}  ({_when(file.at)})")
        say(f"  {file.reason}")
    waiting = sum(bool(each.pending_hash) for each in found)
    if waiting:
        say("")
        say(
            f"{plural(waiting, 'pending definition')}."
            " Review: mcp-gateway approvals show SERVER [NAME]"
        )
    elif not found and not files:
        say("No pending definitions.")
    ctx.exit(OK)


@command.command("show")
@click.argument("server")
@click.argument("name", required=False, default="")
@hash_option
@format_option
@log_options
@click.pass_context
def show_command(
    ctx: click.Context, /, server: str, name: str, digest: str, form: str, **options: Any
) -> None:
    """Show the pending definitions of a server.

    With NAME or --hash, show that definition, even if it is not pending.
    """
    settle(ctx, **options, level="error")
    found = [
        each
        for each in _definitions(ctx, _store(), server)
        if (each.name == name if name else digest or each.pending_hash) and _has(each, digest)
    ]
    if not found:
        what = f"'{name or digest}' of '{server}'" if name or digest else f"'{server}'"
        known = "is not known" if name or digest else "has no pending definitions"
        say(f"Error: {what} {known}.", err=True)
        ctx.exit(NOT_FOUND)
    if form == "json":
        print_json([_row(each, whole=True) for each in found])
        ctx.exit(OK)
    for each in found:
        say(f"{each.kind} {each.name} of {each.server}")
        if each.pending_hash:
            say(f"hash {each.pending_hash}")
            say(f"pending: {each.cause or Cause.CHANGED.value}")
            if each.reason:
                say(f"found: {each.reason}")
        for line in diff(each) if each.pending_hash else _lines(each.definition):
            say(line)
        say("")
    ctx.exit(OK)


@command.command("accept")
@click.argument("server")
@click.argument("names", nargs=-1)
@click.option("--kind", default="", help="Only definitions of this kind, such as tool.")
@hash_option
@format_option
@log_options
@click.pass_context
def accept_command(
    ctx: click.Context,
    /,
    server: str,
    names: tuple[str, ...],
    kind: str,
    digest: str,
    form: str,
    **options: Any,
) -> None:
    """Accept pending definitions of a server.

    With NAMES or --hash, only those. Definitions that look like tool poisoning are accepted only
    so, one by one. An approval is bound to the definition: a later change waits again. A running
    gateway adopts it within two seconds.
    """
    settle(ctx, **options, level="error")
    store = _store()
    pending = [each for each in _definitions(ctx, store, server) if each.pending_hash]
    waiting = [
        each
        for each in pending
        if (not names or each.name in names) and kind in ("", each.kind) and _has(each, digest)
    ]
    missing = sorted(set(names) - {each.name for each in waiting})
    if missing or not waiting:
        what = ", ".join(missing) if missing else f"'{server}'"
        say(f"Error: nothing is pending of {what}.", err=True)
        ctx.exit(NOT_FOUND)
    severe = [each for each in waiting if each.cause in SEVERE and not (names or digest)]
    for each in severe:
        command = f"mcp-gateway approvals accept {server} --hash {each.pending_hash[:HASH_SHOWN]}"
        text = (
            f"Not accepted: {each.kind} {each.name}: {each.cause}. If it is legitimate: {command}"
        )
        say(text, err=True)
    wanted = {_key(each): each.pending_hash for each in waiting if each not in severe}
    try:
        accepted = store.accept(wanted) if wanted else []
    except StateError as error:
        say(f"Error: {error}", err=True)
        ctx.exit(FAILED)
    if form == "json":
        print_json([_row(each) for each in accepted])
    else:
        for each in accepted:
            say(f"Accepted {each.kind} {each.name} of {each.server}")
    ctx.exit(OK if accepted and len(accepted) == len(waiting) else FAILED)


@command.command("accept-file")
@click.argument("path", type=click.Path(path_type=Path))
@log_options
@click.pass_context
def accept_file_command(ctx: click.Context, /, path: Path, **options: Any) -> None:
    """Accept a capability file that looks like tool poisoning.

    The approval is bound to these contents: a later change waits again.
    """
    from mcpgw.capabilities.pins import PinProblem, read_pin
    from mcpgw.trust.approvals import ApprovedFile

    settle(ctx, **options, level="error")
    try:
        pinned = read_pin(path.read_bytes())
    except (OSError, PinProblem) as error:
        say(f"Error: {path}: {getattr(error, 'strerror', '') or error}", err=True)
        ctx.exit(FAILED)
    if pinned.pin and not pinned.holds:
        say(f"Error: {path} does not match its pin; see mcp-gateway cap pin.", err=True)
        ctx.exit(FAILED)
    place = path.parent.resolve() / path.name
    file = ApprovedFile(str(place), path.stem, pinned.actual, bool(pinned.pin), reviewed=True)
    try:
        _store().pin_file(file)
    except StateError as error:
        say(f"Error: {error}", err=True)
        ctx.exit(FAILED)
    say(f"Accepted {place} ({pinned.actual})")
    ctx.exit(OK)


@command.command("forget")
@click.argument("server", required=False, default="")
@click.argument("names", nargs=-1)
@click.option(
    "--missing",
    is_flag=True,
    help="Capability files that no longer exist, and servers that are not in gateway.yaml.",
)
@log_options
@click.pass_context
def forget_command(
    ctx: click.Context, /, server: str, names: tuple[str, ...], missing: bool, **options: Any
) -> None:
    """Remove entries: all of SERVER, or those with NAMES.

    Definitions that are seen again afterwards count as seen for the first time.
    """
    path = settle(ctx, **options, level="error")
    if bool(server) == missing:
        raise click.UsageError("Give either a SERVER or --missing.")
    store = _store()
    found = list(_definitions(ctx, store, server))
    files: list[str] = []
    if missing:
        configured = _servers(ctx, path)
        found = [each for each in found if each.server not in configured]
        approved, quarantined = store.files()
        files = [file for file in {*approved, *quarantined} if not Path(file).exists()]
    elif names:
        found = [each for each in found if each.name in names]
    if not found and not files:
        say("Error: there are no such entries.", err=True)
        ctx.exit(NOT_FOUND)
    try:
        store.forget([_key(each) for each in found], files)
    except StateError as error:
        say(f"Error: {error}", err=True)
        ctx.exit(FAILED)
    say(f"Removed {plural(len(found), 'definition')} and {plural(len(files), 'file')}.")
    ctx.exit(OK)


def _servers(ctx: click.Context, path: str | None) -> frozenset[str]:
    from mcpgw.config import loader
    from mcpgw.config.problems import ConfigError

    try:
        chosen = Path(path).expanduser() if path else loader.find(os.environ, Path.cwd())
        return frozenset(loader.load(chosen, environ=os.environ).config.backends)
    except ConfigError as error:
        say(f"Error: {error}", err=True)
        ctx.exit(FAILED)


def _is_shown(each: ApprovedDefinition, everything: bool) -> bool:
    if each.pending_hash:
        return True
    # Without instructions there is nothing to show.
    return everything and each.definition != '{"instructions":""}'


def _files(ctx: click.Context, store: ApprovalStore, everything: bool) -> list[QuarantinedFile]:
    """Return the quarantined files, without those that no longer exist."""
    try:
        quarantined = store.files()[1].values()
    except StateError as error:
        say(f"Error: {error}", err=True)
        ctx.exit(FAILED)
    found = sorted(quarantined, key=lambda each: each.path)
    return [each for each in found if everything or Path(each.path).exists()]


def _has(each: ApprovedDefinition, digest: str) -> bool:
    """Tell whether a definition has a hash that begins so."""
    wanted = digest.lower().removeprefix("sha256:")
    return not wanted or (each.pending_hash or each.hash).startswith(wanted)


def _key(each: ApprovedDefinition) -> tuple[str, str, str]:
    return each.server, each.kind, each.name


def _state(each: ApprovedDefinition) -> str:
    if not each.pending_hash:
        return "accepted"
    if each.cause in SEVERE:
        return "SUSPICIOUS"
    return "CHANGED" if each.hash else "NEW"


def diff(each: ApprovedDefinition) -> list[str]:
    """Return the lines of a unified diff between the accepted and the pending definition."""
    old, new = _lines(each.definition), _lines(each.pending)
    if not each.hash:
        return new
    accepted, seen = f"accepted {_when(each.at)}", f"seen {_when(each.pending_at)}"
    return list(difflib.unified_diff(old, new, accepted, seen, lineterm=""))


def _lines(definition: str) -> list[str]:
    if (value := _value(definition)) is None:
        return definition.splitlines()
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True).splitlines()


def _value(definition: str) -> Any:
    """Return a stored definition; None if it was nested too deeply to be stored as JSON."""
    try:
        return json.loads(definition)
    except (ValueError, RecursionError):
        return None


def _store() -> ApprovalStore:
    from mcpgw.trust.approvals import ApprovalStore

    return ApprovalStore.of(usable_state_folder())


def _definitions(
    ctx: click.Context, store: ApprovalStore, server: str
) -> Iterable[ApprovedDefinition]:
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
        "state": _state(each).lower(),
        "accepted_hash": each.hash,
        "accepted_at": each.at,
        "reviewed": each.reviewed,
    }
    if each.pending_hash:
        row |= {"pending_hash": each.pending_hash, "pending_at": each.pending_at}
        row |= {"cause": each.cause, "reason": each.reason}
    if whole:
        row["accepted"] = _value(each.definition)
        if each.pending_hash:
            row |= {"pending": _value(each.pending), "diff": diff(each)}
    return row


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
