"""Lengths of time as a person writes them (`30s`, `1m30s`, `100ms`) and as the code counts them."""

from __future__ import annotations

import re

# Longer waits are surely a slip of the pen; the bound also keeps sums of deadlines finite.
LONGEST = 10 * 365 * 24 * 3600.0

_UNITS = (("h", 3600.0), ("m", 60.0), ("s", 1.0), ("ms", 0.001))
_NUMBER = r"\d+(?:\.\d+)?"
_FORM = re.compile("".join(rf"(?:({_NUMBER}){unit})?" for unit, _ in _UNITS), re.ASCII)
_BARE = re.compile(_NUMBER, re.ASCII)


def parse_duration(value: object) -> float:
    """Read a length of time and return it in seconds.

    Text is a number with `ms`, `s`, `m` or `h`, or several of them from the longest to the
    shortest (`1m30s`); parts may be decimal. A bare number, quoted or not, counts seconds.
    Raises ValueError, without the value in its text, for everything else.
    """
    if isinstance(value, bool):
        raise ValueError("a length of time cannot be yes or no")
    if isinstance(value, int | float):
        return _bounded(value)
    if not isinstance(value, str):
        raise ValueError("a length of time is text or a number")
    text = value.strip()
    if _BARE.fullmatch(text):
        return _bounded(float(text))
    match = _FORM.fullmatch(text)
    if match is None or not text:
        raise ValueError("not a length of time")
    parts = zip(match.groups(), _UNITS, strict=True)
    return _bounded(sum(float(number) * unit for number, (_, unit) in parts if number))


def format_duration(seconds: float) -> str:
    """Write seconds the shortest way that `parse_duration` reads back, to the millisecond."""
    left = round(seconds * 1000)
    written = []
    for unit, length in _UNITS:
        count, left = divmod(left, round(length * 1000))
        if count:
            written.append(f"{count}{unit}")
    return "".join(written) or "0s"


def _bounded(seconds: float) -> float:
    if not abs(seconds) <= LONGEST:  # written so that it also catches .nan
        raise ValueError(f"longer than ten years ({format_duration(LONGEST)})")
    # Sums such as 0.1 + 0.2 stay readable; nothing here is finer than a microsecond.
    return round(float(seconds), 6)
