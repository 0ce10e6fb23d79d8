"""Which network addresses may be reached: the kinds of address, and what an operator allows."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

import attrs
import trio

from mcpgw.config.loopback import LOCALHOST, LOOPBACK_ADDRESSES

Address = IPv4Address | IPv6Address

RESOLVING: Final = 10.0
"""Seconds for resolving a name."""
_NAT64: Final = IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = IPv6Network("::/96")
_CLOUD: Final = (IPv4Address("168.63.129.16"),)
"""Addresses of clouds' own services that stand in public ranges (Azure's WireServer)."""
_SPECIAL: Final = tuple(
    ip_network(text)
    for text in (
        *("192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.175.48.0/24"),
        *("64:ff9b:1::/48", "100:0:0:1::/64", "2620:4f:8000::/48", "3fff::/20", "5f00::/16"),
    )
)
"""Ranges of the IANA registries of special addresses that `ipaddress` takes for public."""


class Unreachable(Exception):
    """An address must not be reached, or a name has none; the text is for a person."""


class Refused(Unreachable):
    """An address inside of this machine or network, which nobody has allowed."""


def real(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, if it does."""
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
    """Name the kind of an address: public, loopback, link-local, private or reserved."""
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
    """Tell whether a host of a URL is a name or address of this machine alone."""
    name = host.lower().rstrip(".")
    if name in (LOCALHOST, "ip6-localhost") or name.endswith(f".{LOCALHOST}"):
        return True
    try:
        return real(ip_address(name)).is_loopback
    except ValueError:
        return False


async def resolve(host: str, port: int) -> list[Address]:
    """Return all addresses of a host, in the order of the system.

    Raises:
      Unreachable: it has none, or none came in time.
    """
    try:
        return [ip_address(host)]
    except ValueError:
        pass
    if is_loopback_host(host):
        # RFC 6761: such names mean this machine, whatever a resolver says.
        return [ip_address(address) for address in LOOPBACK_ADDRESSES]
    try:
        with trio.fail_after(RESOLVING):
            found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unreachable(f"the host {host} is not known") from None
    except trio.TooSlowError:
        raise Unreachable(f"the host {host} was not found within {RESOLVING:g} s") from None
    texts = dict.fromkeys(str(each[4][0]).partition("%")[0] for each in found)
    return [ip_address(text) for text in texts]


@attrs.frozen
class Reach:
    """What may be reached: public addresses, and those inside that an operator has named.

    Args:
      inside: networks such as `10.0.0.0/8`, hosts such as `localhost` or `*.corp.example`, and
        `*` for everything.
    """

    inside: tuple[str, ...] = ()
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
        """Tell whether a host may be reached at an address."""
        if kind(address) == "public":
            return True
        return self._named(host) or any(
            real(address) in network
            for network in self._networks
            if network.version == real(address).version
        )

    def _named(self, host: str) -> bool:
        from fnmatch import fnmatchcase

        name = host.lower().rstrip(".")
        return any(entry == "*" or fnmatchcase(name, entry.lower()) for entry in self.inside)

    async def addresses(self, host: str, port: int) -> tuple[str, ...]:
        """Return the addresses of a host. All of them must be allowed: a name that also leads
        inside is not to be trusted with the choice.

        Raises:
          Unreachable: it has none, or one that must not be reached.
        """
        found = await resolve(host, port)
        for address in found:
            self.check(host, address)
        return tuple(str(address) for address in found)

    def check(self, host: str, address: Address) -> None:
        """Raise Unreachable where a host must not be reached at an address."""
        if not self.allows(host, address):
            where = str(address) if host == str(address) else f"{host} ({address})"
            raise Refused(
                f"{where} is a {kind(address)} address: refused, so that nobody can be led into"
                " this machine or its network"
            )

    def check_literal(self, host: str) -> None:
        """Check what can be seen of a host without resolving it, for requests that a proxy makes.

        Raises:
          Unreachable: it is written as an address, or as a name, that must not be reached.
        """
        if is_loopback_host(host):
            self.check(host, ip_address("127.0.0.1"))
        try:
            self.check(host, ip_address(host))
        except ValueError:
            return
