"""Texts that commands print: `say` prints one line, `say_lines` several."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

CLI = Path(__file__).resolve().parents[1] / "mcpgw" / "cli"


def line_breaks(source: str) -> list[int]:
    """Return the lines of calls of `say` whose own text has a line break, which it escapes."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and "say" == node.func.id
        and any(
            isinstance(part, ast.Constant) and isinstance(part.value, str) and "\n" in part.value
            for argument in node.args
            for part in (argument, *getattr(argument, "values", ()))
        )
    ]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('say("one")', []),
        ('say("a\\n" f"{b}")', [1]),
        ('say(f"\\n{b}")', [1]),
        ('say_lines("a\\nb")', []),
        ('say(", ".join("\\n"))', []),
    ],
)
def test_the_check(source: str, found: list[int]) -> None:
    """A literal line break is found, alone or in an f-string."""
    assert found == line_breaks(source)


@pytest.mark.parametrize("path", sorted(CLI.rglob("*.py")), ids=lambda path: path.stem)
def test_own_line_breaks_are_printed(path: Path) -> None:
    """No command prints a line break of its own text as an escape."""
    assert [] == line_breaks(path.read_text())
