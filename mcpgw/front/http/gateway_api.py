"""The gateway as the HTTP front sees it: sessions to open, tools to look up, and its health."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import attrs

from mcpgw.protocol.channel import ClientChannel

ANONYMOUS: Final = "anonymous"
"""The principal of clients that need not authenticate."""


class FrontChannel(ClientChannel, Protocol):
    """The channel of one session of the HTTP front."""

    def end(self) -> None:
        """Mark the channel as unserved: its open answers end, later messages fail."""


@attrs.frozen
class NoSuchTarget(Exception):
    """No backend has this name.

    Args:
      name: the name that the client asked for.
      known: the names of all configured backends.
    """

    name: str
    known: tuple[str, ...] = ()

    def __str__(self) -> str:
        names = ", ".join(sorted(self.known)) if self.known else "none is configured"
        return f"no server is called {self.name!r}; there are: {names}"


@attrs.frozen
class HealthReport:
    """The public part of the gateway's health.

    Args:
      ready: the configuration is loaded.
      version: the gateway's own version.
      count: the number of configured backends.
      all_healthy: every backend works.
    """

    ready: bool
    version: str
    count: int = 0
    all_healthy: bool = True


class GatewayApi(Protocol):
    """The part of the gateway that the HTTP front needs."""

    async def open(
        self,
        channel: FrontChannel,
        target: str | None,
        principal: str,
        *,
        stateless: bool = False,
    ) -> None:
        """Start a session over the channel in a task of the gateway; return once it listens.

        The session ends when `channel.receive` raises `trio.EndOfChannel`. A session that ends
        earlier calls `channel.end()`.

        Args:
          channel: carries the session's messages.
          target: a backend's name; None for the surface of all backends.
          principal: the authenticated client, `anonymous` if no authentication is required.
          stateless: the channel carries requests of many clients, all of the stateless era.

        Raises:
          NoSuchTarget: no backend has this name.
          RpcError: the backend cannot be started.
        """

    def tool(self, target: str | None, name: str) -> Mapping[str, Any] | None:
        """Return a tool's definition as clients see it, or None if it is unknown."""

    def loop(self, chain: str, target: str | None) -> str:
        """Return why a client is this gateway itself; "" if it is not.

        Args:
          chain: the client's chain of gateways (`mcpgw.config.chain`).
          target: a backend's name; None for the surface of all backends.
        """

    def health(self) -> HealthReport:
        """Return the gateway's health, without waiting."""
