"""Matching of rule sequences against the tokens of a text, in linear time."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Iterator

import attrs

from mcpgw.trust.poisoning.lexicon import Token
from mcpgw.trust.poisoning.rules import Rule, Sequence, Step, sequences

UNLESS_REACH = 16
"""Greatest distance, in positions, of an `unless` word before a sequence."""


@attrs.frozen
class Hit:
    """A rule that matched, and the span of text that it matched."""

    rule: Rule
    start: int
    end: int


@attrs.define(eq=False)
class _Run:
    """Progress of one sequence: for each step, the latest place at which it was reached."""

    rule: Rule
    steps: tuple[Step, ...]
    reached: list[tuple[int, int, int] | None]


@functools.lru_cache(maxsize=512)
def possible(meanings: int) -> tuple[Sequence, ...]:
    """Return the sequences of all rules that can match a text with these meanings."""
    if meanings.bit_count() < 2:
        return ()
    missing = ~meanings
    return tuple(
        sequence
        for sequence in sequences()
        if not sequence.required & missing and all(step.mask & meanings for step in sequence.steps)
    )


def needed(among: Iterable[Sequence]) -> int:
    """Return all meanings used by the sequences."""
    masks = [step.mask | sequence.rule.unless for sequence in among for step in sequence.steps]
    return functools.reduce(operator.or_, masks, 0)


def hits(tokens: list[Token], among: Iterable[Sequence], *, excuses: bool = True) -> Iterator[Hit]:
    """Yield the first hit of each rule; its `unless` is ignored if `excuses` is false.

    Each step keeps only the latest place at which it was reached. Gaps are counted from step to
    step, so an earlier place can never match more, and one pass over the text is enough.
    """
    by_bit = _by_bit(among)
    done: set[int] = set()
    excusing = 0
    for sequence in among:
        excusing |= sequence.rule.unless
    excuse: Token | None = None
    for token in tokens:
        moves: list[tuple[_Run, int, int]] = []
        for bit in _bits(token.mask):
            for run, place in by_bit.get(bit, ()):
                if id(run.rule) not in done:
                    start = _start(run, place, token, excuse)
                    if start >= 0:
                        moves.append((run, place, start))
        for run, place, start in moves:
            run.reached[place] = (token.position, token.sentence, start)
            if place == len(run.steps) - 1 and id(run.rule) not in done:
                done.add(id(run.rule))
                yield Hit(run.rule, start, token.end)
        if excuses and token.mask & excusing:
            excuse = token


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
    before = run.reached[place - 1]
    step = run.steps[place]
    if before is None:
        return -1
    position, sentence, start = before
    near = position < token.position <= position + step.reach
    return start if near and (step.crosses or sentence == token.sentence) else -1


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
