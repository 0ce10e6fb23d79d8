"""SSRF protection: kinds of network addresses, and the ones that an operator allows."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Protocol

import attrs
import trio

from mcpgw.config.loopback import LOCALHOST, LOOPBACK_ADDRESSES

Address = IPv4Address | IPv6Address

RESOLVE_TIMEOUT: Final = 10.0
"""Seconds for resolving a name."""
_NAT64: Final = IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = IPv6Network("::/96")
_CLOUD: Final = (IPv4Address("168.63.129.16"),)
"""Addresses of cloud-internal services in public ranges (Azure's WireServer)."""
_SPECIAL: Final = tuple(
    ip_network(text)
    for text in (
        *("192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.175.48.0/24"),
        *("64:ff9b:1::/48", "100:0:0:1::/64", "2620:4f:8000::/48", "3fff::/20", "5f00::/16"),
    )
)
"""Ranges of the IANA special-purpose registries that `ipaddress` treats as public."""


class Unreachable(Exception):
    """An address is not allowed, or a name has no address; the message is for people."""


class Refused(Unreachable):
    """An address of this machine or its network that the operator has not allowed."""


def real(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address embeds, else the address itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
            return IPv4Address(int(address) & 0xFFFF_FFFF)
        if address.teredo is not None:
            return address.teredo[1]
    return address


def kind(address: Address) -> str:
    """Return the kind of an address: public, loopback, link-local, private or reserved."""
    found = real(address)
    if found.is_loopback:
        return "loopback"
    if found.is_link_local or found in _CLOUD:
        return "link-local"
    if found.is_unspecified or found.is_multicast or found.is_reserved:
        return "reserved"
    if any(found in network for network in _SPECIAL if network.version == found.version):
        return "reserved"
    return "public" if found.is_global else "private"


def is_loopback_host(host: str) -> bool:
    """Return whether the host of a URL is a loopback name or address."""
    name = host.lower().rstrip(".")
    if name in (LOCALHOST, "ip6-localhost") or name.endswith(f".{LOCALHOST}"):
        return True
    try:
        return real(ip_address(name)).is_loopback
    except ValueError:
        return False


async def resolve(host: str, port: int) -> list[Address]:
    """Return all addresses of a host, in the system's order.

    Raises:
      Unreachable: it has no address, or resolving it took too long.
    """
    try:
        return [ip_address(host)]
    except ValueError:
        pass
    if is_loopback_host(host):
        # Such names mean this machine, whatever a resolver returns (RFC 6761, section 6.3).
        return [ip_address(address) for address in LOOPBACK_ADDRESSES]
    try:
        with trio.fail_after(RESOLVE_TIMEOUT):
            found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unreachable(f"the host {host} cannot be resolved") from None
    except trio.TooSlowError:
        raise Unreachable(
            f"the host {host} could not be resolved within {RESOLVE_TIMEOUT:g} s"
        ) from None
    texts = dict.fromkeys(str(each[4][0]).partition("%")[0] for each in found)
    return [ip_address(text) for text in texts]


class AddressPolicy(Protocol):
    """A rule for the addresses that a client may connect to."""

    async def addresses(self, host: str, port: int) -> tuple[str, ...]:
        """Return the addresses of a host; raise an exception if one is not allowed."""

    async def check_literal(self, host: str) -> None:
        """Check a host without resolving it, for requests that a proxy makes."""


@attrs.frozen
class AllowedNetworks:
    """The allowed addresses: public ones, and internal ones that an operator has listed.

    Args:
      inside: networks such as `10.0.0.0/8`, hosts such as `localhost` or `*.corp.example`, and
        `*` for everything.
      private_only: whether to refuse public addresses, for requests that must not leave the
        operator's network, such as a credential over http.
    """

    inside: tuple[str, ...] = ()
    private_only: bool = False
    _networks: tuple[IPv4Network | IPv6Network, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        networks = []
        for entry in self.inside:
            try:
                networks.append(ip_network(entry, strict=False))
            except ValueError:
                continue
        object.__setattr__(self, "_networks", tuple(networks))

    def allows(self, host: str, address: Address) -> bool:
        """Return whether a host may be reached at an address."""
        if kind(address) == "public":
            return True
        return self._is_listed(host) or any(
            real(address) in network
            for network in self._networks
            if network.version == real(address).version
        )

    def _is_listed(self, host: str) -> bool:
        from fnmatch import fnmatchcase

        name = host.lower().rstrip(".")
        return any(entry == "*" or fnmatchcase(name, entry.lower()) for entry in self.inside)

    async def addresses(self, host: str, port: int) -> tuple[str, ...]:
        """Return the addresses of a host, all of which must be allowed.

        A name with public and internal addresses is refused: whoever controls it could choose.

        Raises:
          Unreachable: it has no address, or one that is not allowed.
        """
        found = await resolve(host, port)
        for address in found:
            self.check(host, address)
        return tuple(str(address) for address in found)

    def check(self, host: str, address: Address) -> None:
        """Raise Refused if a host must not be reached at an address."""
        if self.private_only and kind(address) == "public":
            raise Unreachable(
                f"{host} ({address}) is a public address, to which a credential must not be sent"
                " over http; use https"
            )
        if not self.allows(host, address):
            where = str(address) if host == str(address) else f"{host} ({address})"
            raise Refused(
                f"{where} is a {kind(address)} address: requests into this machine or its network"
                " are refused"
            )

    async def check_literal(self, host: str) -> None:
        """Check a host without resolving it, for requests that a proxy makes.

        Raises:
          Refused: it is a loopback name, or an address that is not allowed.
          Unreachable: only private addresses are allowed, and the proxy would resolve the name.
        """
        if is_loopback_host(host):
            self.check(host, ip_address("127.0.0.1"))
            return
        try:
            address = ip_address(host)
        except ValueError:
            if self.private_only:
                raise Unreachable(
                    f"a credential must not be sent to {host} over http through a proxy; use https,"
                    " or add the host to NO_PROXY"
                ) from None
            return
        self.check(host, address)
