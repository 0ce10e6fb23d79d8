"""What servers' definitions are trusted with, before any client sees them.

Two questions about each: does its text try to talk a model into something, and is it what it was
when it was first seen? Answers are kept in the state database (`mcpgw.trust.approvals`).
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

POLL: Final = 1.0
"""Seconds between looks at what a person has accepted."""
KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "tools": ("tool", "name"),
    "prompts": ("prompt", "name"),
    "resources": ("resource", "uri"),
    "resource_templates": ("resource_template", "uriTemplate"),
}
"""The lists of a server: the kind of what is in them, and what tells one from another."""
TOLD: Final = 3
"""Findings of one definition that are put into words."""
INSTRUCTIONS: Final = "instructions"
_VOLATILE: Final = ("_meta", "icons", "size")
"""Keys that say nothing to a model, and may well be another each time."""

Key = tuple[str, str, str]


@attrs.frozen
class Withheld:
    """A definition that clients are not shown, and why.

    What was found in it is quoted for people only: a model that asks why something is withheld
    must not read there what it was to be kept from.
    """

    kind: str
    name: str
    reason: str
    quoted: str = attrs.field(default="", repr=False)


@attrs.frozen
class Verdict:
    """What was found about one server."""

    withheld: tuple[Withheld, ...] = ()
    warnings: tuple[str, ...] = ()
    blocked: str = ""
    """Why nothing of the server may be used, where one of its definitions has changed."""


@attrs.frozen
class Scanned:
    """What a scan found: why a definition is withheld, what is doubtful, and quotations."""

    sure: str = ""
    doubtful: str = ""
    quoted: str = ""

    @classmethod
    def of(cls, findings: Sequence[Finding]) -> Scanned:
        """Put the findings of a scan into words."""
        from mcpgw.trust.poisoning.findings import Severity, sentence

        sure = [each for each in findings if each.severity is Severity.HIGH]
        doubtful = [each for each in findings if each.severity is not Severity.HIGH]
        quoted = "; ".join(sentence(each, quote=True) for each in (sure or doubtful)[:TOLD])
        return cls(_words(sure), _words(doubtful), quoted)


CLEAN: Final = Scanned()


@attrs.define(eq=False)
class Vetting:
    """Judges the definitions of servers.

    Args:
      store: what was let in; None where nothing is kept.
      revet: has all servers judged again.
    """

    store: ApprovalStore | None
    revet: Callable[[], None]
    config: SecurityConfig = attrs.field(factory=SecurityConfig)
    missing: Callable[[str, str], str] | None = None
    """Returns why a definition of a server is missing, "" if it is not known to be."""
    verdicts: dict[str, Verdict] = attrs.field(factory=dict)
    """By server."""
    _known: dict[Key, tuple[str, str]] | None = None
    """Hashes of what was let in, and of what waits."""
    _unsaved: dict[Key, ApprovedDefinition] = attrs.field(factory=dict)
    _seen: int | None = None
    _scans: dict[str, Scanned] = attrs.field(factory=dict)
    """By hash of a definition."""

    def vet(self, server: str, manifest: Manifest) -> Manifest:
        """Return what of a server's lists clients may see."""
        withheld: list[Withheld] = []
        warnings: list[str] = []
        kept: dict[str, Any] = {}
        changed = False
        for field, (kind, key) in KINDS.items():
            good = []
            for definition in getattr(manifest, field):
                reason, doubts, news, quoted = self._judge(server, kind, definition, key)
                warnings += doubts
                changed = changed or news
                if reason:
                    name = str(definition.get(key, ""))
                    withheld.append(Withheld(kind, name, reason, quoted))
                else:
                    good.append(definition)
            kept[field] = tuple(good)
        instructions = manifest.instructions
        scanned = self._scan_server(manifest.server_info, instructions)
        if scanned.sure:
            withheld.append(Withheld(INSTRUCTIONS, server, scanned.sure, scanned.quoted))
            instructions = ""
        elif scanned.doubtful:
            warnings.append(f"{INSTRUCTIONS}: {scanned.doubtful}")
        blocked = _block(server) if changed and self._blocks else ""
        if blocked:
            kept, instructions = dict.fromkeys(KINDS, ()), ""
        self._tell(server, Verdict(tuple(withheld), tuple(warnings), blocked))
        if not withheld:
            return manifest
        return attrs.evolve(manifest, instructions=instructions, **kept)

    def vet_list(self, server: str, field: str, definitions: list[Any]) -> list[Any]:
        """Return what of a list that passes through clients may see."""
        kind, key = KINDS[field]
        good = []
        for each in definitions:
            if not isinstance(each, Mapping):
                good.append(each)
                continue
            reason, _, changed, _ = self._judge(server, kind, each, key)
            if changed and self._blocks:
                old = self.verdicts.get(server, Verdict())
                self.verdicts[server] = attrs.evolve(old, blocked=_block(server))
            if not reason:
                good.append(each)
        return [] if self.verdicts.get(server, Verdict()).blocked else good

    def vet_instructions(self, server_info: Mapping[str, Any], instructions: str) -> str:
        """Return a server's instructions, "" where they must not reach a model."""
        return "" if self._scan_server(server_info, instructions).sure else instructions

    def configure(self, snapshot: Snapshot) -> None:
        """Apply a new configuration; all servers are judged again if its rules differ."""
        if snapshot.config.security != self.config:
            self.config = snapshot.config.security
            self.revet()

    def withheld(self, server: str, kind: str, name: str) -> str:
        """Return why clients may not use something of a server, "" where they may."""
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
        """Return why a definition is withheld, what is doubtful, whether it has changed, and a
        quotation of what was found."""
        name, digest = str(definition.get(key, "")), digest_of(definition)
        scanned = self._scan(kind, definition, digest)
        doubts = [f"{kind} {name!r:.80}: {scanned.doubtful}"] if scanned.doubtful else []
        if scanned.sure:
            return scanned.sure, doubts, False, scanned.quoted
        news = self._compare(server, kind, name, definition, digest)
        if news and self.config.definition_changes == "warn":
            return "", [*doubts, news], True, ""
        return news, doubts, bool(news), ""

    def _tell(self, server: str, verdict: Verdict) -> None:
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
                log.warning("definition.doubtful", server=server, reason=text)

    # -- poisoning ---------------------------------------------------------------------------------

    def _scan(self, kind: str, definition: Mapping[str, Any], digest: str) -> Scanned:
        if self.config.tool_poisoning == "off":
            return CLEAN
        found = self._scans.get(digest)
        if found is None:
            from mcpgw.trust.poisoning import scan_definition

            found = self._scans[digest] = Scanned.of(scan_definition(cast(Any, kind), definition))
        return self._by_policy(found)

    def _scan_server(self, info: Mapping[str, Any], instructions: str) -> Scanned:
        if self.config.tool_poisoning == "off" or not (instructions or info):
            return CLEAN
        from mcpgw.trust.poisoning import scan_server

        told = {"instructions": instructions, "serverInfo": dict(info)}
        return self._by_policy(Scanned.of(scan_server(told)))

    def _by_policy(self, found: Scanned) -> Scanned:
        if self.config.tool_poisoning == "warn":
            told = "; ".join(text for text in (found.sure, found.doubtful) if text)
            return Scanned("", told, found.quoted)
        return found

    # -- changes -----------------------------------------------------------------------------------

    def _compare(
        self, server: str, kind: str, name: str, definition: Mapping[str, Any], digest: str
    ) -> str:
        """Return what is to be said of a definition that is not what it was; "" where it is."""
        if self.store is None:
            return ""
        known = self._load()
        key = (server, kind, name)
        approved, pending = known.get(key, ("", ""))
        if approved == digest:
            if pending:
                self._put(key, approved, definition, digest)  # it is again what it was
            return ""
        if not approved:
            self._put(key, digest, definition, "")
            return ""
        if pending != digest:
            self._put(key, approved, definition, digest)
        return (
            f"the definition of the {kind} {name!r:.80} is not what it was when it was first seen."
            f" Look: mcp-gateway approvals show {server} {name!r:.80}; accept it:"
            f" mcp-gateway approvals accept {server}"
        )

    def _load(self) -> dict[Key, tuple[str, str]]:
        from mcpgw.state.database import StateError

        if self._known is None:
            assert self.store is not None
            self._known = {}
            try:
                self._seen = self.store.version()
                self._known = self.store.hashes()
            except StateError as error:
                log.warning("approvals.unreadable", reason=str(error))
        return self._known

    def _put(self, key: Key, approved: str, definition: Mapping[str, Any], digest: str) -> None:
        """Take note of a definition: let in where `approved` is its hash, else waiting."""
        from mcpgw.trust.approvals import ApprovedDefinition

        text, now = canonical(definition), time.time()
        assert self._known is not None
        if not digest or approved == digest:
            self._known[key] = (approved, "")
            self._unsaved[key] = ApprovedDefinition(*key, approved, text, now)
        else:
            self._known[key] = (approved, digest)
            self._unsaved[key] = ApprovedDefinition(*key, approved, "", 0.0, digest, text, now)

    async def keep(self) -> None:
        """Carry what is new to the database, and take what a person accepted; a task."""
        from mcpgw.state.database import StateError

        while True:
            await trio.sleep(POLL)
            if self.store is None:
                continue
            unsaved, self._unsaved = self._unsaved, {}
            try:
                if unsaved:
                    await trio.to_thread.run_sync(self.store.put_definitions, unsaved.values())
                # Others may have written just before or after us, so what is there is read then.
                if unsaved or (self._known is not None and self.store.version() != self._seen):
                    await self._take_news()
            except StateError as error:
                self._unsaved = {**unsaved, **self._unsaved}
                log.warning("approvals.not_kept", reason=str(error))

    async def _take_news(self) -> None:
        assert self.store is not None
        self._seen = self.store.version()
        fresh = await trio.to_thread.run_sync(self.store.hashes)
        fresh |= {key: each for key, each in (self._known or {}).items() if key in self._unsaved}
        if fresh != self._known:
            self._known = fresh
            self.revet()


def _block(server: str) -> str:
    return (
        "a definition of this server is not what it was when it was first seen, and"
        " security.definition_changes is `block`. Look: mcp-gateway approvals list"
        f" {server}; accept it: mcp-gateway approvals accept {server}"
    )


def _words(findings: Sequence[Finding]) -> str:
    from mcpgw.trust.poisoning.findings import sentence

    said = [f"tool poisoning ({sentence(each)})" for each in findings[:TOLD]]
    more = len(findings) - TOLD
    return "; ".join([*said, f"and {more} more"] if more > 0 else said)


def canonical(definition: Mapping[str, Any]) -> str:
    """Write a definition in the form that is compared: sorted, without what says nothing."""
    kept = {key: value for key, value in definition.items() if key not in _VOLATILE}
    return json.dumps(kept, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)


def digest_of(definition: Mapping[str, Any]) -> str:
    """Return the hash by which a definition is known."""
    return hashlib.sha256(canonical(definition).encode("utf-8", "surrogatepass")).hexdigest()
