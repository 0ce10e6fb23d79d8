"""The settings of the guards around every backend."""

from __future__ import annotations

import attrs

from mcpgw.config.durations import format_duration
from mcpgw.config.setting import section, setting
from mcpgw.config.value_types import FLAG, Kind, SettingError, duration, number, whole


@attrs.frozen
class CircuitBreakerConfig:
    """When calls to a failing backend are refused at once instead of tried."""

    enabled: bool = setting(True, "Guard the backend with a circuit breaker.", FLAG)
    failure_threshold: int = setting(
        5, "Failures in a row that open the breaker.", whole(minimum=1)
    )
    success_threshold: int = setting(
        3, "Successes, once half open, that close it again.", whole(minimum=1)
    )
    reset_timeout: float = setting(
        30.0, "How long an open breaker refuses calls before it lets a trial through.", duration()
    )


@attrs.frozen
class RetryConfig:
    """How a failed call that is safe to repeat is tried again."""

    enabled: bool = setting(True, "Repeat failed calls that are safe to repeat.", FLAG)
    max_attempts: int = setting(
        3,
        "Attempts in total, the first one included; 0 is taken as 1.",
        Kind(
            "whole number",
            lambda value: max(1, whole(minimum=0).read(value)),
            str,
        ),
    )
    initial_backoff: float = setting(
        0.1, "The wait before the second attempt.", duration(above_zero=False)
    )
    max_backoff: float = setting(
        10.0, "The longest wait between two attempts.", duration(above_zero=False)
    )
    multiplier: float = setting(
        2.0, "By how much each wait is longer than the one before.", number(minimum=1)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a largest wait that is shorter than the first one (SettingError)."""
        if self.max_backoff < self.initial_backoff:
            raise SettingError(
                f"{format_duration(self.max_backoff)} is shorter than initial_backoff"
                f" ({format_duration(self.initial_backoff)})",
                "Raise max_backoff or lower initial_backoff.",
                key=("max_backoff",),
            )


@attrs.frozen
class RateLimitConfig:
    """How many calls a backend is given per second."""

    enabled: bool = setting(True, "Limit the rate of calls to each backend.", FLAG)
    requests_per_second: float = setting(
        100.0, "Calls a second to one backend over time.", number(minimum=0, above=True)
    )
    burst_size: int = setting(
        50, "Calls that may come at once before the rate counts.", whole(minimum=1)
    )


@attrs.frozen
class ConcurrencyConfig:
    """How many calls a backend is given at the same time."""

    enabled: bool = setting(True, "Limit the calls in flight to each backend.", FLAG)
    max_in_flight: int = setting(
        256, "Calls in flight to one backend; others wait in line.", whole(minimum=1)
    )


@attrs.frozen
class HealthCheckConfig:
    """How started backends are asked whether they are well."""

    enabled: bool = setting(True, "Ping started backends from time to time.", FLAG)
    interval: float = setting(
        30.0,
        "Time between two pings. (The reference's code says 10s, its examples 30s.)",
        duration(),
    )
    timeout: float = setting(5.0, "How long an answer to a ping may take.", duration())


@attrs.frozen
class FailsafeConfig:
    """What keeps one bad backend from hurting the rest; a backend may override each section."""

    circuit_breaker: CircuitBreakerConfig = attrs.field(
        factory=CircuitBreakerConfig,
        metadata=section(CircuitBreakerConfig, "When a failing backend is left alone for a while."),
    )
    retry: RetryConfig = attrs.field(
        factory=RetryConfig, metadata=section(RetryConfig, "How failed calls are repeated.")
    )
    rate_limit: RateLimitConfig = attrs.field(
        factory=RateLimitConfig,
        metadata=section(RateLimitConfig, "How many calls a second are let out."),
    )
    concurrency: ConcurrencyConfig = attrs.field(
        factory=ConcurrencyConfig,
        metadata=section(ConcurrencyConfig, "How many calls are let out at the same time."),
    )
    health_check: HealthCheckConfig = attrs.field(
        factory=HealthCheckConfig,
        metadata=section(HealthCheckConfig, "How started backends are watched."),
    )
