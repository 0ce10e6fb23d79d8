"""Write the generated parts of the documentation from the code; `--check` only compares.

docs/reference.md is generated as a whole. In other pages, what stands between the markers
`<!-- generated: NAME -->` and `<!-- end: NAME -->` is.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import docs_tables as tables

ROOT: Final = Path(__file__).resolve().parents[1]
REFERENCE: Final = Path("docs/reference.md")
PARTS: Final[dict[str, Callable[[], list[str]]]] = {
    "meta-tools": tables.meta_tools_in_brief,
    "deadlines": tables.deadlines,
    "limits": tables.limits,
    "exit-statuses": tables.exit_statuses,
    "recovery-codes": tables.recovery_codes,
    "token-savings": tables.token_savings,
    "nursery-tree": tables.nursery_tree,
}
"""The parts that other pages may have between markers."""
SECTIONS: Final[tuple[tuple[str, str, Callable[[], list[str]]], ...]] = (
    (
        "Meta-tools",
        (
            "What the AI client sees. The counts in the descriptions are live; here they stand at"
            " none."
        ),
        tables.meta_tools,
    ),
    ("Commands", "Help texts, as `--help` prints them.", tables.commands),
    ("Exit statuses", "The same for all commands.", tables.exit_statuses),
    (
        "Settings of gateway.yaml",
        (
            "Lengths of time are written as `500ms`, `30s`, `5m`, `2h` or `1m30s`; a bare number"
            " counts seconds. [configuration.md](configuration.md) tells the story."
        ),
        tables.settings,
    ),
    ("Environment variables", "Read at the start.", tables.environment),
    (
        "Codes of failed calls",
        (
            "A call that fails is a tool result with `isError: true` and a `recovery` object:"
            " `error_code`, `message`, `suggest`, `retry`, and `related_tools` where names may have"
            " been meant. `retry` says whether calling again can help."
        ),
        tables.recovery_codes,
    ),
    (
        "JSON-RPC error codes",
        (
            "For requests that are no tool call, and for calls whose own shape is wrong. Codes of"
            " backends are passed on inside the failed call."
        ),
        tables.error_codes,
    ),
)
_MARKED: Final = re.compile(
    r"(?P<begin><!-- generated: (?P<name>[\w-]+) -->\n).*?(?P<end><!-- end: (?P=name) -->)",
    re.DOTALL,
)


def reference() -> str:
    """Return the text of docs/reference.md."""
    lines = [
        "# Reference",
        "",
        "<!-- Written by scripts/make_docs.py from the code. Do not edit. -->",
        "",
        "Every name, number and message here is read from the code that uses it.",
        "",
    ]
    lines += [f"- [{title}](#{_anchor(title)})" for title, _, _ in SECTIONS]
    for title, words, make in SECTIONS:
        lines += ["", f"## {title}", "", words, "", *make()]
    return "\n".join(lines) + "\n"


def filled(text: str) -> str:
    """Return a page with the parts between its markers made anew.

    Raises:
      KeyError: a marker names no part of `PARTS`.
    """

    def make(match: re.Match[str]) -> str:
        part = "\n".join(PARTS[match["name"]]())
        return f"{match['begin']}{part}\n{match['end']}"

    return _MARKED.sub(make, text)


def pages(root: Path) -> Iterator[tuple[Path, str]]:
    """Return each page with generated parts, and its text as it should be."""
    yield root / REFERENCE, reference()
    for path in sorted([*root.glob("*.md"), *root.glob("docs/**/*.md")]):
        if path != root / REFERENCE:
            text = path.read_text("utf-8")
            if _MARKED.search(text):
                yield path, filled(text)


def drifted(root: Path) -> list[tuple[Path, str]]:
    """Return the pages that are not as they should be, with their right text."""
    return [
        (path, text)
        for path, text in pages(root)
        if not path.exists() or path.read_text("utf-8") != text
    ]


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write what has changed, or with `--check` name it; return the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/make_docs.py", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if it would")
    options = parser.parse_args(arguments)
    wrong = drifted(ROOT)
    for path, text in wrong:
        name = path.relative_to(ROOT)
        if options.check:
            print(f"{name} is not what the code says; run: python scripts/make_docs.py")
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
            print(f"wrote {name}")
    return 1 if wrong and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
