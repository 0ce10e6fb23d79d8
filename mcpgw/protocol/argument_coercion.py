"""Mend arguments that only their types make wrong: "5" where a number is wanted."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from mcpgw.protocol.argument_schema import DEEPEST, at

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

Path = tuple[str | int, ...]

ROUNDS: Final = 5
"""Times that all that is wrong is looked at; each layer of text within text takes one."""

MOST_CHANGES: Final = 1_000

_ABSENT: Final = object()
"""The new value of an argument that counts as not given."""

_NUMBER: Final = re.compile(r"[+-]?(?:\d{1,64}(?:\.\d{0,64})?|\.\d{1,64})(?:[eE][+-]?\d{1,3})?")
_UNIONS: Final = frozenset(("AnyOf", "OneOfNotValid"))
_UNDECIDED: Final = frozenset(("BacktrackLimitExceeded", "RegexEngineFailure"))

# A reading that says less of what was meant is tried later.
_PLAIN, _NULL, _WRAPPED = 0, 1, 2


@attrs.frozen
class _Proposal:
    """Changes that may put one place right, and how far they are from what was given."""

    penalty: int
    changes: tuple[tuple[Path, object], ...]


@attrs.frozen
class _Made:
    """A proposal that was put into effect, with what was there before."""

    path: Path
    proposal: _Proposal
    distance: int
    before: tuple[tuple[Path, object], ...]


def mended(
    arguments: dict[str, Any], validator: Validator, errors: list[ValidationError]
) -> tuple[dict[str, Any], list[ValidationError]]:
    """Return a copy with the types that are wanted, and what is still wrong of the errors.

    Each change is kept only where the value fits after it.
    """
    mending = _Mending(_copied(arguments), validator)
    for _ in range(ROUNDS):
        if not errors or not mending.go_on(errors):
            break
        errors = faults(validator, mending.copy)
    if errors and mending.unwrap(errors):
        errors = faults(validator, mending.copy)
    return mending.copy, errors


def faults(validator: Validator, arguments: dict[str, Any]) -> list[ValidationError]:
    """Return what is surely wrong: not what a pattern took too many steps to judge."""
    return [error for error in validator.iter_errors(arguments) if _decided(error)]


def kind_of(error: ValidationError) -> str:
    """Return the library's name for a kind of error, such as `AnyOf`."""
    return type(error.kind).__name__


def branches(error: ValidationError) -> list[list[ValidationError]]:
    """Return the errors of each alternative of an `anyOf` or `oneOf` that none fits."""
    context: list[list[ValidationError]] = error.kind.as_dict()["context"]
    return context


def distance(error: ValidationError, depth: int | None = None) -> int:
    """Tell how far a value is from being right; of alternatives the nearest one counts.

    A wrong type counts most for the value itself, which is `depth` levels down, less for its
    parts.
    """
    kind, depth = kind_of(error), len(error.instance_path) if depth is None else depth
    if kind in _UNIONS:
        return min((total_distance(branch, depth) for branch in branches(error)), default=1)
    if kind == "Type":
        return 20 if len(error.instance_path) == depth else 4
    return 8 if kind in ("Constant", "Enum") else 1


def total_distance(errors: Sequence[ValidationError], depth: int) -> int:
    """Return the distances of several errors of one value, which is `depth` levels down."""
    return sum(distance(error, depth) for error in errors)


def _decided(error: ValidationError) -> bool:
    kind = kind_of(error)
    if kind in _UNIONS:
        return all(all(map(_decided, branch)) for branch in branches(error))
    return kind not in _UNDECIDED


@attrs.define
class _Mending:
    copy: dict[str, Any]
    validator: Validator
    tried: dict[Path, int] = attrs.field(factory=dict)
    """How many proposals for a place were taken back."""
    wraps: list[_Made] = attrs.field(factory=list)
    changes: int = 0

    def go_on(self, errors: Sequence[ValidationError]) -> bool:
        """Try the next proposal for each place with an error; tell whether there was one."""
        made: list[_Made] = []
        for path, here in by_path(errors).items():
            proposals = _proposals(self.copy, path, here)
            tried = self.tried.get(path, 0)
            if tried < len(proposals) and self.changes < MOST_CHANGES:
                proposal = proposals[tried]
                self.changes += len(proposal.changes)
                before = tuple((place, _get(self.copy, place)) for place, _ in proposal.changes)
                made.append(_Made(path, proposal, total_distance(here, len(path)), before))
                _apply(self.copy, proposal.changes)
        if made:
            self._keep_what_helped(made)
        return bool(made)

    def _keep_what_helped(self, made: list[_Made]) -> None:
        after = by_path(faults(self.validator, self.copy))
        missing = {
            (*path, error.kind.as_dict()["property"])
            for path, errors in after.items()
            for error in errors
            if kind_of(error) == "Required"
        }
        for each in reversed(made):
            left = after.get(each.path, [])
            nearer = total_distance(left, len(each.path)) < each.distance
            if each.path in missing or (left and not (nearer and _only_unions(left))):
                _apply(self.copy, each.before)
                self.tried[each.path] = self.tried.get(each.path, 0) + 1
                continue
            self.tried.pop(each.path, None)
            if each.proposal.penalty >= _WRAPPED:
                self.wraps.append(each)

    def unwrap(self, errors: Sequence[ValidationError]) -> bool:
        """Take lists back that were made of a single value, where the value is wrong in them."""
        wrong = [tuple(error.instance_path) for error in errors]
        undone = False
        for each in reversed(self.wraps):
            if any(path[: len(each.path)] == each.path for path in wrong):
                _apply(self.copy, each.before)
                undone = True
        return undone


def by_path(errors: Sequence[ValidationError]) -> dict[Path, list[ValidationError]]:
    """Return errors by the place they are at, in their order."""
    places: dict[Path, list[ValidationError]] = {}
    for error in errors:
        places.setdefault(tuple(error.instance_path), []).append(error)
    return places


def _only_unions(errors: Sequence[ValidationError]) -> bool:
    return all(kind_of(error) in _UNIONS for error in errors)


def _proposals(
    copy: dict[str, Any], path: Path, errors: Sequence[ValidationError]
) -> list[_Proposal]:
    """Return what may put a place right, what is nearest to the given value first."""
    value = _get(copy, path)
    if not path or value is _ABSENT:
        return [each for error in errors for each in _of_branches(copy, error)]
    if value is None and isinstance(path[-1], str):
        return [_Proposal(_PLAIN, ((path, _ABSENT),))]
    found: list[_Proposal] = []
    for error in errors:
        kind = kind_of(error)
        readings: list[tuple[int, object]] = []
        if kind == "Type":
            for wanted in error.kind.as_dict()["types"]:
                readings += _read_as(value, wanted)
        elif kind == "Enum":
            readings += _same_word(value, error.kind.as_dict()["options"])
        elif kind == "Constant":
            readings += _same_word(value, [error.kind.as_dict()["expected_value"]])
        found += (_Proposal(penalty, ((path, new),)) for penalty, new in readings)
        found += _of_branches(copy, error)
    return sorted(found, key=lambda each: each.penalty)


def _of_branches(copy: dict[str, Any], error: ValidationError) -> Iterator[_Proposal]:
    """Yield what makes a value fit one alternative of several."""
    for branch in branches(error) if kind_of(error) in _UNIONS else ():
        places = [_proposals(copy, path, here) for path, here in by_path(branch).items()]
        if len(places) == 1:
            yield from places[0]
        elif places and all(places):
            best = [proposals[0] for proposals in places]
            yield _Proposal(
                max(each.penalty for each in best),
                tuple(change for each in best for change in each.changes),
            )


def _read_as(value: object, wanted: str) -> list[tuple[int, object]]:
    """Return what a value may have been meant as, where this type is wanted, with a penalty."""
    word = value.strip().casefold() if isinstance(value, str) else None
    found: list[tuple[int, object]] = []
    if wanted in ("integer", "number"):
        number = _number(value)
        if isinstance(number, float) and number.is_integer() and wanted == "integer":
            number = int(number)
        if number is not None and (wanted == "number" or isinstance(number, int)):
            found.append((_PLAIN, number))
    elif wanted == "boolean" and word in ("true", "false"):
        found.append((_PLAIN, word == "true"))
    elif wanted == "string" and isinstance(value, bool | int | float):
        found.append((_PLAIN, json.dumps(value)))
    elif wanted == "null" and word in ("null", ""):
        found.append((_NULL, None))
    elif wanted == "object" and isinstance(read := _parsed(value, "{"), dict):
        found.append((_PLAIN, read))
    elif wanted == "array":
        if isinstance(read := _parsed(value, "["), list):
            found.append((_PLAIN, read))
        if value is not None and word not in ("null", "") and not isinstance(value, list):
            found.append((_WRAPPED, [value]))
    return found


def _number(value: object) -> int | float | None:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if not isinstance(value, str) or len(value) > 200 or not _NUMBER.fullmatch(value.strip()):
        return None
    try:
        return int(value)
    except ValueError:
        number = float(value)
    return number if math.isfinite(number) else None


def _parsed(value: object, start: str) -> object:
    """Return what a text says as JSON; None where it is none."""
    if not isinstance(value, str) or not value.lstrip().startswith(start):
        return None
    try:
        read = json.loads(value, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return read if size(read) is not None else None


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON")


def _same_word(value: object, choices: Sequence[object]) -> list[tuple[int, object]]:
    """Return the choice that differs from a value only by case or quotes, if it is a single one."""
    given = _word(value)
    alike = [choice for choice in choices if given is not None and _word(choice) == given]
    return [(_PLAIN, alike[0])] if len(alike) == 1 else []


def _word(value: object) -> str | None:
    if isinstance(value, str):
        return value.strip().casefold()
    return json.dumps(value) if isinstance(value, bool | int | float) else None


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list | tuple) else value


def size(value: object, levels: int = DEEPEST) -> int | None:
    """Return how many values there are in one; None where it is nested too deep."""
    if not isinstance(value, dict | list | tuple):
        return 1
    if levels == 0:
        return None
    count = 1
    for each in value.values() if isinstance(value, dict) else value:
        inner = size(each, levels - 1)
        if inner is None:
            return None
        count += inner
    return count


def _get(value: Any, path: Path) -> object:
    """Return what stands at a path, `_ABSENT` where nothing does."""
    holder = at(value, path[:-1]) if path else None
    if not path:
        return value
    if isinstance(holder, dict):
        return holder.get(path[-1], _ABSENT)
    return at(holder, path[-1:]) if isinstance(holder, list) else _ABSENT


def _apply(value: Any, changes: Sequence[tuple[Path, object]]) -> None:
    """Put values where they belong; a place that is gone is passed over."""
    for path, new in changes:
        holder, last = at(value, path[:-1]), path[-1]
        if isinstance(holder, dict) and isinstance(last, str):
            if new is _ABSENT:
                holder.pop(last, None)
            else:
                holder[last] = new
        elif isinstance(holder, list) and isinstance(last, int) and last < len(holder):
            holder[last] = new
