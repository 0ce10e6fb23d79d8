"""Endpoints, signed requests and receivers for tests."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

import attrs

from mcpgw.state.database import Database
from mcpgw.webhooks.definition import Endpoint, endpoint
from mcpgw.webhooks.events import Event
from mcpgw.webhooks.receiver import Receiver, Response
from mcpgw.webhooks.store import Bounds, WebhookStore

SECRET = "canary-7f1c-never-shown"
NOW = 1_700_000_000.0


@attrs.define
class Clock:
    """A wall clock that is moved by hand."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@attrs.define
class Sessions:
    """Stands for the sessions: so many take each event, and all events are kept."""

    number: int = 1
    events: list[Event] = attrs.field(factory=list)

    def deliver(self, event: Event) -> int:
        """Take an event with every session."""
        if self.number:
            self.events.append(event)
        return self.number

    @property
    def types(self) -> list[str]:
        """The types of the events, in order."""
        return [event.event_type for event in self.events]


def made(name: str = "hook", *, require_signature: bool = True, **raw: object) -> Endpoint:
    """Return an endpoint of capability `demo`, signed as GitHub does unless told otherwise."""
    given: dict[str, object] = {"path": f"/{name}", "signature": "github", "secret": "env:S"}
    if raw.get("signature") == "none":
        del given["secret"]
        require_signature = False
    return endpoint(
        "demo",
        name,
        given | raw,
        {"env:S": SECRET}.get,
        base_path="/webhooks",
        require_signature=require_signature,
    )


def digest(data: bytes, secret: str = SECRET) -> str:
    """Return the HMAC-SHA256 in hex."""
    return hmac.new(secret.encode(), data, hashlib.sha256).hexdigest()


def github(body: bytes, delivery: str = "", secret: str = SECRET) -> dict[str, str]:
    """Return the headers of a delivery by GitHub."""
    headers = {"X-Hub-Signature-256": f"sha256={digest(body, secret)}"}
    return headers | ({"X-GitHub-Delivery": delivery} if delivery else {})


def stripe(body: bytes, time: float = NOW, secret: str = SECRET) -> dict[str, str]:
    """Return the headers of a delivery by Stripe."""
    signed = digest(f"{time:.0f}.".encode() + body, secret)
    return {"Stripe-Signature": f"t={time:.0f},v1={signed},v0={'0' * 64}"}


def receiver(
    path: Path,
    *endpoints: Endpoint,
    sessions: Sessions | None = None,
    clock: Clock | None = None,
    rate_limit: int = 0,
    bounds: Bounds | None = None,
) -> Receiver:
    """Return a receiver whose state is in a file below `path`."""
    store = WebhookStore(Database(path / "state.db"), bounds or Bounds(), clock or Clock())
    made_of = Receiver(deliver=(sessions or Sessions()).deliver, store=store, rate_limit=rate_limit)
    made_of.replace(endpoints)
    return made_of


async def post(
    to: Receiver, payload: object, *, path: str = "/webhooks/hook", delivery: str = ""
) -> Response:
    """Send JSON as GitHub does, signed rightly."""
    body = json.dumps(payload).encode()
    return await to.receive("POST", path, github(body, delivery), body)
