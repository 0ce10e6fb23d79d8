"""A plain MCP session over Streamable HTTP, with its stream of notifications."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import trio

ACCEPT = {"accept": "application/json, text/event-stream"}


class Refused(Exception):
    """The error of a response."""


@attrs.define(eq=False)
class HttpSession:
    """One client. `notifications` are all that came on its GET stream."""

    client: httpx.AsyncClient
    path: str
    headers: dict[str, str] = attrs.field(factory=dict)
    notifications: list[dict[str, Any]] = attrs.field(factory=list)
    _next_id: int = 0

    async def initialize(self) -> None:
        """Open the session."""
        params = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        }
        await self.request("initialize", params)
        await self.notify("notifications/initialized")

    async def notify(self, method: str) -> None:
        """Send a notification."""
        message = {"jsonrpc": "2.0", "method": method}
        response = await self.client.post(self.path, json=message, headers=self.headers | ACCEPT)
        assert 202 == response.status_code, response.text

    async def request(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a request and return its result.

        Raises:
          Refused: it is answered by an error.
        """
        self._next_id += 1
        message = {"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": params or {}}
        response = await self.client.post(self.path, json=message, headers=self.headers | ACCEPT)
        if "mcp-session-id" in response.headers:
            self.headers["mcp-session-id"] = response.headers["mcp-session-id"]
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            answers = [json.loads(line[6:]) for line in response.text.splitlines() if line[6:]
                       and line.startswith("data: ")]  # fmt: skip
            answer = next(each for each in answers if each.get("id") == self._next_id)
        else:
            answer = response.json()
        if "error" in answer:
            raise Refused(answer["error"]["message"])
        result: dict[str, Any] = answer["result"]
        return result

    async def call(self, tool: str, **arguments: Any) -> str:
        """Call a tool and return its text.

        Raises:
          Refused: the call failed.
        """
        result = await self.request("tools/call", {"name": tool, "arguments": arguments})
        text: str = result["content"][0]["text"]
        if result.get("isError"):
            raise Refused(text)
        return text

    async def meta(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a meta-tool and return its structured answer."""
        result = await self.request("tools/call", {"name": tool, "arguments": arguments})
        payload: dict[str, Any] = result["structuredContent"]
        return payload

    async def listen(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Keep what comes on the GET stream; a task."""
        headers = self.headers | {"accept": "text/event-stream"}
        async with self.client.stream("GET", self.path, headers=headers) as response:
            assert 200 == response.status_code
            task_status.started()
            async for line in response.aiter_lines():
                if line.startswith("data: ") and line[6:]:
                    self.notifications.append(json.loads(line[6:]))

    def updates(self) -> list[str]:
        """Return the URIs of the resource updates that came."""
        return [
            each["params"]["uri"]
            for each in self.notifications
            if each.get("method") == "notifications/resources/updated"
        ]


@asynccontextmanager
async def http_session(base: str, path: str) -> AsyncIterator[HttpSession]:
    """Open a session that listens for notifications, and end it."""
    async with httpx.AsyncClient(trust_env=False, base_url=base, timeout=60) as client:
        session = HttpSession(client, path)
        await session.initialize()
        async with trio.open_nursery() as nursery:
            await nursery.start(session.listen)
            yield session
            nursery.cancel_scope.cancel()
        await client.delete(path, headers=session.headers)
