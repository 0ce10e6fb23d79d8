"""Metadata documents of protected resources and authorization servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import attrs

from mcpgw.oauth.errors import Refused, origin_of

PKCE_METHOD: Final = "S256"


def text_of(document: Mapping[str, object], key: str) -> str | None:
    """Return a member of a document if it is a non-empty string, else None."""
    value = document.get(key)
    return value if isinstance(value, str) and value else None


def texts_of(document: Mapping[str, object], key: str) -> tuple[str, ...] | None:
    """Return the strings of a member that is a list; None if it is missing or not a list."""
    value = document.get(key)
    if not isinstance(value, list):
        return None
    return tuple(dict.fromkeys(item for item in value if isinstance(item, str) and item))


@attrs.frozen
class ResourceMetadata:
    """The metadata of a protected resource (RFC 9728, section 2)."""

    resource: str
    authorization_servers: tuple[str, ...] = ()
    scopes_supported: tuple[str, ...] = ()

    @classmethod
    def read(cls, document: Mapping[str, object], *, url: str) -> ResourceMetadata:
        """Parse the document that is published for the MCP server at `url`.

        Raises:
          Refused: it describes another resource, whose tokens must not be sent to this server.
        """
        resource = text_of(document, "resource")
        if resource is None:
            raise Refused(f"the resource metadata of {origin_of(url)} lacks `resource`")
        if not covers(resource, url):
            raise Refused(
                f"the resource metadata describes {resource[:200]!r}, not"
                f" {without_query(url)}: refused, since its tokens are for another server"
            )
        return cls(
            resource=resource,
            authorization_servers=texts_of(document, "authorization_servers") or (),
            scopes_supported=texts_of(document, "scopes_supported") or (),
        )


@attrs.frozen
class ServerMetadata:
    """The metadata of an authorization server (RFC 8414, section 2).

    `issuer` is "" for the endpoints of an API, if its issuer is not known.
    """

    issuer: str
    token_endpoint: str
    authorization_endpoint: str | None = None
    registration_endpoint: str | None = None
    revocation_endpoint: str | None = None
    scopes_supported: tuple[str, ...] = ()
    grant_types_supported: tuple[str, ...] | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] | None = None
    revocation_endpoint_auth_methods_supported: tuple[str, ...] | None = None
    code_challenge_methods_supported: tuple[str, ...] = ()
    client_id_metadata_document_supported: bool = False
    iss_supported: bool = False
    assumed: bool = False
    """True for the default endpoints of MCP 2025-03-26, if no metadata is published."""

    @classmethod
    def read(cls, document: Mapping[str, object]) -> ServerMetadata:
        """Parse a metadata document. Raises Refused if a required member is missing."""
        issuer, token_endpoint = text_of(document, "issuer"), text_of(document, "token_endpoint")
        if issuer is None or token_endpoint is None:
            missing = "issuer" if issuer is None else "token_endpoint"
            raise Refused(f"the authorization server's metadata lacks `{missing}`")
        return cls(
            issuer=issuer,
            token_endpoint=token_endpoint,
            authorization_endpoint=text_of(document, "authorization_endpoint"),
            registration_endpoint=text_of(document, "registration_endpoint"),
            revocation_endpoint=text_of(document, "revocation_endpoint"),
            scopes_supported=texts_of(document, "scopes_supported") or (),
            grant_types_supported=texts_of(document, "grant_types_supported"),
            token_endpoint_auth_methods_supported=texts_of(
                document, "token_endpoint_auth_methods_supported"
            ),
            revocation_endpoint_auth_methods_supported=texts_of(
                document, "revocation_endpoint_auth_methods_supported"
            ),
            code_challenge_methods_supported=texts_of(document, "code_challenge_methods_supported")
            or (),
            client_id_metadata_document_supported=document.get(
                "client_id_metadata_document_supported"
            )
            is True,
            iss_supported=document.get("authorization_response_iss_parameter_supported") is True,
        )

    @classmethod
    def fixed(cls, base: str) -> ServerMetadata:
        """Return the default endpoints of a server without metadata (MCP 2025-03-26)."""
        return cls(
            issuer=base,
            token_endpoint=f"{base}/token",
            authorization_endpoint=f"{base}/authorize",
            registration_endpoint=f"{base}/register",
            code_challenge_methods_supported=(PKCE_METHOD,),
            assumed=True,
        )

    def grants(self, grant: str) -> bool:
        """Return whether a grant is supported; all are if the server lists none."""
        return self.grant_types_supported is None or grant in self.grant_types_supported


def same_issuer(one: str, other: str) -> bool:
    """Return whether two identifiers name the same authorization server (RFC 8414, section 3.3).

    They are compared as plain strings. Only a trailing slash after a host without a path is
    ignored, which many programs add: both forms have the same metadata document.
    """
    if one == other:
        return True
    short, long = sorted((one, other), key=len)
    try:
        parts = urlsplit(short)
    except ValueError:
        return False
    return long == f"{short}/" and parts.path == "" and not parts.query


def covers(resource: str, url: str) -> bool:
    """Return whether a resource identifier is that of a URL, or of a parent path."""
    try:
        one, other = urlsplit(resource), urlsplit(url)
        if origin(resource) != origin(url):
            return False
    except ValueError:
        return False
    if one.fragment or (one.query and one.query != other.query):
        return False
    above, below = one.path.rstrip("/"), other.path.rstrip("/")
    if any(part in (".", "..") for part in above.split("/")):
        return False
    return below == above or below.startswith(f"{above}/")


def canonical(url: str) -> str:
    """Return the resource identifier of a URL: without query, fragment and trailing slash."""
    parts = urlsplit(url)
    return f"{origin(url)}{parts.path.rstrip('/')}"


def without_query(url: str) -> str:
    """Return a URL for messages, without its query, which may contain a key."""
    return f"{origin_of(url)}{urlsplit(url).path}"


def origin(url: str) -> str:
    """Return the origin of a URL, without a default port (raises ValueError)."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    port = "" if parts.port in (None, usual) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"
