"""What servers' definitions are trusted with, before any client sees them.

Two questions about each: does its text try to talk a model into something, and is it what it was
when it was first seen? Answers are kept in the state database (`mcpgw.state.approvals`).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import trio

from mcpgw.backends.manifest import Manifest
from mcpgw.config.trust import SecurityConfig
from mcpgw.observe.log import get_logger

if TYPE_CHECKING:
    from mcpgw.state.approvals import ApprovalStore, ApprovedDefinition

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
INSTRUCTIONS: Final = "instructions"
_VOLATILE: Final = ("_meta", "icons", "size")
"""Keys that say nothing to a model, and may well be another each time."""

Key = tuple[str, str, str]


@attrs.frozen
class Withheld:
    """A definition that clients are not shown, and why."""

    kind: str
    name: str
    reason: str


@attrs.frozen
class Verdict:
    """What was found about one server."""

    withheld: tuple[Withheld, ...] = ()
    warnings: tuple[str, ...] = ()


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
    verdicts: dict[str, Verdict] = attrs.field(factory=dict)
    """By server."""
    _known: dict[Key, tuple[str, str]] | None = None
    """Hashes of what was let in, and of what waits."""
    _unsaved: dict[Key, ApprovedDefinition] = attrs.field(factory=dict)
    _seen: int | None = None
    _scans: dict[str, tuple[str, str]] = attrs.field(factory=dict)
    """By hash of a definition: why it is withheld, and what is doubtful."""

    def vet(self, server: str, manifest: Manifest) -> Manifest:
        """Return what of a server's lists clients may see."""
        withheld: list[Withheld] = []
        warnings: list[str] = []
        kept: dict[str, Any] = {}
        changed = False
        for field, (kind, key) in KINDS.items():
            good = []
            for definition in getattr(manifest, field):
                reason, doubts, news = self._judge(server, kind, definition, key)
                warnings += doubts
                changed = changed or news
                if reason:
                    withheld.append(Withheld(kind, str(definition.get(key, "")), reason))
                else:
                    good.append(definition)
            kept[field] = tuple(good)
        instructions = manifest.instructions
        reason, doubt = self._scan_server(manifest.server_info, instructions)
        if reason:
            withheld.append(Withheld(INSTRUCTIONS, server, reason))
            instructions = ""
        elif doubt:
            warnings.append(f"{INSTRUCTIONS}: {doubt}")
        if changed and self.config.definition_changes == "block":
            kept = dict.fromkeys(KINDS, ())
        self._tell(server, Verdict(tuple(withheld), tuple(warnings)))
        if not withheld:
            return manifest
        return attrs.evolve(manifest, instructions=instructions, **kept)

    def vet_list(self, server: str, field: str, definitions: list[Any]) -> list[Any]:
        """Return what of a list that passes through clients may see."""
        kind, key = KINDS[field]
        return [
            each
            for each in definitions
            if not isinstance(each, Mapping) or not self._judge(server, kind, each, key)[0]
        ]

    def vet_instructions(self, server_info: Mapping[str, Any], instructions: str) -> str:
        """Return a server's instructions, "" where they must not reach a model."""
        return "" if self._scan_server(server_info, instructions)[0] else instructions

    def withheld(self, server: str, kind: str, name: str) -> str:
        """Return why clients may not use something of a server, "" where they may."""
        for each in self.verdicts.get(server, Verdict()).withheld:
            if (each.kind, each.name) == (kind, name):
                return each.reason
        return ""

    def _judge(
        self, server: str, kind: str, definition: Mapping[str, Any], key: str
    ) -> tuple[str, list[str], bool]:
        """Return why a definition is withheld, what is doubtful, and whether it has changed."""
        name, digest = str(definition.get(key, "")), digest_of(definition)
        reason, doubt = self._scan(kind, definition, digest)
        doubts = [f"{kind} {name!r:.80}: {doubt}"] if doubt else []
        if reason:
            return reason, doubts, False
        news = self._compare(server, kind, name, definition, digest)
        if news and self.config.definition_changes == "warn":
            return "", [*doubts, news], True
        return news, doubts, bool(news)

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
                )
        for text in verdict.warnings:
            if text not in old.warnings:
                log.warning("definition.doubtful", server=server, reason=text)

    # -- poisoning ---------------------------------------------------------------------------------

    def _scan(self, kind: str, definition: Mapping[str, Any], digest: str) -> tuple[str, str]:
        if self.config.tool_poisoning == "off":
            return "", ""
        found = self._scans.get(digest)
        if found is None:
            from mcpgw.poisoning import scan_definition

            found = self._scans[digest] = said(scan_definition(cast(Any, kind), definition))
        return self._by_policy(found)

    def _scan_server(self, info: Mapping[str, Any], instructions: str) -> tuple[str, str]:
        if self.config.tool_poisoning == "off" or not (instructions or info):
            return "", ""
        from mcpgw.poisoning import scan_server

        told = {"instructions": instructions, "serverInfo": dict(info)}
        return self._by_policy(said(scan_server(told)))

    def _by_policy(self, found: tuple[str, str]) -> tuple[str, str]:
        high, doubt = found
        if self.config.tool_poisoning == "warn":
            return "", "; ".join(text for text in (high, doubt) if text)
        return high, doubt

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
        from mcpgw.state.approvals import ApprovedDefinition

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
                    self._seen = self.store.version()
                if self._known is not None and self.store.version() != self._seen:
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


def said(findings: Any) -> tuple[str, str]:
    """Return the sure findings of a scan in words, and the doubtful ones."""
    sure = [each for each in findings if each.severity.name == "HIGH"]
    doubtful = [each for each in findings if each.severity.name != "HIGH"]
    return "; ".join(_words(sure)), "; ".join(_words(doubtful))


def _words(findings: Any) -> Iterator[str]:
    for each in findings[:3]:
        yield f"tool poisoning ({each.category}) at {each.where}: {each.reason}: {each.matched}"
    if len(findings) > 3:
        yield f"and {len(findings) - 3} more"


def canonical(definition: Mapping[str, Any]) -> str:
    """Write a definition in the form that is compared: sorted, without what says nothing."""
    kept = {key: value for key, value in definition.items() if key not in _VOLATILE}
    return json.dumps(kept, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)


def digest_of(definition: Mapping[str, Any]) -> str:
    """Return the hash by which a definition is known."""
    return hashlib.sha256(canonical(definition).encode("utf-8", "surrogatepass")).hexdigest()
