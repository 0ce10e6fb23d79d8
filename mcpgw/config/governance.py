"""Settings that govern calls: cache, idempotency, error budgets, costs, sandbox, profiles."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import attrs

from mcpgw.config.patterns import any_matches
from mcpgw.config.setting import listed, named, section, setting
from mcpgw.config.value_types import (
    FLAG,
    NUMBER_MAP,
    TEXT,
    TEXTS,
    TEXTS_MAP,
    Kind,
    SettingError,
    choice,
    duration,
    number,
    optional,
    whole,
)

CacheMode = Literal["auto", "on", "off"]
NOTHING: Mapping[str, Any] = MappingProxyType({})

_MODES: Mapping[object, CacheMode] = {True: "on", False: "off", "auto": "auto"}


def _read_mode(value: object) -> CacheMode:
    if isinstance(value, (bool, str)) and value in _MODES:
        return _MODES[value]
    raise SettingError("must be true, false or auto", "Write it without quotes.")


@attrs.frozen
class CacheConfig:
    """Response cache."""

    enabled: CacheMode = setting(
        "auto",
        "`auto` caches results of tools that declare themselves both read-only and idempotent;"
        " `true` those of every read-only tool; `false` none, unless"
        " `backends.<name>.tools.<tool>.cache_ttl` is set. Errors are never cached. A call of a"
        " tool that is not read-only clears the cache of its server.",
        Kind(
            "true, false or auto",
            _read_mode,
            lambda mode: {"on": "true", "off": "false", "auto": "auto"}[mode],
        ),
    )
    default_ttl: float = setting(60.0, "How long a cached result is valid.", duration())
    max_entries: int = setting(
        10_000,
        "Maximum number of cached results; the oldest are dropped first. 0 means no limit.",
        whole(minimum=0),
    )


@attrs.frozen
class IdempotencyConfig:
    """Idempotency keys: a call with an `idempotency_key` is executed only once."""

    keep: float = setting(
        24 * 3600.0, "How long the result of a key is returned again.", duration()
    )
    max_entries: int = setting(
        1_000, "Maximum number of keys; the oldest are dropped first.", whole(minimum=1)
    )


@attrs.frozen
class ErrorWindowConfig:
    """The error rate that disables a tool or server, and for how long."""

    threshold: float = setting(
        0.8, "Error rate (0 to 1) from which it is disabled.", number(minimum=0, above=True)
    )
    window_calls: int = setting(50, "Number of latest calls that are considered.", whole(minimum=1))
    window: float = setting(300.0, "Maximum age of the calls that are considered.", duration())
    min_samples: int = setting(
        5, "Minimum number of calls in the window before anything is disabled.", whole(minimum=1)
    )
    cooldown: float = setting(300.0, "How long it stays disabled.", duration())


def _server_window() -> ErrorWindowConfig:
    return ErrorWindowConfig(window_calls=100, min_samples=10)


@attrs.frozen
class ErrorBudgetConfig:
    """Error budgets: tools and servers with a high error rate are disabled temporarily.

    Only failures of the backend count: timeouts, lost connections, server errors. Invalid
    arguments and unknown names do not.
    """

    enabled: bool = setting(
        True, "Temporarily disable tools and servers with a high error rate.", FLAG
    )
    tool: ErrorWindowConfig = attrs.field(
        factory=ErrorWindowConfig, metadata=section(ErrorWindowConfig, "For each tool.")
    )
    server: ErrorWindowConfig = attrs.field(
        factory=_server_window, metadata=section(ErrorWindowConfig, "For each server.")
    )


@attrs.frozen
class SandboxProfileConfig:
    """Limits of one client session."""

    max_calls: int = setting(
        0, "Maximum number of calls of a session; 0 means no limit.", whole(minimum=0)
    )
    max_duration: float = setting(
        0.0,
        "How long after its start a session may call tools; 0 means no limit.",
        duration(above_zero=False, whole_seconds=True),
    )
    allowed_backends: tuple[str, ...] | None = setting(
        None,
        "Servers that may be called (`*` matches any characters); all if unset.",
        optional(TEXTS),
    )
    denied_tools: tuple[str, ...] = setting(
        (),
        "Tools that must not be called: `tool` or `server:tool`, `*` matches any characters.",
        TEXTS,
    )
    max_payload_bytes: int = setting(
        0, "Maximum size of the arguments of a call as JSON; 0 means no limit.", whole(minimum=0)
    )


@attrs.frozen
class SandboxConfig:
    """Session limits against runaway agents."""

    default_profile: str = setting(
        "default",
        "The sandbox profile of every session; if it is not configured, nothing is limited.",
        TEXT,
    )
    profiles: Mapping[str, SandboxProfileConfig] = attrs.field(
        default=NOTHING, metadata=named(SandboxProfileConfig, "Sandbox profiles, by name.")
    )

    @property
    def active(self) -> SandboxProfileConfig | None:
        """The limits in force, or None if there are none."""
        return self.profiles.get(self.default_profile)


@attrs.frozen
class BudgetsConfig:
    """Budgets of a day (UTC), in the currency of the prices."""

    daily: float | None = setting(
        None, "Budget of all calls together.", optional(number(minimum=0))
    )
    per_tool: Mapping[str, float] = setting(
        NOTHING, "Budget of each tool: `tool` or `server:tool`.", NUMBER_MAP
    )
    per_server: Mapping[str, float] = setting(NOTHING, "Budget of each server.", NUMBER_MAP)
    per_key: Mapping[str, float] = setting(NOTHING, "Budget of each caller, by name.", NUMBER_MAP)
    per_session: float | None = setting(
        None, "Budget of one client session, regardless of the day.", optional(number(minimum=0))
    )


@attrs.frozen
class AlertConfig:
    """Action when a share of a budget is reached."""

    at_percent: float = setting(100.0, "Share of the budget, in percent.", number(minimum=0))
    action: str = setting(
        "block",
        "`log` writes a log line, `notify` adds a warning to the result, `block` refuses the call.",
        choice("log", "notify", "block"),
    )


DEFAULT_ALERTS = (AlertConfig(50, "log"), AlertConfig(80, "notify"), AlertConfig(100, "block"))


@attrs.frozen
class CostConfig:
    """Prices of calls, and budgets."""

    enabled: bool = setting(
        False, "Enforce the budgets. Costs are counted in any case if a price is known.", FLAG
    )
    currency: str = setting("USD", "Currency of all prices, for reports.", TEXT)
    default_cost: float = setting(
        0.0, "Price of a call without a more specific price.", number(minimum=0)
    )
    tool_costs: Mapping[str, float] = setting(
        NOTHING,
        "Price of a call of a tool: `tool` or `server:tool`, `*` matches any characters.",
        NUMBER_MAP,
    )
    server_costs: Mapping[str, float] = setting(
        NOTHING, "Price of a call of any tool of a server.", NUMBER_MAP
    )
    token_costs: Mapping[str, float] = setting(
        NOTHING,
        "Price of a million tokens, for servers or `server:tool`. Tokens are taken from the `usage`"
        " of a result, or estimated as one for 4 characters.",
        NUMBER_MAP,
    )
    budgets: BudgetsConfig = attrs.field(
        factory=BudgetsConfig, metadata=section(BudgetsConfig, "Budgets.")
    )
    alerts: tuple[AlertConfig, ...] = attrs.field(
        default=DEFAULT_ALERTS,
        metadata=listed(AlertConfig, "Actions as a budget is used up."),
    )
    alternatives: Mapping[str, tuple[str, ...]] = setting(
        NOTHING,
        "Interchangeable tools (`tool` or `server:tool`), by purpose. If the called tool costs more"
        " than another one of its purpose, the result names the cheaper one.",
        TEXTS_MAP,
    )


@attrs.frozen
class RoutingProfileConfig:
    """The servers and tools that a session may use."""

    description: str = setting("", "Purpose of the profile; shown to the client.", TEXT)
    allow_backends: tuple[str, ...] | None = setting(
        None, "Allowed servers; all if unset. `*` matches any characters.", optional(TEXTS)
    )
    deny_backends: tuple[str, ...] | None = setting(
        None, "Servers excluded from the allowed ones.", optional(TEXTS)
    )
    allow_tools: tuple[str, ...] | None = setting(
        None, "Allowed tools: `tool` or `server:tool`; all if unset.", optional(TEXTS)
    )
    deny_tools: tuple[str, ...] | None = setting(
        None, "Tools excluded from the allowed ones.", optional(TEXTS)
    )

    def allows_server(self, server: str) -> bool:
        """Return true if a session with this profile may use a server."""
        if self.allow_backends is not None and not any_matches(self.allow_backends, server):
            return False
        return not any_matches(self.deny_backends or (), server)

    def allows(self, server: str, tool: str) -> bool:
        """Return true if a session with this profile may use a tool. Deny overrides allow."""
        if not self.allows_server(server):
            return False
        names = (tool, f"{server}:{tool}")
        if self.allow_tools is not None and not any_matches(self.allow_tools, *names):
            return False
        return not any_matches(self.deny_tools or (), *names)


EVERYTHING = RoutingProfileConfig(description="All tools (unrestricted)")
"""The routing profile of sessions whose profile is not configured."""
