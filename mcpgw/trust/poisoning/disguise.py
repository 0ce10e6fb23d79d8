"""Readings of text whose words are disguised: spaced, misspelt, in leet, reversed, in rot13.

A reading is only a guess, so it counts only if a severe rule holds in it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

import attrs

from mcpgw.trust.poisoning.lexicon import WORD, lexicon

MIN_COMPOUND = 16
"""Letters from which a word may be several words written without spaces."""
MAX_COMPOUND = 400
"""Letters of such a word that are read."""
MIN_PART = 3
MIN_KEY = 4
MIN_MISSPELT = 5
MIN_TURNED = 4
"""Letters from which a word is recognised as a part, among other characters, misspelt, turned."""
STOPS = 4
"""Words of a sentence below which a text may have a stop after each word."""
ENOUGH = 2
"""Disguised words that make a text suspicious."""
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ROT13 = str.maketrans(_LETTERS, _LETTERS[13:] + _LETTERS[:13])
_LEET = str.maketrans("0134578@$!|+69", "oieastbasiltgg")
_LETTERLIKE = str.maketrans("", "", "0134578@$!|+69")
_OTHER_LEET = str.maketrans("0134578@$!|+69", "oleastbaslltbg")
_SPACED = re.compile(r"(?<!\w)\w(?:[ ._*-]{1,3}\w(?!\w)){4,2000}")
_STOPPED = re.compile(r"(?<!\S)(?:\S{1,60}[.!?…][ \n]{1,3}){3,2000}")
_STOP = re.compile(r"[.!?…]{1,3}\s{1,3}")
_JOINT = re.compile(r"(?<=\w)[.](?=\W?[a-z'`\"~/])")
_TOKEN = re.compile(r"\S{1,80}")
_TAG = re.compile(r"</?[a-z]{1,8}/?>")
_OUTER_TAGS = re.compile(r"^(?:</?[a-z]{1,8}/?>){1,9}|(?:</?[a-z]{1,8}/?>){1,9}[.,;:!?]?$")
_BROKEN = re.compile("[a-z][^a-z]{1,9}[a-z]")
_ELISION = re.compile("'[a-z]{1,2}$|[(][a-z]{1,3}[)]$")
"""Endings such as "user's" and "user(s)"."""
_JUNK = re.compile("[^a-z]+")
_FOREIGN = re.compile(r"[^\W\da-z_]")
_PATH = re.compile(r"[/\\=@#%]|\w_\w|:\w")
_EDGES = "\"'`.,;:!?()[]{}<>*_-~"
_LANGUAGE_TABLE = """
    rest eras bets
    agree alter allow amit approve authorise authorize cash come compete compromise concept
    contact contest context cookie crate date dates detail dies direction document does ease
    elif enable enode enter ever extract extra fall filed filing filter forge former formed fund
    identifiant import informs input inputs invite inverse lean live lists lunch made neve
    output outputs para parent past paste photo pint pint port ports post posts president
    presets pretend priorities prompted prompts pure purpose puts quit quite quot rather reach
    read reads reason recent rela rely resent restriction result revel reviews revoke seating
    send sends serve serves setid start stat state stats tests tracing transit type update
    upgrade user users uses version versions want
"""
_LANGUAGE = frozenset(_LANGUAGE_TABLE.split())
"""Ordinary words that look like a misspelt or a turned word of the rules."""


@attrs.frozen
class Tables:
    """Words of the rules in disguise, with the words themselves."""

    misspelt: dict[str, str]
    reversed: frozenset[str]
    rotated: frozenset[str]
    starts: dict[str, tuple[str, ...]]
    """By their first letters, the words that a compound may be made of, longest first."""


def readings(folded: str) -> Iterator[str]:
    """Yield the readings of a folded text that differ from it."""
    tables = _tables()
    words = set(WORD.findall(folded))
    if len(words & tables.rotated) >= ENOUGH:
        yield folded.translate(_ROT13)
    if len(words & tables.reversed) >= ENOUGH:
        yield folded[::-1]
        yield WORD.sub(lambda match: match[0][::-1], folded)
    spaces = folded.count(" ")
    if STOPS * folded.count(". ") > spaces and _STOPPED.search(folded):
        yield _STOPPED.sub(lambda match: _STOP.sub(" ", match[0]), folded)
    if folded.count(".") > STOPS + spaces:
        yield _JOINT.sub(" ", folded)
    if sum(len(word) == 1 for word in words) >= MIN_KEY and _SPACED.search(folded):
        folded = _SPACED.sub(_closed, folded) if 3 * spaces < len(folded) else _unspaced(folded)
        yield folded
        words = set(WORD.findall(folded))
    plain: dict[str, str] = {}
    leet = 0
    for token in set(_TOKEN.findall(folded)):
        if reading := _plain(token):
            plain[token] = reading
            leet += not token.isalpha() and token.translate(_LETTERLIKE) != token
    if plain and sum(folded.count(token) for token in list(plain)[:ENOUGH]) >= ENOUGH:
        yield _TOKEN.sub(lambda match: plain.get(match[0], match[0]), folded)
        if leet >= ENOUGH:
            yield folded.translate(_LEET)
            yield folded.translate(_OTHER_LEET)
    long = [word for word in words if len(word) >= MIN_COMPOUND and word.isalpha()]
    compounds = [reading for word in long if (reading := _parts(word[:MAX_COMPOUND]))]
    if compounds:
        yield "\n.\n".join(compounds)


def _plain(token: str) -> str:
    """Return the word of the rules that a token disguises, or "" if it disguises none."""
    word = token.strip(_EDGES)
    if len(word) < MIN_KEY:
        return ""
    known = lexicon().words
    if word.isalpha():
        return "" if word in known else _tables().misspelt.get(word, "")
    if "<" in token:
        word = _TAG.sub("", _OUTER_TAGS.sub("", token)).strip(_EDGES)
        if word in token:
            return ""
    if _FOREIGN.search(word) or (_PATH.search(word) and not ("@" in word or "#" in word)):
        return ""
    letters = _JUNK.sub("", word)
    broken = _BROKEN.search(word) or word != token.strip(_EDGES)
    if broken and len(letters) >= MIN_KEY and letters in known and not _ELISION.search(word):
        return letters
    for table in (_LEET, _OTHER_LEET):
        letters = word.translate(table)
        if len(letters) >= MIN_KEY and letters in known and letters != word:
            return letters
    return ""


def _closed(match: re.Match[str]) -> str:
    """Return a run of single letters as words."""
    run = match[0]
    if any(mark in run for mark in "._*-"):
        return re.sub(r"(?<=\w)[._*-]{1,3}(?=\w)", "", run)
    letters = re.sub(r"(?<=\w) (?=\w)", "", run)
    return letters if letters != run else "".join(run.split())


def _unspaced(folded: str) -> str:
    """Return a text with a space after each of its characters as words."""
    return " ".join(part.replace(" ", "") for part in re.split(r" {2,9}", folded))


def _parts(word: str) -> str:
    """Return the words that a compound is made of, or "" if too little of it is known."""
    starts = _tables().starts
    parts: list[str] = []
    place = 0
    while place < len(word):
        found = next(
            (
                part
                for part in starts.get(word[place : place + MIN_PART], ())
                if word.startswith(part, place)
            ),
            "",
        )
        if found:
            parts.append(found)
        place += len(found) or 1
    return " ".join(parts) if len(parts) >= 3 and 2 * sum(map(len, parts)) > len(word) else ""


@functools.cache
def _tables() -> Tables:
    known = lexicon().words
    english = [word for word in known if word.isascii() and len(word) >= MIN_TURNED]
    misspelt: dict[str, str] = {}
    for word in english:
        if len(word) >= MIN_MISSPELT:
            for variant in _misspellings(word):
                if variant not in known and variant not in _LANGUAGE:
                    misspelt.setdefault(variant, word)
    starts: dict[str, list[str]] = {}
    for word in sorted(known, key=len, reverse=True):
        if len(word) >= MIN_PART and word.isascii():
            starts.setdefault(word[:MIN_PART], []).append(word)
    return Tables(
        misspelt,
        frozenset(word[::-1] for word in english if word[::-1] not in known),
        frozenset(word.translate(_ROT13) for word in english),
        {start: tuple(words) for start, words in starts.items()},
    )


def _misspellings(word: str) -> Iterator[str]:
    """Yield the word with one letter left out, and with two neighbours swapped."""
    for place in range(1, len(word)):
        yield word[:place] + word[place + 1 :]
        if place + 1 < len(word):
            yield word[:place] + word[place + 1] + word[place] + word[place + 2 :]
