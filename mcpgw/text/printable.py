"""Texts of others, made safe for terminals and logs."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return a text with control and other invisible characters escaped."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape", "backslashreplace").decode()
        for sign in text
    )
