"""Vetting of server definitions before any client sees them.

Each definition is scanned for tool poisoning and compared with the version approved earlier. The
rules, as `docs/capabilities.md` states them:

- A definition with clear findings is withheld, unless a person has accepted just this definition.
- What a server lists when it is seen for the first time is approved. A server counts as known from
  the first time that it lists a tool; one that declares no tools, from its first lists.
- Later, a definition that differs from the approved one, or that is new, is handled as
  `security.definition_changes` says.
- If the approvals cannot be read, only what was allowed the last time is allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from mcpgw.backends.manifest import Manifest
from mcpgw.backends.verdict import INSTRUCTIONS, SERVER_INFO, Cause, Doubt, Verdict, Withheld
from mcpgw.config.settings import Snapshot
from mcpgw.config.trust import SecurityConfig
from mcpgw.observe.log import get_logger
from mcpgw.text.printable import printable
from mcpgw.trust.approval_changes import Key
from mcpgw.trust.approval_mirror import ApprovalMirror
from mcpgw.trust.examination import (
    CPU_BUDGET,
    CPU_PER_DEFINITION,
    UNSCANNABLE,
    Examined,
    Examiner,
    Item,
    ScanResult,
    items_in,
    items_of,
    rules_version,
    scan_key,
)
from mcpgw.trust.verdict_record import ACCEPTED, SENTENCES, allowed, entry, label, to_json, visible

if TYPE_CHECKING:
    from mcpgw.trust.approvals import ApprovalStore

log = get_logger("mcpgw.trust")

CPU_REFILL: Final = 0.05
"""Seconds of processor time that a server's budget regains each second: one that lists new texts
again and again takes no more than that."""
AT_ONCE: Final = 2
"""Worker threads that examine at the same time, for all servers together."""
TURN: Final = 500
"""Definitions that are compared before other tasks have their turn."""
SAVE_GRACE: Final = 2.0
"""Seconds for saving the latest definitions when the gateway ends."""
STRICT_PATIENCE: Final = 5.0
"""Seconds that the lists of a server wait for the first read of the approvals."""
WARN_PATIENCE: Final = 1.0
"""The same if changes are only warned of."""
LOGGED: Final = 20
"""Definitions of one server that are logged at once."""
MOST_SCANS: Final = 100_000
"""Scan results that are kept in memory."""
_STRICT: Final = ("quarantine", "block")

Decision = tuple[Cause | None, str]
"""Why a definition is not as it should be, and a sentence about it."""


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
    """Returns why a definition of the capabilities is missing, "" if it is not known to be."""
    approvals: ApprovalMirror = attrs.field(init=False)
    _scans: dict[str, ScanResult] = attrs.field(factory=dict)
    """By `scan_key`."""
    _budgets: dict[str, tuple[float, float]] = attrs.field(factory=dict)
    """By server: the processor time left for scanning, in seconds, and since when."""
    _limiter: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(AT_ONCE))
    _logged: dict[str, frozenset[Withheld]] = attrs.field(factory=dict)
    """By server: what was logged of its last verdict."""

    def __attrs_post_init__(self) -> None:
        self.approvals = ApprovalMirror(self.store, self.rescan)

    # -- lists of a server ---------------------------------------------------------------------

    async def vet(
        self,
        server: str,
        manifest: Manifest,
        before: Verdict | None = None,
        *,
        same_reading: bool = False,
    ) -> Verdict:
        """Return the verdict on a server's lists.

        Args:
          server: the name of the server.
          manifest: the lists as the server has sent them.
          before: the verdict so far, whose scans still hold; None if there is none.
          same_reading: whether `before` was on the first of these lists to arrive: if the server
            was not known then, the others are its first lists, too.
        """
        if before is not None:
            self._keep(before.record.get("examined", ()))
        examined = self._reusable(manifest, before)
        if not examined:
            examined = await self._examine(server, items_of(manifest))
        if self.store is not None:
            await self.approvals.ready(STRICT_PATIENCE if self._strict else WARN_PATIENCE)
        known = self._is_known(server, manifest)
        if same_reading and before is not None:
            known = known and before.record.get("known", True)
        decisions = await self._decide(server, known, examined, allowed(before))
        return self._verdict(server, manifest, examined, decisions, known=known)

    def review(self, server: str, manifest: Manifest) -> Verdict:
        """Return the verdict for a person, without approving anything. Blocks."""
        examiner = Examiner(items_of(manifest), self._scans, self.config.tool_poisoning != "off")
        while not examiner.work():
            pass
        self.approvals.load()
        known = self._is_known(server, manifest)
        decisions = [self._judge(server, known, each, {}, note=False) for each in examiner.done]
        return self._verdict(server, manifest, examiner.done, decisions, log_it=False)

    def restore(self, server: str, manifest: Manifest, record: Any) -> Verdict | None:
        """Return the verdict that was stored with a manifest; None if it must be vetted again.

        Takes a millisecond for a hundred definitions. If the approvals were not read yet, it is
        not `decided` and must be vetted again when they are.
        """
        examined = self._examined(manifest, record)
        if examined is None:
            return None
        if self.store is None or self.approvals.loaded:
            known = self._is_known(server, manifest)
            current = [self._judge(server, known, each, {}) for each in examined]
            return self._verdict(server, manifest, examined, current)
        causes = record["causes"]
        decisions = [self._stored(server, *pair) for pair in zip(examined, causes, strict=True)]
        verdict = self._verdict(server, manifest, examined, decisions, log_it=False)
        return attrs.evolve(verdict, decided=False)

    async def vet_page(
        self, server: str, field: str, definitions: Sequence[Any], manifest: Manifest
    ) -> list[Any]:
        """Return the part of a list that passes through that clients may see.

        Args:
          server: the name of the server.
          field: the list, one of `KINDS`.
          definitions: the list, or one page of it.
          manifest: the lists of the server as last vetted.
        """
        examined = await self._examine(server, list(items_in(field, definitions)))
        if self.store is not None:
            await self.approvals.ready(STRICT_PATIENCE if self._strict else WARN_PATIENCE)
        known = self._is_known(server, manifest)
        decisions = await self._decide(server, known, examined, {})
        good = [
            each.item.definition
            for each, decision in zip(examined, decisions, strict=True)
            if not self._withholds(decision[0])
        ]
        changed = any(decision[0] is Cause.CHANGED for decision in decisions)
        return [] if changed and self._blocks else good

    def configure(self, snapshot: Snapshot) -> None:
        """Apply a new configuration; all servers are judged again if its rules differ."""
        if snapshot.config.security != self.config:
            self.config = snapshot.config.security
            self.rescan()

    def capability_refusal(self, server: str, name: str) -> str:
        """Return why a capability cannot be used; "" if clients may use it."""
        return self.missing(server, name) if self.missing is not None else ""

    @property
    def lenient(self) -> bool:
        """True if items may be used whose definitions were never seen, and so by no model."""
        return self.config.definition_changes == "warn"

    async def check(self) -> None:
        """Save new definitions to the database, and load approvals that were written since."""
        await self.approvals.check()

    async def save_at_end(self) -> None:
        """Save new definitions when cancelled: a session may be shorter than the time between two
        checks. Takes `SAVE_GRACE` seconds at most."""
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + SAVE_GRACE):
                await self.approvals.save()

    @staticmethod
    def to_json(verdict: Verdict) -> dict[str, Any]:
        """Return what is stored of a verdict, for `restore`."""
        return to_json(verdict)

    @property
    def _strict(self) -> bool:
        return self.config.definition_changes in _STRICT

    @property
    def _blocks(self) -> bool:
        return self.config.definition_changes == "block"

    # -- examination -----------------------------------------------------------------------------

    async def _examine(self, server: str, items: Sequence[Item]) -> list[Examined]:
        """Examine definitions in worker threads, a slice at a time."""
        now = trio.current_time()
        left, since = self._budgets.get(server, (CPU_BUDGET, now))
        left = min(CPU_BUDGET, left + CPU_REFILL * (now - since))
        extra = CPU_PER_DEFINITION * len(items)
        scan = self.config.tool_poisoning != "off"
        examiner = Examiner(items, self._scans, scan, left + extra)
        try:
            while True:
                if await trio.to_thread.run_sync(
                    examiner.work, abandon_on_cancel=True, limiter=self._limiter
                ):
                    break
                # One regular expression holds the interpreter for as long as it takes, so give
                # the event loop the same time.
                await trio.sleep(min(examiner.last_slice, 1.0) if examiner.is_slow else 0)
        finally:
            self._budgets[server] = (min(left, examiner.budget), trio.current_time())
        self._keep(examiner.done)
        return examiner.done

    def _keep(self, examined: Iterable[Examined]) -> None:
        if len(self._scans) > MOST_SCANS:
            self._scans.clear()
        for each in examined:
            if each.scan is not None and each.final:
                self._scans.setdefault(scan_key(each.item, each.digest), each.scan)

    def _reusable(self, manifest: Manifest, before: Verdict | None) -> Sequence[Examined]:
        """Return the results of the last verdict if they are of the same lists and complete."""
        if before is None or before.record.get("original") is not manifest:
            return ()
        examined: Sequence[Examined] = before.record["examined"]
        if self.config.tool_poisoning == "off":
            return examined
        return examined if all(each.scan is not None and each.final for each in examined) else ()

    def _examined(self, manifest: Manifest, record: Any) -> list[Examined] | None:
        """Return the stored results; None if there are none, or of other rules."""
        items = items_of(manifest)
        try:
            digests, scans, causes = record["digests"], record["scans"], record["causes"]
            if record["rules"] != rules_version() or not (
                len(items) == len(digests) == len(scans) == len(causes)
            ):
                return None
            found = [
                Examined(item, str(digest), ScanResult.from_json(scan) if scan else None)
                for item, digest, scan in zip(items, digests, scans, strict=True)
            ]
        except (KeyError, TypeError, AttributeError):
            return None
        if self.config.tool_poisoning != "off" and any(each.scan is None for each in found):
            return None
        return found

    # -- decisions -------------------------------------------------------------------------------

    async def _decide(
        self,
        server: str,
        known: bool,
        examined: Sequence[Examined],
        last: Mapping[tuple[str, str], str],
    ) -> list[Decision]:
        decisions = []
        for number, each in enumerate(examined):
            if number % TURN == TURN - 1:
                await trio.lowlevel.checkpoint()
            decisions.append(self._judge(server, known, each, last))
        return decisions

    def _is_known(self, server: str, manifest: Manifest) -> bool:
        kinds = self.approvals.kinds(server)
        return "tool" in kinds or (bool(kinds) and "tools" not in manifest.capabilities)

    def _judge(
        self,
        server: str,
        known: bool,
        each: Examined,
        last: Mapping[tuple[str, str], str],
        *,
        note: bool = True,
    ) -> Decision:
        """Decide on a definition; record it unless `note` is false."""
        item, digest = each.item, each.digest
        key = (server, item.kind, item.name)
        approvals = self.approvals if self.store is not None else None
        approved = approvals.known.get(key) if approvals is not None else None
        if each.scan is not None and each.scan.high and self.config.tool_poisoning == "block":
            if approved is not None and approved.reviewed and approved.hash == digest:
                if note and approved.pending:
                    self.approvals.settle(key)
                return None, ""
            cause = Cause.UNSCANNABLE if UNSCANNABLE in each.scan.categories else Cause.POISONING
            if note and approvals is not None and approvals.loaded and each.final:
                approvals.hold(key, digest, item.definition, cause, each.scan.high)
            return cause, each.scan.high
        if approvals is None or item.kind == SERVER_INFO:
            return None, ""
        if not approvals.loaded:
            if self._strict and last.get((item.kind, item.name)) != digest:
                return Cause.UNCONFIRMED, approvals.problem or "the approvals were not read in time"
            return None, ""
        return self._compare(key, known, each, note=note)

    def _compare(self, key: Key, known: bool, each: Examined, *, note: bool) -> Decision:
        """Compare a definition with the approved one."""
        item, digest, approvals = each.item, each.digest, self.approvals
        approved = approvals.known.get(key)
        if approved is not None and approved.hash == digest:
            if note and approved.pending:
                approvals.settle(key)
            return None, ""
        silent = item.kind == INSTRUCTIONS and not item.definition.get("instructions")
        if approved is None or not approved.hash:
            if silent or not known or not self._strict:
                if note:
                    approvals.approve(key, digest, item.definition)
                return None, ""
            cause = Cause.NEW
        elif silent:
            return None, ""
        else:
            cause = Cause.CHANGED
        if note:
            approvals.hold(key, digest, item.definition, cause, "")
        return cause, f"{label(item)} {SENTENCES[cause]}"

    def _stored(self, server: str, each: Examined, cause: Any) -> Decision:
        """Return the stored decision, by the current policy."""
        scan = each.scan
        found = next((known for known in Cause if known.value == cause), None)
        if scan is not None and scan.high and self.config.tool_poisoning == "block":
            if cause == ACCEPTED:
                return None, ""
            large = UNSCANNABLE in scan.categories
            return (Cause.UNSCANNABLE if large else Cause.POISONING), scan.high
        if found in (Cause.POISONING, Cause.UNSCANNABLE) or found is None:
            return None, ""
        return found, f"{label(each.item)} {SENTENCES[found]}"

    def _withholds(self, cause: Cause | None) -> bool:
        if cause is None:
            return False
        if cause in (Cause.POISONING, Cause.UNSCANNABLE):
            return self.config.tool_poisoning == "block"
        return self._strict

    # -- verdicts --------------------------------------------------------------------------------

    def _verdict(
        self,
        server: str,
        manifest: Manifest,
        examined: Sequence[Examined],
        decisions: Sequence[Decision],
        *,
        known: bool = True,
        log_it: bool = True,
    ) -> Verdict:
        withheld: list[Withheld] = []
        doubts: list[Doubt] = []
        for each, (cause, reason) in zip(examined, decisions, strict=True):
            if cause is not None and self._withholds(cause):
                withheld.append(entry(each, cause, reason))
                continue
            if cause is not None:
                doubts.append(Doubt(reason, entry(each, cause, reason)))
            reviewed = self.config.tool_poisoning == "off" or self._is_reviewed(server, each)
            scan = None if reviewed else each.scan
            if scan is not None and (found := "; ".join(filter(None, (scan.high, scan.medium)))):
                text = f"{label(each.item)}: {found}"
                doubts.append(Doubt(text, entry(each, Cause.POISONING, found)))
        changed = (each for each in withheld if each.cause is Cause.CHANGED)
        blocked = next(changed, None) if self._blocks else None
        hidden = {(each.kind, each.name) for each in withheld}
        record = {
            "rules": rules_version(),
            "original": manifest,
            "known": known,
            "examined": examined,
            "decisions": decisions,
            "accepts": [
                each.scan is not None and each.scan.high != "" and self._is_reviewed(server, each)
                for each in examined
            ],
        }
        shown = visible(manifest, examined, hidden, blocked is not None)
        decided = self.store is None or self.approvals.loaded
        decided = decided and all(each.final for each in examined)
        verdict = Verdict(shown, tuple(withheld), tuple(doubts), blocked, record, decided)
        if log_it:
            self._log(server, verdict)
        return verdict

    def _is_reviewed(self, server: str, each: Examined) -> bool:
        """Tell whether a person has accepted just this definition."""
        approved = self.approvals.known.get((server, each.item.kind, each.item.name))
        return approved is not None and approved.reviewed and approved.hash == each.digest

    def _log(self, server: str, verdict: Verdict) -> None:
        """Log what is new in a verdict, at most `LOGGED` lines."""
        before = self._logged.get(server, frozenset())
        doubts = {doubt.withheld: doubt.text for doubt in verdict.doubts}
        self._logged[server] = frozenset((*verdict.withheld, *doubts))
        fresh = [each for each in (*verdict.withheld, *doubts) if each not in before]
        for each in fresh[:LOGGED]:
            if each in doubts:
                log.warning("definition.flagged", server=server, reason=printable(doubts[each]))
                continue
            log.warning(
                "definition.withheld",
                server=server,
                kind=each.kind,
                name=printable(each.name),
                reason=printable(each.reason or each.why),
                hint=f"review: mcp-gateway approvals show {server}",
                **({"found": printable(each.quoted)} if each.quoted else {}),
            )
        if len(fresh) > LOGGED:
            log.warning("definitions.withheld", server=server, more=len(fresh) - LOGGED)
