"""Explain what is wrong with a call's arguments, so that the caller can correct them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from mcpgw.observe.redact import PLACEHOLDER, redact
from mcpgw.protocol.argument_schema import MASK, Schema, at
from mcpgw.text.did_you_mean import nearest

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError

Path = tuple[str | int, ...]
Errors = Sequence["ValidationError"]

MAX_PROBLEMS: Final = 8
MAX_CHOICES: Final = 12
MAX_LENGTH: Final = 60
"""Characters of a value, or of a name, that are shown."""

_SAMPLE: Final = "x7Kq2mV9"
"""A value that is redacted next to the name of a secret."""

_TYPES: Final = {
    "integer": "an integer",
    "number": "a number",
    "string": "a string",
    "boolean": "true or false",
    "array": "an array",
    "object": "an object",
}
_RULES: Final = {
    "Minimum": "must be at least {limit}{given}",
    "Maximum": "must be at most {limit}{given}",
    "ExclusiveMinimum": "must be more than {limit}{given}",
    "ExclusiveMaximum": "must be less than {limit}{given}",
    "MultipleOf": "must be a multiple of {limit}{given}",
    "Pattern": "must match {limit}{given}",
    "MinLength": "must have at least {limit} character{s}, not {size}",
    "MaxLength": "must have at most {limit} character{s}, not {size}",
    "MinItems": "must have at least {limit} item{s}, not {size}",
    "MaxItems": "must have at most {limit} item{s}, not {size}",
    "MinProperties": "must have at least {limit} field{s}, not {size}",
    "MaxProperties": "must have at most {limit} field{s}, not {size}",
    "UniqueItems": "must not have duplicate items",
    "FalseSchema": "must not be given",
    "OneOfMultipleValid": "must fit exactly one of the schema's alternatives, fits several",
    "Contains": "must have an item of the required kind",
    "AnyOf": "must fit one of the schema's alternatives",
}
_SAME_KINDS: Final = {
    "OneOfNotValid": "AnyOf",
    "AdditionalItems": "MaxItems",
    "UnevaluatedProperties": "AdditionalProperties",
    "RegexEngineFailure": "BacktrackLimitExceeded",
}


def is_certain(error: ValidationError) -> bool:
    """Return False if a pattern took too many steps, so that the value may fit after all."""
    if _kind(error) == "AnyOf":
        return all(is_certain(inner) for branch in _branches(error) for inner in branch)
    return _kind(error) != "BacktrackLimitExceeded"


def explain(errors: Errors, document: Schema) -> tuple[list[str], dict[str, str]]:
    """Return problems, as sentences without a full stop, and corrections of misspelt names.

    Each value has one problem, apart from the names that are unknown or missing in it.

    Args:
      errors: what the validator found, at least one.
      document: the schema.
    """
    problems: list[str] = []
    misspelt: dict[str, str] = {}
    places: dict[Path, list[ValidationError]] = {}
    for error in (inner for each in errors for inner in _of_meant_alternative(each)):
        places.setdefault(tuple(error.instance_path), []).append(error)
    for path, here in places.items():
        if len(problems) >= MAX_PROBLEMS:
            problems.append("and more")
            break
        problems += _explain_names(path, here, document, misspelt)
        others = [each for each in here if _kind(each) not in ("Required", "AdditionalProperties")]
        problems += [_sentence(path, error) for error in others[:1]]
    return problems, misspelt


def _kind(error: ValidationError) -> str:
    name = type(error.kind).__name__
    return _SAME_KINDS.get(name, name)


def _branches(error: ValidationError) -> Sequence[Errors]:
    """Return the errors of each alternative of an `anyOf` or `oneOf`."""
    branches: Sequence[Errors] = error.kind.as_dict()["context"]
    return branches


def _of_type(error: ValidationError) -> list[Errors]:
    """Return the errors of each alternative that is of the value's type."""

    def is_other_type(each: ValidationError) -> bool:
        return _kind(each) == "Type" and each.instance_path == error.instance_path

    return [branch for branch in _branches(error) if not any(map(is_other_type, branch))]


def _of_meant_alternative(error: ValidationError) -> Errors:
    """Return the errors of the alternative that was clearly meant, else the error itself.

    It has the right type, then the right choices (such as `kind`), then the fewest errors.
    """
    if _kind(error) != "AnyOf":
        return [error]
    found = _of_type(error)
    if len(found) > 1:
        wrong = ("Constant", "Enum")
        found = [branch for branch in found if not any(_kind(each) in wrong for each in branch)]
    found.sort(key=len)
    if not found or (len(found) > 1 and len(found[0]) == len(found[1])):
        return [error]
    return [inner for each in found[0] for inner in _of_meant_alternative(each)]


def _explain_names(
    path: Path, errors: Errors, document: Schema, misspelt: dict[str, str]
) -> list[str]:
    """Return which names are unknown and which are missing; add corrections to `misspelt`."""
    missing: list[str] = []
    unknown: dict[str, list[str] | None] = {}  # with the known names if no others are allowed
    for error in errors:
        schema, facts = at(document, error.schema_path[:-1]), error.kind.as_dict()
        known = list(schema.get("properties") or ()) if isinstance(schema, dict) else []
        if _kind(error) == "Required":
            missing.append(facts["property"])
            given = error.instance if isinstance(error.instance, dict) and known else ()
            others = [name for name in given if name not in known]
            unknown = {**dict.fromkeys(others), **unknown}
        elif _kind(error) == "AdditionalProperties":
            unknown |= dict.fromkeys(facts["unexpected"], known)
    problems: list[str] = []
    for name, allowed in list(unknown.items())[:MAX_PROBLEMS]:
        guess = "".join(nearest(name, missing, count=1) or nearest(name, allowed or (), count=1))
        if guess:
            misspelt[_place((*path, name))] = guess
            missing = [other for other in missing if other != guess]
        if guess or allowed is not None:
            hint = f" (did you mean '{_flat(guess, MAX_LENGTH)}'?)" if guess else ""
            problems.append(f"unknown argument {_subject((*path, name))}{hint}")
    return problems + [f"{_subject((*path, name))} is missing" for name in dict.fromkeys(missing)]


def _sentence(path: Path, error: ValidationError) -> str:
    if wanted := _wanted(error):
        place, noun = wanted
        return f"{_subject(place)} must be {noun}{_not(place, error)}{_hint(error)}"
    kind, facts = _kind(error), error.kind.as_dict()
    if kind == "AnyOf" and (names := _alternative_names(error)):
        return f"one of {', '.join(_subject((*path, name)) for name in names)} is missing"
    if kind not in _RULES:
        return f"{_subject(path)}: {_flat(error.message.replace(MASK, 'the given value'), 200)}"
    given, limit = error.instance, next(iter(facts.values()), None)
    rule = _RULES[kind].format(
        limit=_flat(str(limit), 80),
        s="" if limit == 1 else "s",
        size=len(given) if isinstance(given, str | list | dict) else 1,
        given=_not(path, error),
    )
    return f"{_subject(path)} {rule}"


def _wanted(error: ValidationError) -> tuple[Path, str] | None:
    """Return what is wanted as a noun, and where; None if a noun cannot express it.

    For alternatives it is the place that is wrong in all of them: the value itself, or a field
    inside it whose value tells them apart, such as `kind`.
    """
    path, kind, facts = tuple(error.instance_path), _kind(error), error.kind.as_dict()
    if kind == "Type":
        return path, _either(_TYPES.get(each, each) for each in facts["types"])
    if kind == "Constant":
        return path, _shown(facts["expected_value"])
    if kind == "Enum":
        options = [_shown(each).strip("'") for each in facts["options"]]
        options[MAX_CHOICES:] = ["…"] if len(options) > MAX_CHOICES else []
        return path, ("one of " if len(options) > 1 else "") + ", ".join(options)
    if kind == "AnyOf":
        branches = _of_type(error) or _branches(error)
        wanted = [dict(filter(None, map(_wanted, branch))) for branch in branches]
        for place in wanted[0]:
            if all(place in each for each in wanted):
                return place, _either(each[place] for each in wanted)
    return None


def _either(nouns: Iterable[str]) -> str:
    """Join nouns; null is not mentioned beside others."""
    kept = [noun for noun in dict.fromkeys(nouns) if noun != "null"] or ["null"]
    return " or ".join(kept[:MAX_CHOICES])


def _alternative_names(error: ValidationError) -> list[str]:
    """Return the names of which one must be given, if alternatives differ by that alone."""
    branches = _branches(error)
    if any([_kind(each) for each in branch] != ["Required"] for branch in branches):
        return []
    return list(dict.fromkeys(branch[0].kind.as_dict()["property"] for branch in branches))


def _hint(error: ValidationError) -> str:
    texts = [each for each in error.kind.as_dict().get("options", ()) if isinstance(each, str)]
    guesses = nearest(error.instance, texts, count=1) if isinstance(error.instance, str) else ()
    return "".join(f" (did you mean {_shown(guess)}?)" for guess in guesses)


def _not(path: Path, error: ValidationError) -> str:
    """Return `, not 'ten'`; nothing if the value at the path may be a secret."""
    shown = _shown(at(error.instance, path[len(error.instance_path) :]))
    names = [f"{part}={_SAMPLE}" for part in path if isinstance(part, str)]
    secret = any(PLACEHOLDER in redact(name) for name in names) or PLACEHOLDER in shown
    return "" if secret else f", not {shown}"


def _shown(value: object) -> str:
    """Return a value as JSON in single quotes, short and without credentials."""
    if isinstance(value, str):
        return f"'{_flat(redact(value[:1000]), MAX_LENGTH)}'"
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        if len(value) > 8 or any(isinstance(each, dict | list) for each in inner):
            return "an object" if isinstance(value, dict) else f"an array of {len(value)}"
    return _flat(redact(json.dumps(value, ensure_ascii=False)), MAX_LENGTH)


def _subject(path: Path) -> str:
    return f"'{_place(path)}'" if path else "the arguments"


def _place(path: Path) -> str:
    """Return a path as code writes it: `items[2].id`."""
    parts = (
        f"[{each}]" if isinstance(each, int) else f".{_flat(each, MAX_LENGTH)}" for each in path
    )
    return "".join(parts).removeprefix(".")


def _flat(text: str, length: int) -> str:
    """Return a text on one line, cut to a length."""
    kept = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * length])
    flat = " ".join(kept.split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"
