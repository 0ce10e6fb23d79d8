"""Checks of URLs received from servers."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from mcpgw.oauth.address_policy import LoginAddressPolicy, split_url
from mcpgw.oauth.errors import Refused, Unreachable
from mcpgw.oauth.fetch import LARGEST_ANSWER, Fetcher
from mcpgw.transports.address_policy import is_loopback_host
from mcpgw.transports.network import Network
from tests.oauth.servers import Reply, Seen, reply, serving

NAMES = {
    "public.example": "93.184.216.34",
    "inside.example": "10.1.2.3",
    "rebound.example": "127.0.0.1",
    "cloud.example": "169.254.169.254",
}


class Resolver(trio.abc.HostnameResolver):
    """Resolves from a table."""

    async def getaddrinfo(self, host: Any, port: Any, *rest: Any, **more: Any) -> list[Any]:
        """Return the address of a name."""
        name = host.decode() if isinstance(host, bytes) else host
        if name not in NAMES:
            raise OSError("unknown")
        return [(trio.socket.AF_INET, trio.socket.SOCK_STREAM, 6, "", (NAMES[name], port))]

    async def getnameinfo(self, *args: Any) -> Any:
        """Never needed."""
        raise NotImplementedError


def guard_of(url: str) -> LoginAddressPolicy:
    """Return the guard of a server; names are resolved without a network from now on."""
    trio.socket.set_custom_hostname_resolver(Resolver())
    return LoginAddressPolicy(url)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "app.localhost",
        "127.0.0.1",
        "127.8.8.8",
        "::1",
        "::ffff:127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "fe80::1",
        "fd00::1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "0.0.0.0",
        "224.0.0.1",
        "inside.example",
        "rebound.example",
        "cloud.example",
    ],
)
async def test_a_server_outside_cannot_lead_inside(host: str) -> None:
    """Loopback, private, link-local and special addresses are refused, however they are written."""
    with pytest.raises(Refused, match="address, and the MCP server does not"):
        await guard_of("https://public.example/mcp").addresses(host, 443)


@pytest.mark.parametrize("host", ["8.8.8.8", "public.example", "2606:4700::1111"])
async def test_addresses_of_the_internet_are_followed(host: str) -> None:
    """Public addresses are always allowed."""
    assert 1 == len(await guard_of("https://public.example/mcp").addresses(host, 443))


@pytest.mark.parametrize("own", ["http://localhost:1/mcp", "https://inside.example/mcp"])
async def test_a_server_inside_may_name_its_neighbours(own: str) -> None:
    """A local server has a local authorization server; the cloud's metadata stay out of reach."""
    address_policy = guard_of(own)
    assert ("127.0.0.1", "::1") == await address_policy.addresses("localhost", 80)
    assert ("10.1.2.3",) == await address_policy.addresses("inside.example", 443)
    with pytest.raises(Refused, match="link-local"):
        await address_policy.addresses("cloud.example", 80)


async def test_a_name_that_nobody_knows_is_refused() -> None:
    """The error names the host."""
    with pytest.raises(Refused, match=r"host nowhere\.example cannot be resolved"):
        await guard_of("https://public.example/mcp").addresses("nowhere.example", 443)


@pytest.mark.parametrize(
    "url",
    [
        "http://public.example/token",
        "ftp://public.example/",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://user:pass@public.example/",
        "https://public.example:0/",
        "https://public.example:99999/",
        "https:///token",
        "https://public.example/a b",
        "https://public.example/\n",
        "https://[::1/",
        "--help",
    ],
)
def test_only_https_urls_are_taken(url: str) -> None:
    """Plain http is allowed for loopback hosts only; invalid URLs are refused."""
    with pytest.raises(Refused):
        split_url(url)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "127.0.0.1", "::1", "x.localhost"])
def test_names_of_this_machine(host: str) -> None:
    """They are known without asking a resolver."""
    assert is_loopback_host(host)


@pytest.mark.parametrize("host", ["localhost.example", "127.0.0.1.example", "example"])
def test_names_that_look_like_this_machine(host: str) -> None:
    """A name that only begins like one is another's."""
    assert not is_loopback_host(host)


async def test_redirects_are_checked_too(network: Network) -> None:
    """A redirect to an internal address is not followed."""

    def answer(seen: Seen) -> Reply:
        if seen.path == "/start":
            return reply(302, location="/next")
        if seen.path == "/next":
            return reply(307, location="http://169.254.169.254/latest/meta-data")
        return reply(404)

    with serving(answer) as running:
        fetcher = Fetcher(network, LoginAddressPolicy(running.url))
        with pytest.raises(Refused, match=r"169\.254\.169\.254 is not https"):
            await fetcher.get(f"{running.url}/start")
        assert ["/start", "/next"] == running.paths()


async def test_a_redirect_of_a_form_is_not_followed(network: Network) -> None:
    """Secrets in a form go to the URL that was checked, and nowhere else."""
    with serving(lambda seen: reply(307, location="/elsewhere")) as running:
        fetcher = Fetcher(network, LoginAddressPolicy(running.url))
        answer = await fetcher.post_form(f"{running.url}/token", {"code": "x"}, {})
        assert 307 == answer.status
        assert ["/token"] == running.paths()


async def test_redirects_without_end_are_refused(network: Network) -> None:
    """A few are followed, not more."""
    with serving(lambda seen: reply(302, location="/again")) as running:
        with pytest.raises(Refused, match="too many redirects"):
            await Fetcher(network, LoginAddressPolicy(running.url)).get(f"{running.url}/start")
        assert 4 == len(running.seen)


async def test_a_huge_answer_is_refused(network: Network) -> None:
    """Reading stops at the bound."""
    with (
        serving(lambda seen: reply(200, "x" * (LARGEST_ANSWER + 1))) as running,
        pytest.raises(Refused, match="sent more than"),
    ):
        await Fetcher(network, LoginAddressPolicy(running.url)).get(f"{running.url}/start")


async def test_an_answer_that_is_no_json_object_has_no_body(network: Network) -> None:
    """An HTML page at a well-known URL is not metadata."""
    with serving(lambda seen: reply(200, "<html>")) as running:
        answer = await Fetcher(network, LoginAddressPolicy(running.url)).get(f"{running.url}/x")
        assert (200, None) == (answer.status, answer.body)


async def test_the_connection_goes_to_the_address_that_was_checked(network: Network) -> None:
    """The host's name is sent along, and every address of it is tried."""
    with serving(lambda seen: reply(200, {"host": seen.headers["host"]})) as running:
        answer = await Fetcher(network, LoginAddressPolicy(running.url)).get(f"{running.url}/x")
        assert {"host": running.url.removeprefix("http://")} == answer.body


async def test_addresses_are_checked_for_every_connection(network: Network) -> None:
    """A request to an internal address is refused when it connects, without a separate check."""
    fetcher = Fetcher(network, guard_of("https://public.example/mcp"))
    with pytest.raises(Refused, match=r"10\.0\.0\.1 has a private address"):
        await fetcher.get("https://10.0.0.1/x")
    with pytest.raises(Refused, match="localhost has a loopback address"):
        await fetcher.post_form("https://localhost/token", {"code": "x"}, {})


async def test_a_server_that_is_not_there_is_unreachable(network: Network) -> None:
    """A missing server is reported as unreachable."""
    with serving(lambda seen: reply(200)) as running:
        url = running.url
    with pytest.raises(Unreachable, match="cannot be reached"):
        await Fetcher(network, LoginAddressPolicy(url)).get(f"{url}/x")


@pytest.mark.parametrize("host", ["169.254.169.254", "[::1]", "10.0.0.1", "localhost"])
async def test_a_proxy_is_not_led_inside(host: str) -> None:
    """Internal addresses in a URL are refused for requests through a proxy too."""
    fetcher = Fetcher(
        Network({"https_proxy": "http://127.0.0.1:9"}), guard_of("https://public.example/mcp")
    )
    with pytest.raises(Refused, match="the MCP server does not have one"):
        await fetcher.get(f"https://{host}/x")
    with pytest.raises(Refused, match="the MCP server does not have one"):
        await fetcher.check(f"https://{host}/x")


async def test_behind_a_proxy_names_are_not_resolved_here() -> None:
    """A name that only the proxy knows is asked of the proxy."""
    address_policy = guard_of("https://only-the-proxy-knows.example/mcp")
    fetcher = Fetcher(Network({"https_proxy": "http://127.0.0.1:9"}), address_policy)
    with pytest.raises(Unreachable):
        await fetcher.get("https://only-the-proxy-knows.example/x")
