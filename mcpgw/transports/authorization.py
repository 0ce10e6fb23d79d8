"""What gives the requests of a network transport their credentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import attrs


@attrs.frozen
class AuthorizationFailed(Exception):
    """There are no credentials and none can be had now; `reason` says what to do."""

    reason: str

    def __str__(self) -> str:
        return self.reason


class Authorizer(Protocol):
    """Gives credentials, and gets new ones when a server refuses them."""

    async def headers(self) -> Mapping[str, str]:
        """Return what to add to a request, renewed where it is about to expire.

        Raises:
          AuthorizationFailed: there is nothing to add that the server would take.
        """

    async def challenged(self, status: int, headers: Mapping[str, str]) -> bool:
        """Take note that a request was refused; True where it should be sent once more.

        Args:
          status: 401 or 403.
          headers: those of the refusal, names in lower case.

        Raises:
          AuthorizationFailed: no other credentials can be had.
        """
