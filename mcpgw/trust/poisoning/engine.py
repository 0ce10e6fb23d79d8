"""The scanner for text that can reach a model (rule AX-010)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from mcpgw.trust.poisoning import encoded, hidden, markup, walk
from mcpgw.trust.poisoning.findings import Finding, Severity, excerpt, worst
from mcpgw.trust.poisoning.folding import skeleton
from mcpgw.trust.poisoning.lexicon import WORD, lexicon
from mcpgw.trust.poisoning.matcher import hits, needed, possible
from mcpgw.trust.poisoning.walk import Kind

LONG = 4_000
"""Characters above which a text is reported as oversized."""
SCANNED = 64_000
"""Characters of one text that are read; a longer text is reported as unscannable."""
TOTAL = 256_000
"""Characters of one definition that are read."""
APART = "\n.\n"
"""Separator between the strings of a definition; ends a sentence."""
DEPTH = 3
"""Layers of encoding that are removed."""


def scan_text(text: str, where: str) -> tuple[Finding, ...]:
    """Return the findings in a text that a model will read, worst first.

    Never raises. Takes time proportional to the length, for at most 64,000 characters; a longer
    text is itself a finding of severity HIGH.

    Args:
      text: as received, before anything is stripped from it.
      where: the path shown in findings.
    """
    findings = list(_size(text, where))
    findings += _Scan(where).of(text[:SCANNED])
    return _sorted(findings)


def scan_definition(kind: Kind, definition: Mapping[str, object]) -> tuple[Finding, ...]:
    """Return the findings in any string of a definition, worst first.

    Covers names, titles, descriptions, whole schemas with their property names, enumerations,
    defaults and examples, annotations, arguments and `_meta`. Strings are read one by one and all
    together, so an instruction split over several of them is found too. A definition that is
    nested deeper than 64 levels, has more than 20,000 values or 256,000 characters, or contains
    itself, is a finding of severity HIGH.
    """
    return _scan_all(definition, walk.root(kind, definition.get("name")))


def scan_server(initialize_result: Mapping[str, object]) -> tuple[Finding, ...]:
    """Return the findings in a server's `initialize` result, worst first."""
    return _scan_all(
        {key: initialize_result.get(key) for key in ("serverInfo", "instructions", "_meta")},
        "server",
    )


def _scan_all(value: Mapping[str, object], where: str) -> tuple[Finding, ...]:
    found: list[tuple[str, str]] = []
    findings: list[Finding] = []
    try:
        found.extend(walk.strings(value, where))
    except walk.TooLargeError:
        reason = "is nested too deeply or too large to be checked"
        findings.append(Finding(Severity.HIGH, "unscannable", where, "", reason))
    texts = [(path, text) for path, text in found if not _is_image(path, text)]
    if sum(len(text) for _, text in texts) > TOTAL:
        reason = f"has more than the {TOTAL:,} characters that can be checked"
        findings.append(Finding(Severity.HIGH, "unscannable", where, "", reason))
        texts = list(_first(texts))
    whole = APART.join(text for _, text in texts)
    precheck = _precheck(whole)
    for path, text in texts:
        if len(text) > LONG:
            findings += _size(text, path)
    if precheck.decode or precheck.match:
        for path, text in texts:
            scan = _Scan(path)
            findings += scan.of(text[:SCANNED]) if precheck.decode else scan.plain(text)
    if precheck.split and not any(finding.severity is Severity.HIGH for finding in findings):
        findings += _pieces(texts, where)
    return _sorted(findings)


_ADD_UP = frozenset(
    {
        "addresses-model",
        "credential-file",
        "exfiltration",
        "forced-use",
        "hidden-markup",
        "image-exfiltration",
        "invisible-text",
        "look-alikes",
        "padding",
        "secrecy",
        "text-direction",
        "tool-shadowing",
    }
)
"""Categories that are a warning alone and severity HIGH if two of them meet in one text."""


@attrs.define
class _Scan:
    """The scan of one text through all its layers of encoding."""

    where: str
    _seen: set[str] = attrs.field(factory=set)

    def of(self, text: str) -> list[Finding]:
        """Return the findings, one for each category, with all layers of encoding removed."""
        return self._one_each(self._layers(text, 0, ""))

    def plain(self, text: str) -> list[Finding]:
        """Return the findings in a text known to hide and encode nothing."""
        return self._one_each(_matches(skeleton(text), self.where))

    def _one_each(self, findings: Iterable[Finding]) -> list[Finding]:
        kept: dict[str, Finding] = {}
        for finding in findings:
            known = kept.get(finding.category)
            if known is None or known.severity is Severity.MEDIUM:
                kept[finding.category] = finding
        weak = [finding for finding in kept.values() if finding.category in _ADD_UP]
        if len(weak) > 1 and worst(kept.values()) is Severity.MEDIUM:
            reason = f"{weak[0].reason} and {weak[1].reason}"
            kept["combination"] = attrs.evolve(
                weak[0], severity=Severity.HIGH, category="combination", reason=reason
            )
        return list(kept.values())

    def _layers(self, text: str, depth: int, layer: str) -> Iterator[Finding]:
        if text in self._seen or depth > DEPTH:
            return
        self._seen.add(text)
        hiding = list(hidden.concealed(text))
        for concealed in hiding:
            yield self._report(concealed, layer)
        folded = skeleton(text)
        inner = layer or ("invisible characters" if hiding else "")
        yield from self._findings(folded, inner)
        comments = list(markup.marked(folded))
        for concealed in comments:
            yield self._report(concealed, layer)
        for concealed in hiding + comments:
            if concealed.text:
                yield from self._layers(concealed.text, depth + 1, concealed.category)
        plain = encoded.decoded(text)
        if plain != text:
            yield from self._layers(plain, depth + 1, layer)
        for blob in encoded.blobs(plain):
            yield from self._layers(blob, depth + 1, "an encoding")
        words = set(WORD.findall(folded))
        for guise in encoded.disguised(folded, words, lexicon().meanings(folded, words)):
            yield from self._findings(guise, "a disguise")

    def _findings(self, folded: str, layer: str) -> Iterator[Finding]:
        found = list(_matches(folded, self.where))
        yield from found
        weak = [finding for finding in found if finding.severity is Severity.MEDIUM]
        if weak and layer:
            reason = f"{weak[0].reason}, hidden by {layer}"
            yield attrs.evolve(weak[0], severity=Severity.HIGH, reason=reason)

    def _report(self, concealed: hidden.Concealed, layer: str) -> Finding:
        severity = Severity.HIGH if layer else concealed.severity
        shown = excerpt(concealed.matched)
        return Finding(severity, concealed.category, self.where, shown, concealed.reason)


def _matches(folded: str, where: str) -> Iterator[Finding]:
    words = lexicon()
    meanings = words.meanings(folded, set(WORD.findall(folded)))
    among = possible(meanings)
    if not among:
        return
    for hit in hits(words.tokens(folded, needed(among)), among):
        rule = hit.rule
        matched = excerpt(folded[hit.start : hit.end])
        option = rule.category == "secrecy" and folded.isascii() and " " not in folded
        softened = option or _cited(folded, hit.start)
        severity = Severity.MEDIUM if softened else rule.severity
        yield Finding(severity, rule.category, where, matched, rule.reason)


def _cited(folded: str, start: int) -> bool:
    """Return whether a text only quotes the words as an example of what it detects."""
    before = folded[max(0, start - 90) : start]
    return before.endswith(("'", '"', "`")) and any(verb in before for verb in _LOOKS_FOR)


_LOOKS_FOR = ("detect", "scan", "flag", "block", "recogni", "classif", "catch", "filter")


def _size(text: str, where: str) -> list[Finding]:
    if len(text) > SCANNED:
        reason = f"has {len(text):,} characters, more than the {SCANNED:,} that can be checked"
        return [Finding(Severity.HIGH, "unscannable", where, excerpt(text), reason)]
    if len(text) > LONG:
        reason = f"has {len(text):,} characters, more than {LONG:,}"
        return [Finding(Severity.MEDIUM, "oversized", where, excerpt(text), reason)]
    return []


@attrs.frozen
class _Precheck:
    """The checks that a quick look at all strings of a definition leaves to do."""

    decode: bool = False
    """Some text may be hidden, encoded or too long: decode and match each string."""
    match: bool = False
    """A rule holds somewhere: match each string."""
    split: bool = False
    """The words of a clear intent occur: match the strings joined."""


def _precheck(whole: str) -> _Precheck:
    """Check the joined strings of a definition quickly; may suspect too much, never too little."""
    if len(whole) > SCANNED or next(hidden.concealed(whole), None):
        return _Precheck(decode=True, split=True)
    folded = skeleton(whole)
    plain = encoded.decoded(whole)
    if plain != whole and _precheck(plain) != _Precheck():
        return _Precheck(decode=True, split=True)
    if next(markup.marked(folded), None):
        return _Precheck(decode=True, split=True)
    words = set(WORD.findall(folded))
    meanings = lexicon().meanings(folded, words)
    for guise in encoded.disguised(folded, words, meanings):
        if possible(lexicon().meanings(guise, set(WORD.findall(guise)))):
            return _Precheck(decode=True, split=True)
    if next(encoded.blobs(whole), None):
        return _Precheck(decode=True, split=True)
    among = possible(meanings)
    if not among:
        return _Precheck()
    split = any(sequence.rule.category in _SPLIT for sequence in among)
    # In most definitions the words occur, but in different strings.
    return _Precheck(match=any(_hit(part) for part in folded.split(APART)), split=split)


def _hit(folded: str) -> bool:
    """Return whether a rule holds in a folded text, ignoring `unless`."""
    words = lexicon()
    among = possible(words.meanings(folded, set(WORD.findall(folded))))
    if not among:
        return False
    found = hits(words.tokens(folded, needed(among)), among, excuses=False)
    return next(found, None) is not None


_SPLIT = frozenset({"credential-file", "instruction-override", "secrecy"})
"""Intents clear enough to be reported if several strings express them only together."""


def _pieces(texts: list[tuple[str, str]], where: str) -> Iterator[Finding]:
    """Yield findings that the sentences of a definition give only together."""
    whole = " ".join(text for _, text in texts if " " in text)[:SCANNED]
    for finding in _matches(skeleton(whole), where):
        if finding.severity is Severity.HIGH and finding.category in _SPLIT:
            reason = f"{finding.reason}, spread over several strings"
            yield attrs.evolve(finding, reason=reason)


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
    return tuple(
        sorted(
            dict.fromkeys(findings),
            key=lambda finding: finding.severity is not Severity.HIGH,
        )
    )
