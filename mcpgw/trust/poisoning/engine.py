"""One scanner for every text that can reach a model (rule AX-010)."""

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
"""Characters of one text that are read; a longer text is refused as one that cannot be checked."""
TOTAL = 256_000
"""Characters of one definition that are read."""
APART = "\n.\n"
"""Between the strings of a definition, a place where sentences end."""
DEPTH = 3
"""How many coats of encoding are taken off."""


def scan_text(text: str, where: str) -> tuple[Finding, ...]:
    """Return what is suspicious in a text that a model will read, worst first.

    Never raises, and takes time in proportion to the length, for at most 64,000 characters;
    a longer text is a finding of severity HIGH in itself.

    Args:
      text: as received, before anything was stripped from it.
      where: the path that findings show.
    """
    findings = list(_size(text, where))
    findings += _Scan(where).of(text[:SCANNED])
    return _sorted(findings)


def scan_definition(kind: Kind, definition: Mapping[str, object]) -> tuple[Finding, ...]:
    """Return what is suspicious in any string of a definition, worst first.

    Names, titles, descriptions, whole schemas with their property names, enumerations, defaults
    and examples, annotations, arguments and `_meta` are read, each by itself and all together,
    so that a text which is cut in pieces is found as well. A definition that is nested deeper
    than 64 levels, has more than 20,000 values or 256,000 characters, or contains itself, is a
    finding of severity HIGH.
    """
    return _scan_all(definition, walk.root(kind, definition.get("name")))


def scan_server(initialize_result: Mapping[str, object]) -> tuple[Finding, ...]:
    """Return what is suspicious in a server's answer to `initialize`, worst first."""
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
    texts = [(path, text) for path, text in found if not _picture(path, text)]
    if sum(len(text) for _, text in texts) > TOTAL:
        reason = f"has more than the {TOTAL:,} characters that can be checked"
        findings.append(Finding(Severity.HIGH, "unscannable", where, "", reason))
        texts = list(_first(texts))
    whole = APART.join(text for _, text in texts)
    glance = _glance(whole)
    for path, text in texts:
        if len(text) > LONG:
            findings += _size(text, path)
    if glance.whole or glance.hit:
        for path, text in texts:
            scan = _Scan(path)
            findings += scan.of(text[:SCANNED]) if glance.whole else scan.plain(text)
    if glance.split and not any(finding.severity is Severity.HIGH for finding in findings):
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
"""Categories of which two in one text, each a warning by itself, are not a coincidence."""


@attrs.define
class _Scan:
    """The scan of one text, through all the coats that it wears."""

    where: str
    _seen: set[str] = attrs.field(factory=set)

    def of(self, text: str) -> list[Finding]:
        """Return the findings, one for each category, with all coats taken off."""
        return self._one_each(self._layers(text, 0, ""))

    def plain(self, text: str) -> list[Finding]:
        """Return the findings in a text that is known to hide and encode nothing."""
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

    def _layers(self, text: str, depth: int, coat: str) -> Iterator[Finding]:
        if text in self._seen or depth > DEPTH:
            return
        self._seen.add(text)
        hiding = list(hidden.concealed(text))
        for concealed in hiding:
            yield self._report(concealed, coat)
        folded = skeleton(text)
        inner = coat or ("invisible characters" if hiding else "")
        yield from self._said(folded, inner)
        comments = list(markup.marked(folded))
        for concealed in comments:
            yield self._report(concealed, coat)
        for concealed in hiding + comments:
            if concealed.text:
                yield from self._layers(concealed.text, depth + 1, concealed.category)
        plain = encoded.decoded(text)
        if plain != text:
            yield from self._layers(plain, depth + 1, coat)
        for blob in encoded.blobs(plain):
            yield from self._layers(blob, depth + 1, "an encoding")
        words = set(WORD.findall(folded))
        for guise in encoded.disguised(folded, words, lexicon().meanings(folded, words)):
            yield from self._said(guise, "a disguise")

    def _said(self, folded: str, coat: str) -> Iterator[Finding]:
        found = list(_matches(folded, self.where))
        yield from found
        weak = [finding for finding in found if finding.severity is Severity.MEDIUM]
        if weak and coat:
            reason = f"{weak[0].reason}, hidden by {coat}"
            yield attrs.evolve(weak[0], severity=Severity.HIGH, reason=reason)

    def _report(self, concealed: hidden.Concealed, coat: str) -> Finding:
        severity = Severity.HIGH if coat else concealed.severity
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
    """Tell whether a text only quotes the words as an example of what it looks for."""
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
class _Glance:
    """What a quick look at all strings of a definition leaves to do."""

    whole: bool = False
    """Something may be hidden, encoded or too long: each string has to be unwrapped."""
    hit: bool = False
    """A rule holds somewhere: each string has to be matched by itself."""
    split: bool = False
    """The words of a clear intent are there: they may be spread over the strings."""


def _glance(whole: str) -> _Glance:
    """Look at the strings of a definition, joined; may suspect too much, never too little."""
    if len(whole) > SCANNED or next(hidden.concealed(whole), None):
        return _Glance(whole=True, split=True)
    folded = skeleton(whole)
    plain = encoded.decoded(whole)
    if plain != whole and _glance(plain) != _Glance():
        return _Glance(whole=True, split=True)
    if next(markup.marked(folded), None):
        return _Glance(whole=True, split=True)
    words = set(WORD.findall(folded))
    meanings = lexicon().meanings(folded, words)
    for guise in encoded.disguised(folded, words, meanings):
        if possible(lexicon().meanings(guise, set(WORD.findall(guise)))):
            return _Glance(whole=True, split=True)
    if next(encoded.blobs(whole), None):
        return _Glance(whole=True, split=True)
    among = possible(meanings)
    if not among:
        return _Glance()
    split = any(sequence.rule.category in _SPLIT for sequence in among)
    # Most often the words are there, but in different strings.
    return _Glance(hit=any(_hit(part) for part in folded.split(APART)), split=split)


def _hit(folded: str) -> bool:
    """Tell whether a rule holds in a folded text, whatever might excuse it."""
    words = lexicon()
    among = possible(words.meanings(folded, set(WORD.findall(folded))))
    if not among:
        return False
    found = hits(words.tokens(folded, needed(among)), among, excuses=False)
    return next(found, None) is not None


_SPLIT = frozenset({"credential-file", "instruction-override", "secrecy"})
"""Intents that are clear enough to be believed when several strings express them together."""


def _pieces(texts: list[tuple[str, str]], where: str) -> Iterator[Finding]:
    """Yield what the sentences of a definition say only together."""
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


def _picture(path: str, text: str) -> bool:
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
