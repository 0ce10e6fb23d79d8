"""Table of statistics for terminals: columns that fit the width, bars and sparklines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs
import click

from mcpgw.observe.printable import printable
from mcpgw.text.plural import plural
from mcpgw.usage.model import ToolUsage, Trend

BAR: Final = "█▉▊▋▌▍▎▏"
LEVELS: Final = "▁▂▃▄▅▆▇█"
PLAIN_LEVELS: Final = ".:-=+*#@"
BAR_WIDTH: Final = 10
ALARMING: Final = 0.2
"""Error rate from which it is shown in red."""
LEAST_NAME: Final = 8
"""Minimum number of characters shown of a name."""
NAMES: Final = 36
"""Width of both names together below which other columns are dropped."""

_DROPPED: Final = ("BAR", "24 HOURS", "TREND", "P50", "COST", "P95")
"""Columns that are dropped on narrow terminals, in this order."""


@attrs.frozen
class Row:
    """Line of a tool: its counts in the chosen period, and its total usage."""

    server: str
    tool: str
    usage: ToolUsage
    calls: int
    failures: int
    cost_micro_usd: int
    hours: tuple[int, ...]
    """Calls in each of the last 24 hours; the current one is last."""
    trend: Trend

    @property
    def error_rate(self) -> float:
        """Share of failed calls, from 0 to 1."""
        return self.failures / self.calls if self.calls else 0.0


@attrs.frozen
class Style:
    """Abilities of the output. `width` is None if it has none, such as a file."""

    blocks: bool
    coloured: bool
    width: int | None


@attrs.frozen
class _Column:
    title: str
    cells: tuple[str, ...]
    right: bool = False

    @property
    def width(self) -> int:
        return max(len(self.title), *(len(cell) for cell in self.cells))

    def line(self, number: int) -> str:
        text = self.title if number < 0 else self.cells[number]
        return text.rjust(self.width) if self.right else text.ljust(self.width)


def head(
    rows: Sequence[Row], counters: Mapping[str, int], since: str | None, style: Style
) -> list[str]:
    """Return the lines with the totals."""
    calls, failures = sum(row.calls for row in rows), sum(row.failures for row in rows)
    parts = [
        plural(calls, "call"),
        plural(len(rows), "tool"),
        f"{_share(failures / calls if calls else 0.0)} failed",
    ]
    cost = sum(row.cost_micro_usd for row in rows)
    if cost:
        parts.append(_money(cost))
    if since is None:
        cached = sum(row.usage.cached for row in rows)
        if cached:
            parts.append(f"{cached:,} from the cache")
        searches = counters.get("searches", 0)
        if searches:
            parts.append(plural(searches, "search", "searches"))
    title = "All calls" if since is None else f"Last {since}"
    line = f"{title}: {', '.join(parts)}"
    if style.width is not None and len(line) > style.width:
        return [f"{title}:", *(f"  {part}" for part in parts)]
    return [line]


def table(rows: Sequence[Row], style: Style) -> list[str]:
    """Return the line with the titles, and a line for each row."""
    columns = _columns(rows, style)
    if style.width is not None:
        columns = _fitted(columns, style.width)
    lines = []
    for number in range(-1, len(rows)):
        cells = [_coloured(column, number, rows, style) for column in columns]
        lines.append("  ".join(cells).rstrip())
    return lines


def _columns(rows: Sequence[Row], style: Style) -> list[_Column]:
    most = max(row.calls for row in rows)
    return [
        _Column("SERVER", tuple(printable(row.server) for row in rows)),
        _Column("TOOL", tuple(printable(row.tool) for row in rows)),
        _Column("CALLS", tuple(f"{row.calls:,}" for row in rows), right=True),
        _Column("BAR", tuple(bar(row.calls / most, blocks=style.blocks) for row in rows)),
        _Column("ERRORS", tuple(_share(row.error_rate) for row in rows), right=True),
        _Column("P50", tuple(_time(row.usage.p50) for row in rows), right=True),
        _Column("P95", tuple(_time(row.usage.p95) for row in rows), right=True),
        _Column(
            "COST",
            tuple(_money(row.cost_micro_usd) if row.cost_micro_usd else "-" for row in rows),
            right=True,
        ),
        _Column(
            "24 HOURS",
            tuple(sparkline(row.hours, blocks=style.blocks) for row in rows),
        ),
        _Column("TREND", tuple(_trend(row.trend) for row in rows), right=True),
    ]


def bar(share: float, *, blocks: bool, width: int = BAR_WIDTH) -> str:
    """Return a bar for a share from 0 to 1; any share above 0 is visible."""
    if not blocks:
        return "#" * max(round(share * width), 1 if share > 0 else 0)
    eighths = max(round(share * width * 8), 1 if share > 0 else 0)
    full, rest = divmod(eighths, 8)
    return BAR[0] * full + (BAR[8 - rest] if rest else "")


def sparkline(values: Sequence[int], *, blocks: bool) -> str:
    """Return a character for each value, scaled to the largest one; 0 is a space."""
    most = max(values)
    levels = LEVELS if blocks else PLAIN_LEVELS
    return "".join(
        levels[-(-len(levels) * value // most) - 1] if value else " " for value in values
    )


def _fitted(columns: list[_Column], width: int) -> list[_Column]:
    """Drop columns and shorten names until the lines fit."""
    columns = list(columns)
    for title in _DROPPED:
        if _needed(columns, least=NAMES) <= width:
            break
        columns = [column for column in columns if column.title != title]
    over = _needed(columns) - width
    for place in (0, 1):
        if over > 0:
            longest = max(LEAST_NAME, columns[place].width - over)
            if place == 0:  # shorten both, but the server's name not below a third
                longest = max(longest, columns[0].width // 3, LEAST_NAME)
            before = columns[place].width
            columns[place] = _shortened(columns[place], longest)
            over -= before - columns[place].width
    return columns


def _needed(columns: Sequence[_Column], *, least: int | None = None) -> int:
    widths = [column.width for column in columns]
    if least is not None:
        widths[:2] = [min(sum(widths[:2]), least)]
        return sum(widths) + 2 * len(widths)
    return sum(widths) + 2 * (len(widths) - 1)


def _shortened(column: _Column, width: int) -> _Column:
    cells = tuple(c if len(c) <= width else f"{c[: width - 1]}~" for c in column.cells)
    return attrs.evolve(column, cells=cells)


def _coloured(column: _Column, number: int, rows: Sequence[Row], style: Style) -> str:
    text = column.line(number)
    if not style.coloured:
        return text
    if number < 0:
        return click.style(text, bold=True)
    if column.title == "ERRORS" and rows[number].error_rate >= ALARMING:
        return click.style(text, fg="red")
    if column.title in ("BAR", "24 HOURS"):
        return click.style(text, fg="cyan")
    return text


def _share(share: float) -> str:
    if 0 < share < 0.001:
        return "<0.1%"
    return f"{100 * share:.1f}%" if share else "0%"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 0.01:
        return f"{1000 * seconds:.1f} ms"
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _money(micro_usd: int) -> str:
    dollars = micro_usd / 1_000_000
    if 0 < dollars < 0.0001:
        return "<$0.0001"
    return f"${dollars:,.2f}" if dollars >= 1 else f"${dollars:.4f}"


def _trend(trend: Trend) -> str:
    if trend.ratio is None:
        return "new" if trend.recent else "-"
    change = round(100 * (trend.ratio - 1))
    return f"{change:+d}%" if change < 1000 else f"x{trend.ratio:.0f}"
