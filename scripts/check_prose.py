"""Fail if the texts of the project contain phrases that scripts/prose_phrases.toml lists.

    python scripts/check_prose.py [--count]

Reads docstrings, comments and other strings of mcpgw, the docstrings of the tests, the Markdown
pages, and the help texts of the commands, which must fit into the list of commands whole. With
`--count` it prints the number of hits in each file instead of the hits.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
import tokenize
import tomllib
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import click

from mcpgw.cli.app import group

ROOT = Path(__file__).resolve().parent.parent
PHRASES = Path(__file__).with_name("prose_phrases.toml")
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "docs/*.md")
ESCAPE = "prose: ok"
HELP_WIDTH = 60
KINDS = ("docstring", "comment", "message", "heading", "page")


class Phrase(NamedTuple):
    """A pattern, the kinds of text that it applies to, and what to write instead."""

    pattern: re.Pattern[str]
    kinds: frozenset[str]
    hint: str


class Text(NamedTuple):
    """A piece of text and the line at which it begins."""

    kind: str
    line: int
    text: str


class Hit(NamedTuple):
    """A phrase that was found."""

    path: str
    line: int
    found: str
    hint: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.found!r}; better: {self.hint}"


def read_phrases(path: Path = PHRASES) -> tuple[list[Phrase], frozenset[str]]:
    """Return the phrases and the files that are exempt."""
    raw = tomllib.loads(path.read_text("utf-8"))
    phrases = [
        Phrase(re.compile(each["pattern"]), frozenset(each.get("in", KINDS)), each["hint"])
        for each in raw["phrase"]
    ]
    unknown = {kind for phrase in phrases for kind in phrase.kinds} - set(KINDS)
    if unknown:
        sys.exit(f"{path.name}: unknown kinds of text: {', '.join(sorted(unknown))}")
    return phrases, frozenset(raw["exclude"])


def python_texts(source: str) -> Iterator[Text]:
    """Yield the docstrings, the other strings and the comments of a module.

    Any string that is a statement of its own counts as a docstring, so those below attributes do.
    Comment lines that follow each other are one text.
    """
    tree = ast.parse(source)
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            kind = "docstring" if id(node) in docstrings else "message"
            yield Text(kind, node.lineno, node.value)
    yield from _comments(source)


def _comments(source: str) -> Iterator[Text]:
    first, last, lines = 0, -1, list[str]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        line = token.start[0]
        if lines and line != last + 1:
            yield Text("comment", first, "\n".join(lines))
            lines = []
        first = first if lines else line
        lines.append(token.string.lstrip("#").strip())
        last = line
    if lines:
        yield Text("comment", first, "\n".join(lines))


def page_texts(source: str) -> Iterator[Text]:
    """Yield the headings and the paragraphs of a Markdown page, without fenced code.

    The text of `inline code` is blanked, since it is not prose.
    """
    first, lines, fenced = 0, list[str](), False
    for number, line in enumerate([*source.splitlines(), ""], 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            line = ""
        if fenced:
            continue
        heading = re.match(r"#+ +(?P<title>.*)", line)
        if lines and (heading or not line.strip() or re.match(r" *([-*|]|\d+\.) ?", line)):
            yield Text("page", first, "\n".join(lines))
            lines = []
        if heading:
            yield Text("heading", number, heading["title"])
        elif line.strip():
            first = first if lines else number
            lines.append(
                re.sub(r"`[^`]*`", lambda code: "`" + "x" * (len(code[0]) - 2) + "`", line)
            )


def hits_in(path: str, texts: Iterator[Text], source: str, phrases: list[Phrase]) -> Iterator[Hit]:
    """Yield the phrases in the texts of one file; a phrase may cross the end of a line."""
    lines = source.splitlines()
    for text in texts:
        numbered = list(enumerate(text.text.split("\n"), text.line))
        filled = [(number, line.strip()) for number, line in numbered if line.strip()]
        joined = " ".join(line for _, line in filled)
        starts = list(accumulate((len(line) + 1 for _, line in filled), initial=0))
        for phrase in phrases:
            if text.kind not in phrase.kinds:
                continue
            for match in phrase.pattern.finditer(joined):
                line = filled[bisect_right(starts, match.start()) - 1][0]
                # The line may be inside of a string; then the comment is at its end.
                near = [lines[min(each, len(lines)) - 1] for each in (line, numbered[-1][0])]
                if not any(ESCAPE in each for each in near):
                    yield Hit(path, line, match[0], phrase.hint)


def cut_helps() -> Iterator[Hit]:
    """Yield the commands whose help text does not fit into a list of commands."""
    waiting: list[tuple[str, click.Command]] = [("mcp-gateway", group)]
    while waiting:
        name, command = waiting.pop()
        short = command.get_short_help_str(limit=HELP_WIDTH)
        if short.endswith("..."):
            hint = f"a first sentence of at most {HELP_WIDTH} characters"
            yield Hit(f"help of '{name}'", 0, short, hint)
        if isinstance(command, click.Group):
            context = click.Context(command)
            for below in command.list_commands(context):
                inner = command.get_command(context, below)
                assert inner is not None
                waiting.append((f"{name} {below}", inner))


def all_hits() -> list[Hit]:
    """Return the hits in the project, by file and line."""
    phrases, excluded = read_phrases()
    hits = list[Hit]()
    for path in sorted((ROOT / "mcpgw").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name not in excluded:
            source = path.read_text("utf-8")
            hits += hits_in(name, python_texts(source), source, phrases)
    # Names and data of tests may quote anything, their docstrings may not.
    for path in sorted((ROOT / "tests").rglob("*.py")):
        source = path.read_text("utf-8")
        texts = (each for each in python_texts(source) if each.kind == "docstring")
        hits += hits_in(path.relative_to(ROOT).as_posix(), texts, source, phrases)
    for pattern in PAGES:
        for path in sorted(ROOT.glob(pattern)):
            source = path.read_text("utf-8")
            name = path.relative_to(ROOT).as_posix()
            hits += hits_in(name, page_texts(source), source, phrases)
    return sorted([*hits, *cut_helps()], key=lambda hit: (hit.path, hit.line, hit.found))


def main() -> int:
    """Print the hits; return 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", action="store_true", help="print counts for each file")
    hits = all_hits()
    if parser.parse_args().count:
        for path, count in Counter(hit.path for hit in hits).most_common():
            print(f"{count:5} {path}")
    else:
        print("".join(f"{hit}\n" for hit in hits), end="")
    if hits:
        print(f"{len(hits)} phrases to rewrite")
    return 1 if hits else 0


if __name__ == "__main__":
    sys.exit(main())
