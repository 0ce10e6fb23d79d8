"""Discovery of the authorization server of an MCP server (MCP 2026-07-28, Authorization)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urljoin, urlsplit

import attrs

from mcpgw.oauth.challenge import Challenge
from mcpgw.oauth.errors import Refused, Unreachable, origin_of
from mcpgw.oauth.fetch import Answer, Fetcher
from mcpgw.oauth.metadata import (
    ResourceMetadata,
    ServerMetadata,
    canonical,
    origin,
    same_issuer,
    text_of,
)
from mcpgw.observe.log import get_logger

log = get_logger("mcpgw.oauth")

_RESOURCE: Final = "/.well-known/oauth-protected-resource"
_SERVER: Final = "/.well-known/oauth-authorization-server"
_OPENID: Final = "/.well-known/openid-configuration"


@attrs.frozen
class Discovered:
    """The authorization server of an MCP server.

    `asked` is the issuer as the resource names it; logins are stored under it.
    """

    resource: str
    asked: str
    server: ServerMetadata
    scopes_supported: tuple[str, ...] = ()


async def discover(
    fetcher: Fetcher,
    url: str,
    challenge: Challenge | None,
    *,
    preferred: tuple[str, ...] = (),
    trusted: tuple[str, ...] = (),
) -> Discovered:
    """Discover the authorization server of the MCP server at `url`.

    Resource metadata is read from the URL in the challenge, else from the well-known URL of the
    server's path, else from that of the root. A server without any is treated as one of MCP
    2025-03-26, which is its own authorization server.

    Args:
      fetcher: makes the requests.
      url: the MCP server.
      challenge: its challenge to a refused request.
      preferred: the issuers to prefer if the server names several.
      trusted: the issuers that metadata may name instead of the one whose metadata they are.

    Raises:
      Refused: a document is invalid, or belongs to another server.
      Unreachable: a server cannot answer now.
    """
    resource = await _resource_metadata(fetcher, url, challenge)
    if resource is None or not resource.authorization_servers:
        return await _without_resource_metadata(fetcher, url, resource)
    issuers = resource.authorization_servers
    issuer = next((each for each in preferred if each in issuers), issuers[0])
    server = await server_metadata(fetcher, issuer)
    if server is None:
        raise Refused(
            f"{origin_of(issuer)}, which the MCP server names as its authorization server,"
            " publishes no metadata"
        )
    if not any(same_issuer(server.issuer, each) for each in (issuer, *trusted)):
        raise Refused(
            f"the metadata for the issuer {issuer[:200]!r} names another issuer,"
            f" {server.issuer[:200]!r}: refused. If both belong to a provider that you trust, add"
            " the second one to `trusted_issuers` under `oauth`"
        )
    return Discovered(resource.resource, issuer, server, resource.scopes_supported)


async def server_metadata(fetcher: Fetcher, issuer: str) -> ServerMetadata | None:
    """Return the metadata of an authorization server, from its OAuth or OpenID document.

    Some servers answer any URL with 200; a document without an issuer and a token endpoint is not
    metadata.

    Raises:
      Refused: the only document is incomplete.
    """
    incomplete: Refused | None = None
    for place in server_urls(issuer):
        document = _document(await fetcher.get(place), place)
        if document.body is None or not (
            text_of(document.body, "issuer") or text_of(document.body, "token_endpoint")
        ):
            continue
        try:
            return ServerMetadata.read(document.body)
        except Refused as problem:
            incomplete = incomplete or problem
    if incomplete is not None:
        raise incomplete
    return None


async def _resource_metadata(
    fetcher: Fetcher, url: str, challenge: Challenge | None
) -> ResourceMetadata | None:
    """Return the metadata of a resource, None if there is none at any URL.

    A URL in the challenge that must not or cannot be fetched counts as one without a document: the
    well-known URLs are on the server itself.
    """
    named = _named_url(url, challenge)
    for place in ([named] if named else []) + list(resource_urls(url)):
        try:
            answer = await fetcher.get(place)
        except (Refused, Unreachable) as problem:
            if place != named or (isinstance(problem, Unreachable) and _same_origin(place, url)):
                raise
            log.info("oauth.resource_metadata_skipped", reason=str(problem))
            continue
        document = _document(answer, place)
        if document.body is not None and text_of(document.body, "resource") is not None:
            return ResourceMetadata.read(document.body, url=url)
    return None


def _named_url(url: str, challenge: Challenge | None) -> str | None:
    """Return the URL in the challenge, resolved against that of the server."""
    named = challenge.resource_metadata if challenge is not None else None
    try:
        return urljoin(url, named) if named else None
    except ValueError:
        return None


async def _without_resource_metadata(
    fetcher: Fetcher, url: str, resource: ResourceMetadata | None
) -> Discovered:
    base = origin(url)
    server = await server_metadata(fetcher, base)
    if server is None:
        server = ServerMetadata.fixed(base)
        log.debug("oauth.metadata_missing", server=base)
    elif not same_issuer(server.issuer, base):
        # Servers of MCP 2025-03-26 may publish the metadata of their provider.
        log.debug("oauth.issuer_mismatched", server=base, issuer=server.issuer)
    scopes = resource.scopes_supported if resource is not None else ()
    name = resource.resource if resource is not None else canonical(url)
    return Discovered(name, base, server, scopes)


def _same_origin(one: str, other: str) -> bool:
    try:
        return origin(one) == origin(other)
    except ValueError:
        return False


def resource_urls(url: str) -> Iterator[str]:
    """Yield the well-known URLs of a server's resource metadata, in order (RFC 9728, section 3)."""
    path = urlsplit(url).path.rstrip("/")
    base = origin(url)
    if path:
        yield f"{base}{_RESOURCE}{path}"
    yield f"{base}{_RESOURCE}"


def server_urls(issuer: str) -> Iterator[str]:
    """Yield the well-known URLs of an issuer's metadata, in order (RFC 8414, section 3).

    Raises:
      Refused: the issuer is not a URL, or has a query or fragment.
    """
    try:
        parts = urlsplit(issuer)
        base = origin(issuer)
    except ValueError:
        raise Refused(f"the issuer {issuer[:200]!r} is not a URL") from None
    if parts.query or parts.fragment or not parts.hostname:
        raise Refused(f"the issuer {issuer[:200]!r} must be a URL without query and fragment")
    path = parts.path.rstrip("/")
    yield f"{base}{_SERVER}{path}"
    yield f"{base}{_OPENID}{path}"
    if path:
        yield f"{base}{path}{_OPENID}"


def _document(answer: Answer, place: str) -> Answer:
    """Return an answer whose body is None if there is no document at this URL.

    A server error does not mean that the document is missing: the next URL could belong to another
    authorization server.
    """
    if answer.status >= 500 and answer.status != 501:
        raise Unreachable(f"{origin_of(place)} answered with HTTP {answer.status}")
    return answer if answer.ok else Answer(answer.status, None)
