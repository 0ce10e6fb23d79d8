"""Matching of rule sequences against the tokens of a text, in linear time."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Iterator

import attrs

from mcpgw.trust.poisoning.findings import Severity
from mcpgw.trust.poisoning.intents import PAIRS, RULES
from mcpgw.trust.poisoning.lexicon import Token
from mcpgw.trust.poisoning.rules import Clause, Genre, Rule, Sequence, Step, steps_of

ENOUGH = 3
"""Severe hits in one string after which the rest of it is passed over."""
PLENTY = 4
"""Severe hits in a text after which the rest of it is passed over."""
UNLESS_REACH = 16
"""Greatest distance, in positions, of an `unless` word before a sequence."""


@attrs.frozen
class Hit:
    """A rule that matched, and the span of text that it matched."""

    rule: Rule
    segment: int
    start: int
    end: int


@attrs.define(eq=False)
class _Run:
    """Progress of one sequence: for each step, the latest place at which it was reached."""

    rule: Rule
    steps: tuple[Step, ...]
    reached: list[tuple[Token, int] | None]


@functools.cache
def sequences(genre: Genre = "definition") -> tuple[Sequence, ...]:
    """Return the sequences of all rules for a genre."""
    return tuple(
        Sequence(rule, steps_of(text))
        for rule, texts in RULES
        if genre == "definition" or rule.skills
        for text in texts
    )


@functools.lru_cache(maxsize=512)
def possible(meanings: int, genre: Genre = "definition") -> tuple[Sequence, ...]:
    """Return the sequences of the rules for a genre that can match a text with these meanings."""
    if meanings.bit_count() < 2:
        return ()
    missing = ~meanings
    found = [
        sequence
        for sequence in sequences(genre)
        if not sequence.required & missing and all(step.mask & meanings for step in sequence.steps)
    ]
    categories = {sequence.rule.category for sequence in found}
    useful = {name for pair in PAIRS if categories.issuperset(pair[:2]) for name in pair[:2]}
    return tuple(each for each in found if not each.rule.hint or each.rule.category in useful)


def needed(among: Iterable[Sequence]) -> int:
    """Return all meanings used by the sequences."""
    masks = [step.mask | sequence.rule.unless for sequence in among for step in sequence.steps]
    return functools.reduce(operator.or_, masks, 0)


def hits(tokens: Iterable[Token], among: tuple[Sequence, ...], last: int = 0) -> Iterator[Hit]:
    """Yield the first hit of each rule in each segment, and all hits of hints.

    Each step keeps only the latest place at which it was reached. Gaps are counted from step to
    step, so an earlier place can never match more, and one pass over the text is enough. After
    `ENOUGH` severe hits the rest of a segment is passed over, after `PLENTY` the rest of the text.
    `last` is the number of the last segment.
    """
    runs = _Runs(_by_bit(among))
    segment = severe = total = 0
    excusing = functools.reduce(operator.or_, (each.rule.unless for each in among), 0)
    excuse: Token | None = None
    for token in tokens:
        if token.segment != segment:
            segment, severe = token.segment, 0
            runs.done.clear()
        if total >= PLENTY or (severe >= ENOUGH and segment == last):
            return
        if severe >= ENOUGH:
            continue
        for rule, start in runs.advance(token, excuse):
            severe += rule.severity is Severity.HIGH
            total += rule.severity is Severity.HIGH
            yield Hit(rule, token.segment, start, token.end)
        if token.mask & excusing:
            excuse = token


@attrs.define(eq=False)
class _Runs:
    """The runs of all sequences over one text."""

    by_bit: dict[int, list[tuple[_Run, int]]]
    done: set[int] = attrs.field(factory=set)
    """Rules that matched in this segment, by identity."""
    _by_mask: dict[int, list[tuple[_Run, int]]] = attrs.field(factory=dict)

    def advance(self, token: Token, excuse: Token | None) -> Iterator[tuple[Rule, int]]:
        """Move the runs on by a token; yield the rules that match, with the starts."""
        steps = self._by_mask.get(token.mask)
        if steps is None:
            steps = [step for bit in _bits(token.mask) for step in self.by_bit.get(bit, ())]
            self._by_mask[token.mask] = steps
        moves: list[tuple[_Run, int, int]] = []
        done = self.done
        for run, place in steps:
            if place and run.reached[place - 1] is None:
                continue
            if id(run.rule) not in done and (start := _start(run, place, token, excuse)) >= 0:
                moves.append((run, place, start))
        for run, place, start in moves:
            run.reached[place] = (token, start)
            if place == len(run.steps) - 1 and id(run.rule) not in done:
                if not run.rule.hint:
                    done.add(id(run.rule))
                yield run.rule, start


def _start(run: _Run, place: int, token: Token, excuse: Token | None) -> int:
    """Return the start of the sequence that this token continues, or -1 if it continues none."""
    if place == 0:
        excused = (
            excuse is not None
            and excuse.mask & run.rule.unless
            and excuse.sentence == token.sentence
            and token.position - excuse.position <= UNLESS_REACH
        )
        return -1 if excused else token.start
    reached = run.reached[place - 1]
    step = run.steps[place]
    if reached is None:
        return -1
    before, start = reached
    near = before.position < token.position <= before.position + step.reach
    if not near or (before.sentence != token.sentence and not step.crosses):
        return -1
    if step.clause is Clause.SAME and before.clause != token.clause:
        return -1
    return -1 if step.clause is Clause.LATER and before.clause == token.clause else start


def _bits(mask: int) -> Iterator[int]:
    while mask:
        yield mask & -mask
        mask &= mask - 1


def _by_bit(among: Iterable[Sequence]) -> dict[int, list[tuple[_Run, int]]]:
    by_bit: dict[int, list[tuple[_Run, int]]] = {}
    for sequence in among:
        run = _Run(sequence.rule, sequence.steps, [None] * len(sequence.steps))
        for place, step in enumerate(sequence.steps):
            for bit in _bits(step.mask):
                by_bit.setdefault(bit, []).append((run, place))
    return by_bit
