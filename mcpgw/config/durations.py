"""Parsing and formatting of durations: `30s`, `1m30s`, `100ms`."""

from __future__ import annotations

import re

LONGEST = 10 * 365 * 24 * 3600.0
"""Longest duration accepted, in seconds. Longer ones are surely typing errors, and the limit keeps
sums of deadlines finite."""

_UNITS = (("h", 3600.0), ("m", 60.0), ("s", 1.0), ("ms", 0.001))
_NUMBER = r"\d+(?:\.\d+)?"
_FORM = re.compile("".join(rf"(?:({_NUMBER}){unit})?" for unit, _ in _UNITS), re.ASCII)
_BARE = re.compile(_NUMBER, re.ASCII)


def parse_duration(value: object) -> float:
    """Return a duration in seconds.

    A string is a number with `ms`, `s`, `m` or `h`, or several of them from the longest unit to
    the shortest (`1m30s`); the numbers may be decimal. A bare number, quoted or not, is in seconds.

    Raises:
      ValueError: anything else. The message ("must be ...") does not contain the value.
    """
    if isinstance(value, bool):
        raise ValueError("must be a duration")
    if isinstance(value, int | float):
        return _bounded(value)
    if not isinstance(value, str):
        raise ValueError("must be a duration")
    text = value.strip()
    if _BARE.fullmatch(text):
        return _bounded(float(text))
    match = _FORM.fullmatch(text)
    if match is None or not text:
        raise ValueError("must be a duration")
    parts = zip(match.groups(), _UNITS, strict=True)
    return _bounded(sum(float(number) * unit for number, (_, unit) in parts if number))


def format_duration(seconds: float) -> str:
    """Return the shortest form that `parse_duration` reads back, to the millisecond."""
    left = round(seconds * 1000)
    written = []
    for unit, length in _UNITS:
        count, left = divmod(left, round(length * 1000))
        if count:
            written.append(f"{count}{unit}")
    return "".join(written) or "0s"


def _bounded(seconds: float) -> float:
    if not abs(seconds) <= LONGEST:  # also false for NaN
        raise ValueError(f"must be at most {format_duration(LONGEST)} (ten years)")
    # Rounding keeps sums such as 0.1 + 0.2 readable; no setting is finer than a microsecond.
    return round(float(seconds), 6)
