"""Changes that a reload finds."""

from __future__ import annotations

import attrs

from mcpgw.config.changes import NO_CHANGES, Changes, SectionChange, diff
from mcpgw.config.failsafe import FailsafeConfig, RetryConfig
from mcpgw.config.schema import BackendConfig, GatewayConfig, MetaMcpConfig, ServerConfig

A = BackendConfig("a", command=("x",))
B = BackendConfig("b", command=("x",))


def config(*backends: BackendConfig, failsafe: FailsafeConfig | None = None) -> GatewayConfig:
    """Make a configuration of some backends."""
    return GatewayConfig(
        backends={backend.name: backend for backend in backends},
        failsafe=failsafe or FailsafeConfig(),
    )


def test_the_same_settings_are_no_change() -> None:
    """Equal configurations differ in nothing, whatever the order of the backends."""
    changes = diff(config(A, B), config(attrs.evolve(B), A))
    assert (Changes(), False, NO_CHANGES) == (changes, bool(changes), changes.describe())


def test_backends_come_go_and_change() -> None:
    """Names are sorted; going off is removal, coming on is addition."""
    off = BackendConfig("off", command=("x",), enabled=False)
    old = config(A, B, off, BackendConfig("c"), BackendConfig("d"))
    new = config(
        attrs.evolve(A, enabled=False),
        attrs.evolve(B, env={"A": "1"}),
        attrs.evolve(off, enabled=True),
        BackendConfig("e"),
    )
    changes = diff(old, new)
    assert Changes(("e", "off"), ("a", "c", "d"), ("b",)) == changes
    assert not changes.restart_required
    assert (
        "added backends: [e, off]; removed backends: [a, c, d]; modified backends: [b]"
        == changes.describe()
    )


def test_a_change_of_a_disabled_backend_is_none() -> None:
    """A backend that is off before and after counts for nothing."""
    off = BackendConfig("off", command=("x",), enabled=False)
    assert not diff(config(off), config(attrs.evolve(off, command=("y",))))


def test_failsafe_counts_as_it_holds_for_each_backend() -> None:
    """A global change modifies those that inherit it; writing down what holds anyway, none."""
    retry = RetryConfig(max_attempts=9)
    own = attrs.evolve(B, retry=RetryConfig())
    changes = diff(config(A, own), config(A, own, failsafe=FailsafeConfig(retry=retry)))
    assert ("a",) == changes.backends_modified
    assert (SectionChange("failsafe", "applied", ("retry.max_attempts",)),) == changes.sections
    assert () == diff(config(B), config(own)).backends_modified


def test_sections_say_what_needs_a_restart() -> None:
    """Each changed section has its keys, and those that wait for the next start."""
    old = GatewayConfig()
    new = GatewayConfig(
        env_files=("a",),
        server=ServerConfig(shutdown_timeout=1.0, max_body_size=2048),
        meta_mcp=MetaMcpConfig(cache_ttl=1.0),
    )
    changes = diff(old, new)
    assert (
        SectionChange("env_files", "applied"),
        SectionChange(
            "server", "restart", ("shutdown_timeout", "max_body_size"), ("max_body_size",)
        ),
        SectionChange("meta_mcp", "applied", ("cache_ttl",)),
    ) == changes.sections
    assert changes.restart_required
    assert (
        "env_files changed; server changed: shutdown_timeout, max_body_size"
        " (restart required: max_body_size); meta_mcp changed: cache_ttl" == changes.describe()
    )
