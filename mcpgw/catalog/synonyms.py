"""Synonyms for words and phrases of a query, read from YAML files."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from mcpgw.catalog.stems import stem
from mcpgw.text.words import prose_tokens, token_words

BUILT_IN: Final = Path(__file__).with_name("synonyms.yaml")

MAX_PHRASE: Final = 4
"""Greatest number of words in a phrase."""

Key = tuple[str, ...]
"""A word or a phrase by its stems."""


class SynonymError(ValueError):
    """A synonym file that cannot be used; the message gives the file, line and remedy."""


@attrs.frozen
class Synonyms:
    """Synonyms by the stems of a word or phrase; `longest` is the length of the longest phrase."""

    others: Mapping[Key, tuple[Key, ...]] = attrs.field(factory=dict)
    longest: int = 1

    def __contains__(self, key: object) -> bool:
        return key in self.others

    def of(self, key: Key) -> tuple[Key, ...]:
        """Return the synonyms of a key, or ()."""
        return self.others.get(key, ())


def load(paths: Iterable[str | Path] = (), *, built_in: Path | None = BUILT_IN) -> Synonyms:
    """Return the synonyms of the built-in file and of any others.

    A file has `groups`, lists of words that are synonyms of each other, and `narrower`, which
    maps a word to others that it finds too, but not the reverse. Phrases are written with spaces.
    A word may be in several groups, which are not merged. Repeated words, and words unknown to
    the catalog, are allowed.

    Raises:
      SynonymError: a file cannot be read or is invalid.
    """
    base = Synonyms() if built_in is None else _base(built_in)
    names = [Path(path) for path in paths]
    if not names:
        return base
    table = {key: dict.fromkeys(others) for key, others in base.others.items()}
    for path in names:
        _read(path, table)
    return _table(table)


@functools.cache
def _base(path: Path) -> Synonyms:
    """Read a file once; it must not change while the program runs."""
    table: dict[Key, dict[Key, None]] = {}
    _read(path, table)
    return _table(table)


def _table(table: dict[Key, dict[Key, None]]) -> Synonyms:
    others = {key: tuple(found) for key, found in table.items()}
    return Synonyms(others, max(map(len, table), default=1))


def sequence(text: str) -> list[str]:
    """Return the stems of every word of a text in order, including stop words."""
    found: list[str] = []
    for token in prose_tokens(text):
        words = token_words(token) or (token.lower(),)
        found.extend(stem(word) for word in words)
    return found


def _read(path: Path, table: dict[Key, dict[Key, None]]) -> None:
    from mcpgw.config.yamlfile import YamlSyntaxError, parse

    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the text is not UTF-8"
        raise SynonymError(f"Synonym file {path} cannot be read: {reason}.") from None
    try:
        data = parse(text)
    except YamlSyntaxError as error:
        line = "" if error.line is None else f", line {error.line}"
        raise SynonymError(f"Synonym file {path}{line}: {error.message}.") from None
    _fill(_Reader(path, text), data, table)


def _fill(reader: _Reader, data: object, table: dict[Key, dict[Key, None]]) -> None:
    if data is None:
        return
    if not isinstance(data, Mapping):
        raise reader.error((), "must be a map with `groups`, `narrower` or both")
    for key in data:
        if key not in ("groups", "narrower"):
            raise reader.error((key,), f"unknown key {key!r}; use `groups` and `narrower`")
    groups = data.get("groups")
    for number, words in enumerate(reader.items(groups, ("groups",), "a list of lists of words")):
        place = ("groups", number)
        members = reader.keys(words, place)
        for one in members:
            for other in members:
                _add(table, one, other)
    narrower = data.get("narrower")
    if narrower is None:
        return
    if not isinstance(narrower, Mapping):
        raise reader.error(("narrower",), "`narrower` must map a word to a list of words")
    for word, words in narrower.items():
        key = reader.key(word, ("narrower", word))
        for other in reader.keys(words, ("narrower", word)):
            _add(table, key, other)


def _add(table: dict[Key, dict[Key, None]], key: Key, other: Key) -> None:
    if key and other and key != other:
        table.setdefault(key, {})[other] = None


@attrs.frozen
class _Reader:
    """Validates the parts of one file; errors give the file and line."""

    path: Path
    text: str

    def error(self, place: Sequence[str | int], message: str) -> SynonymError:
        from mcpgw.config.yamlfile import Lines

        line = Lines.of(self.text).find(tuple(place)) if place else None
        where = "" if line is None else f", line {line}"
        return SynonymError(f"Synonym file {self.path}{where}: {message}.")

    def items(self, value: object, place: tuple[str | int, ...], form: str) -> list[object]:
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.error(place, f"`{place[-1]}` must be {form}, as in `[delete, remove]`")
        return value

    def keys(self, value: object, place: tuple[str | int, ...]) -> list[Key]:
        if not isinstance(value, list):
            raise self.error(place, "must be a list of words, as in `[delete, remove]`")
        return [self.key(word, (*place, number)) for number, word in enumerate(value)]

    def key(self, word: object, place: tuple[str | int, ...]) -> Key:
        if isinstance(word, bool) or not isinstance(word, str | int | float):
            raise self.error(place, f"{word!r:.40} must be a string; if it is a word, quote it")
        key = tuple(sequence(str(word)))
        if len(key) > MAX_PHRASE and str(word).isascii():
            raise self.error(
                place, f"{word!r:.60} has {len(key)} words; a phrase must have at most {MAX_PHRASE}"
            )
        return key
