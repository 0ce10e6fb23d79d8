"""The search index over the tools of all backends: weighted BM25 with repair of typos."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import trio

from mcpgw.catalog.corpus import Corpus
from mcpgw.catalog.fields import NAME
from mcpgw.catalog.page import fits, pick
from mcpgw.catalog.query import Lexicon, Plan, plan
from mcpgw.catalog.ranking import NEUTRAL, Signals, explained
from mcpgw.catalog.rerank import rerank
from mcpgw.catalog.scoring import Candidate, Keep, score
from mcpgw.catalog.shard import FIELDS, ShardBuilder, Stems
from mcpgw.catalog.synonyms import Synonyms, load
from mcpgw.text.words import joined_key


@attrs.frozen
class Hit:
    """A tool that a query found; `matched` names the fields that held words of it.

    Scores compare hits of one page and never rise from one to the next. `ranking` says, where
    it was asked for, what moved the hit beside its words.
    """

    server: str
    tool: str
    score: float
    definition: Mapping[str, Any]
    matched: tuple[str, ...]
    ranking: Mapping[str, Any] | None = None


@attrs.frozen
class SearchResult:
    """The best hits, how many tools matched at all, and which words were read as others.

    `fits` is false where even the best hits share too little with the query to be what was
    meant; `withheld` counts tools left out because their signals forbid them.
    """

    hits: tuple[Hit, ...]
    total: int
    corrections: Mapping[str, str]
    fits: bool = True
    withheld: int = 0


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


@attrs.define(eq=False)
class ToolIndex:
    """Finds tools by words, among the listed tools of every server.

    `replace` only records a server's list. The next search indexes it, so starting with fifty
    backends costs nothing until the first search. Indexing 10,000 tools takes about half a
    second; await `prepare` before a search to index without blocking the event loop.

    Each server's part is built separately and swapped in whole: a search sees either a server's
    old tools or its new ones. Results depend only on the current lists, not on the order or
    history of changes.
    """

    synonym_files: Sequence[str | Path] = attrs.field(default=(), kw_only=True)
    _listings: dict[str, _Listing] = attrs.field(factory=dict, init=False)
    _pending: dict[str, _Listing] = attrs.field(factory=dict, init=False)
    _corpus: Corpus = attrs.field(factory=Corpus, init=False)
    _stems: Stems = attrs.field(factory=Stems, init=False)
    _next_number: int = attrs.field(default=0, init=False)

    _synonyms: Synonyms | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        if self.synonym_files:
            self.use_synonyms(self.synonym_files)

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
        self._listings[server] = listing
        self._pending[server] = listing

    def remove(self, server: str) -> None:
        """Forget a server and its tools; an unknown server is none to forget."""

        self._listings.pop(server, None)
        self._pending.pop(server, None)
        self._corpus.uninstall(server)

    def use_synonyms(self, files: Sequence[str | Path]) -> None:
        """Read the built-in synonyms and these files, in the place of those read before.

        Without this the built-in ones are read by the first search or `prepare`.

        Raises:
          SynonymError: a file is not usable; the synonyms in use stay.
        """
        self._synonyms = load(files)
        self.synonym_files = tuple(files)

    async def prepare(self) -> None:
        """Build what `replace` left to do, yielding to the scheduler every hundred tools."""
        await trio.lowlevel.checkpoint()
        if self._synonyms is None:
            self._take_first(await trio.to_thread.run_sync(load))
        while self._pending:
            server, listing = next(iter(self._pending.items()))
            builder = self._builder(server, listing)
            for _ in builder.steps():
                await trio.lowlevel.checkpoint()
            # Meanwhile a search may have built it, or the server may have changed.
            if self._pending.get(server) is listing:
                del self._pending[server]
                self._corpus.install(server, builder.shard)
            await trio.lowlevel.checkpoint()

    def _take_first(self, synonyms: Synonyms) -> None:
        """Take a table that was read, unless another came meanwhile."""
        if self._synonyms is None:
            self._synonyms = synonyms

    def search(
        self,
        query: str,
        *,
        limit: int = 10,
        signals: Callable[[str, str], Signals] | None = None,
        allowed: Callable[[str, str], bool] | None = None,
        explain: bool = False,
    ) -> SearchResult:
        """Return the tools that fit a query best, at most `limit`.

        A tool whose name is the query (or `server tool`, `server:tool`), in any spelling,
        comes first. Unknown words are read as the known words they may be slips or beginnings
        of, which `corrections` tells. Equal scores are ordered by server, then tool.

        Args:
          limit: hits at most.
          signals: called with server and tool, tells what is known of a tool beside its texts.
            It moves tools within the bounds of `ranking.factor`; disabled tools come last.
          allowed: called with server and tool; what it refuses is not even counted.
          explain: give each hit its `ranking`.
        """
        for server, listing in list(self._pending.items()):
            del self._pending[server]
            self._corpus.install(server, self._builder(server, listing).build())
        planned = plan(query, self._lexicon())
        keep = None if allowed is None else _keeper(allowed)
        scored = score(
            self._corpus,
            planned,
            limit=limit,
            keep=keep,
            named=self._named(query),
        )
        candidates, total = scored.candidates, scored.total
        if limit < 1 or not candidates:
            return SearchResult((), total, planned.corrections, fits=total > 0)
        withheld = 0
        reasons: dict[int, dict[str, Any]] = {}
        if signals is not None:
            page, withheld, reasons = rerank(candidates, limit, signals)
        else:
            if explain:
                reasons = {c.number: explained(c.score, NEUTRAL) for c in candidates}
            page = pick(candidates, limit)
        return SearchResult(
            tuple(self._hit(c, planned, reasons.get(c.number) if explain else None) for c in page),
            total - withheld,
            planned.corrections,
            fits(self._corpus, planned, page),
            withheld,
        )

    def _lexicon(self) -> Lexicon:
        if self._synonyms is None:
            self._synonyms = load()
        corpus = self._corpus
        return Lexicon(corpus.vocabulary, corpus.joined, corpus.postings, self._synonyms)

    def _builder(self, server: str, listing: _Listing) -> ShardBuilder:
        first = self._next_number
        self._next_number += len(listing.definitions)
        return ShardBuilder(server, listing.description, listing.definitions, first, self._stems)

    def _named(self, query: str) -> dict[int, int]:
        """Return the tools whose name is the query, 2 for the same spelling and 1 for another."""
        key = joined_key(query)
        wanted = query.strip()
        found: dict[int, int] = {}
        for number in self._corpus.named(key) if key else ():
            document = self._corpus.documents[number]
            same = wanted in (
                document.tool,
                f"{document.server}:{document.tool}",
                f"{document.server} {document.tool}",
            )
            found[number] = 2 if same else 1
        return found

    def _hit(self, candidate: Candidate, planned: Plan, ranking: Mapping[str, Any] | None) -> Hit:
        document = candidate.document
        words = {word for term in planned.terms for word, _ in term.variants}
        words.update(word for term in planned.terms for key, _ in term.phrases for word in key)
        matched = tuple(
            dict.fromkeys(
                field.name
                for field, held in zip(FIELDS, document.fields, strict=True)
                if not words.isdisjoint(held)
            )
        )
        # What only a joined form or the exact name found, its name found.
        return Hit(
            document.server,
            document.tool,
            round(candidate.score, 6),
            document.definition,
            matched or (NAME.name,),
            ranking,
        )


def _keeper(allowed: Callable[[str, str], bool]) -> Keep:
    return lambda document: allowed(document.server, document.tool)
