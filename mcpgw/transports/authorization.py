"""The interface through which network transports get their credentials."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

import attrs


@attrs.frozen
class AuthorizationFailed(Exception):
    """Credentials are missing and cannot be obtained now; `reason` says what to do."""

    reason: str

    def __str__(self) -> str:
        return self.reason


class Authorizer(Protocol):
    """Provides credentials, and obtains new ones when a server refuses them."""

    async def headers(self) -> Mapping[str, str]:
        """Return the headers to add to a request, renewed if they are about to expire.

        Raises:
          AuthorizationFailed: there are no credentials that the server would accept.
        """

    def secrets(self) -> Collection[str]:
        """Return the tokens and other secrets in use now, which no text may show."""

    async def challenged(self, status: int, headers: Mapping[str, str]) -> bool:
        """Handle a refused request; return whether to send it again.

        Args:
          status: 401 or 403.
          headers: the headers of the response, names in lower case.

        Raises:
          AuthorizationFailed: other credentials cannot be obtained.
        """
