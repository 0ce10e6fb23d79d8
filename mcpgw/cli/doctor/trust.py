"""Checks for withheld definitions and unused capability files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mcpgw.cli.doctor.check import Check
from mcpgw.text.plural import plural
from mcpgw.text.printable import printable

if TYPE_CHECKING:
    from mcpgw.config.loader import Loaded

MOST: Final = 50
"""Maximum number of files or definitions that are reported individually."""


def check_definitions(loaded: Loaded, folder: Path) -> Iterator[Check]:
    """Vet the stored definitions of all servers, in the same way as the gateway.

    This approves nothing.
    """
    from mcpgw.backends.manifest import ManifestStore
    from mcpgw.state.database import StateError
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
        try:
            verdict = vetting.review(backend.name, manifest)
        except StateError as error:
            yield Check("Approvals", "trust", "fail", f"they cannot be read: {error}")
            return
        label = f"{backend.name}: definitions"
        review = f"mcp-gateway approvals list {backend.name}"
        if verdict.blocked is not None:
            text = f"the server is blocked: {verdict.blocked.kind} {verdict.blocked.why}"
            yield Check(label, "trust", "fail", printable(text), "", review)
        for each in verdict.withheld[:MOST]:
            more = f" Found: {each.quoted}" if each.quoted else ""
            text = f"{each.kind} '{each.name:.80}' is withheld: {each.reason or each.why}.{more}"
            hint = f"If it is legitimate: mcp-gateway approvals accept --hash {each.digest[:12]}"
            yield Check(
                *(label, "trust", "fail", printable(text)),
                f"{hint} {backend.name}",
                review,
            )
        for doubt in verdict.doubts[:MOST]:
            yield Check(label, "trust", "warn", printable(doubt.text))
        good += verdict.clean
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
            *(*kind, "fail", printable(f"{path} is not used: {reason}")),
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
