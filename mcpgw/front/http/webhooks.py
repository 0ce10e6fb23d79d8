"""Webhook paths: deliveries of external services, authenticated by signature.

They bypass the access checks of host, origin and token: a service has no token of ours, uses
whatever host name a tunnel has, and is not a browser.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import attrs

from mcpgw.front.http.asgi import App, Receive, Refusal, Scope, Send, headers_of, read_body
from mcpgw.front.http.asgi import refuse as refuse_http
from mcpgw.front.http.settings import HttpSettings


class Answer(Protocol):
    """An HTTP response with a JSON body."""

    status: int
    json: Mapping[str, object]
    headers: Mapping[str, str]


ReceiveDelivery = Callable[..., Awaitable[Any]]
"""Takes method, path, headers and body, and `query` as keyword; returns an `Answer`."""


@attrs.define(eq=False)
class Webhooks:
    """Serves webhooks below a path, and passes all other requests on.

    Args:
      inner: the application for all other requests.
      base_path: the prefix of all webhook paths.
      receive_delivery: handles a delivery.
      settings: the limits.
    """

    inner: App
    base_path: str
    receive_delivery: ReceiveDelivery
    settings: HttpSettings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or not scope["path"].startswith(f"{self.base_path}/"):
            await self.inner(scope, receive, send)
            return
        headers = headers_of(scope)
        try:
            body = await read_body(headers, receive, self.settings)
        except Refusal as refusal:
            await refuse_http(send, refusal)
            return
        plain = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        answer = await self.receive_delivery(
            scope["method"], scope["path"], plain, body, query=scope.get("query_string", b"")
        )
        await _send(send, answer)


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
