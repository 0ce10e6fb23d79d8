"""What is kept from clients, and why: definitions of servers, and capability files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mcpgw.cli.doctor.check import Check

if TYPE_CHECKING:
    from mcpgw.config.loader import Loaded

MOST: Final = 50
"""Files or definitions that are told one by one."""


def look_at_definitions(loaded: Loaded, folder: Path) -> Iterator[Check]:
    """Judge what is remembered of every server's lists, as the gateway does when it reads them.

    Nothing is let in by that: what was not seen before is only looked at.
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
                else "Ask who runs the server; or security.tool_poisoning in gateway.yaml.",
                review if "mcp-gateway approvals" in each.reason else "",
            )
        for text in verdict.warnings[:MOST]:
            yield Check(label, "trust", "warn", text)
        good += not (verdict.blocked or verdict.withheld)
    if known and good == known:
        text = f"of {known} servers that were seen, nothing is withheld"
        yield Check("Definitions", "trust", "pass", text)


def look_at_capabilities(loaded: Loaded, folder: Path) -> Iterator[Check]:
    """Look at the folders of capability files, and at each file that is not used."""
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
                "Make it, or take it out of capabilities.directories.",
                f"mkdir -p {place}",
                partial(_make, place),
            )
    library = Library(None, ApprovalStore.of(folder), scan_capability, SCAN_VERSION)
    library.poisoning = loaded.config.security.tool_poisoning
    library.use(folders, fixed=shipped)
    library.refresh()
    for path, why in list(library.refused.items())[:MOST]:
        pulled = "mcp-gateway cap pin" in why
        yield Check(
            *(*kind, "fail", f"{path} is not used: {why}"),
            "" if pulled else "Mend or remove the file.",
            "" if pulled else f"mcp-gateway cap validate {path}",
        )
    entries = list(library.entries())
    keyless = [entry for entry in entries if entry.lacks_key(loaded.environ)]
    text = f"{len(entries)} can be used"
    if keyless:
        text += f", of which {len(keyless)} lack their key (mcp-gateway cap show NAME says which)"
    if not library.refused:
        yield Check(*kind, "pass", text)


def _make(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    return f"made {folder}"
