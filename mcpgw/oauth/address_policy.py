"""SSRF protection for URLs that servers supply during authorization."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

import attrs

from mcpgw.oauth.errors import Refused, origin_of
from mcpgw.transports.address_policy import Address, Unreachable, is_loopback_host, kind, resolve


def split_url(url: str) -> SplitResult:
    """Parse a URL that a server supplied.

    It must be https, except for loopback hosts, and must not contain credentials.

    Raises:
      Refused: the URL is not valid or not allowed.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Refused(f"{url[:200]!r} is not a URL") from None
    if not host or parts.scheme not in ("https", "http"):
        raise Refused(f"{url[:200]!r} is not an https URL")
    if port == 0 or parts.username is not None or parts.password is not None:
        raise Refused(f"{origin_of(url)}: the URL must not contain a user name or port 0")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise Refused(f"{origin_of(url)}: the URL contains characters that must be escaped")
    if parts.scheme == "http" and not is_loopback_host(host):
        raise Refused(f"{origin_of(url)} is not https: a token would be sent unencrypted")
    return parts


@attrs.define
class LoginAddressPolicy:
    """Resolves hosts, and refuses internal addresses unless the MCP server itself has one.

    A server on the internet must not make us send requests to this machine, to its network or to
    the metadata service of its cloud. An internal server may refer to other internal hosts;
    link-local addresses are allowed only for servers that have one themselves.
    """

    server_url: str
    _allowed: frozenset[str] | None = attrs.field(default=None, init=False)

    async def addresses(self, host: str, port: int) -> tuple[str, ...]:
        """Return the addresses of a host in the system's order; all of them must be allowed.

        Raises:
          Refused: it has no address, or one that is not allowed.
        """
        found = await _resolve(host, port)
        allowed = await self._allowed_kinds()
        for address in found:
            found_kind = kind(address)
            if found_kind not in allowed:
                raise Refused(
                    f"{host} has a {found_kind} address, and the MCP server does not: refused, to"
                    " protect this network"
                )
        return tuple(str(address) for address in found)

    async def check_literal(self, host: str) -> None:
        """Refuse an internal address or loopback name, without resolving the host.

        For requests through a proxy, which resolves the name itself.
        """
        try:
            written = kind(ip_address(host))
        except ValueError:
            written = "loopback" if is_loopback_host(host) else "public"
        if written != "public" and written not in await self._allowed_kinds():
            reason = "and the MCP server does not have one: refused"
            raise Refused(f"{host} is a {written} address, {reason}")

    async def _allowed_kinds(self) -> frozenset[str]:
        if self._allowed is None:
            host = urlsplit(self.server_url).hostname or ""
            try:
                kinds = {kind(each) for each in await _resolve(host, 0)}
            except Refused:
                kinds = {"public"}  # only a proxy can resolve it
            if kinds & {"loopback", "private"}:
                kinds |= {"loopback", "private"}
            self._allowed = frozenset(kinds | {"public"})
        return self._allowed


async def _resolve(host: str, port: int) -> list[Address]:
    try:
        return await resolve(host, port)
    except Unreachable as error:
        raise Refused(str(error)) from None
