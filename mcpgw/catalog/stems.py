"""A light English stemmer that leaves short words unchanged."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_WHOLE_WORDS: Final = (
    "alias always atlas axis bias canvas christmas https kubernetes lens news pandas"
    " perhaps series species embed hundred biased during evening morning nothing something"
    " anything everything ceiling"
)
_WHOLE: Final = frozenset(_WHOLE_WORDS.split())
"""Words that only look like plurals or verb forms."""

_IRREGULAR: Final = {
    "analyse": "analyz", "analysed": "analyz", "analyses": "analyz", "analysis": "analyz",
    "children": "child", "criteria": "criteri", "indices": "index", "matrices": "matrix",
    "men": "man", "mice": "mouse", "movies": "movi", "people": "person", "used": "use",
    "using": "use", "vertices": "vertex", "women": "woman",
}  # fmt: skip
_VOWEL: Final = re.compile("[aeiouy]")
_SHORT_SYLLABLE: Final = re.compile("[^aeiou]*[aeiouy][^aeiouywx]\\Z")
_MARKS: Final = re.compile("[\u0300-\u036f]+")


def stem(word: str) -> str:
    """Return the key under which a lower-cased word and its related forms are indexed.

    Removes plural, `-ing`, `-ed` and, in longer words, `-ly` endings and a final silent `e`; `y`
    becomes `i`. The stem always has at least three letters and a vowel, so `class`, `bing`,
    `string` and `news` are unchanged. Words with digits are unchanged; accents are removed from
    Latin letters.
    """
    if not word.isascii():
        decomposed = unicodedata.normalize("NFD", word)
        return unicodedata.normalize("NFC", _MARKS.sub("", decomposed))
    if len(word) <= 3 or not word.isalpha():
        return word
    known = _IRREGULAR.get(word)
    if known is not None:
        return known
    singular = word if word in _WHOLE else _without_plural(word)
    base = singular if singular in _WHOLE else _without_verb_ending(singular)
    return _without_end(base) if base not in _WHOLE else base


def _without_plural(word: str) -> str:
    if not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y" if len(word) > 4 else word[:-1]
    if len(word) > 4 and word.endswith(("sses", "shes", "ches", "xes", "zzes")):
        return word[:-2]
    return word[:-1]


def _without_verb_ending(word: str) -> str:
    if word.endswith("ing"):
        base = word[:-3]
    elif word.endswith("ied"):
        return word[:-3] + "y" if len(word) > 4 else word
    elif word.endswith("ed") and not word.endswith("eed"):
        base = word[:-2]
    else:
        return word
    if len(base) < 3 or not _VOWEL.search(base):
        return word
    if base[-1] == base[-2] and base[-1] not in "aeioulsz" and len(base) > 3:
        return base[:-1]
    if _SHORT_SYLLABLE.match(base):
        return base + "e" if len(base) == 3 or base[-1] in "cgsuvz" else base
    return base


def _without_end(word: str) -> str:
    if len(word) > 6 and word.endswith("ly"):
        word = word[:-2]
    if len(word) > 4 and word.endswith("e"):
        return word[:-1]
    if len(word) > 3 and word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "i"
    return word
