"""Calling capabilities against a local server in place of the APIs that they name."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from mcpgw.capabilities.executor import Executor
from mcpgw.capabilities.http_sender import HttpRequest, HttpResponse, Sender
from mcpgw.capabilities.model import Capability
from mcpgw.capabilities.oauth_credentials import credentials
from mcpgw.capabilities.parsing import read_capability
from mcpgw.transports.address_policy import AllowedNetworks
from mcpgw.transports.network import Network
from tests.support.playback import ORIGINAL, Playback


@attrs.define(eq=False)
class Redirected(Sender):
    """Sends every request to a local server instead, and records the original URL."""

    stage: Playback | None = None

    async def send(
        self, outgoing: HttpRequest, *, address_policy: AllowedNetworks, timeout: float, limit: int
    ) -> HttpResponse:
        assert self.stage is not None
        parts = urlsplit(outgoing.url)
        origin = f"{parts.scheme}://{parts.netloc}"
        local = attrs.evolve(
            outgoing,
            url=self.stage.url + outgoing.url[len(origin) :],
            headers={**outgoing.headers, ORIGINAL: origin},
        )
        inside = AllowedNetworks(("127.0.0.0/8",))
        answer = await super().send(local, address_policy=inside, timeout=timeout, limit=limit)
        return attrs.evolve(answer, url=outgoing.url)


class Between(Sender):
    """Sends nothing itself, but calls a function of the test."""

    def __init__(self, send: Callable[..., Awaitable[HttpResponse]]) -> None:
        super().__init__(Network({}))
        self._call = send

    async def send(
        self, outgoing: HttpRequest, *, address_policy: AllowedNetworks, timeout: float, limit: int
    ) -> HttpResponse:
        return await self._call(
            outgoing, address_policy=address_policy, timeout=timeout, limit=limit
        )


def capability(text: str, name: str = "example") -> Capability:
    """Read a capability from text."""
    return read_capability(Path(f"{name}.yaml"), text.encode())[0]


@asynccontextmanager
async def executor(
    folder: Path,
    environ: Mapping[str, str] | None = None,
    *,
    stage: Playback | None = None,
    **options: Any,
) -> AsyncIterator[Executor]:
    """Open an executor. With a stage all requests go there, whatever their URL."""
    network = Network({})
    sender = Sender(network) if stage is None else Redirected(network, stage=stage)
    given = dict(environ or {})
    try:
        yield Executor(sender, credentials(lambda: given, folder, sender), **options)
    finally:
        await sender.aclose()


def text_of(result: Mapping[str, Any]) -> str:
    """Return the first text of a result."""
    text: str = result["content"][0]["text"]
    return text


def value_of(result: Mapping[str, Any]) -> Any:
    """Return what a result holds: JSON, text, or bytes with their media type."""
    block = result["content"][0]
    if block["type"] == "text":
        try:
            return json.loads(block["text"])
        except ValueError:
            return block["text"]
    blob = block.get("resource", block)
    data = blob.get("blob") or blob.get("data")
    return {
        "data": data,
        "mime_type": blob["mimeType"],
        "size": len(base64.b64decode(data)),
    }
