"""Shards: the part of the index that belongs to one server, built independently of the others.

The impact in a posting is the BM25F term of a word in a tool, without the word's rarity. Field
lengths are normalised by fixed usual lengths instead of current averages, so an impact does not
depend on the other servers; rarity is applied at query time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import attrs

from mcpgw.catalog.fields import (
    DESCRIPTION,
    DETAILS,
    NAME,
    PARAMETER_TEXT,
    PARAMETERS,
    SERVER,
    SERVER_TEXT,
    TITLE,
    is_deprecated,
    keywords_of,
    parameter_texts,
    sentences_of,
    string_of,
    title_of,
)
from mcpgw.catalog.stems import stem
from mcpgw.text.words import (
    identifier_parts,
    joined_key,
    prose_tokens,
    token_words,
)

SATURATION: Final = 1.5
"""BM25's k1: how fast further occurrences of a word stop adding to a tool's score."""

JOINED_WEIGHT: Final = 1.0
"""Weight of two neighbouring words of a name written as one (`wordcloud`)."""

IMPACTS: Final = tuple(step / 4096 for step in range(4097))
"""The possible values of an impact. Sharing these objects keeps the index small and makes summing
twice as fast, because they are close together in memory."""

BATCH: Final = 100
"""Tools indexed between two steps of `ShardBuilder.steps`, about 5 ms of work."""

MAX_SAME: Final = 100
"""Tools of one server with the same name that are all found by it."""

MAX_CACHED: Final = 100_000
"""Tokens whose stems are cached before the cache is cleared."""


FIELDS: Final = (
    NAME,
    TITLE,
    DESCRIPTION,
    DETAILS,
    PARAMETERS,
    PARAMETER_TEXT,
    SERVER,
    SERVER_TEXT,
)

Words = tuple[str, ...]


@attrs.frozen
class Document:
    """One indexed tool: its server, name and definition, and its stems by field of `FIELDS`."""

    server: str
    tool: str
    definition: Mapping[str, Any]
    fields: tuple[Words, ...]
    deprecated: bool = False
    """True if its definition says that it must no longer be used."""


@attrs.define(eq=False)
class Shard:
    """The index of one server.

    Postings are dictionaries of numbers, which the garbage collector does not traverse.
    """

    key: str
    """The server's name by `joined_key`."""
    documents: dict[int, Document] = attrs.field(factory=dict)
    postings: dict[str, dict[int, float]] = attrs.field(factory=dict)
    """By stem: the number of each tool that has it, and its impact there."""
    spellings: set[str] = attrs.field(factory=set)
    """The words as written, for correcting typos in queries."""
    joined: set[str] = attrs.field(factory=set)
    """Neighbouring words of names, and whole names, written as one word."""
    exact: dict[str, tuple[int, ...]] = attrs.field(factory=dict)
    """Tools by `joined_key` of their name."""

    def named(self, key: str) -> tuple[int, ...]:
        """Return the tools whose name, or server and name, have this `joined_key`."""
        found = self.exact.get(key, ())
        if self.key and key.startswith(self.key):
            found += self.exact.get(key[len(self.key) :], ())
        return found


@attrs.define(eq=False)
class Stems:
    """A cache of the stems of tokens, because catalogs repeat the same few thousand."""

    _of_token: dict[str, tuple[Words, Words]] = attrs.field(factory=dict)
    _of_name: dict[str, tuple[Words, Words]] = attrs.field(factory=dict)

    def of_prose(self, token: str) -> tuple[Words, Words]:
        """Return the words of a token of prose, and their stems."""
        found = self._of_token.get(token)
        if found is None:
            found = self._of_token[token] = _stemmed(token_words(token))
            if len(self._of_token) > MAX_CACHED:
                self._of_token.clear()
        return found

    def of_name(self, name: str) -> tuple[Words, Words]:
        """Return the words of an identifier, and their stems."""
        found = self._of_name.get(name)
        if found is None:
            found = self._of_name[name] = _stemmed(tuple(identifier_parts(name)))
            if len(self._of_name) > MAX_CACHED:
                self._of_name.clear()
        return found


def _stemmed(words: Words) -> tuple[Words, Words]:
    return words, tuple(stem(word) for word in words)


@attrs.define(eq=False)
class ShardBuilder:
    """Builds the shard of one server, in steps.

    Args:
      server, description: the server's name and its description.
      definitions: the server's tools.
      first: the number of the first tool; the others follow in order.
      stems: shared between builders.
    """

    server: str
    description: str
    definitions: Sequence[Mapping[str, Any]]
    first: int
    stems: Stems
    shard: Shard = attrs.field(init=False)
    _shared: tuple[Words, Words] = attrs.field(default=((), ()), init=False)

    def __attrs_post_init__(self) -> None:
        self.shard = Shard(joined_key(self.server))

    def build(self) -> Shard:
        """Build the shard at once."""
        for _ in self.steps():
            pass
        return self.shard

    def steps(self) -> Iterator[None]:
        """Build the shard, yielding after every `BATCH` tools."""
        self._shared = (self._name_words([self.server]), self._prose_words([self.description]))
        for number, definition in enumerate(self.definitions):
            self._add(self.first + number, definition)
            if number % BATCH == BATCH - 1:
                yield

    def _add(self, number: int, definition: Mapping[str, Any]) -> None:
        name = string_of(definition, "name")
        parameters, explanations = parameter_texts(definition.get("inputSchema"))
        name_words = self._name_words([name])
        first, rest = sentences_of(definition)
        fields = (
            name_words,
            self._prose_words([title_of(definition)]),
            self._prose_words([first]),
            self._prose_words([rest]),
            self._name_words(parameters),
            self._prose_words([*explanations, keywords_of(definition)]),
            *self._shared,
        )
        weights: dict[str, float] = {}
        get = weights.get
        for field, words in zip(FIELDS, fields, strict=True):
            if words:
                share = field.weight / (1.0 - field.norm + field.norm * len(words) / field.usual)
                for word in words:
                    weights[word] = get(word, 0.0) + share
        key = joined_key(name)
        if len(name_words) > 1 and name.isascii():
            self._add_joined(key, name_words, weights)
        postings = self.shard.postings
        for word, weight in weights.items():
            posting = postings.get(word)
            impact = IMPACTS[int(4096 * weight / (weight + SATURATION)) + 1]
            if posting is None:
                postings[word] = {number: impact}
            else:
                posting[number] = impact
        self.shard.documents[number] = Document(
            self.server, name, definition, fields, is_deprecated(definition)
        )
        same = self.shard.exact.get(key, ())
        if len(same) < MAX_SAME:
            self.shard.exact[key] = (*same, number)

    def _add_joined(self, key: str, words: Words, weights: dict[str, float]) -> None:
        """Index neighbouring words of a name, and the whole name, as one word too."""
        forms = {key}
        forms.update(one + two for one, two in pairwise(words) if not two.isdigit())
        for form in forms:
            weights[form] = weights.get(form, 0.0) + JOINED_WEIGHT
        self.shard.joined |= forms

    def _name_words(self, names: Sequence[str]) -> Words:
        return self._stems_of(self.stems.of_name, names)

    def _prose_words(self, texts: Sequence[str]) -> Words:
        tokens = [token for text in texts if text for token in prose_tokens(text)]
        return self._stems_of(self.stems.of_prose, tokens) if tokens else ()

    def _stems_of(
        self, pairs_of: Callable[[str], tuple[Words, Words]], tokens: Sequence[str]
    ) -> Words:
        found: list[str] = []
        spellings: list[str] = []
        for token in tokens:
            words, keys = pairs_of(token)
            spellings += words
            found += keys
        self.shard.spellings.update(spellings)
        return tuple(found)
