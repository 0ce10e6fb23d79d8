"""The search index over the tools of all backends: weighted BM25 with repair of typos."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from heapq import nlargest
from typing import Any

import attrs
import trio

from mcpgw.catalog.fields import NAME
from mcpgw.catalog.query import Lexicon, Plan, Term, plan
from mcpgw.catalog.shard import FIELDS, Document, Shard, ShardBuilder, Stems
from mcpgw.catalog.vocabulary import Vocabulary
from mcpgw.catalog.words import joined_key


@attrs.frozen
class Hit:
    """A tool that a query found; `matched` names the fields that held words of it."""

    server: str
    tool: str
    score: float
    definition: Mapping[str, Any]
    matched: tuple[str, ...]


@attrs.frozen
class SearchResult:
    """The best hits, how many tools matched at all, and which words were read as others."""

    hits: tuple[Hit, ...]
    total: int
    corrections: Mapping[str, str]


@attrs.frozen(eq=False)
class _Listing:
    """What a server offers, as listed."""

    definitions: tuple[Mapping[str, Any], ...]
    description: str
    by_name: dict[str, Mapping[str, Any]]

    @classmethod
    def of(cls, tools: Sequence[Mapping[str, Any]], description: str) -> _Listing:
        # What a server sent has been checked for being JSON, not for being sensible.
        listed: Sequence[object] = tools
        definitions = tuple(tool for tool in listed if isinstance(tool, Mapping))
        by_name: dict[str, Mapping[str, Any]] = {}
        for definition in definitions:
            name = definition.get("name")
            if isinstance(name, str):
                by_name.setdefault(name, definition)
        return cls(definitions, description, by_name)


@attrs.frozen(eq=False)
class _Part:
    """What one term of a query finds: tools by posting, and what an impact is worth."""

    postings: list[dict[int, float]]
    count: int
    worth: float


@attrs.define(eq=False)
class ToolIndex:
    """Finds tools by words, among the listed tools of every server.

    `replace` only notes what a server lists; words are cut and weighed by the first search
    that comes after, so a start with fifty backends costs nothing until somebody searches.
    Where a search must not block the loop for what a large catalog costs (about half a
    second for 10,000 tools), await `prepare` in the background after start, and
    `replace_gently` when a large server renews its list: both yield to the scheduler.

    Each server's part is built apart and swapped in whole: a search sees a server's old tools
    or its new ones. Results depend only on what is listed now, not on the order or history of
    changes.
    """

    _listings: dict[str, _Listing] = attrs.field(factory=dict, init=False)
    _pending: dict[str, _Listing] = attrs.field(factory=dict, init=False)
    _shards: dict[str, Shard] = attrs.field(factory=dict, init=False)
    _documents: dict[int, Document] = attrs.field(factory=dict, init=False)
    _postings: dict[str, dict[str, dict[int, float]]] = attrs.field(factory=dict, init=False)
    _vocabulary: Vocabulary = attrs.field(factory=Vocabulary, init=False)
    _joined: Vocabulary = attrs.field(factory=Vocabulary, init=False)
    _stems: Stems = attrs.field(factory=Stems, init=False)
    _next_number: int = attrs.field(default=0, init=False)
    _changes: dict[str, object] = attrs.field(factory=dict, init=False)
    """The latest change begun for each server: a slower, older one must not overwrite it."""

    def __len__(self) -> int:
        return sum(len(listing.definitions) for listing in self._listings.values())

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers that have been listed, in the order in which they came."""
        return tuple(self._listings)

    def get(self, server: str, tool: str) -> Mapping[str, Any] | None:
        """Return the definition of a tool, None where the server or the tool is not listed."""
        listing = self._listings.get(server)
        return None if listing is None else listing.by_name.get(tool)

    def tools(self, server: str) -> tuple[Mapping[str, Any], ...]:
        """Return the definitions of a server's tools in listed order, () for an unknown server."""
        listing = self._listings.get(server)
        return () if listing is None else listing.definitions

    def replace(
        self, server: str, tools: Sequence[Mapping[str, Any]], *, description: str = ""
    ) -> None:
        """Put a server's tools in the place of those it had; the work is left to the next search.

        A malformed definition never raises: what can be read of it is indexed.
        """
        listing = _Listing.of(tools, description)
        self._changes[server] = listing
        self._listings[server] = listing
        self._pending[server] = listing

    async def replace_gently(
        self, server: str, tools: Sequence[Mapping[str, Any]], *, description: str = ""
    ) -> None:
        """Do what `replace` does and the work too, yielding every hundred tools.

        Until it is done, searches and `get` see the old tools. A later change of the same
        server wins over one still under way.
        """
        listing = _Listing.of(tools, description)
        self._changes[server] = listing
        builder = self._builder(server, listing)
        for _ in builder.steps():
            await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        if self._changes.get(server) is listing:
            self._listings[server] = listing
            self._pending.pop(server, None)
            self._install(server, builder.shard)

    def remove(self, server: str) -> None:
        """Forget a server and its tools; an unknown server is none to forget."""
        self._changes.pop(server, None)
        self._listings.pop(server, None)
        self._pending.pop(server, None)
        self._uninstall(server)

    async def prepare(self) -> None:
        """Build what `replace` left to do, yielding to the scheduler every hundred tools."""
        await trio.lowlevel.checkpoint()
        while self._pending:
            server, listing = next(iter(self._pending.items()))
            builder = self._builder(server, listing)
            for _ in builder.steps():
                await trio.lowlevel.checkpoint()
            # Meanwhile a search may have built it, or the server may have changed.
            if self._pending.get(server) is listing:
                del self._pending[server]
                self._install(server, builder.shard)
            await trio.lowlevel.checkpoint()

    def search(self, query: str, *, limit: int = 10) -> SearchResult:
        """Return the tools that fit a query best, at most `limit`.

        A tool whose name is the query (or `server tool`, `server:tool`), in any spelling,
        comes first. Unknown words are read as the known words they may be slips or beginnings
        of, which `corrections` tells. Equal scores are ordered by server, then tool.
        """
        for server, listing in list(self._pending.items()):
            del self._pending[server]
            self._install(server, self._builder(server, listing).build())
        planned = plan(query, Lexicon(self._vocabulary, self._joined, self._postings))
        scores, unit = self._scores(planned)
        self._raise_exact(query, scores)
        best = self._best(scores, limit)
        return SearchResult(
            tuple(self._hit(number, score * unit, planned) for number, score in best),
            len(scores),
            planned.corrections,
        )

    def _builder(self, server: str, listing: _Listing) -> ShardBuilder:
        first = self._next_number
        self._next_number += len(listing.definitions)
        return ShardBuilder(server, listing.description, listing.definitions, first, self._stems)

    def _install(self, server: str, shard: Shard) -> None:
        self._uninstall(server)
        self._shards[server] = shard
        self._documents.update(shard.documents)
        self._vocabulary.add(shard.spellings)
        self._joined.add(shard.joined)
        postings = self._postings
        for word, posting in shard.postings.items():
            held = postings.get(word)
            if held is None:
                postings[word] = {server: posting}
            else:
                held[server] = posting

    def _uninstall(self, server: str) -> None:
        shard = self._shards.pop(server, None)
        if shard is None:
            return
        for number in shard.documents:
            del self._documents[number]
        self._vocabulary.remove(shard.spellings)
        self._joined.remove(shard.joined)
        for word in shard.postings:
            held = self._postings[word]
            if len(held) == 1:
                del self._postings[word]
            else:
                del held[server]

    def _scores(self, planned: Plan) -> tuple[dict[int, float], float]:
        """Return the score of every tool that holds a word of the query, and its unit."""
        parts = [part for term in planned.terms if (part := self._part(term)).count]
        # The longest list is copied as it is, which is fast, and the others are scaled to it.
        parts.sort(key=lambda part: -part.count)
        scores: dict[int, float] = {}
        if not parts:
            return scores, 1.0
        unit = parts[0].worth
        for posting in parts[0].postings:
            scores.update(posting)
        for part in parts[1:]:
            factor = part.worth / unit
            get = scores.get
            for posting in part.postings:
                for number, impact in posting.items():
                    scores[number] = get(number, 0.0) + impact * factor
        return scores, unit

    def _part(self, term: Term) -> _Part:
        if len(term.variants) == 1:
            return self._lookup(*term.variants[0])
        best: dict[int, float] = {}
        get = best.get
        for word, weight in term.variants:
            found = self._lookup(word, weight)
            for posting in found.postings:
                for number, impact in posting.items():
                    value = impact * found.worth
                    if value > get(number, 0.0):
                        best[number] = value
        return _Part([best], len(best), 1.0)

    def _lookup(self, word: str, weight: float) -> _Part:
        postings = list(self._postings.get(word, {}).values())
        count = sum(map(len, postings))
        rarity = math.log(1.0 + (len(self._documents) - count + 0.5) / (count + 0.5))
        return _Part(postings, count, weight * rarity)

    def _raise_exact(self, query: str, scores: dict[int, float]) -> None:
        """Lift tools whose name is the query above all others, the same spelling highest."""
        key = joined_key(query)
        if not key:
            return
        exact = {number for shard in self._shards.values() for number in shard.named(key)}
        if not exact:
            return
        lift = 1.0 + max(scores.values(), default=0.0)
        wanted = query.strip()
        for number in exact:
            document = self._documents[number]
            same = wanted in (
                document.tool,
                f"{document.server}:{document.tool}",
                f"{document.server} {document.tool}",
            )
            scores[number] = scores.get(number, 0.0) + (2.0 * lift if same else lift)

    def _best(self, scores: dict[int, float], limit: int) -> list[tuple[int, float]]:
        if limit < 1 or not scores:
            return []
        floor = 0.0
        if len(scores) > limit:
            floor = nlargest(limit, scores.values())[-1]
        documents = self._documents
        ranked = sorted(
            (-score, documents[number].server, documents[number].tool, number)
            for number, score in scores.items()
            if score >= floor
        )
        return [(number, -score) for score, _, _, number in ranked[:limit]]

    def _hit(self, number: int, score: float, planned: Plan) -> Hit:
        document = self._documents[number]
        words = {word for term in planned.terms for word, _ in term.variants}
        matched = tuple(
            field.name
            for field, held in zip(FIELDS, document.fields, strict=True)
            if not words.isdisjoint(held)
        )
        # What only a joined form or the exact name found, its name found.
        return Hit(
            document.server,
            document.tool,
            round(score, 6),
            document.definition,
            matched or (NAME.name,),
        )
