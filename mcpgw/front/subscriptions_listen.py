"""`subscriptions/listen`: a request whose answer stays open and carries notifications."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from mcpgw.front.services import ServedSession
from mcpgw.protocol.errors import INVALID_PARAMS, RpcError
from mcpgw.protocol.mcp import SUBSCRIPTION_META
from mcpgw.protocol.peer import Params, Request

_FLAGS: Final[Mapping[str, tuple[str, str]]] = {
    "toolsListChanged": ("tools", "notifications/tools/list_changed"),
    "promptsListChanged": ("prompts", "notifications/prompts/list_changed"),
    "resourcesListChanged": ("resources", "notifications/resources/list_changed"),
}
"""The flags of a filter: the capability that each needs, and the notification it includes."""


@attrs.define(eq=False)
class Subscription:
    """One open `subscriptions/listen`.

    Each notification carries the id of the request; only notifications in the filter are sent
    (MCP 2026-07-28, subscriptions).
    """

    request: Request
    methods: frozenset[str]
    _early: list[tuple[str, Params]] | None = attrs.field(factory=list)
    """Notifications that wait for the acknowledgement; None after it."""

    def acknowledge(self, granted: Params) -> None:
        """Send the granted filter, the first message of the subscription."""
        early, self._early = self._early, None
        self.send("notifications/subscriptions/acknowledged", {"notifications": granted})
        for method, params in early or ():
            self.send(method, params)

    def notify_change(self, method: str, params: Params | None = None) -> bool:
        """Forward a notification if the filter includes it; return False if it was dropped."""
        return self.send(method, params or {}) if method in self.methods else True

    def send(self, method: str, params: Params) -> bool:
        """Send a notification on this subscription; return False if it was dropped."""
        if self._early is not None:
            self._early.append((method, params))
            return True
        meta = {**(params.get("_meta") or {}), SUBSCRIPTION_META: self.request.id}
        return self.request.peer.notify(method, {**params, "_meta": meta}, about=self.request.id)


async def listen(session: ServedSession, request: Request) -> Params:
    """Acknowledge the notifications that can be granted, then wait until the session ends.

    Raises:
      RpcError: the filter is missing.
    """
    asked = request.params.get("notifications")
    if not isinstance(asked, dict):
        raise RpcError(
            INVALID_PARAMS, "'notifications' must be an object of the notifications to subscribe to"
        )
    granted = _granted(session, asked)
    methods = frozenset(_FLAGS[flag][1] for flag in granted)
    subscription = Subscription(request, methods)
    await session.attached()
    resource_subscriptions = session.services.resource_subscriptions
    uris = asked.get("resourceSubscriptions")
    try:
        if isinstance(uris, list):
            granted["resourceSubscriptions"] = [
                uri
                for uri in uris
                if isinstance(uri, str)
                and await resource_subscriptions.try_subscribe(
                    session.services.context, session, request, subscription, uri
                )
            ]
        subscription.acknowledge(granted)
        session.listeners.add(subscription)
        await request.peer.ending.wait()
    finally:
        session.listeners.discard(subscription)
        resource_subscriptions.remove(subscription)
    return {"resultType": "complete", "_meta": {SUBSCRIPTION_META: request.id}}


def _granted(session: ServedSession, asked: Mapping[str, Any]) -> Params:
    granted: Params = {}
    for flag, (capability, _method) in _FLAGS.items():
        declared = session.server_profile.capabilities.get(capability)
        if (
            asked.get(flag) is True
            and isinstance(declared, Mapping)
            and declared.get("listChanged") is True
        ):
            granted[flag] = True
    return granted
