"""YAML parser for plain data, with readable errors and the line numbers of keys."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from mcpgw.config.problems import Path

if TYPE_CHECKING:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError


DEEPEST: Final = 2_000
"""Maximum nesting of brackets; the parser crashes at some tens of thousands."""
SLOW_AT_MOST: Final = 2_000_000
"""Maximum length of a text, in characters, that the slow parser tries too."""
_BRACKET: Final = re.compile(r"[\[\]{}]")
_DEEP_LINE: Final = re.compile(r"(?:[-?:][ \t]+){500}")
"""Deeply nested lists or keys on one line."""


class YamlSyntaxError(ValueError):
    """Text that is not YAML; `line` and `column` are counted from 1, and None if unknown."""

    def __init__(self, message: str, *, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


def parse(text: str) -> object:
    """Return the plain data of one YAML 1.2 document; dates stay strings, an empty text is None.

    Raises:
      YamlSyntaxError: the text is not YAML. The message may name keys but no values.
    """
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    _check_depth(text)
    try:
        return _reader().load(text)
    except MarkedYAMLError as error:
        return _parse_slowly(text, error)
    except YAMLError:
        raise _forbidden_character(text) from None
    except RecursionError:
        raise YamlSyntaxError("maps and lists are nested too deeply") from None
    except ValueError:
        # Raised for invalid numbers, also those with an explicit !!int or !!float.
        raise YamlSyntaxError("invalid number; put it in quotes if it is a string") from None


@attrs.frozen
class Lines:
    """Line numbers of the keys of a YAML text; created only to report problems."""

    _root: Any

    @classmethod
    def of(cls, text: str) -> Lines:
        """Compose the nodes of a text that `parse` accepts."""
        from ruamel.yaml.error import MarkedYAMLError

        try:
            return cls(_reader().compose(text))
        except MarkedYAMLError:
            return cls(_reader(pure=True).compose(text))

    def find(self, path: Path) -> int | None:
        """Return the line of a key or list item, counted from 1, or None if it is missing."""
        node, line = self._root, None
        for part in path:
            step = _step(node, part)
            if step is None:
                return None
            line, node = step
        return line


def _step(node: Any, part: str | int) -> tuple[int, Any] | None:
    if node is None or isinstance(node.value, str):
        return None
    if isinstance(part, int):
        items = node.value
        if node.id != "sequence" or part >= len(items):
            return None
        return items[part].start_mark.line + 1, items[part]
    if node.id != "mapping":
        return None
    for key, value in node.value:
        if key.value == part:
            return key.start_mark.line + 1, value
    for key, value in node.value:
        if key.value == "<<":
            merged = value.value if value.id == "sequence" else [value]
            for source in merged:
                if (step := _step(source, part)) is not None:
                    return step
    return None


def _parse_slowly(text: str, fault: MarkedYAMLError) -> object:
    """Parse a text that the fast YAML 1.1 parser refused.

    In YAML 1.2, plain strings may contain `:` inside of `{}` and `[]`, as in `{key: env:NAME}`.

    Raises:
      YamlSyntaxError: the text is not YAML 1.2 either; explains the `fault`.
    """
    from ruamel.yaml.error import YAMLError

    if len(text) <= SLOW_AT_MOST:
        try:
            return _reader(pure=True).load(text)
        except (YAMLError, ValueError, RecursionError, TypeError, AttributeError):
            pass
    raise _explained(fault, text) from None


def _check_depth(text: str) -> None:
    """Raise YamlSyntaxError for a nesting that would crash the parser, which is written in C.

    Brackets in quotes count too, so the limit is far above any practical nesting.
    """
    deep = _DEEP_LINE.search(text)
    depth = 0
    for found in _BRACKET.finditer(text) if text.count("[") + text.count("{") > DEEPEST else ():
        depth = depth + 1 if found[0] in "[{" else max(0, depth - 1)
        if depth > DEEPEST:
            deep = found
            break
    if deep is not None:
        line = text.count("\n", 0, deep.start()) + 1
        raise YamlSyntaxError("maps and lists are nested too deeply", line=line)


def _reader(*, pure: bool = False) -> YAML:
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=pure)
    yaml.Constructor = _constructor()
    return yaml


@functools.cache
def _constructor() -> type:
    """Return the constructor that keeps dates as strings, because JSON has no dates.

    A key that is repeated with the very same value loses nothing, so it is accepted.
    """
    from ruamel.yaml.constructor import SafeConstructor

    class PlainConstructor(SafeConstructor):
        def check_mapping_key(
            self, node: Any, key_node: Any, mapping: Any, key: Any, value: Any
        ) -> bool:
            if key in mapping:
                same = [each for own, each in node.value if own.value == key_node.value]
                if all(_equal(each, same[0], COMPARED) for each in same[1:]):
                    return False
            unique: bool = super().check_mapping_key(node, key_node, mapping, key, value)
            return unique

    PlainConstructor.add_constructor(
        "tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str
    )
    return PlainConstructor


def _equal(one: Any, other: Any, depth: int) -> bool:
    """Return whether two nodes are written with the same tags and values."""
    if one is other:
        return True
    if depth == 0 or one.id != other.id or one.tag != other.tag:
        return False
    if isinstance(one.value, str):
        return bool(one.value == other.value)
    return len(one.value) == len(other.value) and all(
        _equal(left, right, depth - 1)
        if not isinstance(left, tuple)
        else all(_equal(a, b, depth - 1) for a, b in zip(left, right, strict=True))
        for left, right in zip(one.value, other.value, strict=True)
    )


COMPARED: Final = 20
"""Levels of two values that are compared; deeper ones count as different."""
_TAB = "tabs are not allowed; indent with spaces"
_PLAIN: Mapping[str, str] = {
    "mapping values are not allowed": "unexpected ':'; strings that contain ': ' need quotes, and"
    " all keys of a map need the same indentation",
    "found unexpected ':'": "unexpected ':'; strings that contain ':' inside {} or [] need quotes",
    "found character '\\t'": _TAB,
    "found a tab character": _TAB,
    "did not find expected key": "unexpected text; check the indentation, and unclosed quotes above"
    " this line",
    "expected <block end>": "unexpected indentation",
    "did not find expected '-'": "a list item that starts with '- ' is expected here",
    "did not find expected ',' or ']'": "a '[' above is not closed by ']', or a ',' is missing",
    "expected ',' or ']'": "a '[' above is not closed by ']', or a ',' is missing",
    "did not find expected ',' or '}'": "a '{' above is not closed by '}', or a ',' is missing",
    "expected ',' or '}'": "a '{' above is not closed by '}', or a ',' is missing",
    "found unexpected end of stream": "unclosed quote",
    "could not find expected ':'": "':' is missing after a key",
    "found undefined alias": "unknown alias (*name): its anchor (&name) is missing above",
    "found unknown escape": "unknown backslash escape; use single quotes for a literal backslash",
    "could not determine a constructor": "unsupported tag (!name)",
    "second occurrence": "duplicate anchor (&name)",
    "did not find expected node content": "a value is missing here",
    "but found another document": "a second document ('---') is not allowed",
}


def _explained(error: Any, text: str) -> YamlSyntaxError:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (None, None)
    problem: str = error.problem or error.context or "invalid YAML"
    repeated = re.match(r'found duplicate key "(.*?)" with value', problem, re.DOTALL)
    if repeated:
        message = f"duplicate key {repeated[1]!r}"
        return YamlSyntaxError(message, line=line, column=column)
    if "cannot start any token" in problem:
        return YamlSyntaxError(_bad_start(text, mark), line=line, column=column)
    for words, plain in _PLAIN.items():
        if words in problem:
            return YamlSyntaxError(plain, line=line, column=column)
    return YamlSyntaxError(problem.splitlines()[0], line=line, column=column)


def _bad_start(text: str, mark: Any) -> str:
    lines = text.splitlines()
    character = lines[mark.line][mark.column :][:1] if mark.line < len(lines) else ""
    return (
        _TAB
        if character == "\t"
        else f"a plain string must not start with {character}; put it in quotes"
    )


def _forbidden_character(text: str) -> YamlSyntaxError:
    found = re.search(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text)
    if found is None:
        return YamlSyntaxError("invalid YAML")
    line = text.count("\n", 0, found.start()) + 1
    column = found.start() - text.rfind("\n", 0, found.start())
    return YamlSyntaxError(
        f"the control character {found[0]!r} is not allowed in YAML", line=line, column=column
    )
