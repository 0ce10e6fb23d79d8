"""Run the demo and draw its output as a picture of a terminal: docs/images/demo.svg.

The times in the picture are those of the recorded run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

import attrs

ROOT: Final = Path(__file__).resolve().parents[1]
PICTURE: Final = ROOT / "docs" / "images" / "demo.svg"
COLUMNS: Final = 92
CHARACTER: Final = (8.4, 19.0)
"""Width and height of a character cell at `FONT_SIZE`, in pixels."""
FONT_SIZE: Final = 14
MARGIN: Final = 20.0
BAR: Final = 36.0
"""Height of the window's title bar."""
FONTS: Final = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
BACKGROUND, TITLE_BAR, PLAIN = "#11151c", "#1d2430", "#d7dde8"
COLOURS: Final = {31: "#f28b82", 32: "#7fd88f", 34: "#82aaff", 36: "#6fd0e0"}
DIM: Final = "#8a93a3"
_ESCAPE: Final = re.compile(r"\x1b\[([0-9;]*)m")
_BLOCKS: Final = re.compile(r"(█+)")


@attrs.frozen
class Run:
    """Text of one style: its column, content, colour and weight."""

    column: int
    text: str
    colour: str
    bold: bool


def runs(line: str) -> Iterator[Run]:
    """Split a line with ANSI styles into runs of one style; block characters are separate runs."""
    column, colour, bold = 0, PLAIN, False
    pieces = _ESCAPE.split(line)
    for position, piece in enumerate(pieces):
        if position % 2:
            colour, bold = _style(piece, colour, bold)
            continue
        for text in _BLOCKS.split(piece):
            if text.strip():
                yield Run(column, text, colour, bold)
            column += len(text)


def _style(codes: str, colour: str, bold: bool) -> tuple[str, bool]:
    for code in (int(code or 0) for code in codes.split(";")):
        if code == 0:
            colour, bold = PLAIN, False
        elif code == 1:
            bold = True
        elif code == 2:
            colour = DIM
        else:
            colour = COLOURS.get(code, colour)
    return colour, bold


def draw(text: str, *, title: str) -> str:
    """Return an SVG of a terminal window that shows the text.

    Args:
      text: lines with ANSI styles (bold, dim, and the colours of `COLOURS`).
      title: the text of the title bar, and the label for screen readers.
    """
    lines = text.rstrip("\n").split("\n")
    cell, row = CHARACTER
    width = 2 * MARGIN + COLUMNS * cell
    height = BAR + 2 * MARGIN + len(lines) * row
    name = escape(title, {'"': "&quot;"})
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"'
            f' width="{width:g}" height="{height:g}" role="img" aria-label="{name}">'
        ),
        f"<title>{name}</title>",
        f'<rect width="100%" height="100%" rx="10" fill="{BACKGROUND}"/>',
        (
            f'<path d="M0 {BAR:g}V10A10 10 0 0 1 10 0H{width - 10:g}A10 10 0 0 1 {width:g} 10'
            f'V{BAR:g}Z" fill="{TITLE_BAR}"/>'
        ),
        *(
            f'<circle cx="{MARGIN + 20 * place:g}" cy="{BAR / 2:g}" r="6" fill="{colour}"/>'
            for place, colour in enumerate(("#f2685e", "#f5bf4f", "#62c655"))
        ),
        f'<g font-family="{FONTS}" font-size="{FONT_SIZE}" xml:space="preserve">',
        (
            f'<text x="{width / 2:g}" y="{BAR / 2 + 5:g}" fill="{DIM}" text-anchor="middle">'
            f"{name}</text>"
        ),
    ]
    for number, line in enumerate(lines):
        top = BAR + MARGIN + number * row
        parts += [_drawn(run, top) for run in runs(line)]
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _drawn(run: Run, top: float) -> str:
    cell, row = CHARACTER
    text = run.text.rstrip()
    lead = len(text) - len(text.lstrip())
    left = MARGIN + (run.column + lead) * cell
    text = text.lstrip()
    if text.startswith("█"):
        return (
            f'<rect x="{left:.1f}" y="{top + 3:g}" width="{len(text) * cell:.1f}"'
            f' height="{row - 6:g}" rx="2" fill="{run.colour}"/>'
        )
    weight = ' font-weight="bold"' if run.bold else ""
    # The length keeps columns straight whichever font the reader's system has.
    return (
        f'<text x="{left:.1f}" y="{top + 14:g}" fill="{run.colour}"{weight}'
        f' textLength="{len(text) * cell:.1f}">{escape(text)}</text>'
    )


def record() -> str:
    """Run the demo and return its output.

    Raises:
      SystemExit: the demo failed.
    """
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "demo.py"), "--color", "always"],
        env={**os.environ, "COLUMNS": str(COLUMNS), "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode != 0:
        sys.exit("the demo failed, so there is nothing to record")
    return done.stdout


def main() -> int:
    """Record the demo and write the picture; return the exit status."""
    text = f"\x1b[32m$\x1b[0m scripts/demo\n{record()}"
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(draw(text, title="scripts/demo"), "utf-8")
    print(f"wrote {PICTURE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
