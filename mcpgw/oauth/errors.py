"""What can go wrong on the way to a token, and how a person is told without a secret in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

import attrs

_LONGEST: Final = 300


class OAuthProblem(Exception):
    """The base of all that goes wrong on the way to a token; the text is for a person."""


class Refused(OAuthProblem):
    """We do not go on: what a server told us is unsafe, or breaks a rule of the protocol."""


class Unreachable(OAuthProblem):
    """A server did not answer, or answered that it cannot now; another try may help."""


@attrs.frozen
class ErrorAnswer(OAuthProblem):
    """An authorization server answered with an error (RFC 6749 section 5.2)."""

    error: str
    where: str
    description: str = ""

    def __str__(self) -> str:
        more = f": {self.description}" if self.description else ""
        return f"{self.where} answered {self.error!r}{more}"


def origin_of(url: str) -> str:
    """Return scheme and host of a URL, for messages: the rest may hold a secret."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname or ''}{port}"
    except ValueError:
        return "an unreadable URL"


def quoted(text: object, *, secrets: Iterable[str | None] = ()) -> str:
    """Return text of a server in a form that can be shown: printable, short, without our secrets.

    Args:
      text: what the server said; anything but text gives "".
      secrets: what we sent, and the server may repeat.
    """
    if not isinstance(text, str):
        return ""
    from mcpgw.observe.redact import redact

    for secret in secrets:
        if secret:
            text = text.replace(secret, "[redacted]")
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    plain = " ".join(redact(plain).split())
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…"
