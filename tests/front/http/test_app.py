"""Routes beside MCP: health, and further routes."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from mcpgw.front.http.app import make_app
from mcpgw.front.http.gateway_api import HealthReport
from mcpgw.front.http.settings import HttpSettings
from tests.front.http.support import serving


class TestHealth:
    async def test_tells_of_the_backends(self) -> None:
        """`/health` gives status, version and how the backends are in all."""
        async with serving() as served:
            client = await served.connect()
            reply = await client.request("GET", "/health")

            assert 200 == reply.status
            expected = {
                "status": "healthy",
                "version": "1.2.3",
                "backends": {"count": 2, "all_healthy": True},
            }
            assert expected == reply.json

    async def test_is_served_with_a_sick_backend(self) -> None:
        """A sick backend makes it degraded, still with 200: the gateway itself works."""
        async with serving() as served:
            served.gateway_api.report = HealthReport(True, "1.2.3", 2, False)
            client = await served.connect()
            reply = await client.request("GET", "/health")

            assert (200, "degraded") == (reply.status, reply.json["status"])

    async def test_knows_alive_from_ready(self) -> None:
        """`/health/live` is 200 as long as the process runs, `/health/ready` once it can serve."""
        async with serving() as served:
            served.gateway_api.report = HealthReport(False, "1.2.3")
            client = await served.connect()
            assert 200 == (await client.request("GET", "/health/live")).status
            assert 503 == (await client.request("GET", "/health/ready")).status
            served.gateway_api.report = HealthReport(True, "1.2.3")

            assert 200 == (await client.request("GET", "/health/ready")).status


async def test_unknown_paths_get_404() -> None:
    """An unknown path gets 404, also one that starts like a known path."""
    async with serving() as served:
        client = await served.connect()
        for path in ("/", "/mcpx", "/nothing", "//mcp"):
            assert 404 == (await client.request("GET", path)).status


async def test_other_routes_stand_behind_the_same_guard() -> None:
    """Added routes are served, and only to accepted clients."""

    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.state.principal)

    async with serving(bearer_token="t") as served:
        served.app.pages = make_app(
            served.gateway_api, HttpSettings(), more_routes=[Route("/page", page)]
        ).pages
        client = await served.connect()
        assert 401 == (await client.request("GET", "/page")).status
        reply = await client.request("GET", "/page", headers={"Authorization": "Bearer t"})

        assert b"bearer" == reply.body
