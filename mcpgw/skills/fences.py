"""Fenced code blocks of Markdown, found as CommonMark 0.31 (section 4.5) finds them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import attrs

KEPT: Final = frozenset({"bash", "sh", "shell", "python", "py", "json"})
"""Languages whose blocks are kept."""

_FENCE: Final = re.compile(r"(?P<fence>`{3,}(?=[^`]*\Z)|~{3,})(?P<info>.*)\Z", re.DOTALL)
_ITEM: Final = re.compile(r"(?:[-+*]|\d{1,9}[.)])(?=\s|\Z)")
_RULE: Final = re.compile(r"(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})\Z")
_HEADING: Final = re.compile(r"#{1,6}(?:[ \t]|\Z)")
_LINED: Final = re.compile(r"(?:=+|-+)[ \t]*\Z")
"""The line under a heading."""
_ESCAPED: Final = re.compile(r"\\([!-/:-@\[-`{-~])")
_DEEPEST: Final = 32
"""Lists and quotes in one another that are followed."""


@attrs.frozen
class Fence:
    """A fenced block: its language in lower case, and its text without the last line end."""

    lang: str
    content: str


@attrs.frozen
class _Open:
    """The fence that is open, and how far it and what holds it stand to the right."""

    mark: str
    indent: int
    depth: int
    lang: str
    lines: list[str] = attrs.field(factory=list)

    def close(self) -> Fence:
        return Fence(self.lang, "\n".join(self.lines).rstrip("\n"))


@attrs.define
class _Line:
    """What is left of a line behind the lists and quotes that hold it, and its column."""

    text: str
    column: int = 0

    @property
    def blank(self) -> bool:
        return not self.text.strip()

    @property
    def begun(self) -> str:
        """The line without the white space before it."""
        return self.text.lstrip(" \t")

    def indent(self) -> int:
        """Return how far the text stands to the right, tabs reckoned to stops of four."""
        width = 0
        for letter in self.text[: len(self.text) - len(self.begun)]:
            width += 4 - (self.column + width) % 4 if letter == "\t" else 1
        return width

    def cut(self, count: int) -> None:
        """Take so many columns off; what is left of a tab becomes spaces."""
        if "\t" in self.text[:count]:
            self.text = " " * self.indent() + self.begun
        self.text = self.text[count:]
        self.column += count


def fenced_blocks(text: str) -> Iterator[Fence]:
    """Yield all fenced blocks of a text whose lines end with a line feed.

    A block is fenced by three or more backticks or tildes, and closed by at least as many of
    the same, by the end of the list item or quote that holds it, or by the end of the text.
    Lists and block quotes are followed; HTML is not, so a fence in an HTML comment counts.
    """
    holders: list[int | None] = []  # the columns that a list item needs; None for a quote
    fence: _Open | None = None
    paragraph = False
    for whole in text.split("\n"):
        line = _Line(whole)
        kept = _inside(line, holders)
        if fence is not None:
            if kept >= fence.depth:
                if _closes(line, fence.mark):
                    yield fence.close()
                    fence = None
                else:
                    fence.lines.append(_without_indent(line, fence.indent))
                continue
            yield fence.close()
            fence = None
        if line.blank:
            # An empty line ends quotes, and not list items.
            while None in holders[kept:]:
                holders.pop()
            paragraph = False
            continue
        paragraph = paragraph and kept == len(holders)
        del holders[kept:]
        fence = _opened(line, holders, paragraph=paragraph)
        paragraph = fence is None and _is_paragraph(line, paragraph=paragraph)
    if fence is not None:
        yield fence.close()


def _inside(line: _Line, holders: list[int | None]) -> int:
    """Take what the open lists and quotes want off a line; return how many of them hold it."""
    for place, columns in enumerate(holders):
        if columns is None:
            indent = line.indent()
            if indent > 3 or not line.begun.startswith(">"):
                return place
            _cut_quote(line, indent)
        else:
            if line.indent() < columns and not line.blank:
                return place
            line.cut(min(columns, line.indent()))
    return len(holders)


def _opened(line: _Line, holders: list[int | None], *, paragraph: bool) -> _Open | None:
    """Follow the lists and quotes that begin on a line; return the fence that begins there."""
    while len(holders) < _DEEPEST:
        indent = line.indent()
        if indent > 3:
            return None
        begun = line.begun
        if begun.startswith(">"):
            _cut_quote(line, indent)
            holders.append(None)
        elif (item := _ITEM.match(begun)) and not _RULE.match(begun):
            after = begun[item.end() :]
            # In the middle of a paragraph a number, or a mark alone, is text.
            if paragraph and (not after.strip() or item[0][:-1] not in ("", "1")):
                return None
            line.cut(indent + item.end())
            space = line.indent()
            if line.blank or space > 4:
                space = 1
            line.cut(space)
            holders.append(indent + item.end() + space)
        else:
            break
        paragraph = False
    indent = line.indent()
    found = _FENCE.match(line.begun) if indent <= 3 else None
    if found is None:
        return None
    words = found["info"].split()
    lang = _ESCAPED.sub(r"\1", words[0]).lower() if words else ""
    return _Open(found["fence"], indent, len(holders), lang)


def _is_paragraph(line: _Line, *, paragraph: bool) -> bool:
    """Tell whether a line that opened no fence is text that the next line may go on with."""
    indent = line.indent()
    text = line.begun
    if not text.strip() or (indent > 3 and not paragraph):
        return False
    return not (_HEADING.match(text) or _RULE.match(text) or (paragraph and _LINED.match(text)))


def _closes(line: _Line, mark: str) -> bool:
    indent = line.indent()
    ending = line.begun.rstrip(" \t")
    return indent <= 3 and len(ending) >= len(mark) and set(ending) == {mark[0]}


def _cut_quote(line: _Line, indent: int) -> None:
    """Take a `>` off a line, and the one space that belongs to it."""
    line.cut(indent + 1)
    if line.indent():
        line.cut(1)


def _without_indent(line: _Line, indent: int) -> str:
    if not indent:
        return line.text
    line.cut(min(indent, line.indent()))
    return line.text
