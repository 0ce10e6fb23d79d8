"""Which addresses a URL that a server told us of may lead to (guard against forged requests)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

import attrs
import trio

from mcpgw.oauth.failures import Refused, origin_of

Address = IPv4Address | IPv6Address

_LOOPBACK_NAMES: Final = ("localhost", "ip6-localhost")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_RESOLVING: Final = 10.0


def is_loopback_host(host: str) -> bool:
    """Tell whether a host of a URL is a name or address of this machine alone."""
    name = host.lower().rstrip(".")
    if name in _LOOPBACK_NAMES or name.endswith(".localhost"):
        return True
    try:
        return _real(ip_address(name)).is_loopback
    except ValueError:
        return False


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
            kind = _kind(address)
            if kind not in allowed:
                raise Refused(
                    f"{host} is at a {kind} address, and the MCP server is not: refused, so that"
                    " it cannot reach into this network"
                )
        return tuple(str(address) for address in found)

    async def check_literal(self, host: str) -> None:
        """Refuse a host that is written as an address, or as a name, of a network inside.

        For requests that a proxy makes: it alone knows how the name resolves.
        """
        try:
            kind = _kind(ip_address(host))
        except ValueError:
            kind = "loopback" if is_loopback_host(host) else "public"
        if kind != "public" and kind not in await self._allowed_kinds():
            raise Refused(f"{host} is a {kind} address, and the MCP server is not at one: refused")

    async def _allowed_kinds(self) -> frozenset[str]:
        if self._allowed is None:
            host = urlsplit(self.server_url).hostname or ""
            try:
                kinds = {_kind(each) for each in await _resolve(host, 0)}
            except Refused:
                kinds = {"public"}  # Only a proxy can reach it.
            if kinds & {"loopback", "private"}:
                kinds |= {"loopback", "private"}
            self._allowed = frozenset(kinds | {"public"})
        return self._allowed


async def _resolve(host: str, port: int) -> list[Address]:
    try:
        return [ip_address(host)]
    except ValueError:
        pass
    if is_loopback_host(host):
        # RFC 6761: such names mean this machine, whatever a resolver says.
        return [ip_address("127.0.0.1"), ip_address("::1")]
    try:
        with trio.fail_after(_RESOLVING):
            found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Refused(f"the host {host} is not known") from None
    except trio.TooSlowError:
        raise Refused(f"the host {host} was not found within {_RESOLVING:g} s") from None
    texts = dict.fromkeys(str(each[4][0]).partition("%")[0] for each in found)
    return [ip_address(text) for text in texts]


def _real(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _kind(address: Address) -> str:
    real = _real(address)
    if real.is_loopback:
        return "loopback"
    if real.is_link_local:
        return "link-local"
    if real.is_unspecified or real.is_multicast or real.is_reserved:
        return "reserved"
    return "public" if real.is_global else "private"
