"""The search index over the tools of all backends: weighted BM25 with correction of typos."""

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
    """A tool that matches a query; `matched` lists the fields with words of the query.

    Scores are comparable within one page and never rise from one hit to the next. `ranking` has
    the signals that moved the hit, if requested.
    """

    server: str
    tool: str
    score: float
    definition: Mapping[str, Any]
    matched: tuple[str, ...]
    ranking: Mapping[str, Any] | None = None


@attrs.frozen
class SearchResult:
    """The best hits, the number of all matches, and the corrected words.

    `fits` is false if even the best hits have too little in common with the query; `withheld` is
    the number of tools left out because of their signals.
    """

    hits: tuple[Hit, ...]
    total: int
    corrections: Mapping[str, str]
    fits: bool = True
    withheld: int = 0


@attrs.frozen(eq=False)
class _Listing:
    """The tools of a server as listed."""

    definitions: tuple[Mapping[str, Any], ...]
    description: str
    by_name: dict[str, Mapping[str, Any]]

    @classmethod
    def of(cls, tools: Sequence[Mapping[str, Any]], description: str) -> _Listing:
        # A server's list is valid JSON, but its items may have any type.
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
    """Search index over the tools of every server.

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
        """The servers in the index, in the order in which they were added."""
        return tuple(self._listings)

    def get(self, server: str, tool: str) -> Mapping[str, Any] | None:
        """Return the definition of a tool, or None if the server or tool is unknown."""
        listing = self._listings.get(server)
        return None if listing is None else listing.by_name.get(tool)

    def tools(self, server: str) -> tuple[Mapping[str, Any], ...]:
        """Return the tools of a server in listed order, or () for an unknown server."""
        listing = self._listings.get(server)
        return () if listing is None else listing.definitions

    def replace(
        self, server: str, tools: Sequence[Mapping[str, Any]], *, description: str = ""
    ) -> None:
        """Replace a server's tools; they are indexed by the next search or `prepare`.

        A malformed definition is indexed as far as it can be read and never raises.
        """
        listing = _Listing.of(tools, description)
        self._listings[server] = listing
        self._pending[server] = listing

    def remove(self, server: str) -> None:
        """Remove a server and its tools, if it is known."""

        self._listings.pop(server, None)
        self._pending.pop(server, None)
        self._corpus.uninstall(server)

    def use_synonyms(self, files: Sequence[str | Path]) -> None:
        """Load the built-in synonyms and these files, replacing those in use.

        By default the first search or `prepare` loads the built-in ones.

        Raises:
          SynonymError: a file is invalid; the synonyms in use are kept.
        """
        self._synonyms = load(files)
        self.synonym_files = tuple(files)

    async def prepare(self) -> None:
        """Index pending servers, yielding to the scheduler every hundred tools."""
        await trio.lowlevel.checkpoint()
        if self._synonyms is None:
            self._set_default_synonyms(await trio.to_thread.run_sync(load))
        while self._pending:
            server, listing = next(iter(self._pending.items()))
            builder = self._builder(server, listing)
            for _ in builder.steps():
                await trio.lowlevel.checkpoint()
            # A search may have indexed it meanwhile, or its list may have changed.
            if self._pending.get(server) is listing:
                del self._pending[server]
                self._corpus.install(server, builder.shard)
            await trio.lowlevel.checkpoint()

    def _set_default_synonyms(self, synonyms: Synonyms) -> None:
        """Use the built-in synonyms, unless others were loaded meanwhile."""
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
        """Return the tools that match a query best, at most `limit`.

        A tool whose name is the query (or `server tool`, `server:tool`), in any spelling, comes
        first. Unknown words are replaced by similar known words or completions, listed in
        `corrections`. Equal scores are ordered by server, then tool.

        Args:
          query: words, a sentence, or the name of a tool.
          limit: greatest number of hits.
          signals: called with server and tool; returns the signals of a tool, which change its
            score within the bounds of `ranking.factor`. Disabled tools come last.
          allowed: called with server and tool; tools for which it is false are ignored.
          explain: whether to set `ranking` of each hit.
        """
        for server, listing in list(self._pending.items()):
            del self._pending[server]
            self._corpus.install(server, self._builder(server, listing).build())
        planned = plan(query, self._lexicon())
        keep = None if allowed is None else _allowed_by(allowed)
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
        """Return the tools whose name is the query: 2 for the same spelling, 1 for another."""
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
        # A hit found by a joined form or the exact name matched by its name.
        return Hit(
            document.server,
            document.tool,
            round(candidate.score, 6),
            document.definition,
            matched or (NAME.name,),
            ranking,
        )


def _allowed_by(allowed: Callable[[str, str], bool]) -> Keep:
    return lambda document: allowed(document.server, document.tool)
