"""Errors of the OAuth client, with messages that contain no secrets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

import attrs

_LONGEST: Final = 300


class OAuthProblem(Exception):
    """The base class of all errors of obtaining a token; the message is for people."""


class Refused(OAuthProblem):
    """A login is refused by us: a server's data is unsafe or violates the protocol."""


class Unreachable(OAuthProblem):
    """A server did not answer, or cannot answer now; a later attempt may succeed."""


_CLIENT_ERRORS: Final = frozenset(
    {
        *("invalid_client", "unauthorized_client"),  # RFC 6749, section 5.2
        "deleted_client",  # Google
        "incorrect_client_credentials",  # GitHub
        *("invalid_client_id", "bad_client_secret"),  # Slack
    }
)
_PASSING_ERRORS: Final = frozenset(
    {"temporarily_unavailable", "server_error", "slow_down", "rate_limited", "ratelimited"}
)
_FINAL_STATUSES: Final = frozenset({400, 401, 404, 405, 410})


@attrs.frozen
class ErrorAnswer(OAuthProblem):
    """An authorization server answered with an error (RFC 6749, section 5.2).

    Args:
      error: the error code, or the status if the answer has none.
      where: the origin of the server.
      description: the server's explanation.
      status: the status of an answer without an error code, else None.
    """

    error: str
    where: str
    description: str = ""
    status: int | None = None

    @property
    def rejects_client(self) -> bool:
        """True if the server does not know the client, or does not accept its authentication."""
        return self.error in _CLIENT_ERRORS or self.status == 401

    @property
    def passing(self) -> bool:
        """True if the same request may succeed later."""
        if self.status is not None:
            return self.status not in _FINAL_STATUSES
        return self.error in _PASSING_ERRORS

    def __str__(self) -> str:
        more = f": {self.description}" if self.description else ""
        return f"{self.where} answered {self.error!r}{more}"


def origin_of(url: str) -> str:
    """Return the origin of a URL, for messages: the rest may contain a secret."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname or ''}{port}"
    except ValueError:
        return "an invalid URL"


def quoted(text: object, *, secrets: Iterable[str | None] = ()) -> str:
    """Return a server's text for messages: printable, short, and without our secrets.

    Args:
      text: the server's text; any other type gives "".
      secrets: secrets that we sent, which the server may repeat.
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
