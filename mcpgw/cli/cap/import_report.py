"""Reports of imports: written, kept and stale files, skipped operations, notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mcpgw.cli.output import say
from mcpgw.text.plural import plural

if TYPE_CHECKING:
    from mcpgw.openapi_import import Conversion, Written

MOST_OF_A_KIND: Final = 3
"""Lines of one kind that are shown without `--details`."""
MOST_WARNINGS: Final = 10


def as_json(
    conversion: Conversion, written: Written, source: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the report of an import as JSON."""
    return {
        "source": source,
        "output": str(options["output"]),
        "dry_run": options["dry_run"],
        "capabilities": [
            {"name": each.name, "method": each.method, "path": each.path, "notes": list(each.notes)}
            for each in conversion.capabilities
        ],
        "skipped": [
            {"method": each.method, "path": each.path, "reason": each.reason}
            | ({"allow": each.suspicious} if each.suspicious else {})
            for each in conversion.skipped
        ],
        "kept": [str(path) for path in written.kept],
        "stale": [{"file": str(path), "reason": reason} for path, reason in written.stale],
        "warnings": list(conversion.warnings),
    }


def as_text(
    conversion: Conversion, written: Written, source: str, options: Mapping[str, Any]
) -> None:
    """Print the report of an import. Many lines of one kind become one with their count."""
    output, details = options["output"], options["details"]
    verb = "Would import" if options["dry_run"] else "Imported"
    total = len(conversion.capabilities) - len(written.kept)
    review = f" Review {output}/ before loading." if total else ""
    say(f"{verb} {plural(total, 'tool')} from {source}.{review}")
    notes = Counter(note for each in conversion.capabilities for note in each.notes)
    often = [note for note, count in notes.items() if count > MOST_OF_A_KIND and not details]
    kept = {path.stem for path in written.kept}
    for each in conversion.capabilities:
        if each.name in kept:
            continue
        say(f"  {each.name}  ({each.method} {each.path})")
        for note in each.notes:
            if note not in often:
                say(f"      {note}")
    for note in often:
        say(f"Note: {plural(notes[note], 'tool')}: {note} (--details lists them)", err=True)
    _skipped(conversion, details=details)
    for path in written.kept:
        say(
            f"Kept: {path} was not generated, or was edited since. Use --overwrite to replace it.",
            err=True,
        )
    for path, reason in written.stale:
        say(f"Stale: {path}: {reason}. Delete the file if it is not needed.", err=True)
    unused = sorted(set(options["allow"]) - {each.name for each in conversion.capabilities})
    if unused:
        say(f"Warning: --allow {', '.join(unused)}: no capability has this name.", err=True)
    _limited([f"Note: {each}" for each in conversion.warnings], MOST_WARNINGS, details=details)
    if written.files:
        say(f"Capabilities written to {output}/")
    _private(conversion)


def _skipped(conversion: Conversion, *, details: bool) -> None:
    reasons = Counter(each.reason for each in conversion.skipped)
    for each in conversion.skipped:
        if details or reasons[each.reason] <= MOST_OF_A_KIND:
            say(f"Skipped: {each.method} {each.path}: {each.reason}", err=True)
            if each.suspicious:
                hint = f"  If it is legitimate, import it with --allow {each.suspicious}"
                say(hint, err=True)
    for reason, count in reasons.items():
        if not details and count > MOST_OF_A_KIND:
            number = plural(count, "operation")
            say(f"Skipped: {number}: {reason} (--details lists them)", err=True)


def _limited(lines: Iterable[str], most: int, *, details: bool) -> None:
    found = list(lines)
    for line in found if details else found[:most]:
        say(line, err=True)
    if len(found) > most and not details:
        say(f"... and {len(found) - most} more (--details lists them)", err=True)


def _private(conversion: Conversion) -> None:
    """Print what requests to private addresses need."""
    allowed, refused = set(), set()
    for each in conversion.capabilities:
        host = urlsplit(each.document["providers"]["primary"]["config"]["base_url"]).hostname or ""
        if "network" in each.document:
            allowed.add(host)
        elif _is_private(host):
            refused.add(host)
    if allowed:
        say("These tools call private addresses. To run them, add to gateway.yaml:")
        say("  capabilities:")
        say(f"    allow_private: [{', '.join(sorted(allowed))}]")
    for host in sorted(refused):
        say(
            f"Warning: {host} is a private address, and calls to it are refused. Import with"
            f" --allow-private {host} to allow them.",
            err=True,
        )


def _is_private(host: str) -> bool:
    """Return whether a host is a private address, as far as its name tells."""
    from ipaddress import ip_address

    from mcpgw.transports.address_policy import is_loopback_host, kind

    try:
        return is_loopback_host(host) or kind(ip_address(host)) != "public"
    except ValueError:
        return False
