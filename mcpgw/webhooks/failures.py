"""Bounds for requests with a wrong signature, kept apart from the rate of genuine deliveries."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import attrs

from mcpgw.webhooks.endpoint_stats import Allowance

PER_PEER: Final = 60
"""Wrong signatures a minute that are verified for one peer."""
PER_TUNNEL: Final = 1200
"""The same for peers that share one address, because they come through a local tunnel."""
MOST_PEERS: Final = 1024
"""Peers that are remembered, the latest ones."""


@attrs.define(eq=False)
class Failures:
    """Failed verifications by peer, so that junk cannot occupy the processor.

    A peer whose signatures are valid is never affected by its own past, only by its failures.
    """

    _peers: OrderedDict[str, Allowance] = attrs.field(factory=OrderedDict)

    def wait(self, peer: str, now: float) -> float:
        """Return the seconds for which requests of a peer are refused unread; 0.0 for none.

        Args:
          peer: the address of the sender, "" if unknown.
          now: monotonic seconds.
        """
        known = self._peers.get(peer)
        return 0.0 if known is None else attrs.evolve(known).take(_limit(peer), now)

    def add(self, peer: str, now: float) -> None:
        """Count a failed verification of a peer."""
        self._peers.setdefault(peer, Allowance()).take(_limit(peer), now)
        self._peers.move_to_end(peer)
        if len(self._peers) > MOST_PEERS:
            self._peers.popitem(last=False)


def _limit(peer: str) -> int:
    return PER_PEER if peer else PER_TUNNEL
