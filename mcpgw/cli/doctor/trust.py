"""Checks for withheld definitions and unused capability files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mcpgw.cli.doctor.check import Check
from mcpgw.text.plural import plural

if TYPE_CHECKING:
    from mcpgw.config.loader import Loaded

MOST: Final = 50
"""Maximum number of files or definitions that are reported individually."""


def check_definitions(loaded: Loaded, folder: Path) -> Iterator[Check]:
    """Vet the stored definitions of all servers, in the same way as the gateway.

    This approves nothing.
    """
    from mcpgw.backends.manifest import ManifestStore
    from mcpgw.trust.approvals import ApprovalStore
    from mcpgw.trust.vetting import Vetting

    store = ManifestStore(folder / "manifests")
    vetting = Vetting(ApprovalStore.of(folder), lambda: None, loaded.config.security)
    good = known = 0
    for backend in loaded.config.backends.values():
        manifest = store.load(backend.name, backend.fingerprint()) if backend.enabled else None
        if manifest is None:
            continue
        known += 1
        vetting.vet(backend.name, manifest)
        verdict = vetting.verdicts[backend.name]
        label = f"{backend.name}: definitions"
        review = f"mcp-gateway approvals list {backend.name}"
        if verdict.blocked:
            yield Check(label, "trust", "fail", verdict.blocked, "", review)
        for each in verdict.withheld[:MOST]:
            more = f" Found: {each.quoted}" if each.quoted else ""
            yield Check(
                *(label, "trust", "fail"),
                f"{each.kind} '{each.name:.80}' is withheld: {each.reason}.{more}",
                ""
                if "mcp-gateway approvals" in each.reason
                else "Report it to the operator of the server; see security.tool_poisoning.",
                review if "mcp-gateway approvals" in each.reason else "",
            )
        for text in verdict.warnings[:MOST]:
            yield Check(label, "trust", "warn", text)
        good += not (verdict.blocked or verdict.withheld)
    if known and good == known:
        text = f"no definitions of {plural(known, 'known server')} are withheld"
        yield Check("Definitions", "trust", "pass", text)


def check_capabilities(loaded: Loaded, folder: Path) -> Iterator[Check]:
    """Check the folders of capability files, and report unused files."""
    from mcpgw.capabilities.builtin import folders_of
    from mcpgw.capabilities.library import Library
    from mcpgw.capabilities.scanning import SCAN_VERSION, scan_capability
    from mcpgw.trust.approvals import ApprovalStore

    settings = loaded.config.capabilities
    if not settings.enabled:
        return
    here = loaded.path.parent if loaded.path is not None else Path.cwd()
    folders, shipped = folders_of(settings, here)
    kind = ("Capabilities", "capabilities")
    for place in folders:
        if not place.is_dir():
            yield Check(
                *(*kind, "warn", f"the folder {place} does not exist"),
                "Create it, or remove it from capabilities.directories.",
                f"mkdir -p {place}",
                partial(_create, place),
            )
    library = Library(None, ApprovalStore.of(folder), scan_capability, SCAN_VERSION)
    library.poisoning = loaded.config.security.tool_poisoning
    library.use(folders, fixed=shipped)
    library.refresh()
    for path, reason in list(library.refused.items())[:MOST]:
        changed = "mcp-gateway cap pin" in reason
        yield Check(
            *(*kind, "fail", f"{path} is not used: {reason}"),
            "" if changed else "Fix or remove the file.",
            "" if changed else f"mcp-gateway cap validate {path}",
        )
    entries = list(library.entries())
    keyless = [entry for entry in entries if entry.lacks_key(loaded.environ)]
    text = f"{plural(len(entries), 'capability', 'capabilities')} available"
    if keyless:
        text += f", {len(keyless)} without an API key (see mcp-gateway cap show NAME)"
    if not library.refused:
        yield Check(*kind, "pass", text)


def _create(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    return f"created {folder}"
