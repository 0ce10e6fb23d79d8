"""Webhooks as a part of the gateway: endpoints of capability files, and the sessions told."""

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

ASKING: Final = "mcpgw/webhooks"
"""The key of a client's `experimental` capabilities by which it asks for certain events:
`{"events": ["github.*"]}`. A client that asks for none in particular gets all."""


CATCH_UP: Final = 60.0
"""Seconds between looks at what waits: another process may have received it."""


class Listener(Protocol):
    """A session as it is told of events."""

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What the client declared."""

    def send(self, method: str, params: dict[str, Any]) -> bool:
        """Send a notification; False where it was dropped."""


@attrs.define(eq=False)
class WebhookService:
    """Keeps the endpoints of the capability files, and gives their events to sessions.

    Args:
      folder: the state folder.
      listeners: the sessions that may be told now.
    """

    folder: Path
    listeners: Callable[[], Iterable[Listener]]
    config: WebhooksConfig = attrs.field(factory=WebhooksConfig)
    problems: dict[str, str] = attrs.field(factory=dict)
    """Endpoints that are not open, with the reason."""
    _receiver: Receiver | None = None

    def configure(self, snapshot: Snapshot) -> None:
        """Apply a new configuration."""
        self.config = snapshot.config.webhooks

    @property
    def receiver(self) -> Receiver:
        """What takes deliveries, made when it is first needed."""
        if self._receiver is None:
            from mcpgw.webhooks.receiver import Receiver
            from mcpgw.webhooks.store import WebhookStore

            self._receiver = Receiver(
                deliver=self._deliver,
                store=WebhookStore.of(self.folder),
                rate_limit=self.config.rate_limit,
            )
        return self._receiver

    async def take(self, library: Library, credentials: Credentials) -> None:
        """Open the endpoints of a library's files, and close all others."""
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
                log.warning("webhook.not_open", endpoint=key, reason=why)
        self.problems = problems
        self.receiver.rate_limit = self.config.rate_limit
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
        return sum(_tell(listener, event) for listener in self.listeners())

    async def keep(self) -> None:
        """Give sessions now and then what other gateways of this person received; a task."""
        while True:
            await trio.sleep(CATCH_UP)
            if self.config.enabled and (listeners := list(self.listeners())):
                await self.receiver.drain(partial(_tell_any, listeners))

    async def catch_up(self, listener: Listener, ready: trio.Event) -> None:
        """Give a session that has just come what waited for one; a task."""
        await ready.wait()
        count = await self.receiver.drain(lambda event: _tell(listener, event))
        if count:
            log.info("webhook.caught_up", events=count)


def _always(secret: str | None, _reference: str) -> str | None:
    return secret


def _tell_any(listeners: Iterable[Listener], event: Event) -> bool:
    """Tell all; say whether one took it."""
    told = [_tell(each, event) for each in listeners]
    return any(told)


def _tell(listener: Listener, event: Event) -> bool:
    from mcpgw.webhooks.events import NOTIFICATION, wants

    experimental = listener.capabilities.get("experimental")
    asked = experimental.get(ASKING) if isinstance(experimental, Mapping) else None
    patterns = asked.get("events") if isinstance(asked, Mapping) else None
    wanted = [str(each) for each in patterns] if isinstance(patterns, list) else []
    return wants(event.event_type, wanted) and listener.send(NOTIFICATION, event.params())
