"""Settings of the guards around backends: circuit breaker, retries, limits, health checks."""

from __future__ import annotations

import attrs

from mcpgw.config.durations import format_duration
from mcpgw.config.setting import section, setting
from mcpgw.config.value_types import FLAG, Kind, SettingError, duration, number, whole


@attrs.frozen
class CircuitBreakerConfig:
    """Circuit breaker: refuses calls to a failing backend at once."""

    enabled: bool = setting(True, "Enable the circuit breaker.", FLAG)
    failure_threshold: int = setting(
        5, "Consecutive failures that open the circuit breaker.", whole(minimum=1)
    )
    success_threshold: int = setting(
        3, "Consecutive successes in the half-open state that close it again.", whole(minimum=1)
    )
    reset_timeout: float = setting(
        30.0,
        "How long an open circuit breaker refuses calls before it allows a trial call.",
        duration(),
    )


@attrs.frozen
class RetryConfig:
    """Retries of failed calls that are safe to repeat."""

    enabled: bool = setting(True, "Retry failed calls that are safe to repeat.", FLAG)
    max_attempts: int = setting(
        3,
        "Maximum number of attempts, including the first; 0 means 1.",
        Kind(
            "whole number",
            lambda value: max(1, whole(minimum=0).read(value)),
            str,
        ),
    )
    initial_backoff: float = setting(
        0.1, "Delay before the second attempt.", duration(above_zero=False)
    )
    max_backoff: float = setting(
        10.0, "Maximum delay between two attempts.", duration(above_zero=False)
    )
    multiplier: float = setting(
        2.0, "Factor by which the delay grows with each attempt.", number(minimum=1)
    )

    def __attrs_post_init__(self) -> None:
        """Raise SettingError if the maximum delay is shorter than the first one."""
        if self.max_backoff < self.initial_backoff:
            raise SettingError(
                f"must not be shorter than initial_backoff"
                f" ({format_duration(self.initial_backoff)}), not"
                f" {format_duration(self.max_backoff)}",
                "Raise max_backoff or lower initial_backoff.",
                key=("max_backoff",),
            )


@attrs.frozen
class RateLimitConfig:
    """Rate limit of the calls to a backend."""

    enabled: bool = setting(True, "Enable the rate limit.", FLAG)
    requests_per_second: float = setting(
        100.0, "Sustained rate of calls to one backend, per second.", number(minimum=0, above=True)
    )
    burst_size: int = setting(
        50, "Number of calls that may exceed the rate in a burst.", whole(minimum=1)
    )


@attrs.frozen
class ConcurrencyConfig:
    """Limit of the concurrent calls to a backend."""

    enabled: bool = setting(True, "Enable the limit.", FLAG)
    max_in_flight: int = setting(
        256,
        "Maximum number of concurrent calls to one backend; further calls are queued.",
        whole(minimum=1),
    )


@attrs.frozen
class HealthCheckConfig:
    """Health checks of running backends."""

    enabled: bool = setting(True, "Ping running backends periodically.", FLAG)
    interval: float = setting(
        30.0,
        "Interval between two pings.",
        duration(),
    )
    timeout: float = setting(5.0, "Timeout of a ping.", duration())


@attrs.frozen
class FailsafeConfig:
    """Guards around every backend; a backend may override each section."""

    circuit_breaker: CircuitBreakerConfig = attrs.field(
        factory=CircuitBreakerConfig,
        metadata=section(CircuitBreakerConfig, "Circuit breaker."),
    )
    retry: RetryConfig = attrs.field(
        factory=RetryConfig, metadata=section(RetryConfig, "Retries of failed calls.")
    )
    rate_limit: RateLimitConfig = attrs.field(
        factory=RateLimitConfig,
        metadata=section(RateLimitConfig, "Rate limit."),
    )
    concurrency: ConcurrencyConfig = attrs.field(
        factory=ConcurrencyConfig,
        metadata=section(ConcurrencyConfig, "Limit of concurrent calls."),
    )
    health_check: HealthCheckConfig = attrs.field(
        factory=HealthCheckConfig,
        metadata=section(HealthCheckConfig, "Health checks."),
    )
