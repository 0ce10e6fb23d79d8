"""Clauses: the parts of a compound request, and the literals (paths, addresses) inside them."""

from __future__ import annotations

import re
from typing import Final

import attrs

from mcpgw.text.words import prose_tokens, token_words

MAX_CLAUSES: Final = 8
"""Parts of one request that are looked at apart; what follows is only part of the whole."""

MAX_READ: Final = 100_000
"""Characters of a request in which data pasted into it is looked for."""

_WORDS_BEFORE: Final = r"and then|and also|and finally|after that|afterwards|as well as"
_BOUNDARY: Final = re.compile(
    r"[.;:!?,](?=\s|$)|[\n。；：！？，、]"
    rf"|\b(?:{_WORDS_BEFORE}|and|then|also|next|finally|plus)\b",
    re.IGNORECASE,
)
_URL: Final = re.compile(r"\b(?:https?|ftp|wss?)://[^\s<>\"']+|\bwww\.[^\s<>\"']+", re.IGNORECASE)
_PATH: Final = re.compile(r"(?<![\w.:/\\])(?:~|\.{1,2}|[A-Za-z]:)?(?:[/\\][\w.\-]+){2,}[/\\]?")
_DATA: Final = re.compile(r"[!-~]{100,}")
_SCHEMES: Final = frozenset({"http", "https", "ftp", "ws", "wss", "www"})


@attrs.frozen
class Clause:
    """One part of a request: its own text, and the words that stand for its literals."""

    text: str
    literals: tuple[str, ...] = ()


def clauses(request: str, *, short: int, longest: int) -> list[Clause]:
    """Return the parts of a request, each with at least two words of content.

    A request of at most `short` words of content, or of one part, stays whole. Text pasted as
    data (a hundred characters without a space) is left out, and of the rest `longest`
    characters are read. The words of a path or an address come apart, as `literals`, after
    the word for its kind: `file`, `url`.
    """
    text = request[:MAX_READ]
    if len(text) > 100:
        text = _DATA.sub(_kept_literal, text)
    whole = _clause(text[:longest])
    if _content(whole.text) + len(whole.literals) <= short:
        return [whole]
    parts = [_clause(part) for part in _BOUNDARY.split(text[:longest]) if part and part.strip()]
    # What says too little to be a part of its own belongs to its neighbour.
    joined: list[Clause] = []
    small = False
    for part in parts:
        slight = _content(part.text) + len(part.literals) < 2
        if joined and (small or slight or len(joined) == MAX_CLAUSES):
            last = joined[-1]
            joined[-1] = Clause(f"{last.text} {part.text}", last.literals + part.literals)
            small = small and slight
        else:
            joined.append(part)
            small = slight
    return joined or [whole]


def _content(text: str) -> int:
    # An identifier counts once however many words it has; a run of Chinese counts its pairs.
    found = ((token, token_words(token)) for token in prose_tokens(text))
    return sum(bool(words) if token.isascii() else len(words) for token, words in found)


def _kept_literal(found: re.Match[str]) -> str:
    run = found.group()
    return run if _URL.search(run) or _PATH.fullmatch(run) else " "


def _clause(text: str) -> Clause:
    if "/" not in text and "\\" not in text and "www." not in text:
        return Clause(text)
    words: dict[str, None] = {}

    def note(kind: str, literal: str) -> str:
        words[kind] = None
        for token in prose_tokens(literal):
            words.update(dict.fromkeys(w for w in token_words(token) if w not in _SCHEMES))
        return " "

    text = _URL.sub(lambda found: note("url", found.group()), text)
    text = _PATH.sub(lambda found: note("file", found.group()), text)
    return Clause(text, tuple(words))
