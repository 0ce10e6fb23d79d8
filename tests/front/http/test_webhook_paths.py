"""Webhook paths of the HTTP front: what is refused before the body, and who the sender is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from mcpgw.front.http.settings import HttpSettings
from mcpgw.front.http.webhooks import Webhooks


@attrs.frozen
class Answer:
    """An answer of the receiver."""

    status: int
    json: Mapping[str, object] = attrs.field(factory=dict)
    headers: Mapping[str, str] = attrs.field(factory=dict)


@attrs.define
class Receiver:
    """Notes what it is asked."""

    body_limit: int = 10
    refusal: Answer | None = None
    got: list[Any] = attrs.field(factory=list)

    def screen(self, method: str, path: str, size: int = 0) -> Answer | None:
        """Refuse as told, or what is too large."""
        return Answer(413) if size > self.body_limit else self.refusal

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
        """Take a delivery."""
        self.got.append((body, peer))
        return Answer(413 if len(body) > self.body_limit else 200)


async def ask(
    receiver: Receiver, body: bytes = b"{}", client: Any = None, **headers: str
) -> tuple[int, int]:
    """Send a request; return the status and how often the body was read."""
    reads = 0
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        nonlocal reads
        reads += 1
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(event: Any) -> None:
        sent.append(event)

    app = Webhooks(pytest.fail, "/webhooks", receiver, HttpSettings(max_body_size=1 << 30))
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/webhooks/x",
        "query_string": b"",
        "headers": [(n.replace("_", "-").encode(), v.encode()) for n, v in headers.items()],
        "state": {},
        "client": client,
    }
    await app(scope, receive, send)
    return sent[0]["status"], reads


@pytest.mark.parametrize("status", [404, 405, 503])
async def test_a_refusal_by_the_head_reads_no_body(status: int) -> None:
    """An unknown path costs nothing."""
    receiver = Receiver(refusal=Answer(status))
    assert (status, 0) == await ask(receiver)
    assert [] == receiver.got


async def test_the_limit_is_that_of_webhooks() -> None:
    """Declared lengths and actual ones are checked; the limit of messages does not matter."""
    receiver = Receiver()
    assert (413, 0) == await ask(receiver, b"x" * 11, content_length="11")
    assert (413, 1) == await ask(receiver, b"x" * 11)
    assert (413, 1) == await ask(receiver, b"x" * 1000)
    assert (200, 1) == await ask(receiver, b"x" * 10)


@pytest.mark.parametrize(
    ("client", "forwarded", "peer"),
    [
        (("192.0.2.1", 1), None, "192.0.2.1"),
        (("192.0.2.1", 1), "198.51.100.9", "192.0.2.1"),
        (("127.0.0.1", 1), None, ""),
        (("127.0.0.1", 1), "203.0.113.5, 198.51.100.9", "198.51.100.9"),
        (("::1", 1), "2001:db8::1", "2001:db8::1"),
        (("127.0.0.1", 1), "unknown", ""),
        (None, None, ""),
    ],
)
async def test_the_sender(client: Any, forwarded: str | None, peer: str) -> None:
    """Only a proxy on this machine is believed, and only its own part of the header."""
    receiver = Receiver()
    headers = {} if forwarded is None else {"x_forwarded_for": forwarded}
    await ask(receiver, client=client, **headers)
    assert [(b"{}", peer)] == receiver.got
