"""Fenced code blocks in Markdown, found by the rules of CommonMark 0.31 (section 4.5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from mcpgw.skills.model import CodeBlock

_FENCE: Final = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})\s*(\S*)")
_QUOTE: Final = re.compile(r" {0,3}> ?")
_ITEM: Final = re.compile(r" {0,3}(?:[-+*]|\d{1,9}[.)])(?: {1,4}(?=[^ ])| |$)")
_ITEM_AFTER_TEXT: Final = re.compile(r" {0,3}(?:[-+*]|1[.)]) +[^ ]")
_RULE: Final = re.compile(r" {0,3}(?:(?:- *){3,}|(?:\* *){3,}|(?:_ *){3,})$")
_NO_PARAGRAPH: Final = re.compile(r" {0,3}(?:#{1,6}(?: |$)|(?:=+|-+) *$)| *$| {4}")
_DEEPEST: Final = 32
"""Nested lists and quotes that are followed."""


def fenced_blocks(text: str) -> Iterator[CodeBlock]:
    """Yield the fenced blocks of a text whose lines end with a line feed.

    Lists and block quotes are followed, HTML is not. The language is in lower case; the content
    has neither the indentation of the fence nor a final line end.
    """
    holders: list[re.Pattern[str]] = []  # for each open list item or quote: how its lines begin
    mark, lang, indent, lines, paragraph = "", "", 0, list[str](), False
    for line in text.split("\n"):
        columns = line.expandtabs(4)
        held, at = _held(columns, holders)
        if mark:
            inside = held == len(holders)
            if inside and not re.compile(rf" {{0,3}}{mark}{mark[0]}* *$").match(columns, at):
                at += min(indent, len(columns[at:]) - len(columns[at:].lstrip(" ")))
                lines.append(_from_column(line, at))
                continue
            yield CodeBlock(lang, "\n".join(lines).rstrip("\n"))
            mark = ""
            if inside:
                continue
        if not columns[at:].strip():
            if _QUOTE in holders[held:]:  # a blank line ends quotes but not list items
                del holders[holders.index(_QUOTE, held) :]
            paragraph = False
            continue
        paragraph = paragraph and held == len(holders)
        del holders[held:]
        while len(holders) < _DEEPEST and (found := _holder(columns, at, paragraph=paragraph)):
            width = found.end() - at
            holders.append(_QUOTE if ">" in found[0] else re.compile(rf" {{{width}}}| *$"))
            at, paragraph = found.end(), False
        if opening := _FENCE.match(columns, at):
            mark, lang, lines = opening[1], opening[2].lower(), []
            indent = opening.start(1) - at
        paragraph = not (opening or _RULE.match(columns, at) or _NO_PARAGRAPH.match(columns, at))
    if mark:
        yield CodeBlock(lang, "\n".join(lines).rstrip("\n"))


def _held(columns: str, holders: list[re.Pattern[str]]) -> tuple[int, int]:
    """Return the number of holders that a line is in, and the column of the rest of it."""
    at = 0
    for number, holder in enumerate(holders):
        found = holder.match(columns, at)
        if found is None:
            return number, at
        at = found.end()
    return len(holders), at


def _holder(columns: str, at: int, *, paragraph: bool) -> re.Match[str] | None:
    """Match the start of a quote or list item; not every item may interrupt a paragraph."""
    if quote := _QUOTE.match(columns, at):
        return quote
    if _RULE.match(columns, at) or (paragraph and not _ITEM_AFTER_TEXT.match(columns, at)):
        return None
    return _ITEM.match(columns, at)


def _from_column(line: str, column: int) -> str:
    """Return a line from a column on; the rest of a tab that spans it becomes spaces."""
    width = 0
    for place, letter in enumerate(line):
        if width >= column:
            return " " * (width - column) + line[place:]
        width += 4 - width % 4 if letter == "\t" else 1
    return " " * (width - column)
