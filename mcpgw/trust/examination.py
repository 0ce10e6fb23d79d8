"""Examination of definitions: their hashes, and the findings of the scan for tool poisoning.

Everything here is a pure computation, to be run in a worker thread. It is done once for each
definition: the results are stored with the manifest and hold as long as the rules do.
"""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from mcpgw.backends.manifest import Manifest
from mcpgw.backends.verdict import INSTRUCTIONS, KINDS, SERVER_INFO

if TYPE_CHECKING:
    from mcpgw.trust.poisoning import Finding

MAX_REPORTED: Final = 3
"""Findings of one definition that are reported in full; the rest are counted."""
LARGEST: Final = 1_000_000
"""Characters of one definition; a larger one is not scanned, but unscannable."""
CPU_BUDGET: Final = 10.0
"""Seconds of processor time for scanning the definitions of one server. The rest are unscannable
for now. Definitions that were scanned before cost nothing."""
CPU_PER_DEFINITION: Final = 0.005
"""Seconds added to the budget for each definition; an ordinary one takes a fifth of that."""
SLICE: Final = 0.02
"""Seconds for which a worker thread examines before others have their turn."""
_VOLATILE: Final = ("_meta", "icons", "size")
"""Keys that a model does not see and that may change with every listing."""


@attrs.frozen
class ScanResult:
    """The findings of a scan as text for people: of severity HIGH, of MEDIUM, and quotations."""

    high: str = ""
    medium: str = ""
    quoted: str = ""
    categories: tuple[str, ...] = ()
    """Of the worst findings; the only part that a model may read."""

    @classmethod
    def of(cls, findings: Sequence[Finding]) -> ScanResult:
        """Summarise the findings of a scan."""
        from mcpgw.trust.poisoning.findings import Severity, sentence

        high = [each for each in findings if each.severity is Severity.HIGH]
        medium = [each for each in findings if each.severity is not Severity.HIGH]
        shown = high or medium
        quoted = "; ".join(sentence(each, quote=True) for each in shown[:MAX_REPORTED])
        categories = tuple(dict.fromkeys(each.category for each in shown))[:MAX_REPORTED]
        return cls(_summary(high), _summary(medium), quoted, categories)

    def as_json(self) -> list[Any]:
        """Return the form in which it is stored."""
        return [self.high, self.medium, self.quoted, list(self.categories)]

    @classmethod
    def from_json(cls, data: Any) -> ScanResult | None:
        """Return a stored result; None if it is not one."""
        match data:
            case [str(high), str(medium), str(quoted), list(categories)] if all(
                isinstance(each, str) for each in categories
            ):
                return cls(high, medium, quoted, tuple(categories))
        return None


CLEAN: Final = ScanResult()
UNSCANNABLE: Final = "unscannable"


@attrs.frozen
class Item:
    """One definition of a server. `position` counts from 1; it is 0 outside of lists."""

    field: str
    kind: str
    name: str
    definition: Mapping[str, Any] = attrs.field(repr=False)
    position: int = 0


@attrs.frozen
class Examined:
    """A definition with its hash; `scan` is None if it was not scanned."""

    item: Item
    digest: str
    scan: ScanResult | None = None
    final: bool = True
    """False if it was too large for the budget of this time, so that it is tried again."""


def items_of(manifest: Manifest) -> list[Item]:
    """Return the definitions in a server's lists and in its answer to `initialize`."""
    found = [
        Item(INSTRUCTIONS, INSTRUCTIONS, INSTRUCTIONS, {"instructions": manifest.instructions}),
        Item(SERVER_INFO, SERVER_INFO, SERVER_INFO, dict(manifest.server_info)),
    ]
    for field in KINDS:
        found += items_in(field, getattr(manifest, field))
    return found


def items_in(field: str, definitions: Sequence[Any]) -> Iterator[Item]:
    """Yield the definitions of a list; of several with the same name, the first."""
    kind, key = KINDS[field]
    seen: set[str] = set()
    for position, each in enumerate(definitions, 1):
        if not isinstance(each, Mapping):
            continue
        name = each.get(key)
        text = name if isinstance(name, str) else ""
        if text not in seen:
            seen.add(text)
            yield Item(field, kind, text, each, position)


@attrs.define(eq=False)
class Examiner:
    """Examines the definitions of one server, in slices.

    Args:
      items: the definitions.
      known: results of earlier scans, by hash.
      scan: whether to scan for tool poisoning.
      budget: seconds of processor time that are left for scanning.
    """

    items: Sequence[Item]
    known: Mapping[str, ScanResult]
    scan: bool = True
    budget: float = CPU_BUDGET
    done: list[Examined] = attrs.field(factory=list)
    last_slice: float = 0.0
    """Processor time of the last slice, in seconds."""

    @property
    def is_slow(self) -> bool:
        """True if the last slice took much longer than it should."""
        return self.last_slice > 5 * SLICE

    def work(self) -> bool:
        """Examine for one slice of time; return whether all is done.

        A definition is the unit, so one that takes long exceeds the slice.
        """
        began = time.thread_time()
        spent = 0.0
        while len(self.done) < len(self.items) and spent <= SLICE:
            self.done.append(self._examine(self.items[len(self.done)], self.budget - spent))
            spent = time.thread_time() - began
        self.budget -= spent
        self.last_slice = spent
        return len(self.done) == len(self.items)

    def _examine(self, item: Item, left: float) -> Examined:
        text = canonical(item.definition)
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        if not self.scan:
            return Examined(item, digest)
        # Icons and `_meta` are scanned too, but not part of the identity.
        key = scan_key(item, digest)
        if (known := self.known.get(key)) is not None:
            return Examined(item, digest, known)
        if len(text) > LARGEST:
            return Examined(item, digest, _unscannable(f"has {len(text):,} characters"))
        if left <= 0:
            reason = "the processor time for the definitions of one server was not enough for it"
            return Examined(item, digest, _unscannable(reason), final=False)
        return Examined(item, digest, scan_item(item))


def scan_key(item: Item, digest: str) -> str:
    """Return the key of a scan result: the hash, with that of the parts outside the identity."""
    rest = {key: item.definition[key] for key in _VOLATILE if key in item.definition}
    if not rest:
        return f"{item.kind}:{digest}"
    text = json.dumps(rest, sort_keys=True, default=str)
    return f"{item.kind}:{digest}:{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def scan_item(item: Item) -> ScanResult:
    """Scan one definition; takes up to a second for a large one."""
    from mcpgw.trust.poisoning import scan_definition, scan_server

    if item.kind == INSTRUCTIONS:
        return ScanResult.of(scan_server(item.definition))
    if item.kind == SERVER_INFO:
        return ScanResult.of(scan_server({"serverInfo": dict(item.definition)}))
    return ScanResult.of(scan_definition(cast(Any, item.kind), item.definition))


def _unscannable(reason: str) -> ScanResult:
    return ScanResult(f"{UNSCANNABLE}: {reason}", categories=(UNSCANNABLE,))


def _summary(findings: Sequence[Finding]) -> str:
    from mcpgw.trust.poisoning.findings import sentence

    shown = [f"tool poisoning ({sentence(each)})" for each in findings[:MAX_REPORTED]]
    more = len(findings) - MAX_REPORTED
    return "; ".join([*shown, f"and {more} more"] if more > 0 else shown)


def canonical(definition: Mapping[str, Any]) -> str:
    """Write a definition in the form that is hashed: sorted keys, without volatile ones."""
    kept = {key: value for key, value in definition.items() if key not in _VOLATILE}
    try:
        return json.dumps(
            kept, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str
        )
    except RecursionError:
        return "".join(_flat(kept))


def _flat(value: Any) -> Iterator[str]:
    """Write a value that is nested too deeply for `json`, in a form of its own."""
    pending: list[tuple[str, Any]] = [("", value)]
    while pending:
        lead, node = pending.pop()
        yield lead
        if isinstance(node, Mapping):
            yield f"{{{len(node)}:"
            pending += [(json.dumps(key), node[key]) for key in sorted(node, reverse=True)]
        elif isinstance(node, list | tuple):
            yield f"[{len(node)}:"
            pending += [("", each) for each in reversed(node)]
        else:
            yield json.dumps(node, default=str)


def digest_of(definition: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a definition in canonical form, in hex."""
    return hashlib.sha256(canonical(definition).encode("utf-8", "surrogatepass")).hexdigest()


@functools.cache
def rules_version() -> str:
    """Return the hash of the scanner's source files: it changes with every change of a rule."""
    folder = Path(__file__).parent / "poisoning"
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".py", ".yaml", ".json", ".txt") and path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
