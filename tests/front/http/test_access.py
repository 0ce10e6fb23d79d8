"""Access checks: hosts, origins, tokens."""

from __future__ import annotations

from typing import Any

import pytest

from mcpgw.front.http.settings import HttpSettings
from tests.front.http.support import exchange, serving, to_bytes, tool

HEALTH = "/health"


class TestHosts:
    @pytest.mark.parametrize(
        "host",
        ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:39400", "[::1]", "[::1]:8080"],
    )
    async def test_of_this_machine_are_served_at_any_port(self, host: str) -> None:
        """Loopback names are allowed, with any port or none."""
        async with serving() as served:
            client = await served.connect()

            assert 200 == (await client.request("GET", HEALTH, headers={"Host": host})).status

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example.com",
            "evil.example.com:39400",
            "localhost.evil.example.com",
            "127.0.0.1.evil.example.com",
            "127.0.0.1@evil.example.com",
            "localhost:80:evil",
            "[::1",
            "[::2]",
            "10.0.0.1",
        ],
    )
    async def test_of_others_are_refused(self, host: str) -> None:
        """A page that rebinds its name to this machine gets 403, and nothing is done."""
        async with serving() as served:
            client = await served.connect()
            reply = await client.request(
                "POST", body=to_bytes(tool("echo")), headers={"Host": host, "Origin": None}
            )

            assert 403 == reply.status
            assert [] == served.gateway_api.served

    async def test_that_are_configured_are_served(self) -> None:
        """`allowed_hosts` adds names, with any port or with one."""
        names = ("mcp.example.org", "other.example.org:8443")
        async with serving(allowed_hosts=names) as served:
            client = await served.connect()
            statuses = [
                (await client.request("GET", HEALTH, headers={"Host": host})).status
                for host in (
                    "mcp.example.org",
                    "mcp.example.org:1",
                    "other.example.org:8443",
                    "other.example.org",
                )
            ]

            assert [200, 200, 200, 403] == statuses


class TestOrigins:
    @pytest.mark.parametrize(
        ("origin", "status"),
        [
            (None, 200),
            ("http://localhost", 200),
            ("http://localhost:6274", 200),
            ("https://127.0.0.1:3000", 200),
            ("http://[::1]:3000", 200),
            ("https://app.example.org", 200),
            ("https://APP.example.org", 200),
            ("http://app.example.org", 403),
            ("https://app.example.org:444", 403),
            ("http://evil.example.com", 403),
            ("http://localhost.evil.example.com", 403),
            ("http://localhost:evil", 403),
            ("http://evil.example.com/localhost", 403),
            ("ftp://localhost", 403),
            ("null", 403),
            ("", 403),
            ("file://", 403),
            ("chrome-extension://abcdef", 403),
        ],
    )
    async def test_of_strangers_are_refused(self, origin: str | None, status: int) -> None:
        """Pages of this machine and of configured origins are accepted, others are refused."""
        async with serving(allowed_origins=("https://app.example.org/",)) as served:
            client = await served.connect()
            reply = await client.request("GET", HEALTH, headers={"Origin": origin})

            assert status == reply.status

    async def test_of_the_gateways_own_pages_are_let_in(self) -> None:
        """A page from the host that it sends requests to is trusted, if hosts are checked."""
        async with serving(allowed_hosts=("mcp.example.org",)) as served:
            client = await served.connect()
            own = {"Host": "mcp.example.org", "Origin": "https://mcp.example.org"}
            evil = {"Host": "mcp.example.org", "Origin": "https://evil.example.com"}

            assert 200 == (await client.request("GET", HEALTH, headers=own)).status
            assert 403 == (await client.request("GET", HEALTH, headers=evil)).status

    async def test_are_told_to_browsers(self) -> None:
        """An allowed origin may read the answer and the headers of the session."""
        async with serving() as served:
            client = await served.connect()
            origin = "http://localhost:6274"
            reply = await client.request("GET", HEALTH, headers={"Origin": origin})

            assert origin == reply.headers["access-control-allow-origin"]
            exposed = reply.headers["access-control-expose-headers"]
            assert "Mcp-Session-Id" in exposed
            assert "MCP-Protocol-Version" in exposed
            refused = await client.request("GET", HEALTH, headers={"Origin": "http://evil.org"})
            assert "access-control-allow-origin" not in refused.headers

    async def test_may_ask_before_they_send(self) -> None:
        """OPTIONS answers a CORS preflight of an allowed origin; it needs no token."""
        async with serving(bearer_token="t") as served:
            client = await served.connect()
            asked = {
                "Origin": "http://localhost:6274",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "mcp-param-region, x-other, content-type",
            }
            reply = await client.request("OPTIONS", headers=asked)
            allowed = reply.headers["access-control-allow-headers"].split(", ")

            assert 204 == reply.status
            assert "GET, POST, DELETE, OPTIONS" == reply.headers["access-control-allow-methods"]
            assert {"authorization", "last-event-id", "mcp-method", "mcp-param-region"} <= set(
                allowed
            )
            assert "x-other" not in allowed
            evil = asked | {"Origin": "http://evil.example.com"}
            assert 403 == (await client.request("OPTIONS", headers=evil)).status


class TestTokens:
    @pytest.mark.parametrize(
        ("given", "status"),
        [
            (None, 401),
            ("", 401),
            ("Bearer", 401),
            ("Bearer wrong", 401),
            ("Bearer s3cre", 401),
            ("Bearer s3cret!", 401),
            ("Basic s3cret", 401),
            ("Bearer s3cret", 200),
            ("bearer s3cret", 200),
        ],
    )
    async def test_are_needed_for_all_but_public_paths(
        self, given: str | None, status: int
    ) -> None:
        """Without the token nothing is done; with it the endpoint itself answers."""
        async with serving(bearer_token="s3cret") as served:
            client = await served.connect()
            reply = await client.request(
                "POST", body=to_bytes(tool("echo")), headers={"Authorization": given}
            )

            assert status == reply.status
            assert (status == 401) == ("www-authenticate" in reply.headers)

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/health", 200),
            ("/health/live", 200),
            ("/health/ready", 200),
            ("/health/", 401),
            ("/healthy", 401),
            ("/health/../mcp", 401),
            ("/health%2f..%2fmcp", 401),
            ("//health", 401),
            ("/HEALTH", 401),
            ("/mcp", 401),
        ],
    )
    async def test_are_not_needed_for_public_paths_exactly(self, path: str, status: int) -> None:
        """A public path is itself, not what looks like it."""
        async with serving(bearer_token="s3cret") as served:
            client = await served.connect()

            assert status == (await client.request("GET", path)).status

    async def test_say_who_the_client_is(self) -> None:
        """The principal goes to the gateway: `bearer` with the token, else `anonymous`."""
        for settings, principal in (({"bearer_token": "x"}, "bearer"), ({}, "anonymous")):
            options: dict[str, Any] = dict(settings)
            async with serving(**options) as served:
                client = await served.connect()
                body = to_bytes(
                    {
                        "jsonrpc": "2.0",
                        "id": 1,
                        "method": "initialize",
                        "params": {"capabilities": {}},
                    }
                )
                headers = {"Authorization": "Bearer x"}
                assert 200 == (await client.request("POST", "/mcp", body, headers)).status

                assert [principal] == served.gateway_api.principals

    async def test_are_not_told_by_the_settings(self) -> None:
        """The token does not appear in a log of the settings."""
        assert "s3cret" not in repr(HttpSettings(bearer_token="s3cret"))


async def test_a_session_of_somebody_else_is_unknown() -> None:
    """A session id is not a credential: another principal gets 404."""
    async with serving() as served:
        client = await served.connect()
        await client.initialize()
        for session in served.app.endpoint.sessions:
            session.principal = "somebody else"

        assert 404 == (await client.post(tool("echo"))).status
        assert 404 == (await client.request("GET")).status
        assert 404 == (await client.request("DELETE")).status


async def test_two_readings_of_a_body_are_refused() -> None:
    """A request with both framings of its body is refused (RFC 9112, section 6.3)."""
    async with serving() as served:
        answer = await exchange(
            served.address,
            b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\n"
            b"Host: localhost\r\n\r\n",
            half_close=False,
        )

        assert answer.startswith(b"HTTP/1.1 400")
        assert 1 == answer.count(b"HTTP/1.1")
