"""Parser for step conditions such as `$search.total > 0 and not $inputs.quick`, without `eval`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from mcpgw.playbooks.expressions import WRITTEN, Reference, as_text, lookup, references

_TOKEN: Final = re.compile(
    rf"\s*(?:(?P<reference>{WRITTEN})"
    r"|(?P<number>-?[0-9]{1,300}(?:\.[0-9]{1,300})?)"
    r"|(?P<text>'[^']*'|\"[^\"]*\")"
    r"|(?P<operator>==|!=|>=|<=|>|<|\|)"
    r"|(?P<word>[A-Za-z_]+))"
)
_NUMBER: Final = re.compile(r"-?[0-9]{1,300}((?:\.[0-9]{1,300})?(?:[eE][+-]?[0-9]{1,3})?)")
_COMPARISONS: Final = ("==", "!=", ">=", "<=", ">", "<")
_WORDS: Final[Mapping[str, Any]] = {"true": True, "false": False, "null": None}


class ConditionError(ValueError):
    """An invalid condition; the message gives the position."""


@attrs.frozen
class Term:
    """One comparison, or a value that counts as true unless it is empty."""

    reference: str
    length: bool = False
    operator: str = ""
    value: Any = None
    negated: bool = False

    def holds(self, scope: Mapping[str, Any]) -> bool:
        """Return whether it holds for the results so far."""
        found = lookup(self.reference, scope)
        if self.length:
            found = len(found) if isinstance(found, (str, list, dict)) else 0
        return _compare(found, self.operator, self.value) is not self.negated


@attrs.frozen
class Condition:
    """Alternatives (`or`) of terms that must all hold (`and`)."""

    text: str
    alternatives: tuple[tuple[Term, ...], ...]

    def holds(self, scope: Mapping[str, Any]) -> bool:
        """Return whether the step must run."""
        return any(all(term.holds(scope) for term in terms) for terms in self.alternatives)

    def references(self) -> Iterator[Reference]:
        """Yield the references in the condition."""
        for terms in self.alternatives:
            for term in terms:
                yield from references(term.reference)


def parse_condition(text: str) -> Condition:
    """Parse a condition.

    Terms are `$reference`, `$reference | length`, or one of these compared with a quoted
    string, a number, true, false or null. `not` precedes a term; `and` binds tighter than `or`.

    Raises:
      ConditionError: the condition is invalid.
    """
    reader = _Reader(text, list(_tokens(text)))
    alternatives = [tuple(reader.all_of())]
    while reader.take("word", "or"):
        alternatives.append(tuple(reader.all_of()))
    reader.end()
    return Condition(text, tuple(alternatives))


Token = tuple[str, str, int]


def _tokens(text: str) -> Iterator[Token]:
    place = 0
    while place < len(text.rstrip()):
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise ConditionError(f"{text!r}: unexpected {text[place:].strip()[:20]!r}")
        kind = match.lastgroup
        yield kind, match[kind], match.start(kind)
        place = match.end()


@attrs.define
class _Reader:
    text: str
    tokens: list[Token]
    place: int = 0

    def all_of(self) -> Iterator[Term]:
        yield self.term()
        while self.take("word", "and"):
            yield self.term()

    def term(self) -> Term:
        negated = self.take("word", "not")
        reference = self.want("reference", "a reference such as $inputs.name")
        length = False
        if self.take("operator", "|"):
            if not self.take("word", "length"):
                raise self.error("expected 'length' after '|'")
            length = True
        operator = self.peek()[1] if self.peek()[0] == "operator" else ""
        if not operator:
            return Term(reference, length, negated=negated)
        if operator not in _COMPARISONS:
            raise self.error(f"unexpected {operator!r}")
        self.place += 1
        return Term(reference, length, operator, self.value(), negated)

    def value(self) -> Any:
        kind, text, _ = self.peek()
        self.place += 1
        if kind == "text":
            return text[1:-1]
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind == "word" and text in _WORDS:
            return _WORDS[text]
        self.place -= 1
        raise self.error("expected a quoted string, a number, true, false or null")

    def peek(self) -> Token:
        end = ("end", "", len(self.text))
        return self.tokens[self.place] if self.place < len(self.tokens) else end

    def take(self, kind: str, text: str) -> bool:
        found = self.peek()[:2] == (kind, text)
        self.place += found
        return found

    def want(self, kind: str, what: str) -> str:
        if self.peek()[0] != kind:
            raise self.error(f"expected {what}")
        self.place += 1
        return self.tokens[self.place - 1][1]

    def end(self) -> None:
        if self.place < len(self.tokens):
            raise self.error(f"unexpected {self.peek()[1]!r}")

    def error(self, message: str) -> ConditionError:
        return ConditionError(f"{self.text!r}: {message}, at character {self.peek()[2] + 1}")


def _compare(found: Any, operator: str, value: Any) -> bool:
    if not operator:
        return bool(found)
    if operator in ("==", "!="):
        return _equal(found, value) is (operator == "==")
    left, right = _number(found), _number(value)
    if left is None or right is None:
        if not (isinstance(found, str) and isinstance(value, str)):
            return False
        return _ordered(found, operator, value)
    return _ordered(left, operator, right)


def _ordered(left: Any, operator: str, right: Any) -> bool:
    if operator == ">":
        return bool(left > right)
    if operator == "<":
        return bool(left < right)
    return bool(left >= right) if operator == ">=" else bool(left <= right)


def _equal(found: Any, value: Any) -> bool:
    if isinstance(value, bool):
        return found is value or (isinstance(found, str) and found.lower() == str(value).lower())
    if value is None or found is None:
        return found is value
    if isinstance(value, str) and isinstance(found, (str, bool)):
        # Compared as text: '007' is not '7', and true is 'true'.
        return as_text(found) == value
    left, right = _number(found), _number(value)
    return left is not None and left == right


def _number(value: Any) -> int | float | None:
    """Return a number, or one written as text; integers stay exact, because ids may be long."""
    if isinstance(value, (int, float)):
        return None if isinstance(value, bool) else value
    match = _NUMBER.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    return float(match[0]) if match[1] else int(match[0])
