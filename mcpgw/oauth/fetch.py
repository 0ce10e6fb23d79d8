"""Requests to authorization servers: bounded in size and time, to checked addresses only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

import attrs

from mcpgw.oauth.address_policy import LoginAddressPolicy, split_url
from mcpgw.oauth.errors import Refused, Unreachable, origin_of
from mcpgw.transports.http_exchange import read_bounded

if TYPE_CHECKING:
    from mcpgw.transports.network import Network

LARGEST_ANSWER: Final = 256 * 1024
"""The largest response body, in bytes."""
_MOST_REDIRECTS: Final = 3
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_TIMEOUT: Final = 20.0
_PORTS: Final = {"https": 443, "http": 80}


@attrs.frozen
class Answer:
    """A response: its status, and its body if that is a JSON object, else None."""

    status: int
    body: Mapping[str, object] | None = attrs.field(repr=False)

    @property
    def ok(self) -> bool:
        """True for a status of 2xx."""
        return 200 <= self.status < 300


@attrs.frozen
class Fetcher:
    """Makes the requests of an OAuth client for one MCP server.

    Every URL is checked, also the target of a redirect, and the connection is made to the checked
    address, so DNS rebinding has no effect. A proxy resolves names itself; then only the host in
    the URL can be checked.
    """

    network: Network
    address_policy: LoginAddressPolicy

    async def get(self, url: str) -> Answer:
        """Fetch a metadata document, following up to 3 redirects.

        Raises:
          Refused: a URL is not allowed, or there are too many redirects.
          Unreachable: the server did not answer.
        """
        for _ in range(_MOST_REDIRECTS + 1):
            answer, location = await self._send("GET", url, {"accept": "application/json"}, None)
            if location is None:
                return answer
            try:
                url = urljoin(url, location)
            except ValueError:
                raise Refused(f"{origin_of(url)} redirects to an invalid URL") from None
        raise Refused(f"{origin_of(url)}: too many redirects")

    async def post_form(
        self, url: str, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> Answer:
        """Send a form. Redirects are not followed, since they would forward secrets.

        The answer may be a form too, which providers sent before RFC 6749 prescribed JSON, and
        some still do.

        Raises: as `get`.
        """
        from urllib.parse import urlencode

        sent = {
            "content-type": "application/x-www-form-urlencoded",
            "accept": "application/json",
            **headers,
        }
        answer, _ = await self._send("POST", url, sent, urlencode(form).encode())
        return answer

    async def post_json(self, url: str, body: Mapping[str, object]) -> Answer:
        """Send a JSON object. Redirects are not followed. Raises: as `get`."""
        sent = {"content-type": "application/json", "accept": "application/json"}
        answer, _ = await self._send("POST", url, sent, json.dumps(body).encode())
        return answer

    async def look(self, url: str) -> Answer:
        """Fetch a page as a browser does, without following a redirect. Raises: as `get`."""
        answer, _ = await self._send("GET", url, {"accept": "text/html, application/json"}, None)
        return answer

    async def check(self, url: str) -> None:
        """Check a URL without fetching it, such as one for the browser. Raises Refused."""
        parts = split_url(url)
        host = parts.hostname or ""
        if self.network.proxy_for(url) is not None:
            await self.address_policy.check_literal(host)
        else:
            await self.address_policy.addresses(host, parts.port or _PORTS[parts.scheme])

    async def _send(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None
    ) -> tuple[Answer, str | None]:
        import httpx

        from mcpgw.transports.guarded_client import guarded_client

        split_url(url)
        # A compressed body could expand beyond any limit.
        identity = {"accept-encoding": "identity"}
        async with guarded_client(self.network, self.address_policy, headers=identity) as client:
            request = client.build_request(
                method, url, headers=headers, content=content, timeout=httpx.Timeout(_TIMEOUT)
            )
            try:
                response = await client.send(request, stream=True)
                try:
                    body = await read_bounded(response, LARGEST_ANSWER)
                finally:
                    await response.aclose()
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                raise Unreachable(f"{origin_of(url)} cannot be reached: {_reason(error)}") from None
            except (httpx.HTTPError, httpx.StreamError) as error:
                raise Unreachable(f"{origin_of(url)} did not answer: {_reason(error)}") from None
        if body is None:
            raise Refused(f"{origin_of(url)} sent more than {LARGEST_ANSWER} bytes")
        location = response.headers.get("location") if response.status_code in _REDIRECTS else None
        return answer_of(response.status_code, body, form=content is not None), location


def _reason(error: Exception) -> str:
    return str(error)[:200] or type(error).__name__


def answer_of(status: int, body: bytes, *, form: bool = True) -> Answer:
    """Parse the body of a response: a JSON object, or a form if that is allowed."""
    parsed = _json_object(body)
    return Answer(status, _form_object(body) if parsed is None and form else parsed)


def _form_object(body: bytes) -> Mapping[str, object] | None:
    """Parse a form-encoded answer of a token endpoint; None if it is anything else."""
    from urllib.parse import parse_qsl

    try:
        pairs = dict(parse_qsl(body.decode("ascii").strip(), strict_parsing=True))
    except ValueError:
        return None
    return pairs if "access_token" in pairs or "error" in pairs else None


def _json_object(body: bytes) -> Mapping[str, object] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
