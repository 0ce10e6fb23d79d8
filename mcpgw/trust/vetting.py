"""Vetting of server definitions before any client sees them.

Each definition is scanned for tool poisoning and compared with the version approved earlier.
Approvals are stored in the state database (`mcpgw.trust.approvals`).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import trio

from mcpgw.backends.manifest import Manifest
from mcpgw.config.settings import Snapshot
from mcpgw.config.trust import SecurityConfig
from mcpgw.observe.log import get_logger

if TYPE_CHECKING:
    from mcpgw.trust.approvals import ApprovalStore, ApprovedDefinition
    from mcpgw.trust.poisoning import Finding

log = get_logger("mcpgw.trust")

KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "tools": ("tool", "name"),
    "prompts": ("prompt", "name"),
    "resources": ("resource", "uri"),
    "resource_templates": ("resource_template", "uriTemplate"),
}
"""The lists of a server: the kind of their items, and the key that identifies an item."""
MAX_REPORTED: Final = 3
"""Findings of one definition that are reported in full; the rest are counted."""
INSTRUCTIONS: Final = "instructions"
_VOLATILE: Final = ("_meta", "icons", "size")
"""Keys that a model does not see and that may change with every listing."""

Key = tuple[str, str, str]


@attrs.frozen
class Withheld:
    """A definition hidden from clients, and the reason.

    `quoted` is for operators only: a model that asks why a definition is withheld must not read
    the injected text in the answer.
    """

    kind: str
    name: str
    reason: str
    quoted: str = attrs.field(default="", repr=False)


@attrs.frozen
class Verdict:
    """The result of vetting one server."""

    withheld: tuple[Withheld, ...] = ()
    warnings: tuple[str, ...] = ()
    blocked: str = ""
    """Why the whole server is blocked; empty if it is not."""


@attrs.frozen
class ScanResult:
    """The findings of a scan as text: of severity HIGH, of severity MEDIUM, and quotations."""

    high: str = ""
    medium: str = ""
    quoted: str = ""

    @classmethod
    def of(cls, findings: Sequence[Finding]) -> ScanResult:
        """Summarise the findings of a scan."""
        from mcpgw.trust.poisoning.findings import Severity, sentence

        high = [each for each in findings if each.severity is Severity.HIGH]
        medium = [each for each in findings if each.severity is not Severity.HIGH]
        quoted = "; ".join(sentence(each, quote=True) for each in (high or medium)[:MAX_REPORTED])
        return cls(_summary(high), _summary(medium), quoted)


CLEAN: Final = ScanResult()


@attrs.define(eq=False)
class Vetting:
    """Vets the definitions of all servers.

    Args:
      store: the approvals, or None to trust definitions without comparing them.
      rescan: called to have all servers vetted again.
    """

    store: ApprovalStore | None
    rescan: Callable[[], None]
    config: SecurityConfig = attrs.field(factory=SecurityConfig)
    missing: Callable[[str, str], str] | None = None
    """Returns why a definition of a server is missing, "" if it is not known to be."""
    verdicts: dict[str, Verdict] = attrs.field(factory=dict)
    """By server."""
    _known: dict[Key, tuple[str, str]] | None = None
    """Approved and pending hashes."""
    _unsaved: dict[Key, ApprovedDefinition] = attrs.field(factory=dict)
    _seen_version: int | None = None
    _scans: dict[str, ScanResult] = attrs.field(factory=dict)
    """By hash of a definition."""

    def vet(self, server: str, manifest: Manifest) -> Manifest:
        """Return the part of a server's lists that clients may see."""
        withheld: list[Withheld] = []
        warnings: list[str] = []
        kept: dict[str, Any] = {}
        any_changed = False
        for field, (kind, key) in KINDS.items():
            good = []
            for definition in getattr(manifest, field):
                reason, doubts, changed, quoted = self._judge(server, kind, definition, key)
                warnings += doubts
                any_changed = any_changed or changed
                if reason:
                    name = str(definition.get(key, ""))
                    withheld.append(Withheld(kind, name, reason, quoted))
                else:
                    good.append(definition)
            kept[field] = tuple(good)
        instructions = manifest.instructions
        scanned = self._scan_server(manifest.server_info, instructions)
        if scanned.high:
            withheld.append(Withheld(INSTRUCTIONS, server, scanned.high, scanned.quoted))
            instructions = ""
        elif scanned.medium:
            warnings.append(f"{INSTRUCTIONS}: {scanned.medium}")
        blocked = _block_reason(server) if any_changed and self._blocks else ""
        if blocked:
            kept, instructions = dict.fromkeys(KINDS, ()), ""
        self._record(server, Verdict(tuple(withheld), tuple(warnings), blocked))
        if not withheld:
            return manifest
        return attrs.evolve(manifest, instructions=instructions, **kept)

    def vet_list(self, server: str, field: str, definitions: list[Any]) -> list[Any]:
        """Return the part of a list from a server in transparent mode that clients may see."""
        kind, key = KINDS[field]
        good = []
        for each in definitions:
            if not isinstance(each, Mapping):
                good.append(each)
                continue
            reason, _, changed, _ = self._judge(server, kind, each, key)
            if changed and self._blocks:
                old = self.verdicts.get(server, Verdict())
                self.verdicts[server] = attrs.evolve(old, blocked=_block_reason(server))
            if not reason:
                good.append(each)
        return [] if self.verdicts.get(server, Verdict()).blocked else good

    def vet_instructions(self, server_info: Mapping[str, Any], instructions: str) -> str:
        """Return a server's instructions, or "" if they must not reach a model."""
        return "" if self._scan_server(server_info, instructions).high else instructions

    def configure(self, snapshot: Snapshot) -> None:
        """Apply a new configuration; all servers are judged again if its rules differ."""
        if snapshot.config.security != self.config:
            self.config = snapshot.config.security
            self.rescan()

    def withheld(self, server: str, kind: str, name: str) -> str:
        """Return why clients may not use an item of a server, or "" if they may."""
        if self.missing is not None and (why := self.missing(server, name)):
            return why
        verdict = self.verdicts.get(server, Verdict())
        for each in verdict.withheld:
            if (each.kind, each.name) == (kind, name):
                return each.reason
        return verdict.blocked

    @property
    def _blocks(self) -> bool:
        return self.config.definition_changes == "block"

    def _judge(
        self, server: str, kind: str, definition: Mapping[str, Any], key: str
    ) -> tuple[str, list[str], bool, str]:
        """Return the reason to withhold a definition ("" for none), the warnings, whether it has
        changed, and a quotation of the findings."""
        name, digest = str(definition.get(key, "")), digest_of(definition)
        scanned = self._scan(kind, definition, digest)
        doubts = [f"{kind} {name!r:.80}: {scanned.medium}"] if scanned.medium else []
        if scanned.high:
            return scanned.high, doubts, False, scanned.quoted
        change = self._compare(server, kind, name, definition, digest)
        if change and self.config.definition_changes == "warn":
            return "", [*doubts, change], True, ""
        return change, doubts, bool(change), ""

    def _record(self, server: str, verdict: Verdict) -> None:
        """Keep a verdict, and log what is new in it."""
        old = self.verdicts.get(server, Verdict())
        self.verdicts[server] = verdict
        for each in verdict.withheld:
            if each not in old.withheld:
                log.warning(
                    "definition.withheld",
                    server=server,
                    kind=each.kind,
                    name=each.name,
                    reason=each.reason,
                    **({"found": each.quoted} if each.quoted else {}),
                )
        for text in verdict.warnings:
            if text not in old.warnings:
                log.warning("definition.flagged", server=server, reason=text)

    # -- poisoning ---------------------------------------------------------------------------------

    def _scan(self, kind: str, definition: Mapping[str, Any], digest: str) -> ScanResult:
        if self.config.tool_poisoning == "off":
            return CLEAN
        found = self._scans.get(digest)
        if found is None:
            from mcpgw.trust.poisoning import scan_definition

            findings = scan_definition(cast(Any, kind), definition)
            found = self._scans[digest] = ScanResult.of(findings)
        return self._by_policy(found)

    def _scan_server(self, info: Mapping[str, Any], instructions: str) -> ScanResult:
        if self.config.tool_poisoning == "off" or not (instructions or info):
            return CLEAN
        from mcpgw.trust.poisoning import scan_server

        sent = {"instructions": instructions, "serverInfo": dict(info)}
        return self._by_policy(ScanResult.of(scan_server(sent)))

    def _by_policy(self, found: ScanResult) -> ScanResult:
        if self.config.tool_poisoning == "warn":
            both = "; ".join(text for text in (found.high, found.medium) if text)
            return ScanResult("", both, found.quoted)
        return found

    # -- changes -----------------------------------------------------------------------------------

    def _compare(
        self, server: str, kind: str, name: str, definition: Mapping[str, Any], digest: str
    ) -> str:
        """Return a message about a definition that has changed; "" if it has not."""
        if self.store is None:
            return ""
        known = self._load()
        key = (server, kind, name)
        approved, pending = known.get(key, ("", ""))
        if approved == digest:
            if pending:
                self._put(key, approved, definition, digest)  # the change was reverted
            return ""
        if not approved:
            self._put(key, digest, definition, "")
            return ""
        if pending != digest:
            self._put(key, approved, definition, digest)
        return (
            f"the definition of the {kind} {name!r:.80} has changed since it was approved."
            f" Review it with `mcp-gateway approvals show {server} {name!r:.80}`; accept it with"
            f" `mcp-gateway approvals accept {server}`"
        )

    def _load(self) -> dict[Key, tuple[str, str]]:
        from mcpgw.state.database import StateError

        if self._known is None:
            assert self.store is not None
            self._known = {}
            try:
                self._seen_version = self.store.version()
                self._known = self.store.hashes()
            except StateError as error:
                log.warning("approvals.read_failed", reason=str(error))
        return self._known

    def _put(self, key: Key, approved: str, definition: Mapping[str, Any], digest: str) -> None:
        """Record a definition: approved if `approved` is its hash, otherwise pending."""
        from mcpgw.trust.approvals import ApprovedDefinition

        text, now = canonical(definition), time.time()
        assert self._known is not None
        if not digest or approved == digest:
            self._known[key] = (approved, "")
            self._unsaved[key] = ApprovedDefinition(*key, approved, text, now)
        else:
            self._known[key] = (approved, digest)
            self._unsaved[key] = ApprovedDefinition(*key, approved, "", 0.0, digest, text, now)

    async def check(self) -> None:
        """Save new definitions to the database, and load approvals that were written since."""
        from mcpgw.state.database import StateError

        if self.store is None:
            return
        unsaved, self._unsaved = self._unsaved, {}
        try:
            if unsaved:
                await trio.to_thread.run_sync(
                    self.store.save_definitions, list(unsaved.values()), abandon_on_cancel=True
                )
            # Another process may have written just before or after, so read it back.
            if unsaved or self._is_stale(self.store):
                await self._reload(self.store)
        except StateError as error:
            self._unsaved = {**unsaved, **self._unsaved}
            log.warning("approvals.write_failed", reason=str(error))

    def _is_stale(self, store: ApprovalStore) -> bool:
        return self._known is not None and store.version() != self._seen_version

    async def _reload(self, store: ApprovalStore) -> None:
        self._seen_version = store.version()
        fresh = await trio.to_thread.run_sync(store.hashes)
        fresh |= {key: each for key, each in (self._known or {}).items() if key in self._unsaved}
        if fresh != self._known:
            self._known = fresh
            self.rescan()


def _block_reason(server: str) -> str:
    return (
        "a definition of this server has changed since it was approved, and"
        " security.definition_changes is 'block'. Review it with `mcp-gateway approvals list"
        f" {server}`; accept it with `mcp-gateway approvals accept {server}`"
    )


def _summary(findings: Sequence[Finding]) -> str:
    from mcpgw.trust.poisoning.findings import sentence

    shown = [f"tool poisoning ({sentence(each)})" for each in findings[:MAX_REPORTED]]
    more = len(findings) - MAX_REPORTED
    return "; ".join([*shown, f"and {more} more"] if more > 0 else shown)


def canonical(definition: Mapping[str, Any]) -> str:
    """Write a definition in the form that is hashed: sorted keys, without volatile ones."""
    kept = {key: value for key, value in definition.items() if key not in _VOLATILE}
    return json.dumps(kept, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)


def digest_of(definition: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a definition in canonical form, in hex."""
    return hashlib.sha256(canonical(definition).encode("utf-8", "surrogatepass")).hexdigest()
