"""Text that people cannot see: invisible characters, terminal commands, padding."""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

from mcpgw.trust.poisoning.findings import Severity
from mcpgw.trust.poisoning.folding import CONTROL, ESCAPE_SEQUENCE, LOOKALIKES


@attrs.frozen
class Concealed:
    """One way of hiding text; `text` is the hidden text if it can be read."""

    severity: Severity
    category: str
    matched: str
    reason: str
    text: str = ""


_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f")
_TAGS = re.compile("[\U000e0000-\U000e007f]+")
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,}")
_JOINERS = re.compile("[\u200b-\u200d\u2060-\u2064\u180e\ufeff\u034f\u206a-\u206f]+")
_FILLERS = re.compile("[\u115f\u1160\u3164\uffa0\u2800\u17b4\u17b5\ufff9-\ufffb]+")
_BIDI = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_JOINING_SCRIPT = re.compile(
    # Arabic and its neighbours, the scripts of India and South East Asia, Mongolian, emoji.
    "[\u0600-\u08ff\u0900-\u109f\u1780-\u18af\u1a20-\u1aaf\u2190-\u2bff\u2e80-\u9fff"
    "\ua000-\ua4cf\ua840-\uabff\uac00-\ud7af\ufb50-\ufdff\ufe0f\ufe70-\ufefc"
    "\U00010a00-\U00011fff\U0001f000-\U0001faff\U00020000-\U0003ffff\U000e0020-\U000e007f©®‼⁉™]"
)
_PADDING = re.compile(
    r"(?<![^\S\n])[^\S\n]{40,}+|(?<!\s)(?:[^\S\n]*+\n){15,}+\s*+|([.\-_=*~·])\1{199,}+"
)
_COLOUR = re.compile("\x1b\\[(?:(?:0|1|3|4|22|23|24|3[1-79]|9[1-7])?;?){1,4}m")
"""Colours and styles (SGR) in which a text stays visible."""
_TABLE = frozenset("|│┃║")
"""Lines of tables: what is beside them may be filled with spaces or dashes."""
ROW = 200
"""Rows of dots or dashes from this length on are padding."""
LINES = 15
"""Ends of lines from which on there may be a gap of empty lines."""
WIDE = 150
"""Gaps from this length on push text out of sight on any screen."""
MANY = 8
"""Runs of invisible characters from this length on carry a message."""


def concealed(text: str) -> Iterator[Concealed]:
    """Yield each way of hiding used in the text, except for marks that writing systems need.

    Joiners in Arabic, Indic or emoji sequences, direction marks in right-to-left text, a leading
    byte order mark and the tags of regional flags are ordinary writing.
    """
    # A cheap check first: few texts have much white space or long rows of one character.
    words = text.split()
    letters = "".join(words)
    if not letters.isprintable():
        yield from _terminal(text)
    if len(text) - len(letters) - len(words) >= 36 or max(map(len, words), default=0) >= ROW:
        yield from _padding(text)
    if not text.isascii():
        yield from _tags(text)
        yield from _selectors(text)
        yield from _joiners(text)
        yield from _directions(text)
        yield from _mixed(text)


def _terminal(text: str) -> Iterator[Concealed]:
    commands = [command for command in ESCAPE_SEQUENCE.findall(text) if command]
    if commands:
        worst = next((each for each in commands if not _COLOUR.fullmatch(each)), "")
        severity = Severity.HIGH if worst else Severity.MEDIUM
        reason = "sends terminal commands"
        yield Concealed(severity, "terminal-escape", worst or commands[0], reason)
        return
    control = CONTROL.search(text)
    if control:
        erasing = control[0] in "\b\x7f"
        severity = Severity.HIGH if erasing else Severity.MEDIUM
        yield Concealed(severity, "control-character", control[0], "contains control characters")


def _padding(text: str) -> Iterator[Concealed]:
    for gap in _PADDING.finditer(text.rstrip()):
        if not _TABLE.isdisjoint(text[max(0, gap.start() - 2) : gap.start()]):
            continue
        if not _TABLE.isdisjoint(text[gap.end() : gap.end() + 2]):
            continue
        wide = len(gap[0]) >= WIDE or gap[0].count("\n") >= 30
        severity = Severity.HIGH if wide else Severity.MEDIUM
        after = text[gap.end() : gap.end() + 60]
        yield Concealed(severity, "padding", after, "pushes text out of sight")
        return


def _tags(text: str) -> Iterator[Concealed]:
    if not _TAGS.search(text):
        return
    parts = _TAGS.findall(_FLAG.sub("", text))
    if parts:
        spelled = "".join(chr(ord(tag) - 0xE0000) for part in parts for tag in part)
        reason = "spells text in invisible tag characters"
        yield Concealed(Severity.HIGH, "invisible-text", spelled, reason, spelled)


def _selectors(text: str) -> Iterator[Concealed]:
    for run in _SELECTORS.findall(text):
        spelled = bytes(
            ord(c) - 0xFE00 if c < "\U000e0100" else ord(c) - 0xE0100 + 16 for c in run
        ).decode("utf-8", "replace")
        reason = "spells text in variation selectors"
        yield Concealed(Severity.HIGH, "invisible-text", spelled, reason, spelled)


def _joiners(text: str) -> Iterator[Concealed]:
    body = text.removeprefix("\ufeff")
    misplaced = ""
    for run in _JOINERS.finditer(body):
        around = body[max(0, run.start() - 1) : run.start()] + body[run.end() : run.end() + 1]
        if len(run[0]) >= MANY or not _JOINING_SCRIPT.search(around):
            misplaced += run[0]
            if len(run[0]) >= MANY:
                break
    misplaced += "".join(_FILLERS.findall(body))
    if misplaced:
        # One character repeated carries no message; nor does the filling of mail previews.
        long = len(misplaced) >= MANY and len(set(misplaced) - {"\u034f"}) > 1
        severity = Severity.HIGH if long else Severity.MEDIUM
        yield Concealed(severity, "invisible-text", misplaced, "contains invisible characters")


def _directions(text: str) -> Iterator[Concealed]:
    marks = _BIDI.findall(text)
    if not marks:
        return
    overrides = [mark for mark in marks if mark in "\u202d\u202e"]
    if overrides and not _RIGHT_TO_LEFT.search(text):
        reason = "reverses the direction of left-to-right text"
        yield Concealed(Severity.HIGH, "text-direction", overrides[0], reason)
    elif overrides or not _RIGHT_TO_LEFT.search(text):
        reason = "contains direction marks that its script does not need"
        yield Concealed(Severity.MEDIUM, "text-direction", marks[0], reason)


def _mixed(text: str) -> Iterator[Concealed]:
    if LOOKALIKES.isdisjoint(text.casefold()):
        return
    for match in re.finditer(r"[^\W\d_]{4,60}", text):
        word = match[0]
        if word.isascii():
            continue
        plain = sum(letter.isascii() for letter in word)
        alike = sum(letter.casefold() in LOOKALIKES for letter in word)
        if plain and alike and plain + alike == len(word) and (plain > 1 or alike > 1):
            reason = "mixes look-alike letters of several alphabets in a word"
            yield Concealed(Severity.MEDIUM, "look-alikes", word, reason)
            return
