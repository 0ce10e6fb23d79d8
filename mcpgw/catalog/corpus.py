"""The corpus: the shards of all servers, and lookup of query terms in them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import attrs

from mcpgw.catalog.query import Term
from mcpgw.catalog.shard import Document, Shard
from mcpgw.catalog.vocabulary import Vocabulary

MAX_CACHED: Final = 200_000
"""Impacts of terms with several variants, about 20 MB, cached until the corpus changes."""

MAX_TERMS: Final = 2_000
"""Terms whose evidence by server is cached."""


@attrs.frozen(eq=False)
class Part:
    """The matches of one query term: impacts of tools, and the weight of an impact."""

    postings: list[dict[int, float]]
    count: int
    worth: float

    def value(self, number: int) -> float:
        """Return the score of the term for one tool."""
        for posting in self.postings:
            impact = posting.get(number)
            if impact is not None:
                return impact * self.worth
        return 0.0


NOTHING: Final = Part([], 0, 0.0)


@attrs.define(eq=False)
class Corpus:
    """The postings of all servers; a server's shard is swapped in and out whole."""

    shards: dict[str, Shard] = attrs.field(factory=dict)
    documents: dict[int, Document] = attrs.field(factory=dict)
    postings: dict[str, dict[str, dict[int, float]]] = attrs.field(factory=dict)
    """By stem, then server: the number of each tool that has it, and its impact there."""
    vocabulary: Vocabulary = attrs.field(factory=Vocabulary)
    joined: Vocabulary = attrs.field(factory=Vocabulary)
    _merged: dict[Term, Part] = attrs.field(factory=dict)
    _evidence: dict[Term, dict[str, float]] = attrs.field(factory=dict)
    _room: int = MAX_CACHED

    def install(self, server: str, shard: Shard) -> None:
        """Add a server's shard, replacing its previous one."""
        self.uninstall(server)
        self.shards[server] = shard
        self.documents.update(shard.documents)
        self.vocabulary.add(shard.spellings)
        self.joined.add(shard.joined)
        postings = self.postings
        for word, posting in shard.postings.items():
            held = postings.get(word)
            if held is None:
                postings[word] = {server: posting}
            else:
                held[server] = posting
        self._forget()

    def uninstall(self, server: str) -> None:
        """Remove a server's shard, if it has one."""
        shard = self.shards.pop(server, None)
        if shard is None:
            return
        for number in shard.documents:
            del self.documents[number]
        self.vocabulary.remove(shard.spellings)
        self.joined.remove(shard.joined)
        for word in shard.postings:
            held = self.postings[word]
            if len(held) == 1:
                del self.postings[word]
            else:
                del held[server]
        self._forget()

    def named(self, key: str) -> set[int]:
        """Return the tools whose name, or server and name, have this `joined_key`."""
        return {number for shard in self.shards.values() for number in shard.named(key)}

    def count(self, word: str) -> int:
        """Return the number of tools that have a stem."""
        return sum(map(len, self.postings.get(word, {}).values()))

    def rarity(self, count: int) -> float:
        """Return BM25's inverse document frequency for a word that `count` tools have."""
        return math.log(1.0 + (len(self.documents) - count + 0.5) / (count + 0.5))

    def own_rarity(self, term: Term) -> float:
        """Return the rarity of the known words typed, or that of an unknown word."""
        known = [self.rarity(count) for word in term.own if (count := self.count(word))]
        return sum(known) if known else self.rarity(0)

    def part(self, term: Term) -> Part:
        """Return the matches of a term; a tool with several variants counts by the best one.

        No variant weighs more than the word typed, even if it is rarer, so a synonym never lifts
        its tool above one that has the word itself.
        """
        if len(term.variants) == 1 and not term.phrases:
            word, weight = term.variants[0]
            postings = list(self.postings.get(word, {}).values())
            count = sum(map(len, postings))
            return Part(postings, count, weight * self.rarity(count)) if count else NOTHING
        found = self._merged.get(term)
        if found is None:
            found = self._merge(term)
            if found.count > self._room:
                self._forget()
            self._room -= found.count
            self._merged[term] = found
        return found

    def evidence(self, term: Term) -> dict[str, float]:
        """Return by server the mean score of a term in its tools, times its rarity by server."""
        found = self._evidence.get(term)
        if found is None:
            if len(self._evidence) >= MAX_TERMS:
                self._evidence.clear()
            found = self._evidence[term] = self._measure_evidence(term)
        return found

    def _measure_evidence(self, term: Term) -> dict[str, float]:
        held: dict[str, float] = {}
        limit = self.own_rarity(term)
        for word, weight in term.variants:
            servers = self.postings.get(word, {})
            worth = weight * min(limit, self.rarity(sum(map(len, servers.values()))))
            for server, posting in servers.items():
                value = worth * sum(posting.values()) / len(self.shards[server].documents)
                if value > held.get(server, 0.0):
                    held[server] = value
        if not held:
            return held
        others = len(self.shards) - len(held)
        rarity = math.log(1.0 + (others + 0.5) / (len(held) + 0.5))
        return {server: value * rarity for server, value in held.items()}

    def _forget(self) -> None:
        self._merged = {}
        self._evidence = {}
        self._room = MAX_CACHED

    def _merge(self, term: Term) -> Part:
        limit = self.own_rarity(term)
        best: dict[int, float] = {}
        for word, weight in term.variants:
            postings = list(self.postings.get(word, {}).values())
            if postings:
                count = sum(map(len, postings))
                _raise(best, postings, weight * min(limit, self.rarity(count)))
        for words, weight in term.phrases:
            together = self._together(words)
            if together:
                worth = weight * min(limit, self.rarity(len(together)))
                _raise(best, [together], worth)
        return Part([best], len(best), 1.0) if best else NOTHING

    def _together(self, words: tuple[str, ...]) -> dict[int, float]:
        """Return the tools that have all words of a phrase, each with its least impact."""
        found: dict[int, float] = {}
        held = [self.postings.get(word, {}) for word in words]
        for server in min(held, key=len):
            if not all(server in servers for servers in held):
                continue
            postings = sorted((servers[server] for servers in held), key=len)
            for number, impact in postings[0].items():
                if all(number in posting for posting in postings[1:]):
                    found[number] = min(impact, *(posting[number] for posting in postings[1:]))
        return found


def _raise(best: dict[int, float], postings: Iterable[dict[int, float]], worth: float) -> None:
    if not best:
        for posting in postings:
            best.update({number: impact * worth for number, impact in posting.items()})
        return
    get = best.get
    for posting in postings:
        for number, impact in posting.items():
            value = impact * worth
            if value > get(number, 0.0):
                best[number] = value
