"""Rules of the scanner: an intent, how it is reported, and the sequences that express it.

A sequence alternates meanings (`READ|PASS`) and the number of words allowed between them: `8`
within one sentence, `=8` without a pause in between, `>8` after a pause, `~8` even in a later
sentence. A rule with `unless` does not start after one of those meanings in the same sentence
("do not run this without asking the user").
"""

from __future__ import annotations

import enum
import functools
import operator
from typing import Literal

import attrs

from mcpgw.trust.poisoning.concepts import BITS
from mcpgw.trust.poisoning.findings import Severity

Genre = Literal["definition", "skill"]
"""Kind of text: a definition describes, a skill instructs a model and quotes code."""


class Clause(enum.Enum):
    """The pauses, such as commas, allowed between two steps: any, none, or at least one."""

    ANY = ""
    SAME = "="
    LATER = ">"


@attrs.frozen
class Step:
    """One meaning of a sequence: its bits, and its greatest distance from the previous step."""

    mask: int
    reach: int
    crosses: bool
    clause: Clause = Clause.ANY


@attrs.frozen(eq=False)
class Rule:
    """One malicious intent and how it is reported.

    A rule that is a `hint` is not reported by itself: honest definitions express it as well. See
    `PAIRS`.
    """

    severity: Severity
    category: str
    reason: str
    unless: int = attrs.field(kw_only=True, default=0)
    hint: bool = attrs.field(kw_only=True, default=False)
    skills: bool = attrs.field(kw_only=True, default=False)
    """The rule applies also to skills, which speak to a model by their nature."""


@attrs.frozen(eq=False)
class Sequence:
    """One way to express the intent of a rule; `required` are bits that some step must have."""

    rule: Rule
    steps: tuple[Step, ...]
    required: int = attrs.field(init=False)

    @required.default
    def _required(self) -> int:
        alone = [step.mask for step in self.steps if step.mask.bit_count() == 1]
        return functools.reduce(operator.or_, alone, 0)


def mask_of(names: str) -> int:
    """Return the bits of meanings that are written with `|` between them."""
    mask = 0
    for name in names.split("|"):
        mask |= BITS[name]
    return mask


def steps_of(text: str) -> tuple[Step, ...]:
    """Return the steps that are written as a sequence, see above."""
    words = text.split()
    steps = [Step(mask_of(words[0]), 0, False)]
    for gap, names in zip(words[1::2], words[2::2], strict=True):
        clause = Clause(gap[0]) if gap[0] in "=>" else Clause.ANY
        reach = int(gap.lstrip("~=>"))
        steps.append(Step(mask_of(names), 2 * reach + 2, gap.startswith("~"), clause))
    return tuple(steps)
