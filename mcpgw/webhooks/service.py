"""Webhook service of the gateway: opens endpoints and delivers their events to sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
import trio

from mcpgw.config.settings import Snapshot
from mcpgw.config.trust import WebhooksConfig
from mcpgw.observe.log import get_logger

if TYPE_CHECKING:
    from mcpgw.capabilities.credentials import Credentials
    from mcpgw.capabilities.library import Library
    from mcpgw.webhooks.events import Event
    from mcpgw.webhooks.receiver import Receiver

log = get_logger("mcpgw.webhooks")

EVENT_FILTER: Final = "mcpgw/webhooks"
"""The key of a client's `experimental` capabilities that selects events:
`{"events": ["github.*"]}`. A client without it gets all events."""

DELIVERY_INTERVAL: Final = 60.0
"""Seconds between checks for queued events, which another process may have received."""


class Listener(Protocol):
    """A session that receives events."""

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """The capabilities that the client declared."""

    def send(self, method: str, params: dict[str, Any]) -> bool:
        """Send a notification; return False if it was dropped."""


@attrs.define(eq=False)
class WebhookService:
    """Service that opens the endpoints of capability files and delivers events to sessions.

    Args:
      folder: the state folder.
      listeners: returns the sessions that can be notified now.
      expects_endpoints: returns whether capability files are read, which may define endpoints.
      config: the `webhooks` section of the configuration.
    """

    folder: Path
    listeners: Callable[[], Iterable[Listener]]
    expects_endpoints: Callable[[], bool] = lambda: False
    config: WebhooksConfig = attrs.field(factory=WebhooksConfig)
    problems: dict[str, str] = attrs.field(factory=dict)
    """Endpoints that are not open (`CAPABILITY.NAME`), with the reason."""
    _receiver: Receiver | None = None

    def configure(self, snapshot: Snapshot) -> None:
        """Apply a new configuration."""
        self.config = snapshot.config.webhooks

    @property
    def receiver(self) -> Receiver:
        """The receiver of deliveries, created when it is first used."""
        if self._receiver is None:
            from mcpgw.webhooks.receiver import Receiver
            from mcpgw.webhooks.store import WebhookStore

            self._receiver = Receiver(
                deliver=self._deliver,
                store=WebhookStore.of(self.folder),
                rate_limit=self.config.rate_limit,
                body_limit=self.config.max_body_size,
                loading=self.expects_endpoints(),
            )
        return self._receiver

    async def open_endpoints(self, library: Library, credentials: Credentials) -> None:
        """Open the endpoints of a library and close all others."""
        from mcpgw.webhooks.definition import WebhookProblem, endpoint

        found = []
        problems: dict[str, str] = {}
        for entry in library.entries():
            for name, raw in entry.webhooks.items():
                key = f"{entry.name}.{name}"
                secret = await self._secret(credentials, str(raw.get("secret") or ""))
                resolve: Callable[[str], str | None] = partial(_always, secret)
                try:
                    found.append(
                        endpoint(
                            entry.name,
                            name,
                            {k: v for k, v in raw.items() if v not in ("", None, {})},
                            resolve,
                            base_path=self.config.base_path,
                            require_signature=self.config.require_signature,
                        )
                    )
                except WebhookProblem as problem:
                    problems[key] = str(problem)
        for key, why in problems.items():
            if self.problems.get(key) != why:
                log.warning("webhook.rejected", endpoint=key, reason=why)
        self.problems = problems
        self.receiver.rate_limit = self.config.rate_limit
        self.receiver.body_limit = self.config.max_body_size
        self.receiver.replace(found)

    async def _secret(self, credentials: Credentials, reference: str) -> str | None:
        from mcpgw.capabilities.errors import CallProblem

        if not reference:
            return None
        try:
            return await credentials.look_up(reference)
        except CallProblem:
            return None

    def _deliver(self, event: Event) -> int:
        return sum(_send(listener, event) for listener in self.listeners())

    async def deliver_queued(self) -> None:
        """Deliver events from time to time that other gateways have queued; run as a task."""
        while True:
            await trio.sleep(DELIVERY_INTERVAL)
            if self.config.enabled and (listeners := list(self.listeners())):
                await self.receiver.drain(partial(_send_to_any, listeners))

    async def deliver_to(self, listener: Listener, ready: trio.Event) -> None:
        """Deliver queued events to a new session once it is ready; run as a task."""
        await ready.wait()
        count = await self.receiver.drain(lambda event: _send(listener, event))
        if count:
            log.info("webhook.events_delivered", count=count)


def _always(secret: str | None, _reference: str) -> str | None:
    return secret


def _send_to_any(listeners: Iterable[Listener], event: Event) -> bool:
    """Send an event to all sessions; return whether one accepted it."""
    accepted = [_send(each, event) for each in listeners]
    return any(accepted)


def _send(listener: Listener, event: Event) -> bool:
    from mcpgw.webhooks.events import NOTIFICATION, matches

    experimental = listener.capabilities.get("experimental")
    asked = experimental.get(EVENT_FILTER) if isinstance(experimental, Mapping) else None
    patterns = asked.get("events") if isinstance(asked, Mapping) else None
    wanted = [str(each) for each in patterns] if isinstance(patterns, list) else []
    return matches(event.event_type, wanted) and listener.send(NOTIFICATION, event.params())
