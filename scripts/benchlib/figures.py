"""Statistics of samples, and output as tables."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

Samples = dict[str, list[float]]
"""By name, one value for each turn, in the order of the turns."""


def percentile(values: Sequence[float], share: float) -> float:
    """Return the percentile of the values for a share from 0 to 1."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def ratio(samples: Samples, name: str, base: str) -> float | None:
    """Return the median of the ratios within each turn, or None if one was not measured."""
    if not samples.get(name) or not samples.get(base):
        return None
    pairs = zip(samples[name], samples[base], strict=True)
    return statistics.median(value / against for value, against in pairs)


def summary(samples: Samples) -> dict[str, dict[str, float]]:
    """Return median, minimum, maximum and number of turns by name."""
    return {
        name: {
            "median": statistics.median(values),
            "min": min(values),
            "max": max(values),
            "turns": len(values),
        }
        for name, values in samples.items()
        if values
    }


def table(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> None:
    """Print rows under a title, with right-aligned figures."""
    widths = [
        max(len(column), *(len(row[place]) for row in rows.values())) + 2
        for place, column in enumerate(columns)
    ]
    first = max(map(len, [title, *rows])) + 1
    print(title.ljust(first) + "".join(map(str.rjust, columns, widths)))
    for name, row in rows.items():
        print(f"  {name}".ljust(first) + "".join(map(str.rjust, row, widths)))


def shown(value: float | None, form: str) -> str:
    """Return a figure as text, or a dash if it is None."""
    return "-" if value is None else format(value, form)
