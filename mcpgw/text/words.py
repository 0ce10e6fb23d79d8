"""Tokenisation of names, prose and queries."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

_STOP_WORDS: Final = (
    "a about after all also am an and any are as at be because been before being between both but"
    " by can could did do does doing each either else etc ever every for from had has have having"
    " he her here hers him his how i if in into is it its just let like me more most much my no"
    " nor not of off on once one only or other our out over own per please s same shall she should"
    " so some such t than that the their them then there these they this those through thus to too"
    " under until up upon us very via want was we well were what when where whether which while"
    " who whom whose why will with within without would yes yet you your"
)
STOP_WORDS: Final = frozenset(_STOP_WORDS.split())
"""Function words that are neither indexed nor searched for in prose."""

_CONTRACTION: Final = re.compile(
    r"\b(?P<word>[a-z]+)['\u2019](?:m|re|ve|ll|d|s|t)\b", re.IGNORECASE
)
"""A word with a contracted one after it: `I'm`, `what's`, `aren't`."""
_SHORTENED: Final = {"can": "can", "won": "will", "shan": "shall", "ain": "is"}
"""The verbs before `'t` that differ from the written form without `n't`."""
_ASCII_PROSE: Final = re.compile(r"[A-Za-z0-9]+")
_WIDE_PROSE: Final = re.compile(r"[A-Za-z0-9\u0080-\U0010ffff]+")
# Capitals with a plural s (`IDs`), capitals before a new word (`HTTP|Response`), a word.
_CASED: Final = re.compile(r"[A-Z]{2,}s(?![a-z])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_BRAND: Final = re.compile(r"[A-Z][a-z]+[A-Z]+[a-z]*\Z")


def identifier_parts(name: str) -> list[str]:
    """Return the words of an identifier in order, in lower case.

    `getHTTPResponse`, `get_http_response` and `get.http-response` all give `get`, `http`,
    `response`. Digits are split from a long word (`base64`: `base`, `64`) and stay with a short
    one (`s3`, `k8s`, `h264`). Scripts written without spaces are cut into overlapping pairs of
    characters.
    """
    return _identifier_parts(name)[0]


def prose_tokens(text: str) -> list[str]:
    """Return the raw runs of letters and digits of a text, case kept; cheap for ASCII."""
    if text.isascii():
        return _ASCII_PROSE.findall(text)
    found: list[str] = []
    for run in _WIDE_PROSE.findall(text):
        if run.isascii():
            found.append(run)
        else:
            found.extend(_unicode_runs(run))
    return found


def without_contractions(text: str) -> str:
    """Return a text with the first words of its contractions alone: `are` for `aren't`."""
    if "'" in text or "\u2019" in text:
        return _CONTRACTION.sub(_uncontracted, text)
    return text


def _uncontracted(found: re.Match[str]) -> str:
    word = found["word"]
    if found.group()[-1] not in "tT":
        return word
    if word.lower() in _SHORTENED:
        return _SHORTENED[word.lower()]
    return word[:-1] if word[-1] in "nN" else word


def token_words(token: str) -> tuple[str, ...]:
    """Return the lower-case words of one token of prose: none for a stop word or a number.

    An identifier (`readFile`) gives the whole and its words; a name of two capitalised halves
    (`GitHub`) stays whole, because people write it both ways.
    """
    if not token.isascii():
        folded = token.casefold()
        return tuple(_pairs(folded)) if is_unspaced(folded[0]) else (folded,)
    lowered = token.lower()
    if lowered in STOP_WORDS or lowered.isdigit():
        return ()
    if lowered == token or token.isupper() or token[1:].islower() or _BRAND.match(token):
        return (lowered,)
    parts, joined = _identifier_parts(token)
    words = [part for part in parts if part not in STOP_WORDS and not part.isdigit()]
    return tuple(dict.fromkeys([lowered, *words, *joined]))


def joined_key(text: str) -> str:
    """Return the letters and digits of a text, case-folded: one key for all its spellings.

    A text without letters and digits is its own key.
    """
    if text.isascii():
        return "".join(_ASCII_PROSE.findall(text)).lower() or text.strip()
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(filter(str.isalnum, folded)) or folded.strip()


def is_unspaced(character: str) -> bool:
    """Return whether a character belongs to a script written without spaces between words.

    Hangul counts too, because its particles are attached to words.
    """
    code = ord(character)
    return code >= 0x0E00 and (
        code <= 0x0EFF  # Thai, Lao
        or 0x1000 <= code <= 0x109F  # Myanmar
        or 0x1780 <= code <= 0x17FF  # Khmer
        or 0x3040 <= code <= 0x30FF  # Hiragana, Katakana
        or 0x3400 <= code <= 0x9FFF  # Han
        or 0xAC00 <= code <= 0xD7AF  # Hangul
        or 0xF900 <= code <= 0xFAFF  # Han, compatibility
        or 0x20000 <= code <= 0x3FFFF  # Han, further planes
    )


def _identifier_parts(name: str) -> tuple[list[str], list[str]]:
    if not name.isascii():
        return _unicode_parts(name), []
    if name.isalpha() and name.islower():
        return [name], []
    parts: list[str] = []
    joined: list[str] = []
    runs = [(found.group(), found.start(), found.end()) for found in _CASED.finditer(name)]
    place = 0
    while place < len(runs):
        word, _, end = runs[place]
        place += 1
        if word.isdigit() or place == len(runs) or runs[place][1] != end:
            nearby = place < len(runs) and runs[place][1] == end
            if word.isdigit() and nearby and _is_unit(runs[place][0]):
                word += runs[place][0]  # `3d`, `4k`
                place += 1
            parts.append(word.lower())
            continue
        digits, _, end = runs[place]
        if not digits.isdigit():
            parts.append(word.lower())
            continue
        place += 1
        follower = runs[place][0] if place < len(runs) and runs[place][1] == end else ""
        short = len(word) <= 2 and not (len(follower) > 2 and follower.islower())
        if not short:
            parts += [word.lower(), digits]
            joined.append((word + digits).lower())
            continue
        if _is_unit(follower):
            digits += follower  # `k8s`
            place += 1
        parts.append((word + digits).lower())
    return parts, joined


def _is_unit(run: str) -> bool:
    return 0 < len(run) <= 2 and (run.islower() or len(run) == 1) and run.isalpha()


def _unicode_parts(name: str) -> list[str]:
    parts: list[str] = []
    for run in _unicode_runs(name):
        if is_unspaced(run[0]):
            parts.extend(_pairs(run))
        elif run.isascii():
            parts.extend(_identifier_parts(run)[0])
        else:
            parts.extend(word.casefold() for word in _split_case(run))
    return parts


def _split_case(run: str) -> Iterator[str]:
    start = 0
    for place in range(1, len(run)):
        if run[place].isupper() and not run[place - 1].isupper():
            yield run[start:place]
            start = place
    yield run[start:]


def _unicode_runs(text: str) -> Iterator[str]:
    """Yield runs of letters, marks and digits, split at the edges of an unspaced script."""
    run: list[str] = []
    unspaced = False
    for character in unicodedata.normalize("NFKC", text):
        # Marks (vowel signs of Indic scripts, accents) belong to the letter before them.
        if character.isalnum() or (run and unicodedata.category(character)[0] == "M"):
            kind = is_unspaced(character) if character.isalnum() else unspaced
            if run and kind != unspaced:
                yield "".join(run)
                run = []
            unspaced = kind
            run.append(character)
        elif run:
            yield "".join(run)
            run = []
    if run:
        yield "".join(run)


def _pairs(run: str) -> list[str]:
    return [run[place : place + 2] for place in range(len(run) - 1)] or [run]
