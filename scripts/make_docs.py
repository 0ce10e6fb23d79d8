"""Write the generated parts of the documentation from the code; `--check` only compares.

docs/reference.md is generated completely; in other pages, the text between the markers
`<!-- generated: NAME -->` and `<!-- end: NAME -->`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import docs_capabilities
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
    "layers": tables.layers,
    "nursery-tree": tables.nursery_tree,
    **docs_capabilities.PARTS,
}
"""Parts that pages can include between markers."""
SECTIONS: Final[tuple[tuple[str, str, Callable[[], list[str]]], ...]] = (
    (
        "Meta-tools",
        (
            "The tools that the AI client sees. Counts in the descriptions are live; they are shown"
            " here as 0."
        ),
        tables.meta_tools,
    ),
    ("Commands", "The output of `--help` for each command.", tables.commands),
    ("Exit statuses", "All commands use the same exit statuses.", tables.exit_statuses),
    (
        "Settings of gateway.yaml",
        (
            "Durations are written as `500ms`, `30s`, `5m`, `2h` or `1m30s`; a bare number means"
            " seconds. See [configuration](configuration.md) for an introduction."
        ),
        tables.settings,
    ),
    (
        "Settings without effect",
        (
            "Keys that other versions of the gateway use. They are accepted with a warning and have"
            " no effect; see [Not implemented](../README.md#not-implemented). `NAME` is any name,"
            " `[]` an item of a list."
        ),
        tables.unused_settings,
    ),
    ("Environment variables", "Read at startup.", tables.environment),
    (
        "Codes of failed calls",
        (
            "A failed call is a tool result with `isError: true` and a `recovery` object with"
            " `error_code`, `message`, `suggest` and `retry`; `related_tools` lists similar names."
            " `retry` tells whether calling again can succeed."
        ),
        tables.recovery_codes,
    ),
    (
        "JSON-RPC error codes",
        (
            "For requests other than tool calls, and for malformed calls. Error codes of servers"
            " are passed on in the failed call's `_meta` (`gateway/backend_error`)."
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
        "Generated from the source code.",
        "",
    ]
    lines += [f"- [{title}](#{_anchor(title)})" for title, _, _ in SECTIONS]
    for title, introduction, make in SECTIONS:
        lines += ["", f"## {title}", "", introduction, "", *make()]
    return "\n".join(lines) + "\n"


def filled(text: str) -> str:
    """Return a page with the parts between its markers regenerated.

    Raises:
      KeyError: a marker names a part that is not in `PARTS`.
    """

    def make(match: re.Match[str]) -> str:
        part = "\n".join(PARTS[match["name"]]())
        return f"{match['begin']}{part}\n{match['end']}"

    return _MARKED.sub(make, text)


def pages(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield each page with generated parts, and its current text."""
    yield root / REFERENCE, reference()
    for path in sorted([*root.glob("*.md"), *root.glob("docs/**/*.md")]):
        if path != root / REFERENCE:
            text = path.read_text("utf-8")
            if _MARKED.search(text):
                yield path, filled(text)


def drifted(root: Path) -> list[tuple[Path, str]]:
    """Return outdated pages with their current text."""
    return [
        (path, text)
        for path, text in pages(root)
        if not path.exists() or path.read_text("utf-8") != text
    ]


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write outdated pages, or only name them with `--check`; return the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/make_docs.py", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="only report outdated pages; status 1 if there are any"
    )
    options = parser.parse_args(arguments)
    outdated = drifted(ROOT)
    for path, text in outdated:
        name = path.relative_to(ROOT)
        if options.check:
            print(f"{name} is outdated; run: python scripts/make_docs.py")
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
            print(f"wrote {name}")
    return 1 if outdated and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
