"""The settings of what a call may do and cost: cache, idempotency, budgets, sandbox."""

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
    raise SettingError("wants true, false or auto", "Write it without quotes.")


@attrs.frozen
class CacheConfig:
    """Answers that are given again without asking the backend."""

    enabled: CacheMode = setting(
        "auto",
        "`auto` keeps answers of tools that declare themselves both read-only and idempotent;"
        " `true` those of every read-only tool; `false` none, except where"
        " `backends.<name>.tools.<tool>.cache_ttl` says so. Errors are never kept, and a call"
        " of a tool that is not read-only drops what is kept of its server.",
        Kind(
            "true, false or auto",
            _read_mode,
            lambda mode: {"on": "true", "off": "false", "auto": "auto"}[mode],
        ),
    )
    default_ttl: float = setting(60.0, "How long an answer is given again.", duration())
    max_entries: int = setting(
        10_000, "Answers kept; the oldest go first. 0 is without a bound.", whole(minimum=0)
    )


@attrs.frozen
class IdempotencyConfig:
    """Calls that carry an `idempotency_key`: done once, answered as often as asked."""

    keep: float = setting(24 * 3600.0, "How long the answer to a key is given again.", duration())
    max_entries: int = setting(1_000, "Keys remembered; the oldest go first.", whole(minimum=1))


@attrs.frozen
class ErrorWindowConfig:
    """When a share of failures takes something out of use for a while."""

    threshold: float = setting(
        0.8, "The share of failures from which it is disabled.", number(minimum=0, above=True)
    )
    window_calls: int = setting(50, "The latest calls that are looked at.", whole(minimum=1))
    window: float = setting(300.0, "How old a call may be to be looked at.", duration())
    min_samples: int = setting(5, "Calls below which nothing is judged.", whole(minimum=1))
    cooldown: float = setting(300.0, "How long it stays disabled.", duration())


def _server_window() -> ErrorWindowConfig:
    return ErrorWindowConfig(window_calls=100, min_samples=10)


@attrs.frozen
class ErrorBudgetConfig:
    """Tools and servers that mostly fail are disabled, and come back by themselves.

    Only what is the backend's fault counts: time-outs, lost connections, answers with a
    server error. Wrong arguments and unknown names never do.
    """

    enabled: bool = setting(True, "Disable what mostly fails, for a while.", FLAG)
    tool: ErrorWindowConfig = attrs.field(
        factory=ErrorWindowConfig, metadata=section(ErrorWindowConfig, "For each tool.")
    )
    server: ErrorWindowConfig = attrs.field(
        factory=_server_window, metadata=section(ErrorWindowConfig, "For each server.")
    )


@attrs.frozen
class SandboxProfileConfig:
    """What one client session may do before it is over."""

    max_calls: int = setting(0, "Calls of a session; 0 is without a bound.", whole(minimum=0))
    max_duration: float = setting(
        0.0,
        "How long after its beginning a session may call; 0 is without a bound.",
        duration(above_zero=False, whole_seconds=True),
    )
    allowed_backends: tuple[str, ...] | None = setting(
        None, "The only servers that may be called (`*` allowed); all if unset.", optional(TEXTS)
    )
    denied_tools: tuple[str, ...] = setting(
        (), "Tools that may not be called: `tool` or `server:tool` (`*` allowed).", TEXTS
    )
    max_payload_bytes: int = setting(
        0, "Size of a call's arguments as JSON; 0 is without a bound.", whole(minimum=0)
    )


@attrs.frozen
class SandboxConfig:
    """Limits of a session, against an agent that runs away."""

    default_profile: str = setting(
        "default",
        "The profile of every session; without a profile of this name nothing is limited.",
        TEXT,
    )
    profiles: Mapping[str, SandboxProfileConfig] = attrs.field(
        default=NOTHING, metadata=named(SandboxProfileConfig, "The profiles, by name.")
    )

    @property
    def active(self) -> SandboxProfileConfig | None:
        """The limits that hold, None where there are none."""
        return self.profiles.get(self.default_profile)


@attrs.frozen
class BudgetsConfig:
    """What may be spent in a day (UTC), in the currency of the prices."""

    daily: float | None = setting(None, "For all calls together.", optional(number(minimum=0)))
    per_tool: Mapping[str, float] = setting(
        NOTHING, "For each tool: `tool` or `server:tool`.", NUMBER_MAP
    )
    per_server: Mapping[str, float] = setting(NOTHING, "For each server.", NUMBER_MAP)
    per_key: Mapping[str, float] = setting(NOTHING, "For each caller, by its name.", NUMBER_MAP)
    per_session: float | None = setting(
        None, "For one client session, whatever the day.", optional(number(minimum=0))
    )


@attrs.frozen
class AlertConfig:
    """What happens when a share of a budget is reached."""

    at_percent: float = setting(100.0, "The share of the budget.", number(minimum=0))
    action: str = setting(
        "block",
        "`log` writes a line, `notify` adds a warning to the answer, `block` refuses the call.",
        choice("log", "notify", "block"),
    )


DEFAULT_ALERTS = (AlertConfig(50, "log"), AlertConfig(80, "notify"), AlertConfig(100, "block"))


@attrs.frozen
class CostConfig:
    """What calls cost, and what may be spent."""

    enabled: bool = setting(
        False, "Hold the budgets. Costs are counted wherever a price is known.", FLAG
    )
    currency: str = setting("USD", "The currency of all prices, for the reports.", TEXT)
    default_cost: float = setting(0.0, "Price of a call that has no other.", number(minimum=0))
    tool_costs: Mapping[str, float] = setting(
        NOTHING, "Price of a call of a tool: `tool` or `server:tool` (`*` allowed).", NUMBER_MAP
    )
    server_costs: Mapping[str, float] = setting(
        NOTHING, "Price of a call of any tool of a server.", NUMBER_MAP
    )
    token_costs: Mapping[str, float] = setting(
        NOTHING,
        "Price of a million tokens, for servers or `server:tool` whose answers tell their"
        " `usage`; other answers count a token for 4 characters.",
        NUMBER_MAP,
    )
    budgets: BudgetsConfig = attrs.field(
        factory=BudgetsConfig, metadata=section(BudgetsConfig, "What may be spent.")
    )
    alerts: tuple[AlertConfig, ...] = attrs.field(
        default=DEFAULT_ALERTS,
        metadata=listed(AlertConfig, "What happens on the way to a budget's end."),
    )
    alternatives: Mapping[str, tuple[str, ...]] = setting(
        NOTHING,
        "Tools (`tool` or `server:tool`) of the same use, by the name of the use: where one is"
        " called that costs more than another, the answer names the cheaper one.",
        TEXTS_MAP,
    )


@attrs.frozen
class RoutingProfileConfig:
    """Which servers and tools a session works with."""

    description: str = setting("", "What the profile is for; shown to the client.", TEXT)
    allow_backends: tuple[str, ...] | None = setting(
        None, "The only servers; all if unset. `*` stands for any characters.", optional(TEXTS)
    )
    deny_backends: tuple[str, ...] | None = setting(
        None, "Servers that are left out of those allowed.", optional(TEXTS)
    )
    allow_tools: tuple[str, ...] | None = setting(
        None, "The only tools: `tool` or `server:tool`; all if unset.", optional(TEXTS)
    )
    deny_tools: tuple[str, ...] | None = setting(
        None, "Tools that are left out of those allowed.", optional(TEXTS)
    )

    def allows_server(self, server: str) -> bool:
        """Tell whether a session of this profile may use a server."""
        if self.allow_backends is not None and not any_matches(self.allow_backends, server):
            return False
        return not any_matches(self.deny_backends or (), server)

    def allows(self, server: str, tool: str) -> bool:
        """Tell whether a session of this profile may use a tool; allow first, then deny."""
        if not self.allows_server(server):
            return False
        names = (tool, f"{server}:{tool}")
        if self.allow_tools is not None and not any_matches(self.allow_tools, *names):
            return False
        return not any_matches(self.deny_tools or (), *names)


EVERYTHING = RoutingProfileConfig(description="All tools (unrestricted)")
"""The routing profile of sessions whose profile is not configured."""
