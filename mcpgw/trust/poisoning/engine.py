"""The scanner for text that can reach a model (rule AX-010)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from mcpgw.trust.poisoning import walk
from mcpgw.trust.poisoning.findings import Finding, Severity, excerpt
from mcpgw.trust.poisoning.passes import EXPENSIVE, Passes
from mcpgw.trust.poisoning.rules import Genre
from mcpgw.trust.poisoning.walk import Kind

LONG = 4_000
"""Characters above which a text is reported as oversized."""
SCANNED = 64_000
"""Characters of one text that are read; a longer text is reported as unscannable."""
TOTAL = 256_000
"""Characters of one definition that are read."""
SHOWN = 40
"""Findings of one definition that are reported."""


def scan_text(text: str, where: str, *, genre: Genre = "definition") -> tuple[Finding, ...]:
    """Return the findings in a text that a model will read, worst first.

    Never raises. Takes time proportional to the length, for at most 64,000 characters; a longer
    text is itself a finding of severity HIGH, as is one with so many layers of encoding that
    reading them all would take much longer than reading the text.

    Args:
      text: as received, before anything is stripped from it.
      where: the path shown in findings.
      genre: what the text is. A skill speaks to the model and quotes code, so fewer rules apply.
    """
    findings = [*_size(text, where), *_scanned([(where, text)], "", where, genre)]
    return _sorted(findings)


def scan_definition(kind: Kind, definition: Mapping[str, object]) -> tuple[Finding, ...]:
    """Return the findings in any string of a definition, worst first.

    Covers names, titles, descriptions, whole schemas with their property names, enumerations,
    defaults and examples, annotations, arguments and `_meta`. Strings are read one by one and all
    together, so an instruction split over several of them is found too. A definition that is
    nested deeper than 64 levels, has more than 20,000 values or 256,000 characters, or contains
    itself, is a finding of severity HIGH.
    """
    name = definition.get("name")
    own = name if isinstance(name, str) else ""
    return _scan_all(definition, walk.root(kind, name), own)


def scan_server(initialize_result: Mapping[str, object]) -> tuple[Finding, ...]:
    """Return the findings in a server's `initialize` result, worst first."""
    return _scan_all(
        {key: initialize_result.get(key) for key in ("serverInfo", "instructions", "_meta")},
        "server",
        "",
    )


def _scan_all(value: Mapping[str, object], where: str, own: str) -> tuple[Finding, ...]:
    found: list[tuple[str, str]] = []
    findings: list[Finding] = []
    try:
        found.extend(walk.strings(value, where))
    except walk.TooLargeError:
        findings.append(_unscannable(where, "is nested too deeply or too large to be checked"))
    texts = [(path, text) for path, text in found if not _is_image(path, text)]
    if sum(len(text) for _, text in texts) > TOTAL:
        reason = f"has more than the {TOTAL:,} characters that can be checked"
        findings.append(_unscannable(where, reason))
        texts = list(_first(texts))
    for path, text in texts:
        if len(text) > LONG:
            findings += _size(text, path)
    findings += _scanned(texts, own, where, "definition")
    return _sorted(findings)


def _scanned(texts: list[tuple[str, str]], own: str, where: str, genre: Genre) -> Iterator[Finding]:
    passes = Passes([text[:SCANNED] for _, text in texts], own, genre)
    for place, finding in passes.findings():
        path = where if place < 0 else texts[place][0]
        yield attrs.evolve(finding, where=path)
    if passes.exhausted:
        yield _unscannable(where, EXPENSIVE)


def _unscannable(where: str, reason: str) -> Finding:
    return Finding(Severity.HIGH, "unscannable", where, "", reason)


def _size(text: str, where: str) -> list[Finding]:
    if len(text) > SCANNED:
        reason = f"has {len(text):,} characters, more than the {SCANNED:,} that can be checked"
        return [attrs.evolve(_unscannable(where, reason), matched=excerpt(text))]
    if len(text) > LONG:
        reason = f"has {len(text):,} characters, more than {LONG:,}"
        return [Finding(Severity.MEDIUM, "oversized", where, excerpt(text), reason)]
    return []


def _first(texts: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the strings that fit into `TOTAL` characters."""
    room = TOTAL
    for path, text in texts:
        room -= len(text)
        if room < 0:
            return
        yield path, text


def _is_image(path: str, text: str) -> bool:
    return path.endswith(".src") and text.startswith(
        ("data:image/png;", "data:image/jpeg;", "data:image/webp;", "data:image/gif;")
    )


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    ordered = sorted(
        dict.fromkeys(findings), key=lambda finding: finding.severity is not Severity.HIGH
    )
    return tuple(ordered[:SHOWN])
