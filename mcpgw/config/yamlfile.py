"""Reading YAML text as plain data, and finding the line on which a key stands."""

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
"""Brackets in one another; the reader crashes at some tens of thousands."""
SLOW_AT_MOST: Final = 2_000_000
"""Characters of a text that is tried by the slow reader too."""
_BRACKET: Final = re.compile(r"[\[\]{}]")
_DEEP_LINE: Final = re.compile(r"(?:[-?:][ \t]+){500}")
"""Lists in lists, or keys of keys, that begin on one line."""


class YamlSyntaxError(ValueError):
    """Text that is not YAML; `line` and `column` count from 1 where they are known."""

    def __init__(self, message: str, *, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


def parse(text: str) -> object:
    """Return the plain data of one YAML 1.2 document; dates stay text, nothing is None.

    Raises YamlSyntaxError, whose text names keys and never values.
    """
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    _check_depth(text)
    try:
        return _reader().load(text)
    except MarkedYAMLError as error:
        return _by_the_slow_reader(text, error)
    except YAMLError:
        raise _forbidden_character(text) from None
    except RecursionError:
        raise YamlSyntaxError("maps and lists are nested too deeply") from None
    except ValueError:
        # From a number or an explicit !!int or !!float that its own reader refuses.
        raise YamlSyntaxError("a number cannot be read; put it in quotes if it is text") from None


@attrs.frozen
class Lines:
    """Where the keys of a YAML text stand. Made only when there is something to report."""

    _root: Any

    @classmethod
    def of(cls, text: str) -> Lines:
        """Compose the nodes of a text that `parse` has read without a fault."""
        from ruamel.yaml.error import MarkedYAMLError

        try:
            return cls(_reader().compose(text))
        except MarkedYAMLError:
            return cls(_reader(pure=True).compose(text))

    def find(self, path: Path) -> int | None:
        """Return the line of a key or list item, counted from 1, or None if it is not there."""
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


def _by_the_slow_reader(text: str, fault: MarkedYAMLError) -> object:
    """Read what the quick reader, which is of YAML 1.1, did not understand: in YAML 1.2 plain
    text may hold `:` inside of `{}` and `[]`, as in `{key: env:NAME}`."""
    from ruamel.yaml.error import YAMLError

    if len(text) <= SLOW_AT_MOST:
        try:
            return _reader(pure=True).load(text)
        except (YAMLError, ValueError, RecursionError, TypeError, AttributeError):
            pass
    raise _explained(fault, text) from None


def _check_depth(text: str) -> None:
    """Refuse what is nested so deeply that the reader, written in C, would crash the process.

    Brackets in quotes count too, so the bound is far above what anybody writes.
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
    """Make the constructor that keeps dates as text: JSON has no dates, and versions look so."""
    from ruamel.yaml.constructor import SafeConstructor

    class PlainConstructor(SafeConstructor):
        pass

    PlainConstructor.add_constructor(
        "tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str
    )
    return PlainConstructor


_TAB = "a tab: YAML is indented with spaces"
_PLAIN: Mapping[str, str] = {
    "mapping values are not allowed": "a ':' does not fit here; text that holds ': ' needs quotes,"
    " and keys of one map need the same indentation",
    "found unexpected ':'": "a ':' does not fit here; text that holds ':' inside {} or [] needs"
    " quotes",
    "found character '\\t'": _TAB,
    "found a tab character": _TAB,
    "did not find expected key": "this line does not fit: look at its indentation, and at quotes"
    " left open above it",
    "expected <block end>": "this line does not fit: look at its indentation",
    "did not find expected '-'": "a list item that begins with '- ' is expected here",
    "did not find expected ',' or ']'": "a '[' above is not closed by ']', or a ',' is missing",
    "expected ',' or ']'": "a '[' above is not closed by ']', or a ',' is missing",
    "did not find expected ',' or '}'": "a '{' above is not closed by '}', or a ',' is missing",
    "expected ',' or '}'": "a '{' above is not closed by '}', or a ',' is missing",
    "found unexpected end of stream": "a quote is opened and never closed",
    "could not find expected ':'": "a key without ':' after it",
    "found undefined alias": "an alias (*name) of which no anchor (&name) stands above it",
    "found unknown escape": "an unknown escape with a backslash; single quotes take it literally",
    "could not determine a constructor": "a tag (!name) that is not understood here",
    "second occurrence": "an anchor (&name) of a name that is already used above",
    "did not find expected node content": "a value is missing before this place",
    "but found another document": "a second document ('---'); only one is read",
}


def _explained(error: Any, text: str) -> YamlSyntaxError:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (None, None)
    problem: str = error.problem or error.context or "this is not YAML"
    repeated = re.match(r'found duplicate key "(.*?)" with value', problem, re.DOTALL)
    if repeated:
        message = f"the key {repeated[1]!r} stands twice in the same map"
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
    return _TAB if character == "\t" else f"text cannot begin with {character}; put it in quotes"


def _forbidden_character(text: str) -> YamlSyntaxError:
    found = re.search(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text)
    if found is None:
        return YamlSyntaxError("this is not YAML")
    line = text.count("\n", 0, found.start()) + 1
    column = found.start() - text.rfind("\n", 0, found.start())
    return YamlSyntaxError(
        f"the control character {found[0]!r} cannot stand in YAML", line=line, column=column
    )
