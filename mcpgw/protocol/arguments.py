"""Check the arguments of a tool call against the tool's own JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from mcpgw.protocol.argument_schema import CompiledSchema, UnsupportedSchema, compile_schema
from mcpgw.protocol.plain_schema import PlainSchema, plain_schema


@attrs.define(eq=False)
class InvalidArguments(ValueError):
    """Arguments that do not fit a tool's schema. The text is the problems, without a full stop.

    Args:
      problems: each names an argument by its path, what it must be and what was given. Values
        that look like secrets, or have a name that does, are left out.
      misspelt: the nearest known name for each unknown one that has one.
    """

    problems: tuple[str, ...]
    misspelt: Mapping[str, str] = attrs.field(factory=dict)

    def __str__(self) -> str:
        return "; ".join(self.problems)


@attrs.frozen(eq=False)
class Compiled:
    """A schema's checker, or the reason why there is none.

    `problem` is "" if there is a checker, or nothing to check.
    """

    checker: ArgumentChecker | None
    problem: str = ""


def compiled(schema: object) -> Compiled:
    """Make a checker for a tool's input schema.

    Never raises: arguments for a schema that cannot be used are for the backend to judge.
    """
    if plain := plain_schema(schema):
        return Compiled(ArgumentChecker(schema, plain=plain))
    try:
        ready = compile_schema(schema)
    except UnsupportedSchema as error:
        return Compiled(None, str(error))
    return Compiled(ArgumentChecker(schema, compiled=ready) if ready else None)


@attrs.define(eq=False, repr=False)
class ArgumentChecker:
    """Checks arguments against one schema, and coerces those of a wrong type.

    A plain schema is compiled only once arguments do not fit the quick check.
    """

    _source: object
    _plain: PlainSchema | None = None
    _compiled: CompiledSchema | None = None

    def check(self, arguments: dict[str, Any], *, exact: bool = False) -> dict[str, Any]:
        """Return the arguments: the same object if they fit as they are, else a coerced copy.

        A value is changed only if it does not fit: a string to a number, a boolean, null, or the
        object or array that it is the JSON of; a number or boolean to a string; a single value to
        an array of it; a choice to its right case. This happens at any depth, and to fit one of
        several alternatives. An optional argument that is null but must not be is left out. No
        other argument is dropped, none is renamed, and no defaults are filled in.

        Arguments that cannot be judged are returned as they are, for the backend to judge: values
        that JSON cannot carry, strings too long for the schema's patterns, and arguments too deep
        or too large.

        Args:
          arguments: the arguments.
          exact: whether to change nothing, for callers that are programs rather than models.

        Raises:
          InvalidArguments: they do not fit, and no such change makes them fit.
        """
        if self._plain is not None and self._plain.fits(arguments):
            return arguments
        try:
            if self._compiled is None:
                self._compiled = compile_schema(self._source)
            schema = self._compiled
            if schema is None or (schema.limited and not schema.can_check(arguments)):
                return arguments
            if schema.validator.is_valid(arguments):
                return arguments
        except (UnsupportedSchema, ValueError):  # ValueError: a value that JSON cannot carry
            return arguments
        return _coerced(arguments, schema, exact=exact)


def _coerced(arguments: dict[str, Any], schema: CompiledSchema, *, exact: bool) -> dict[str, Any]:
    from mcpgw.protocol.argument_coercion import TooManySteps, coerce
    from mcpgw.protocol.argument_errors import explain, is_certain

    try:
        coerced = arguments if exact else coerce(arguments, schema)
        errors = list(filter(is_certain, schema.validator.iter_errors(coerced)))
    except (TooManySteps, RecursionError, ValueError):  # ValueError: as above, in parsed JSON
        return arguments
    if errors:
        problems, misspelt = explain(errors, schema.document)
        raise InvalidArguments(tuple(problems), misspelt)
    return coerced
