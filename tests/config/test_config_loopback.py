"""Hosts that only this machine reaches."""

from __future__ import annotations

import pytest

from mcpgw.config.loopback import LOOPBACK_HOSTS, is_loopback


@pytest.mark.parametrize(
    "host", [*sorted(LOOPBACK_HOSTS), "LocalHost", "127.8.9.10", "127.0.0.2", "::ffff:127.0.0.1"]
)
def test_names_and_addresses_of_this_machine(host: str) -> None:
    """The whole network 127.0.0.0/8 counts, and case does not."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "10.0.0.1", "localhost.example", "[::1]"])
def test_other_hosts(host: str) -> None:
    """Addresses that others reach do not count, and neither do names that a resolver decides."""
    assert not is_loopback(host)
