"""Metadata discovery: URLs, their order, and validation."""

from __future__ import annotations

from urllib.parse import urljoin

import attrs
import pytest

from mcpgw.oauth.address_policy import split_url
from mcpgw.oauth.challenge import Challenge
from mcpgw.oauth.discovery import Discovered, discover, resource_urls, server_urls
from mcpgw.oauth.errors import Refused, Unreachable
from mcpgw.oauth.fetch import Answer
from mcpgw.oauth.metadata import canonical, covers, same_issuer

MCP = "https://mcp.example.org/team/mcp"
AUTH = "https://auth.example.org"
WELL_KNOWN = "https://mcp.example.org/.well-known/oauth-protected-resource"


@attrs.define
class Web:
    """Answers from a table; what is not in it is 404. Keeps what was asked for, in order."""

    pages: dict[str, object]
    asked: list[str] = attrs.field(factory=list)

    async def get(self, url: str) -> Answer:
        """Answer for a URL: a document, the status of a refusal, or an error."""
        split_url(url)
        self.asked.append(url)
        page = self.pages.get(url, 404)
        if isinstance(page, Exception):
            raise page
        return Answer(page, None) if isinstance(page, int) else Answer(200, page)


def resource_of(*issuers: str, resource: str = MCP, **more: object) -> dict[str, object]:
    return {"resource": resource, "authorization_servers": list(issuers), **more}


def server_of(issuer: str) -> dict[str, object]:
    return {"issuer": issuer, "token_endpoint": f"{AUTH}/token"}


async def found_in(web: Web, challenge: Challenge | None = None, **more: object) -> Discovered:
    return await discover(web, MCP, challenge, **more)


async def test_the_url_of_the_challenge_comes_first() -> None:
    """Metadata that a challenge names is taken, and no well-known place is asked."""
    named = "https://mcp.example.org/somewhere/else.json"
    web = Web(
        {
            named: resource_of(AUTH),
            f"{AUTH}/.well-known/oauth-authorization-server": server_of(AUTH),
        }
    )
    found = await found_in(web, Challenge(resource_metadata=named))
    assert (MCP, AUTH) == (found.resource, found.asked)
    assert [named, f"{AUTH}/.well-known/oauth-authorization-server"] == web.asked


async def test_the_place_of_the_path_comes_before_the_root() -> None:
    """Without a challenge the place for the path is asked, then the root."""
    web = Web(
        {
            WELL_KNOWN: resource_of(AUTH, resource="https://mcp.example.org"),
            f"{AUTH}/.well-known/oauth-authorization-server": server_of(AUTH),
        }
    )
    found = await found_in(web)
    assert "https://mcp.example.org" == found.resource
    assert [f"{WELL_KNOWN}/team/mcp", WELL_KNOWN] == web.asked[:2]


def test_the_places_of_an_issuer_with_a_path() -> None:
    """The two forms with the path inserted come before the one with it in front."""
    assert [
        f"{AUTH}/.well-known/oauth-authorization-server/tenant/1",
        f"{AUTH}/.well-known/openid-configuration/tenant/1",
        f"{AUTH}/tenant/1/.well-known/openid-configuration",
    ] == list(server_urls(f"{AUTH}/tenant/1"))


def test_the_places_of_an_issuer_without_a_path() -> None:
    """OAuth's place comes before OpenID's."""
    assert [
        f"{AUTH}/.well-known/oauth-authorization-server",
        f"{AUTH}/.well-known/openid-configuration",
    ] == list(server_urls(f"{AUTH}/"))


def test_the_places_of_a_server_without_a_path() -> None:
    """There is only the root then."""
    assert [WELL_KNOWN] == list(resource_urls("https://mcp.example.org/"))


@pytest.mark.parametrize("issuer", ["https://a.example/?x=1", "https://a.example/#x", "nonsense"])
def test_an_issuer_is_a_plain_url(issuer: str) -> None:
    """Query and fragment have no place in an issuer (RFC 8414 section 2)."""
    with pytest.raises(Refused):
        list(server_urls(issuer))


@pytest.mark.parametrize(
    "resource",
    [
        "https://evil.example/team/mcp",
        "http://mcp.example.org/team/mcp",
        "https://mcp.example.org:8443/team/mcp",
        "https://mcp.example.org/team/mcp/deeper",
        "https://mcp.example.org/tea",
        "https://mcp.example.org/team/../other",
        "https://mcp.example.org/team/mcp#part",
        "not a url",
    ],
)
async def test_metadata_of_another_resource_is_refused(resource: str) -> None:
    """Tokens for another resource are not got, whoever asks for them."""
    web = Web({f"{WELL_KNOWN}/team/mcp": resource_of(AUTH, resource=resource)})
    with pytest.raises(Refused, match="not https://mcp"):
        await found_in(web)
    assert 1 == len(web.asked)


@pytest.mark.parametrize(
    "resource", [MCP, f"{MCP}/", "https://MCP.example.org:443/team", "https://mcp.example.org/"]
)
def test_a_resource_covers_what_is_below_it(resource: str) -> None:
    """A resource is the server's URL, or a part of its path, whole segments only."""
    assert covers(resource, MCP)


@pytest.mark.parametrize(
    "named",
    ["/x/y.json", "//mcp.example.org/x/y.json", "../x/y.json", "?x", "https://mcp.example.org/x"],
)
async def test_the_url_of_a_challenge_may_be_relative(named: str) -> None:
    """It is resolved against the URL of the server."""
    whole = urljoin(MCP, named)
    web = Web(
        {
            whole: resource_of(AUTH),
            f"{AUTH}/.well-known/oauth-authorization-server": server_of(AUTH),
        }
    )
    assert AUTH == (await found_in(web, Challenge(resource_metadata=named))).asked
    assert whole == web.asked[0]


@pytest.mark.parametrize(
    "named",
    [
        "http://mcp.example.org/.well-known/oauth-protected-resource",
        "ftp://mcp.example.org/x",
        "https://[::1",
        "https://user:word@mcp.example.org/x",
        "https://mcp.example.org:0/x",
        "javascript:alert(1)",
        "https://mcp.example.org/a b",
        "https://refused.example/x",
        "https://unreachable.example/x",
        "https://mcp.example.org/missing",
        "https://mcp.example.org/page",
        "https://mcp.example.org/junk",
    ],
)
async def test_a_url_of_a_challenge_that_is_of_no_use(named: str) -> None:
    """It is not fetched if that is not allowed, and the well-known places are asked instead."""
    web = Web(
        {
            "https://refused.example/x": Refused("it has a private address"),
            "https://unreachable.example/x": Unreachable("nobody is there"),
            "https://mcp.example.org/page": None,
            "https://mcp.example.org/junk": {"message": "hello"},
            f"{WELL_KNOWN}/team/mcp": resource_of(AUTH),
            f"{AUTH}/.well-known/oauth-authorization-server": server_of(AUTH),
        }
    )
    assert AUTH == (await found_in(web, Challenge(resource_metadata=named))).asked


@pytest.mark.parametrize("failure", [503, Unreachable("not now")])
async def test_the_servers_own_metadata_may_come_back(failure: object) -> None:
    """If the server itself cannot answer now, no other place is asked."""
    named = "https://mcp.example.org/x"
    web = Web({named: failure, f"{WELL_KNOWN}/team/mcp": resource_of(AUTH)})
    with pytest.raises(Unreachable):
        await found_in(web, Challenge(resource_metadata=named))
    assert [named] == web.asked


@pytest.mark.parametrize(
    "junk", [{"message": "hello"}, {"resource": 7}, {"resource": ""}, {}, None]
)
async def test_junk_at_one_place_is_not_the_end(junk: object) -> None:
    """A document without `resource` does not count; the next place is asked."""
    web = Web(
        {
            f"{WELL_KNOWN}/team/mcp": junk,
            WELL_KNOWN: resource_of(AUTH, resource="https://mcp.example.org"),
            f"{AUTH}/.well-known/oauth-authorization-server": junk,
            f"{AUTH}/.well-known/openid-configuration": server_of(AUTH),
        }
    )
    found = await found_in(web)
    assert ("https://mcp.example.org", AUTH) == (found.resource, found.server.issuer)


async def test_incomplete_metadata_are_an_error_if_nothing_better_follows() -> None:
    """The error names the member that is missing."""
    web = Web(
        {
            f"{WELL_KNOWN}/team/mcp": resource_of(AUTH),
            f"{AUTH}/.well-known/oauth-authorization-server": {"issuer": AUTH},
        }
    )
    with pytest.raises(Refused, match="lacks `token_endpoint`"):
        await found_in(web)
    web.pages[f"{AUTH}/.well-known/openid-configuration"] = server_of(AUTH)
    assert f"{AUTH}/token" == (await found_in(web)).server.token_endpoint


@pytest.mark.parametrize(
    ("trusted", "accepted"),
    [
        (("https://tenant.example",), True),
        (("https://other.example", "https://tenant.example/"), True),
        (("https://tenant.example/x",), False),
        (("https://other.example",), False),
        ((), False),
    ],
)
async def test_a_trusted_issuer(trusted: tuple[str, ...], accepted: bool) -> None:
    """Metadata may name another issuer only if the settings name it; logins stay under the one
    that the resource names."""
    web = Web(
        {
            f"{WELL_KNOWN}/team/mcp": resource_of(AUTH),
            f"{AUTH}/.well-known/oauth-authorization-server": server_of("https://tenant.example"),
        }
    )
    if accepted:
        found = await found_in(web, trusted=trusted)
        assert (AUTH, "https://tenant.example") == (found.asked, found.server.issuer)
    else:
        with pytest.raises(Refused, match="`trusted_issuers` under `oauth`"):
            await found_in(web, trusted=trusted)


@pytest.mark.parametrize("issuer", ["https://[::1", "https://a.example:x", "//"])
async def test_an_issuer_that_is_no_url(issuer: str) -> None:
    """It is refused."""
    with pytest.raises(Refused):
        await found_in(Web({f"{WELL_KNOWN}/team/mcp": resource_of(issuer)}))


async def test_metadata_of_another_issuer_is_refused() -> None:
    """A document that names another issuer than the one asked for is not believed."""
    web = Web(
        {
            f"{WELL_KNOWN}/team/mcp": resource_of(AUTH),
            f"{AUTH}/.well-known/oauth-authorization-server": server_of("https://evil.example"),
        }
    )
    with pytest.raises(Refused, match=r"names another issuer, 'https://evil\.example'"):
        await found_in(web)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (AUTH, AUTH, True),
        (AUTH, f"{AUTH}/", True),
        (f"{AUTH}/a", f"{AUTH}/a/", False),
        (AUTH, AUTH.upper(), False),
        (AUTH, f"{AUTH}:443", False),
        (AUTH, f"{AUTH}//", False),
    ],
)
def test_issuers_are_compared_as_text(one: str, other: str, same: bool) -> None:
    """Only the slash behind a bare host makes no difference."""
    assert same is same_issuer(one, other)
    assert same is same_issuer(other, one)


async def test_a_preferred_issuer_is_taken_where_it_is_named() -> None:
    """Of several authorization servers the one with a login is used on."""
    second = "https://second.example"
    web = Web(
        {
            f"{WELL_KNOWN}/team/mcp": resource_of(AUTH, second),
            f"{second}/.well-known/oauth-authorization-server": server_of(second),
        }
    )
    assert second == (await found_in(web, preferred=("https://third.example", second))).asked


async def test_a_server_without_metadata_is_its_own_authorization_server() -> None:
    """A server of 2025-03-26 has fixed endpoints at its root, and its URL as resource."""
    web = Web({})
    found = await found_in(web)
    assert "https://mcp.example.org/token" == found.server.token_endpoint
    assert "https://mcp.example.org/register" == found.server.registration_endpoint
    assert (True, MCP) == (found.server.assumed, found.resource)
    assert "https://mcp.example.org/.well-known/oauth-authorization-server" in web.asked


async def test_a_named_server_without_metadata_is_an_error() -> None:
    """Fixed endpoints are for servers that name no authorization server at all."""
    with pytest.raises(Refused, match="publishes no metadata"):
        await found_in(Web({f"{WELL_KNOWN}/team/mcp": resource_of(AUTH)}))


async def test_a_server_that_is_ill_is_not_taken_for_an_old_one() -> None:
    """After a 503 nothing else is tried: it would lead to another authorization server."""
    web = Web({f"{WELL_KNOWN}/team/mcp": 503})
    with pytest.raises(Unreachable, match="HTTP 503"):
        await found_in(web)
    assert 1 == len(web.asked)


def test_the_canonical_name_of_a_server() -> None:
    """No query, fragment, usual port or last slash; host in lower case."""
    assert MCP == canonical("https://MCP.example.org:443/team/mcp/?key=1#x")
    assert "https://[::1]:8443" == canonical("https://[::1]:8443/")
