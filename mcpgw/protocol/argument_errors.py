"""Say what is wrong with a call's arguments, so that whoever wrote them can put it right."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from mcpgw.observe.redact import PLACEHOLDER, redact
from mcpgw.protocol.argument_coercion import Path, branches, by_path, kind_of, total_distance
from mcpgw.protocol.argument_schema import MASK, at

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError

LONGEST_VALUE: Final = 60
"""Characters of a value that are shown."""

MOST_PROBLEMS: Final = 8
_MOST_CHOICES: Final = 12
_SAMPLE: Final = "x7Kq2mV9"
"""A value that is blanked beside a name that a secret has."""

_TYPES: Final = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_LIMITS: Final = {
    "Minimum": "is at least {}",
    "Maximum": "is at most {}",
    "ExclusiveMinimum": "is more than {}",
    "ExclusiveMaximum": "is less than {}",
    "MultipleOf": "is a multiple of {}",
    "Pattern": "matches {}",
}
_LENGTHS: Final = {
    "MinLength": ("at least", "character"),
    "MaxLength": ("at most", "character"),
    "MinItems": ("at least", "item"),
    "MaxItems": ("at most", "item"),
    "AdditionalItems": ("at most", "item"),
    "MinProperties": ("at least", "field"),
    "MaxProperties": ("at most", "field"),
}
_OTHER_RULES: Final = {
    "UniqueItems": "has no item twice",
    "FalseSchema": "is not to be given",
    "OneOfMultipleValid": "fits more than one of the forms that exclude each other",
    "Contains": "lacks an item of the kind that it must have",
}
_UNIONS: Final = ("AnyOf", "OneOfNotValid")
_NOUNS: Final = ("Type", "Enum", "Constant")
_UNKNOWN: Final = ("AdditionalProperties", "UnevaluatedProperties")


@attrs.define
class Explanation:
    """Problems in words, one for each argument, and what misspelt names may have meant."""

    problems: list[str] = attrs.field(factory=list)
    misspelt: dict[str, str] = attrs.field(factory=dict)


def explained(errors: Sequence[ValidationError], document: dict[str, Any]) -> Explanation:
    """Return what is wrong, in sentences without a full stop.

    Values are shown where neither their name nor their look is that of a secret.
    """
    explanation = Explanation()
    places = by_path([each for error in errors for each in _nearest_branch(error)])
    for path, here in places.items():
        if len(explanation.problems) >= MOST_PROBLEMS:
            explanation.problems.append("and more")
            break
        _explain_names(explanation, path, here, document)
        for error in here:
            if kind_of(error) not in (*_UNKNOWN, "Required"):
                explanation.problems.append(_sentence(path, error))
                break
    return explanation


def _nearest_branch(error: ValidationError) -> list[ValidationError]:
    """Return the errors of the alternative that was surely meant, else the error as it is."""
    if kind_of(error) not in _UNIONS or _discriminator(error):
        return [error]
    depth = len(error.instance_path)
    ranked = sorted((total_distance(branch, depth), n) for n, branch in enumerate(branches(error)))
    if not ranked or (len(ranked) > 1 and ranked[0][0] == ranked[1][0]):
        return [error]
    best = branches(error)[ranked[0][1]]
    if any(len(each.instance_path) == depth and kind_of(each) in _NOUNS for each in best):
        return [error]
    return [inner for each in best for inner in _nearest_branch(each)]


def _discriminator(error: ValidationError) -> tuple[Path, list[str]] | None:
    """Return the place by whose value the alternatives tell each other apart, and its values,
    where the given one is none of them."""
    depth = len(error.instance_path)
    found: dict[Path, list[str]] = {}
    count = 0
    for branch in branches(error):
        if any(len(each.instance_path) == depth and kind_of(each) == "Type" for each in branch):
            continue
        count += 1
        for each in branch:
            if len(each.instance_path) > depth and kind_of(each) in ("Constant", "Enum"):
                found.setdefault(tuple(each.instance_path), []).append(_wanted(each))
    for path, values in found.items():
        if count > 1 and len(values) == count:
            return path, values
    return None


def _explain_names(
    explanation: Explanation,
    path: Path,
    errors: Sequence[ValidationError],
    document: dict[str, Any],
) -> None:
    """Add the names that are missing and those that are not known, with a guess at what is what."""
    missing: list[str] = []
    unknown: dict[str, bool] = {}
    known: set[str] = set()
    for error in errors:
        kind = kind_of(error)
        if kind not in (*_UNKNOWN, "Required"):
            continue
        holder = at(document, error.schema_path[:-1])
        properties = holder.get("properties") if isinstance(holder, dict) else None
        names = set(properties) if isinstance(properties, dict) else set()
        known |= names
        if kind == "Required":
            missing.append(error.kind.as_dict()["property"])
            given = error.instance
            if names and isinstance(given, dict):
                unknown = {name: False for name in given if name not in names} | unknown
        else:
            unknown |= dict.fromkeys(error.kind.as_dict()["unexpected"], True)
    guessed: set[str] = set()
    for name, refused in list(unknown.items())[:MOST_PROBLEMS]:
        guess = _meant(name, missing) or (_meant(name, sorted(known)) if refused else None)
        if guess:
            explanation.misspelt[_place((*path, name))] = guess
            guessed.add(guess)
        if guess or refused:
            hint = f" (did you mean '{_flat(guess, 60)}'?)" if guess else ""
            explanation.problems.append(f"there is no argument {_subject((*path, name))}{hint}")
    for name in dict.fromkeys(missing):
        if name not in guessed:
            explanation.problems.append(f"{_subject((*path, name))} is missing")


def _sentence(path: Path, error: ValidationError) -> str:
    subject, kind, facts = _subject(path), kind_of(error), error.kind.as_dict()
    if kind in _UNIONS and (apart := _discriminator(error)):
        place, values = apart
        given = at(error.instance, place[len(path) :])
        return f"{_subject(place)} is {' or '.join(values[:_MOST_CHOICES])}{_not(place, given)}"
    wanted = _wanted(error)
    if wanted:
        guess = _choice_meant(error)
        hint = f" (did you mean {_plain(guess)}?)" if guess is not None else ""
        return f"{subject} is {wanted}{_not(path, error.instance)}{hint}"
    if kind in _LIMITS:
        limit = _flat(str(next(iter(facts.values()))), 80)
        return f"{subject} {_LIMITS[kind].format(limit)}{_not(path, error.instance)}"
    if kind in _LENGTHS:
        few, thing = _LENGTHS[kind]
        limit = facts["limit"]
        has = len(error.instance) if isinstance(error.instance, str | list | dict) else "another"
        return f"{subject} has {few} {limit} {thing}{'' if limit == 1 else 's'}, not {has}"
    if kind in _OTHER_RULES:
        return f"{subject} {_OTHER_RULES[kind]}"
    choices = _missing_choices(error)
    if choices:
        return f"one of {', '.join(_subject((*path, name)) for name in choices)} is missing"
    return f"{subject}: {_flat(error.message.replace(MASK, 'what was given'), 200)}"


def _wanted(error: ValidationError) -> str:
    """Return what is wanted as a noun, "" where it cannot be said in one."""
    kind, facts = kind_of(error), error.kind.as_dict()
    if kind == "Type":
        kinds = [each for each in facts["types"] if each != "null"] or ["null"]
        return " or ".join(_TYPES.get(each, each) for each in kinds)
    if kind == "Enum":
        shown = [_plain(each).strip("'") for each in facts["options"][:_MOST_CHOICES]]
        more = ", …" if len(facts["options"]) > _MOST_CHOICES else ""
        return f"one of {', '.join(shown)}{more}" if len(shown) > 1 else "".join(shown)
    if kind == "Constant":
        return _plain(facts["expected_value"])
    if kind in _UNIONS:
        wants = [_wanted(branch[0]) if branch else "" for branch in branches(error)]
        kept = [want for want in dict.fromkeys(wants) if want != "null"]
        return " or ".join(kept) if kept and all(kept) and len(kept) <= 6 else ""
    return ""


def _meant(wanted: str, candidates: list[str]) -> str | None:
    from mcpgw.text.did_you_mean import nearest

    return next(iter(nearest(wanted, candidates, count=1)), None)


def _choice_meant(error: ValidationError) -> str | None:
    options = error.kind.as_dict()["options"] if kind_of(error) == "Enum" else ()
    texts = [option for option in options if isinstance(option, str)]
    return _meant(error.instance, texts) if isinstance(error.instance, str) else None


def _missing_choices(error: ValidationError) -> list[str]:
    """Return the names of which one has to be given, where alternatives differ by that alone."""
    if kind_of(error) not in _UNIONS:
        return []
    names: list[str] = []
    for branch in branches(error):
        if [kind_of(each) for each in branch] != ["Required"]:
            return []
        names.append(branch[0].kind.as_dict()["property"])
    return list(dict.fromkeys(names))


def _not(path: Path, value: object) -> str:
    """Return `, not 'ten'`, or nothing where the value is not to be shown."""
    if _is_secret(part for part in path if isinstance(part, str)):
        return ""
    shown = _plain(value)
    return f", not {shown}" if PLACEHOLDER not in shown else ""


def _is_secret(names: Iterable[str]) -> bool:
    return any(PLACEHOLDER in redact(f"{name}={_SAMPLE}") for name in names)


def _plain(value: object) -> str:
    """Return a value as a model would write it, short and without credentials."""
    if isinstance(value, str):
        return f"'{_flat(redact(value[:1000]), LONGEST_VALUE)}'"
    if isinstance(value, dict | list) and _has_much(value):
        return "an object" if isinstance(value, dict) else f"a list of {len(value)}"
    return _flat(redact(json.dumps(value, ensure_ascii=False)), LONGEST_VALUE)


def _has_much(value: Collection[object]) -> bool:
    nested = value.values() if isinstance(value, dict) else value
    return len(value) > 8 or any(isinstance(each, dict | list) for each in nested)


def _subject(path: Path) -> str:
    return f"'{_place(path)}'" if path else "what was given as a whole"


def _place(path: Path) -> str:
    """Return a path as it is written in code: `items[2].id`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{_flat(part, LONGEST_VALUE)}"
    return text.removeprefix(".")


def _flat(text: str, length: int) -> str:
    """Return a text on one line, cut to a length."""
    kept = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * length])
    flat = " ".join(kept.split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"
