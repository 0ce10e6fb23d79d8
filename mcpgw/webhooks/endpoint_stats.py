"""Counters and rate limits of endpoints."""

from __future__ import annotations

import math

import attrs

from mcpgw.webhooks.definition import Endpoint
from mcpgw.webhooks.events import timestamp


@attrs.define
class Statistics:
    """Counters of one endpoint since the gateway was started.

    Args:
      received: verified deliveries, including duplicates.
      delivered: events that at least one session accepted, at once or from the queue.
      duplicates: repeated deliveries.
      signature_failures: requests with a wrong signature or signed time.
      rate_limited: requests beyond the rate limit.
      invalid: verified requests whose payload could not be parsed.
      transform_failures: events that got the fallback type because their template lacked a value.
      last_received_at: Unix time of the last verified delivery.
    """

    received: int = 0
    delivered: int = 0
    duplicates: int = 0
    signature_failures: int = 0
    rate_limited: int = 0
    invalid: int = 0
    transform_failures: int = 0
    last_received_at: float | None = None

    def as_json(self, *, queued: int | None) -> dict[str, object]:
        """Return the counters as the status tool shows them.

        Args:
          queued: events that wait for a session; None if that is unknown.
        """
        stats: dict[str, object] = attrs.asdict(self)
        stats["queued"] = queued
        if self.last_received_at is None:
            del stats["last_received_at"]
        else:
            stats["last_received_at"] = timestamp(self.last_received_at)
        return stats


@attrs.define
class Allowance:
    """A token bucket that starts full, holds the requests of a minute and refills over a minute.

    It uses the generic cell rate algorithm, whose only state is the time at which the bucket
    will be full again.
    """

    full_at: float = -math.inf

    def take(self, per_minute: int, now: float) -> float:
        """Take a token; return 0.0, or the seconds until there is one.

        Args:
          per_minute: requests a minute; 0 for no limit.
          now: monotonic seconds.
        """
        if per_minute <= 0:
            return 0.0
        each = 60.0 / per_minute
        wait = self.full_at - (per_minute - 1) * each - now
        if wait > 1e-9:
            return wait
        self.full_at = max(self.full_at, now) + each
        return 0.0


@attrs.define
class Route:
    """An open endpoint with its counters and its rate limit."""

    endpoint: Endpoint
    statistics: Statistics = attrs.field(factory=Statistics)
    allowance: Allowance = attrs.field(factory=Allowance)

    def as_json(self, *, queued: int | None) -> dict[str, object]:
        """Return the endpoint as the status tool shows it, without its secret."""
        return {
            "path": self.endpoint.path,
            "method": self.endpoint.method,
            "capability": self.endpoint.capability,
            "webhook_name": self.endpoint.name,
            "signature": self.endpoint.signature,
            "signature_required": self.endpoint.signature != "none",
            "notify": self.endpoint.notify,
            "stats": self.statistics.as_json(queued=queued),
        }
