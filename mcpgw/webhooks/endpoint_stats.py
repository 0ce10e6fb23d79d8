"""What is counted for an endpoint, and how often it may be asked."""

from __future__ import annotations

import math

import attrs

from mcpgw.webhooks.definition import Endpoint
from mcpgw.webhooks.events import timestamp


@attrs.define
class Statistics:
    """Counts of one endpoint since the start of the gateway.

    Args:
      received: genuine deliveries, those that came again included.
      delivered: events that at least one session took, at once or from the queue.
      duplicates: deliveries that came again.
      signature_failures: requests whose signature, or signed time, was not right.
      rate_limited: requests beyond the rate limit.
      invalid: signed requests whose payload could not be read.
      transform_failures: events whose type is the fallback since the template found nothing.
      last_received_at: Unix time of the last genuine delivery.
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
        """Return the counts as the status tool gives them.

        Args:
          queued: events that wait for a session; None where that is not known.
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
    """A bucket that starts full, holds a minute's requests and fills over a minute.

    The state is one number, the time at which it will be full again (the generic cell rate
    algorithm).
    """

    full_at: float = -math.inf

    def take(self, per_minute: int, now: float) -> float:
        """Take a request's place; return 0.0, or the seconds until there is one.

        Args:
          per_minute: requests a minute; 0 is without a bound.
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
    """An endpoint that is open, with its counts."""

    endpoint: Endpoint
    statistics: Statistics = attrs.field(factory=Statistics)
    allowance: Allowance = attrs.field(factory=Allowance)

    def as_json(self, *, queued: int | None) -> dict[str, object]:
        """Return the endpoint as the status tool gives it; no secret is in it."""
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
