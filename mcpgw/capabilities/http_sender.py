"""HTTP requests to APIs: guarded addresses, safe redirects, limited sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

import attrs
import trio

from mcpgw.capabilities.connection_errors import cause_of
from mcpgw.capabilities.errors import CallProblem
from mcpgw.transports.address_policy import AllowedNetworks, Refused, Unreachable
from mcpgw.transports.http_exchange import read_bounded

if TYPE_CHECKING:
    import httpx

    from mcpgw.transports.network import Network

MOST_REDIRECTS: Final = 5
CLOSING: Final = 1.0
"""Seconds for closing a response."""
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_PLAIN_HEADERS: Final = frozenset(
    {"accept", "accept-language", "user-agent", "content-type", "content-length"}
)
"""Headers that are sent to another origin; others may hold a credential."""
PRODUCT: Final = "mcpgw/1.0 (+https://pypi.org/project/mcpgw/)"


@attrs.frozen
class HttpRequest:
    """An HTTP request. Its `repr` omits headers, query and body, which may be secret."""

    method: str
    url: str = attrs.field(repr=lambda url: repr(urlsplit(url).netloc))
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    content: bytes | None = attrs.field(default=None, repr=False)

    @property
    def host(self) -> str:
        """Host and port of the URL."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


@attrs.frozen
class HttpResponse:
    """A complete HTTP response; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes = attrs.field(repr=False)
    url: str = attrs.field(repr=False)
    after_write: bool = False
    """The response to a GET, to which another request was redirected after it had taken effect."""

    @property
    def kind(self) -> str:
        """The media type in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str:
        """The charset of the media type, UTF-8 by default."""
        _, _, rest = self.headers.get("content-type", "").partition("charset=")
        return rest.split(";")[0].strip().strip("\"'") or "utf-8"

    def text(self) -> str:
        """Return the body as text; undecodable bytes are replaced."""
        try:
            return self.content.decode(self.charset, "replace")
        except LookupError:
            return self.content.decode("utf-8", "replace")


@attrs.define(eq=False)
class Sender:
    """Sends requests with a guarded client for each address policy; its creator must close it.

    Args:
      network: settings for TLS and proxies.
    """

    network: Network
    _clients: dict[AllowedNetworks, httpx.AsyncClient] = attrs.field(factory=dict)

    async def aclose(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSING):
                await client.aclose()
        self._clients.clear()

    async def send(
        self, outgoing: HttpRequest, *, address_policy: AllowedNetworks, timeout: float, limit: int
    ) -> HttpResponse:
        """Send a request, follow redirects and return the complete response.

        A redirect is followed if the request is safe (GET or HEAD), if the redirect turns it into
        a GET, or if it keeps the method and leads to the same origin. Credentials and bodies are
        never sent to another origin.

        Args:
          outgoing: the request.
          address_policy: the addresses that it may go to, checked at every hop.
          timeout: seconds for the whole exchange.
          limit: the largest response, in bytes.

        Raises:
          CallProblem: the request was refused or failed.
        """
        with trio.move_on_after(timeout) as scope:
            return await self._follow(outgoing, address_policy, limit)
        assert scope.cancelled_caught
        raise CallProblem(f"{outgoing.host} timed out after {timeout:g} s.", again=True, sent=True)

    async def _follow(
        self, outgoing: HttpRequest, address_policy: AllowedNetworks, limit: int
    ) -> HttpResponse:
        after_write = False
        for _ in range(MOST_REDIRECTS + 1):
            try:
                response = await self._exchange(outgoing, address_policy, limit)
                location = response.headers.get("location")
                if response.status not in _REDIRECTS or not location:
                    return attrs.evolve(response, after_write=after_write)
                following = _redirected(outgoing, response.status, location)
            except CallProblem as problem:
                raise attrs.evolve(problem, sent=problem.sent or after_write) from None
            after_write = after_write or following.method != outgoing.method
            outgoing = following
        raise CallProblem(f"{outgoing.host}: too many redirects.", sent=after_write)

    async def _exchange(
        self, outgoing: HttpRequest, address_policy: AllowedNetworks, limit: int
    ) -> HttpResponse:
        import httpx

        from mcpgw.transports.guarded_client import guarded_client

        _check_url(outgoing.url)
        client = self._clients.get(address_policy)
        if client is None:
            client = guarded_client(self.network, address_policy, headers={"user-agent": PRODUCT})
            self._clients[address_policy] = client
        sent = False
        try:
            request = client.build_request(
                outgoing.method,
                outgoing.url,
                headers=dict(outgoing.headers),
                content=outgoing.content,
                timeout=httpx.Timeout(None),
            )
            response = await client.send(request, stream=True)
            sent = True
            try:
                content = await read_bounded(response, limit)
            finally:
                # A server that keeps the connection busy must not hold up a cancelled call.
                with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSING):
                    await response.aclose()
        except Refused as error:
            raise CallProblem(f"Request refused: {error}.", inside=True) from None
        except Unreachable as error:
            raise CallProblem(f"{outgoing.host} cannot be reached: {error}.", again=True) from None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise CallProblem(
                f"{outgoing.host} cannot be reached: {cause_of(error, outgoing.url)}.", again=True
            ) from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
            raise CallProblem(f"Invalid request: {cause_of(error, outgoing.url)}.") from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise CallProblem(
                f"No response from {outgoing.host}: {cause_of(error, outgoing.url)}.",
                again=True,
                sent=True,
            ) from None
        if content is None:
            raise CallProblem(
                f"The response of {outgoing.host} is larger than {limit} bytes."
                " Request less data, or raise the provider's max_bytes.",
                sent=sent,
            )
        headers = {name.lower(): value for name, value in response.headers.items()}
        return HttpResponse(response.status_code, headers, content, outgoing.url)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - it raises if it is invalid
    except ValueError:
        raise CallProblem("The URL of the request is invalid.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CallProblem(
            f"{url[:80]!r} must be an http or https URL; check the capability's base_url."
        )
    if parts.username is not None or parts.password is not None:
        raise CallProblem("The URL must not contain a user name; use `auth`.")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise CallProblem("The URL contains characters that must be percent-encoded.")


def _redirected(outgoing: HttpRequest, status: int, location: str) -> HttpRequest:
    """Return the request that follows a redirect.

    301 and 302 turn a POST into a GET, 303 any request; all others keep method and body
    (RFC 9110, sections 15.4.2 to 15.4.9).

    Raises:
      CallProblem: it must not be followed.
    """
    try:
        url = urljoin(outgoing.url, location)
        same = origin_of(url) == origin_of(outgoing.url)
    except ValueError:
        raise CallProblem(f"{outgoing.host} redirects to an invalid URL.", sent=True) from None
    safe = outgoing.method in ("GET", "HEAD")
    as_get = not safe and (status == 303 or (status in (301, 302) and outgoing.method == "POST"))
    if not (safe or as_get or same):
        target = url.partition("?")[0][:200]
        raise CallProblem(
            f"{outgoing.host} redirects the {outgoing.method} to another origin, {target}, which"
            " must not get its body. If it is right, use it as the capability's base_url.",
            sent=True,
        )
    headers = dict(outgoing.headers)
    if not same:
        headers = {name: value for name, value in headers.items() if name in _PLAIN_HEADERS}
        if outgoing.url.startswith("https:") and url.startswith("http:"):
            raise CallProblem(
                f"Redirect of {outgoing.host} from https to http refused.", sent=not safe
            )
    if as_get:
        headers = {n: v for n, v in headers.items() if not n.lower().startswith("content-")}
        return HttpRequest("GET", url, headers)
    return attrs.evolve(outgoing, url=url, headers=headers)


def origin_of(url: str) -> str:
    """Return the origin of a URL: scheme, host and port (RFC 6454, section 4).

    Raises:
      ValueError: the URL is invalid.
    """
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    port = parts.port or {"http": 80, "https": 443}.get(scheme)
    return f"{scheme}://{(parts.hostname or '').rstrip('.')}:{port}"
