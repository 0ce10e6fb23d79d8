"""Which addresses a URL that a server told us of may lead to (guard against forged requests)."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

import attrs

from mcpgw.oauth.errors import Refused, origin_of
from mcpgw.transports.address_policy import Address, Unreachable, is_loopback_host, kind, resolve


def split_url(url: str) -> SplitResult:
    """Take a URL apart that a server told us of.

    https is required, except for this machine; nothing in front of the host is let through.

    Raises:
      Refused: it is no such URL.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Refused(f"{url[:200]!r} is not a URL") from None
    if not host or parts.scheme not in ("https", "http"):
        raise Refused(f"{url[:200]!r} is not an https URL")
    if port == 0 or parts.username is not None or parts.password is not None:
        raise Refused(f"{origin_of(url)}: a user name or port 0 has no place in this URL")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise Refused(f"{origin_of(url)}: the URL holds characters that must be escaped")
    if parts.scheme == "http" and not is_loopback_host(host):
        raise Refused(f"{origin_of(url)} is not https; a token would cross the network in the open")
    return parts


@attrs.define
class AddressGuard:
    """Resolves hosts, and refuses those inside a network that the MCP server is outside of.

    A server on the internet must not have us send requests to this machine, to its network or to
    the metadata service of its cloud. One that is itself inside may name its neighbours;
    link-local addresses are for servers that have such an address themselves.
    """

    server_url: str
    _allowed: frozenset[str] | None = attrs.field(default=None, init=False)

    async def addresses(self, host: str, port: int) -> tuple[str, ...]:
        """Return the addresses of a host, all of them allowed, in the order of the system.

        Raises:
          Refused: it has none, or one that the server must not lead us to.
        """
        found = await _resolve(host, port)
        allowed = await self._allowed_kinds()
        for address in found:
            found_kind = kind(address)
            if found_kind not in allowed:
                raise Refused(
                    f"{host} is at a {found_kind} address, and the MCP server is not: refused,"
                    " so that it cannot reach into this network"
                )
        return tuple(str(address) for address in found)

    async def check_literal(self, host: str) -> None:
        """Refuse a host that is written as an address, or as a name, of a network inside.

        For requests that a proxy makes: it alone knows how the name resolves.
        """
        try:
            written = kind(ip_address(host))
        except ValueError:
            written = "loopback" if is_loopback_host(host) else "public"
        if written != "public" and written not in await self._allowed_kinds():
            why = "and the MCP server is not at one: refused"
            raise Refused(f"{host} is a {written} address, {why}")

    async def _allowed_kinds(self) -> frozenset[str]:
        if self._allowed is None:
            host = urlsplit(self.server_url).hostname or ""
            try:
                kinds = {kind(each) for each in await _resolve(host, 0)}
            except Refused:
                kinds = {"public"}  # Only a proxy can reach it.
            if kinds & {"loopback", "private"}:
                kinds |= {"loopback", "private"}
            self._allowed = frozenset(kinds | {"public"})
        return self._allowed


async def _resolve(host: str, port: int) -> list[Address]:
    try:
        return await resolve(host, port)
    except Unreachable as error:
        raise Refused(str(error)) from None
