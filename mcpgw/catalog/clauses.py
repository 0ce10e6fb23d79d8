"""Splitting of compound requests into clauses, and of literals (paths, URLs) out of them."""

from __future__ import annotations

import re
from typing import Final

import attrs

from mcpgw.text.words import prose_tokens, token_words

MAX_CLAUSES: Final = 8
"""Clauses of one request that are scored separately; the last one takes the rest."""

MAX_READ: Final = 100_000
"""Characters of a request that are searched for pasted data."""

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
    """One part of a request: its text without literals, and the words of its literals."""

    text: str
    literals: tuple[str, ...] = ()


def clauses(request: str, *, short: int, longest: int) -> list[Clause]:
    """Return the clauses of a request, each with at least two content words.

    A request of at most `short` content words is one clause. Pasted data (a hundred characters
    without a space) is left out, and at most `longest` characters of the rest are read. The words
    of a path or URL are returned as `literals`, after the word for its kind: `file`, `url`.
    """
    text = request[:MAX_READ]
    if len(text) > 100:
        text = _DATA.sub(_kept_literal, text)
    whole = _clause(text[:longest])
    if _content(whole.text) + len(whole.literals) <= short:
        return [whole]
    parts = [_clause(part) for part in _BOUNDARY.split(text[:longest]) if part and part.strip()]
    # A clause with too few words is joined to its neighbour.
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
    # An identifier counts as one word; a run of Chinese counts one for each pair.
    found = ((token, token_words(token)) for token in prose_tokens(text))
    return sum(bool(words) if token.isascii() else len(words) for token, words in found)


def _kept_literal(found: re.Match[str]) -> str:
    run = found.group()
    return run if _URL.search(run) or _PATH.fullmatch(run) else " "


def _clause(text: str) -> Clause:
    if "/" not in text and "\\" not in text and "www." not in text:
        return Clause(text)
    words: dict[str, None] = {}

    def take(kind: str, literal: str) -> str:
        words[kind] = None
        for token in prose_tokens(literal):
            words.update(dict.fromkeys(w for w in token_words(token) if w not in _SCHEMES))
        return " "

    text = _URL.sub(lambda found: take("url", found.group()), text)
    text = _PATH.sub(lambda found: take("file", found.group()), text)
    return Clause(text, tuple(words))
