"""The HTTP front as one ASGI application: routing of paths to their handlers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import attrs
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from mcpgw.config.chain import HEADER
from mcpgw.front.http import endpoint, legacy_sse, websocket
from mcpgw.front.http.access import AccessChecks, refuse_any
from mcpgw.front.http.asgi import App, Receive, Refusal, Scope, Send, headers_of, text
from mcpgw.front.http.endpoint import Endpoint
from mcpgw.front.http.event_buffer import MemoryBudget
from mcpgw.front.http.gateway_api import GatewayApi
from mcpgw.front.http.legacy_sse import LegacySse
from mcpgw.front.http.settings import HttpSettings
from mcpgw.front.http.websocket import Sockets

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

NO_STORE: Final = {"cache-control": "no-store"}


_CHAIN: Final = HEADER.encode()


@attrs.define(eq=False)
class HttpApp:
    """The ASGI application, with its housekeeping and shutdown.

    The paths of MCP are served without Starlette, which costs as much as the rest of a request;
    all other paths are Starlette routes.

    Args:
      endpoint, sse, sockets: serve the paths of MCP.
      pages: serves all other paths.
      settings: limits and access rules.
    """

    endpoint: Endpoint
    sse: LegacySse
    sockets: Sockets
    pages: App
    settings: HttpSettings
    access_checked: AccessChecks = attrs.field(init=False)
    before: App | None = None
    """An application that receives all requests before the access checks, if set."""

    def __attrs_post_init__(self) -> None:
        self.access_checked = AccessChecks(self._route, self.settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or serve one WebSocket."""
        await (self.before or self.access_checked)(scope, receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and _CHAIN in headers_of(scope):
            for prefix in (endpoint.PATH, legacy_sse.PATH, websocket.PATH):
                if _is_under(scope["path"], prefix):
                    target = endpoint.target_of(scope["path"], prefix)
                    chain = text(headers_of(scope), _CHAIN) or ""
                    if problem := self.endpoint.gateway_api.loop(chain, target):
                        await refuse_any(scope, send, Refusal(508, problem))
                        return
        if scope["type"] == "http":
            path: str = scope["path"]
            if _is_under(path, endpoint.PATH):
                await self.endpoint(scope, receive, send)
            elif _is_under(path, legacy_sse.PATH) or path == legacy_sse.POST_PATH:
                await self.sse(scope, receive, send)
            else:
                await self.pages(scope, receive, send)
        elif scope["type"] == "websocket":
            if _is_under(scope["path"], websocket.PATH):
                await self.sockets(scope, receive, send)
            else:
                reason = f"there is no WebSocket at {scope['path']!r:.200}; use /ws"
                await refuse_any(scope, send, Refusal(404, reason))

    async def housekeeping(self) -> None:
        """Run the periodic tasks until cancelled."""
        await self.endpoint.sessions.housekeeping()

    async def finish(self) -> None:
        """Refuse new requests, and end each stream once its requests are answered.

        Return once all such streams have ended; their connections then close themselves.
        """
        self.endpoint.closing = self.sse.closing = True
        self.sockets.closing.set()
        self.endpoint.sessions.close()
        self.endpoint.stateless.close()
        await self.sse.finish()

    def end_streams(self) -> None:
        """End every stream, answered or not."""
        self.endpoint.sessions.end_streams()
        self.endpoint.stateless.end_streams()
        self.sse.end_streams()
        self.sockets.end_streams()


def make_app(
    gateway_api: GatewayApi, settings: HttpSettings, *, more_routes: Sequence[BaseRoute] = ()
) -> HttpApp:
    """Return the application of the HTTP front.

    Args:
      gateway_api: the gateway.
      settings: limits and access rules.
      more_routes: Starlette routes for other paths, behind the same access checks.
    """

    async def health(_request: Request) -> JSONResponse:
        report = gateway_api.health()
        return JSONResponse(
            {
                "status": "healthy" if report.all_healthy else "degraded",
                "version": report.version,
                "backends": {"count": report.count, "all_healthy": report.all_healthy},
            },
            headers=NO_STORE,
        )

    async def live(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "live"}, headers=NO_STORE)

    async def ready(_request: Request) -> JSONResponse:
        if gateway_api.health().ready:
            return JSONResponse({"status": "ready"}, headers=NO_STORE)
        return JSONResponse({"status": "starting"}, status_code=503, headers=NO_STORE)

    pages = Starlette(
        routes=[
            Route("/health", health),
            Route("/health/live", live),
            Route("/health/ready", ready),
            *more_routes,
        ]
    )
    memory_budget = MemoryBudget(settings.unread_total_bytes)
    return HttpApp(
        Endpoint(gateway_api, settings, memory_budget),
        LegacySse(gateway_api, settings, memory_budget),
        Sockets(gateway_api, settings),
        pages,
        settings,
    )


def _is_under(path: str, prefix: str) -> bool:
    return path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/")
