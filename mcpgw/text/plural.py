"""Counts with their noun: `1 server`, `2 servers`."""

from __future__ import annotations


def plural(count: int, noun: str, many: str = "") -> str:
    """Return a count with its noun in the right form.

    Args:
      count: how many there are; thousands are separated by commas.
      noun: the singular.
      many: the plural, if it is not the singular with an `s`.
    """
    return f"{count:,} {noun if count == 1 else many or f'{noun}s'}"
