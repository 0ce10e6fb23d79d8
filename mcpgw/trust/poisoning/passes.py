"""The passes over the strings of a definition: as they are, decoded, and read through disguises.

Each pass takes the strings together and goes over them once. A pass over text that was decoded
costs its length, and the sum is limited (`Passes.allowance`), so that no text takes much longer
than ordinary prose.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterable, Iterator

import attrs

from mcpgw.trust.poisoning import disguise, encoded, hidden, markup
from mcpgw.trust.poisoning.findings import Finding, Severity, excerpt
from mcpgw.trust.poisoning.folding import EXPANSION, SEGMENT, skeleton
from mcpgw.trust.poisoning.intents import PAIRS
from mcpgw.trust.poisoning.lexicon import ADDRESS, KEY_FILE, SECRET_FILE, WORD, lexicon
from mcpgw.trust.poisoning.matcher import PLENTY, Hit, hits, needed, possible
from mcpgw.trust.poisoning.rules import Genre, mask_of

DEPTH = 3
"""Layers of encoding that are removed."""
ALLOWANCE = 4
"""Characters that may be read in later passes, for each character of the strings."""
SPARE = 20_000
"""Characters that may be read in later passes of any definition, however short."""
SLACK = 100
"""Characters by which even a short text may grow further when it is folded."""
EXPENSIVE = "has too many layers of encoding to be checked"
NEAR = 500
"""Characters within which the two categories of a pair must occur."""
HINTS = frozenset({"tool-order", "argument-change", "pretext"})
"""Categories that are reported only in the pairs of `PAIRS`."""
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
_SPLIT = frozenset({"credential-file", "instruction-override", "secrecy"})
"""Intents clear enough to be reported if several strings express them only together."""
_MARKS = (
    "<",
    "[",
    "&",
    "%",
    "\\",
    "/*",
    "SYSTEM",
    "ystem:",
    "nstruction",
    "NSTRUCTION",
    "irective",
    "IRECTIVE",
    "#",
    "nt:",
    "nts:",
    "ai:",
    "nt,",
    "nts,",
)
"""Marks found in every text with markup, escapes or words to the model."""
_GAP = " " * 30
CHUNK = 1_500
"""Characters of neighbouring strings that are matched together at least."""
_LOOKS_FOR = ("detect", "scan", "flag", "block", "recogni", "classif", "catch", "filter")
_PROTECTED = re.compile(
    r"\b(?:raw|values?|secrets?|passwords?|tokens?|connection strings?|api[ _-]?keys?|"
    r"credentials?|private[ _-]keys?|codes?|pins?|ids?|identifiers?|urls?|errors?)\b"
)
_DONE = re.compile(r"\b(?:you|read|sent|step|call|tool|instructions?|process|change|about this)\b")
_TO_ACT = re.compile(r"\s+(?:to|how)\s+(?!the\b)\w")
"""Continuation of "do not tell the user" where the user is to do something."""
_ENGLISH = frozenset(
    ["the", "and", "of", "to", "with", "this", "for", "from", "or", "are", "it", "by"]
)
"""Words of almost every English sentence, and of no other language."""


@attrs.frozen
class Found:
    """A finding, the number of the string it is in (-1 for all), and where it starts there."""

    place: int
    finding: Finding
    start: int = 0


@attrs.define
class Passes:
    """The passes over the strings of one definition.

    Args:
      texts: the strings.
      own: the name of the tool.
      genre: what the strings are.
    """

    texts: list[str]
    own: str
    genre: Genre
    exhausted: bool = False
    allowance: int = attrs.field(init=False)
    """Characters that may still be read in later passes."""
    _found: dict[int, list[Found]] = attrs.field(factory=dict)

    @allowance.default
    def _allow(self) -> int:
        return ALLOWANCE * sum(map(len, self.texts)) + SPARE

    def findings(self) -> Iterator[tuple[int, Finding]]:
        """Yield the findings, with the numbers of the strings."""
        folded = list(map(self._fold, self.texts))
        whole = SEGMENT.join(folded)
        own = skeleton(self.own)
        for each in _matches(whole, self.genre, own):
            self._found.setdefault(each.place, []).append(each)
        clear = self._is_clear
        long = any(len(word) >= encoded.MIN_BLOB for word in set(whole.split()))
        for place, text in enumerate(self.texts):
            if _may_hide(text, long):
                self._uncover(place, text, folded[place], 0, "")
        if not clear:
            if joined := encoded.spliced(self.texts):
                self._uncover(-1, joined, self._fold(joined), 1, "an encoding")
            self._read_disguises(whole)
            if self.genre == "definition":
                self._name_secrets(whole, folded)
                self._join(folded)
        for place, found in self._found.items():
            for finding in _one_each(found, self.genre):
                yield place, finding

    @property
    def _is_clear(self) -> bool:
        """True if the strings are a clear case already."""
        return any(
            each.finding.severity is Severity.HIGH
            for each in itertools.chain(*self._found.values())
        )

    def _add(self, place: int, finding: Finding, start: int = 0) -> None:
        self._found.setdefault(place, []).append(Found(place, finding, start))

    def _fold(self, text: str) -> str:
        folded = skeleton(text)
        most = EXPANSION * len(text) + SLACK
        if len(folded) > most:
            self.exhausted = True
        return folded[:most]

    def _spend(self, characters: int) -> bool:
        """Return whether that many characters may be read in another pass."""
        self.allowance -= characters
        self.exhausted = self.exhausted or self.allowance < 0
        return self.allowance >= 0

    def _uncover(self, place: int, text: str, folded: str, depth: int, layer: str) -> None:
        """Add what a text hides; `layer` is what the text itself was hidden by."""
        hiding = list(hidden.concealed(text))
        comments = list(markup.marked(text, folded)) if self._takes_markup else []
        for concealed in hiding + comments:
            self._add(place, _report(concealed, layer))
        inner_layer = layer or ("invisible characters" if hiding else "")
        if inner_layer:
            self._add_hidden(place, folded, inner_layer)
        if depth >= DEPTH:
            return
        inner: dict[str, str] = {}
        for concealed in hiding + comments:
            if concealed.text:
                category = concealed.category
                inner[category] = inner.get(category, "") + "\n.\n" + concealed.text
        plain = encoded.decoded(text)
        if plain != text:
            inner[""] = plain
        if blobs := "\n.\n".join(encoded.blobs(plain)):
            inner["an encoding"] = blobs
        for name, hidden_text in inner.items():
            if self._spend(len(hidden_text)):
                below = layer if not name else layer or name
                self._uncover(place, hidden_text, self._fold(hidden_text), depth + 1, below)
                if not name and not layer:
                    self._add_plain(place, hidden_text)

    @property
    def _takes_markup(self) -> bool:
        return self.genre == "definition"

    def _add_plain(self, place: int, text: str) -> None:
        for each in _matches(skeleton(text), self.genre, ""):
            self._add(place, each.finding, each.start)

    def _add_hidden(self, place: int, folded: str, layer: str) -> None:
        """Add what rules hold in a hidden text; what would only be a warning is severe here."""
        if not self._spend(len(folded)):
            return
        promoted = False
        for each in _matches(folded, self.genre, ""):
            finding = each.finding
            warning = finding.severity is Severity.MEDIUM and finding.category not in HINTS
            if warning and self.genre == "definition":
                if promoted:
                    continue
                promoted = True
                reason = f"{finding.reason}, hidden by {layer}"
                self._add(place, attrs.evolve(finding, severity=Severity.HIGH, reason=reason))
            else:
                self._add(place, finding, each.start)
        secret = SECRET_FILE.search(folded) if layer == "an encoding" else None
        if secret:
            reason = "names a file with secrets, hidden by an encoding"
            shown = excerpt(folded[max(0, secret.start() - 20) : secret.end()])
            self._add(place, Finding(Severity.HIGH, "credential-file", "", shown, reason))

    def _read_disguises(self, whole: str) -> None:
        for reading in disguise.readings(whole):
            if not self._spend(len(reading)):
                return
            same = reading.count(SEGMENT) == whole.count(SEGMENT)
            read: dict[int, list[Found]] = {}
            for each in _matches(reading, self.genre, ""):
                if each.finding.severity is Severity.HIGH or each.finding.category in HINTS:
                    read.setdefault(each.place if same else -1, []).append(each)
            for place, found in read.items():
                known = {each.finding.category for each in self._found.get(place, ())}
                for finding in _one_each(found, self.genre):
                    if finding.category not in known:
                        reason = f"{finding.reason}, hidden by a disguise"
                        self._add(place, attrs.evolve(finding, reason=reason))

    def _name_secrets(self, whole: str, folded: list[str]) -> None:
        """Add a finding for a text in a foreign language with a file of secrets and an address.

        Whatever such a text says, it is not the description of a tool; in English the verbs tell.
        """
        meanings = lexicon().meanings(whole, set(WORD.findall(whole)))
        if not (meanings & mask_of("KEYFILE") and meanings & mask_of("URL|EMAIL")):
            return
        for place, text in enumerate(folded):
            files = (match for match in SECRET_FILE.finditer(text) if KEY_FILE.search(match[0]))
            file = next(files, None)
            if file is None or not ADDRESS.search(text):
                continue
            words = WORD.findall(text)
            english = sum(word in _ENGLISH for word in words)
            if english * 10 < len(words):
                reason = "names a file with secrets and an address"
                matched = excerpt(text[file.start() :])
                self._add(place, Finding(Severity.HIGH, "exfiltration", "", matched, reason))

    def _join(self, folded: list[str]) -> None:
        """Add what the sentences of a definition give only together."""
        if self._is_clear:
            return
        sentences = [text for text in folded if " " in text]
        if len(sentences) < 2:
            return
        for each in _matches(" ".join(sentences), self.genre, ""):
            finding = each.finding
            if finding.severity is Severity.HIGH and finding.category in _SPLIT:
                reason = f"{finding.reason}, spread over several strings"
                self._add(-1, attrs.evolve(finding, reason=reason))


def _may_hide(text: str, long: bool) -> bool:
    """Return whether a text may hide or encode something; `long` if there are long words."""
    return (
        not text.isascii()
        or not (text.isprintable() or text.translate(_LINES).isprintable())
        or any(mark in text for mark in _MARKS)
        or _GAP in text
        or text.count("\n") >= hidden.LINES
        or (long and any(len(word) >= encoded.MIN_BLOB for word in text.split()))
    )


_LINES = {10: " ", 9: " ", 13: " "}


def _chunks(folded: str) -> Iterator[tuple[int, str]]:
    """Yield neighbouring segments together, with the number of the first; few words in a chunk
    leave few rules to try."""
    if SEGMENT not in folded:
        yield 0, folded
        return
    chunk: list[str] = []
    size = first = 0
    for place, part in enumerate(folded.split(SEGMENT)):
        chunk.append(part)
        size += len(part)
        if size >= CHUNK:
            yield first, SEGMENT.join(chunk)
            chunk, size, first = [], 0, place + 1
    if chunk:
        yield first, SEGMENT.join(chunk)


def _matches(whole: str, genre: Genre, own: str) -> Iterator[Found]:
    """Yield the findings of the rules, with the numbers of the segments they are in."""
    words = lexicon()
    if not possible(words.meanings(whole, set(WORD.findall(whole))), genre):
        return
    severe = 0
    for first, folded in _chunks(whole):
        if severe >= PLENTY:
            return
        among = possible(words.meanings(folded, set(WORD.findall(folded))), genre)
        if not among:
            continue
        last = folded.count(SEGMENT)
        for hit in hits(words.tokens(folded, needed(among), own), among, last):
            begin = folded.rfind(SEGMENT, 0, hit.start) + 1
            end = folded.find(SEGMENT, hit.end)
            text = folded[begin : end if end >= 0 else len(folded)]
            finding = _finding(hit, text, hit.start - begin, hit.end - begin, genre)
            severe += finding.severity is Severity.HIGH
            yield Found(first + hit.segment, finding, hit.start - begin)


def _finding(hit: Hit, text: str, start: int, end: int, genre: Genre) -> Finding:
    rule = hit.rule
    pattern = rule.category == "instruction-override" and "|" in text[start:end]
    softened = (
        pattern
        or _cited(text, start, genre)
        or (rule.category == "secrecy" and _harmless(text, start, end))
    )
    severity = Severity.MEDIUM if softened else rule.severity
    return Finding(severity, rule.category, "", excerpt(text[start:end]), rule.reason)


def _harmless(text: str, start: int, end: int) -> bool:
    """Return whether what a text keeps from the user is a name of an option, or a secret."""
    if text.isascii() and " " not in text:
        return True
    after = re.split(r"[.;\n]", text[start : end + 50], maxsplit=1)[0]
    if _TO_ACT.match(text, end):
        return True
    return bool(_PROTECTED.search(after)) and not _DONE.search(after)


def _cited(text: str, start: int, genre: Genre) -> bool:
    """Return whether a text only quotes the words, as an example of what it detects."""
    before = text[max(0, start - 90) : start]
    if not before.endswith(("'", '"', "`", "“")):
        return False
    return genre == "skill" or any(verb in before for verb in _LOOKS_FOR)


def _report(concealed: hidden.Concealed, layer: str) -> Finding:
    severity = Severity.HIGH if layer else concealed.severity
    return Finding(severity, concealed.category, "", excerpt(concealed.matched), concealed.reason)


def _one_each(found: Iterable[Found], genre: Genre) -> list[Finding]:
    """Return one finding for each category, with those that are severe only together."""
    kept: dict[str, Finding] = {}
    starts: dict[str, list[int]] = {}
    for each in found:
        category = each.finding.category
        starts.setdefault(category, []).append(each.start)
        known = kept.get(category)
        if known is None or known.severity is Severity.MEDIUM:
            kept[category] = each.finding
    severe = any(finding.severity is Severity.HIGH for finding in kept.values())
    together = [] if severe or genre == "skill" else list(_together(kept, starts))
    return [each for each in kept.values() if each.category not in HINTS] + together[:1]


def _together(kept: dict[str, Finding], starts: dict[str, list[int]]) -> Iterator[Finding]:
    for first, second, reason in PAIRS:
        if first in kept and second in kept and _near(starts[first], starts[second]):
            yield attrs.evolve(
                kept[first], severity=Severity.HIGH, category="combination", reason=reason
            )
    weak = [finding for finding in kept.values() if finding.category in _ADD_UP]
    if len(weak) > 1:
        reason = f"{weak[0].reason} and {weak[1].reason}"
        yield attrs.evolve(weak[0], severity=Severity.HIGH, category="combination", reason=reason)


def _near(starts: list[int], others: list[int]) -> bool:
    """Return whether a place of one list is within `NEAR` characters of one of the other."""
    others = sorted(others)
    for start in starts:
        place = bisect.bisect_left(others, start - NEAR)
        if place < len(others) and others[place] <= start + NEAR:
            return True
    return False
