"""Check the arguments of a tool call against the tool's own JSON Schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from mcpgw.protocol.plain_schema import PlainSchema, plain_schema

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError

    from mcpgw.protocol.argument_schema import CompiledSchema

DEEPEST: Final = 64
"""Levels of arguments that a schema with references is applied to."""

LARGEST_MENDED: Final = 10_000
"""Values in arguments beyond which their faults are not looked for, which may take seconds."""

Form = Callable[[object], str]
"""Tells the right form of arguments in one line, from the schema."""


@attrs.define(eq=False)
class InvalidArguments(ValueError):
    """Arguments that do not fit a tool's schema. The text is the problems, without a full stop.

    Args:
      problems: each names an argument by its path, the value and what is wanted. Values that
        look like secrets, or have a name that does, are left out.
      form: the right form in one line, where the checker was given a way to tell it.
      misspelt: for names that are not known, the nearest that is.
    """

    problems: tuple[str, ...]
    form: str = ""
    misspelt: Mapping[str, str] = attrs.field(factory=dict)

    def __str__(self) -> str:
        return "; ".join(self.problems)


@attrs.frozen(eq=False)
class Compiled:
    """What became of a schema: a checker, or the reason why there is none.

    `problem` is "" where there is a checker, or nothing to check.
    """

    checker: Checker | None
    problem: str = ""


def compiled(schema: object, *, form: Form | None = None) -> Compiled:
    """Make a checker for a tool's input schema, or say for a log why there is none.

    It never raises: what a schema that cannot be checked means is the backend's to judge.
    """
    plain = plain_schema(schema)
    if plain is not None:
        return Compiled(PlainChecker(schema, plain, form))
    return _compiled(schema, form)


def _compiled(schema: object, form: Form | None) -> Compiled:
    from mcpgw.protocol.argument_schema import NotChecked, compile_schema

    try:
        ready = compile_schema(schema)
    except NotChecked as error:
        return Compiled(None, str(error))
    if ready is None:
        return Compiled(None)
    guarded = ready.recursive or ready.longest is not None
    return Compiled(ArgumentChecker(ready, ready.validator.is_valid, guarded, form))


@attrs.frozen(eq=False)
class ArgumentChecker:
    """Holds arguments against one schema, and mends what only their types got wrong."""

    _schema: CompiledSchema = attrs.field(repr=False)
    _is_valid: Callable[[object], bool] = attrs.field(repr=False)
    _guarded: bool
    _form: Form | None = attrs.field(repr=False)

    @classmethod
    def of(cls, schema: object, *, form: Form | None = None) -> Checker | None:
        """Return a checker, None where there is nothing to check or the schema cannot be used.

        `compiled` is the same with the reason.
        """
        return compiled(schema, form=form).checker

    def check(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments: the same object where they fit as they are, else a mended copy.

        A value is changed only where it does not fit and fits after the change: text to a
        number, to true or false, to null, to the list or object that it is the JSON of; a number
        to text; a single value to a list of it; a choice to its right case. At any depth, and
        to fit one of several alternatives. An optional argument given as null where null is not
        allowed counts as not given and is left out: models write null for "nothing". No other
        argument is dropped, none is renamed, and no default is filled in.

        What cannot be judged is returned as it is, for the backend to judge: what is no JSON,
        texts too long for the schema's patterns, nesting beyond `DEEPEST` levels, and faults in
        more than `LARGEST_MENDED` values.

        Raises:
          InvalidArguments: they do not fit, and no such change makes them fit.
        """
        if self._guarded and not _fits(arguments, DEEPEST, self._schema.longest):
            return arguments
        try:
            if self._is_valid(arguments):
                return arguments
            return self._mended(arguments)
        except InvalidArguments:
            raise
        except ValueError:  # of the library: a value that JSON cannot carry
            return arguments

    def _mended(self, arguments: dict[str, Any]) -> dict[str, Any]:
        from mcpgw.protocol.argument_coercion import faults, mended, size

        count = size(arguments)
        if count is None or count > LARGEST_MENDED:
            return arguments
        validator = self._schema.validator
        errors = faults(validator, arguments)
        if not errors:
            return arguments
        copy, left = mended(arguments, validator, errors)
        if left:
            self._refuse(left)
        return copy

    def _refuse(self, errors: list[ValidationError]) -> None:
        from mcpgw.protocol.argument_errors import explained

        explanation = explained(errors, self._schema.document)
        form = self._form(self._schema.document) if self._form is not None else ""
        raise InvalidArguments(tuple(explanation.problems), form, explanation.misspelt)


@attrs.define(eq=False)
class PlainChecker:
    """Holds arguments against a plain schema; does the same as an `ArgumentChecker`, which is
    made when arguments do not fit at first sight."""

    _document: object = attrs.field(repr=False)
    _plain: PlainSchema = attrs.field(repr=False)
    _form: Form | None = attrs.field(repr=False)
    _whole: Compiled | None = None

    def check(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments, or a mended copy; see `ArgumentChecker.check`.

        Raises:
          InvalidArguments: they do not fit, and no change of their types makes them fit.
        """
        if self._plain.fits(arguments):
            return arguments
        if self._whole is None:
            self._whole = _compiled(self._document, self._form)
        checker = self._whole.checker
        return arguments if checker is None else checker.check(arguments)


Checker = ArgumentChecker | PlainChecker


def _fits(value: Any, levels: int, longest: int | None) -> bool:
    """Tell whether a value is not too deep, nor its texts too long to match patterns with."""
    named = isinstance(value, dict)
    for each in value.values() if named else value:
        if isinstance(each, str):
            if longest is not None and len(each) > longest:
                return False
        elif isinstance(each, dict | list) and (
            levels == 0 or not _fits(each, levels - 1, longest)
        ):
            return False
    return longest is None or not named or all(len(name) <= longest for name in value)
