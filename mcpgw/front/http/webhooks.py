"""Webhook paths: deliveries of external services, authenticated by signature.

They bypass the access checks of host, origin and token: a service has no token of ours, uses
whatever host name a tunnel has, and is not a browser.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Protocol

import attrs

from mcpgw.front.http.asgi import App, Receive, Refusal, Scope, Send, headers_of, read_body
from mcpgw.front.http.asgi import refuse as refuse_http
from mcpgw.front.http.settings import HttpSettings


class Answer(Protocol):
    """An HTTP response with a JSON body."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def json(self) -> Mapping[str, object]:
        """The body."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Further headers."""


class DeliveryReceiver(Protocol):
    """Handles deliveries; see `mcpgw.webhooks.receiver.Receiver`."""

    body_limit: int

    def screen(self, method: str, path: str, size: int = 0) -> Answer | None:
        """Return the error response to a request by its head, None if its body must be read."""

    async def receive(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        query: bytes = b"",
        peer: str = "",
    ) -> Answer:
        """Process a request and return the response."""


@attrs.define(eq=False)
class Webhooks:
    """Serves webhooks below a path, and passes all other requests on.

    Args:
      inner: the application for all other requests.
      base_path: the prefix of all webhook paths.
      receiver: handles deliveries.
      settings: the limits.
    """

    inner: App
    base_path: str
    receiver: DeliveryReceiver
    settings: HttpSettings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or not scope["path"].startswith(f"{self.base_path}/"):
            await self.inner(scope, receive, send)
            return
        headers = headers_of(scope)
        declared = int(headers.get(b"content-length", b"0"))
        answer = self.receiver.screen(scope["method"], scope["path"], declared)
        if answer is not None:
            await _send(send, answer)
            return
        # One byte more, so that the receiver refuses a body over the limit itself.
        settings = attrs.evolve(self.settings, max_body_size=self.receiver.body_limit + 1)
        try:
            body = await read_body(headers, receive, settings)
        except Refusal as refusal:
            await refuse_http(send, refusal)
            return
        plain = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        answer = await self.receiver.receive(
            scope["method"],
            scope["path"],
            plain,
            body,
            query=scope.get("query_string", b""),
            peer=_peer(scope, plain),
        )
        await _send(send, answer)


def _peer(scope: Scope, headers: Mapping[str, str]) -> str:
    """Return the address of the sender, "" if it is unknown.

    Requests from this machine come through a tunnel or a proxy, which appends the address of its
    own peer to `X-Forwarded-For`; the other parts of that header are the sender's own words.
    """
    client = scope.get("client")
    address = str(client[0]) if client else ""
    try:
        if not ip_address(address).is_loopback:
            return address
    except ValueError:
        return ""
    last = headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    try:
        return str(ip_address(last))
    except ValueError:
        return ""


async def _send(send: Send, answer: Answer) -> None:
    body = json.dumps(answer.json).encode()
    own = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *own,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
