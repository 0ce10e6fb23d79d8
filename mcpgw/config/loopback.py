"""Names and addresses of this machine alone, as they are written in settings and URLs."""

from __future__ import annotations

from typing import Final

LOCALHOST: Final = "localhost"
LOOPBACK_ADDRESSES: Final = ("127.0.0.1", "::1")
"""The addresses that `localhost` stands for, IPv4 first."""
LOOPBACK_HOSTS: Final = frozenset({LOCALHOST, *LOOPBACK_ADDRESSES})


def is_loopback(host: str) -> bool:
    """Return true if a host is `localhost` or a loopback address."""
    if host.lower() == LOCALHOST:
        return True
    import ipaddress

    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_loopback if mapped is None else bool(mapped.is_loopback)
