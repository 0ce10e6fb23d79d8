"""Records of verdicts: the form in which they are stored, and the lists that clients may see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs

from mcpgw.backends.manifest import Manifest
from mcpgw.backends.verdict import INSTRUCTIONS, KINDS, SERVER_INFO, Cause, Verdict, Withheld
from mcpgw.trust.examination import Examined, Item

ACCEPTED: Final = "accepted"
"""Stored in place of a cause: a person has accepted the definition in spite of findings."""


SENTENCES: Final = {
    Cause.CHANGED: "has changed since it was approved",
    Cause.NEW: "is new, on a server that is known",
    Cause.UNCONFIRMED: "could not be compared: the approvals cannot be read",
}
"""Sentences about the causes, to follow `label`."""


def to_json(verdict: Verdict) -> dict[str, Any]:
    """Return the part of a verdict that is stored with its manifest; see `Vetting.restore`."""
    record = verdict.record
    return {
        "rules": record["rules"],
        "digests": [each.digest for each in record["examined"]],
        "scans": [
            each.scan.as_json() if each.scan is not None and each.final else None
            for each in record["examined"]
        ],
        "causes": [
            ACCEPTED if accepted else cause.value if cause is not None else ""
            for (cause, _), accepted in zip(record["decisions"], record["accepts"], strict=True)
        ],
    }


def entry(each: Examined, cause: Cause, reason: str) -> Withheld:
    item, scan = each.item, each.scan
    found = scan is not None and cause in (Cause.POISONING, Cause.UNSCANNABLE)
    return Withheld(
        item.kind,
        item.name,
        cause,
        categories=scan.categories if found and scan is not None else (),
        position=item.position,
        digest=each.digest,
        reason=reason,
        quoted=scan.quoted if found and scan is not None else "",
    )


def visible(
    manifest: Manifest,
    examined: Sequence[Examined],
    hidden: set[tuple[str, str]],
    blocked: bool,
) -> Manifest:
    """Return the part of a manifest that clients may see; the same object if that is all of it."""
    if blocked:
        info = {"name": manifest.backend} if manifest.server_info else {}
        nothing: dict[str, Any] = dict.fromkeys(KINDS, ())
        return attrs.evolve(manifest, server_info=info, instructions="", **nothing)
    total = sum(len(getattr(manifest, field)) for field in KINDS)
    if not hidden and len(examined) == total + 2:
        return manifest
    lists: dict[str, list[Any]] = {field: [] for field in KINDS}
    for each in examined:
        item = each.item
        if item.field in lists and (item.kind, item.name) not in hidden:
            lists[item.field].append(item.definition)
    kept: dict[str, Any] = {field: tuple(found) for field, found in lists.items()}
    if (INSTRUCTIONS, INSTRUCTIONS) in hidden:
        kept["instructions"] = ""
    if (SERVER_INFO, SERVER_INFO) in hidden:
        kept["server_info"] = {"name": manifest.backend}
    return attrs.evolve(manifest, **kept)


def allowed(before: Verdict | None) -> dict[tuple[str, str], str]:
    """Return the hashes of the definitions that the last verdict allowed."""
    if before is None or before.blocked is not None:
        return {}
    refused = {(each.kind, each.name) for each in before.withheld}
    return {
        (each.item.kind, each.item.name): each.digest
        for each in before.record.get("examined", ())
        if (each.item.kind, each.item.name) not in refused
    }


def label(item: Item) -> str:
    """Return the kind and the name of a definition, for people."""
    own = {INSTRUCTIONS: "the text of its instructions", SERVER_INFO: "its server info"}
    return own.get(item.kind) or f"{item.kind} {item.name!r:.80}"
