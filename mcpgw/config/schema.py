"""The settings of gateway.yaml as frozen classes: every default, unit and bound, in one place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import attrs

from mcpgw.config.durations import format_duration
from mcpgw.config.kinds import (
    FLAG,
    TEXT,
    TEXT_MAP,
    TEXTS,
    Kind,
    SettingError,
    duration,
    number,
    optional,
    whole,
)

T = TypeVar("T")
Reload = Literal["live", "restart"]
Transport = Literal["stdio", "http", "websocket", "a2a"]

ALL_BACKENDS = "all"
NOTHING: Mapping[str, str] = MappingProxyType({})


def setting(
    default: T,
    doc: str,
    kind: Kind[T],
    *,
    reload: Reload = "live",
    show: bool | Callable[[Any], str] = True,
) -> T:
    """Declare one setting: its default, its sentence for the docs, its kind of value.

    `reload` says whether a change takes effect in the running gateway; `show` whether (or how)
    the value appears in a repr, for settings that may hold secrets.
    """
    metadata = {"doc": doc, "kind": kind, "reload": reload}
    return attrs.field(default=default, repr=show, metadata=metadata)


def section(of: type[object], doc: str) -> dict[str, object]:
    """Make the metadata of a field that is a map of settings of its own."""
    return {"doc": doc, "section": of}


def _read_warm_start(value: object) -> tuple[str, ...]:
    return (ALL_BACKENDS,) if value == ALL_BACKENDS else TEXTS.read(value)


def _show_program(command: tuple[str, ...]) -> str:
    """Show the program alone: its arguments may hold an expanded secret."""
    more = f", ... {len(command) - 1} more" if len(command) > 1 else ""
    return f"({command[0]!r}{more})" if command else "()"


@attrs.frozen
class ServerConfig:
    """The gateway's own side: what it accepts and how it ends."""

    shutdown_timeout: float = setting(
        30.0, "How long calls in flight may take to finish when the gateway ends.", duration()
    )
    max_body_size: int = setting(
        10 * 1024 * 1024,
        "The largest message accepted on any transport, in bytes.",
        whole(minimum=1024, words="bytes"),
        reload="restart",
    )


@attrs.frozen
class MetaMcpConfig:
    """The compact surface of meta-tools that a client sees."""

    cache_ttl: float = setting(
        300.0,
        "How old a backend's lists of tools, resources and prompts may be before they are"
        " asked for anew, where it does not tell of changes itself.",
        duration(),
    )
    warm_start: tuple[str, ...] = setting(
        (),
        "Backends to start with the gateway; the word `all` means every one of them. The"
        " others start at their first call.",
        Kind(TEXTS.words, _read_warm_start, TEXTS.show),
    )

    def warms(self, backend: str) -> bool:
        """Tell whether a backend is to be started together with the gateway."""
        return backend in self.warm_start or ALL_BACKENDS in self.warm_start


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

    def for_backend(self, backend: BackendConfig) -> FailsafeConfig:
        """Return the settings that hold for one backend: its own sections over these."""
        own = {
            field.name: chosen
            for field in attrs.fields(FailsafeConfig)
            if (chosen := getattr(backend, field.name)) is not None
        }
        return attrs.evolve(self, **own) if own else self


@attrs.frozen
class BackendConfig:
    """One MCP server behind the gateway: how it is started or reached, and its own limits.

    Exactly one of `command`, `http_url`, `ws_url` and `a2a_url` is set. All `${VAR}` are
    expanded. A repr shows neither arguments nor values of `env` and `headers`.
    """

    name: str
    command: tuple[str, ...] = setting(
        (),
        "The program to start, as text (split like a shell does, but no shell runs) or as a"
        " list of words.",
        Kind("text or list of text", TEXTS.read, lambda value: "none" if not value else "..."),
        show=_show_program,
    )
    env: Mapping[str, str] = setting(
        NOTHING,
        "Environment variables for the program. An entry that names an unset variable is left out.",
        TEXT_MAP,
        show=False,
    )
    cwd: str | None = setting(
        None, "The folder in which the program starts; `~` is expanded.", optional(TEXT)
    )
    enabled: bool = setting(True, "Off is as if the backend did not stand here.", FLAG)
    timeout: float = setting(30.0, "How long one request may take.", duration())
    start_timeout: float = setting(
        60.0, "How long the server may take to answer `initialize`.", duration()
    )
    description: str = setting("", "What the server is for; listed and searched.", TEXT)
    stop_when_idle_for: float | None = setting(
        None,
        "Stop the program after so long without a call; the next call starts it. Never if unset.",
        optional(duration()),
    )
    protocol_version: str | None = setting(
        None, "The MCP version to speak; negotiated if unset.", optional(TEXT)
    )
    http_url: str = setting("", "URL of a server reached by HTTP.", TEXT, show=False)
    ws_url: str = setting("", "URL of a server reached by WebSocket.", TEXT, show=False)
    a2a_url: str = setting("", "URL of an A2A agent.", TEXT, show=False)
    headers: Mapping[str, str] = setting(
        NOTHING, "Headers of each request to a network server.", TEXT_MAP, show=False
    )
    circuit_breaker: CircuitBreakerConfig | None = attrs.field(
        default=None, metadata=section(CircuitBreakerConfig, "This backend's own circuit breaker.")
    )
    retry: RetryConfig | None = attrs.field(
        default=None, metadata=section(RetryConfig, "This backend's own retries.")
    )
    rate_limit: RateLimitConfig | None = attrs.field(
        default=None, metadata=section(RateLimitConfig, "This backend's own rate.")
    )
    concurrency: ConcurrencyConfig | None = attrs.field(
        default=None,
        metadata=section(ConcurrencyConfig, "This backend's own number of calls in flight."),
    )
    health_check: HealthCheckConfig | None = attrs.field(
        default=None, metadata=section(HealthCheckConfig, "This backend's own pings.")
    )

    @property
    def transport(self) -> Transport:
        """The way the server is reached."""
        if self.http_url:
            return "http"
        if self.ws_url:
            return "websocket"
        return "a2a" if self.a2a_url else "stdio"

    def fingerprint(self) -> str:
        """Return a hash, in hex, of all that determines what the server offers.

        Limits, waits and the description do not enter it. Values of `env` and `headers` do, so it
        is a key to keep things under, never a thing to show.
        """
        offered = {name: getattr(self, name) for name in _OFFER}
        # Not `json.dumps(..., default=dict)`: a stray type should be an error, not a guess.
        offered |= {name: dict(getattr(self, name)) for name in ("env", "headers")}
        text = json.dumps(offered, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


_OFFER = ("command", "cwd", "protocol_version", "http_url", "ws_url", "a2a_url")


@attrs.frozen
class GatewayConfig:
    """A whole gateway.yaml; `backends` holds the disabled ones too."""

    env_files: tuple[str, ...] = setting(
        (),
        "Files of `NAME=value` lines that come over the environment for `${NAME}`; later files"
        " win, missing ones are skipped.",
        TEXTS,
    )
    server: ServerConfig = attrs.field(
        factory=ServerConfig, metadata=section(ServerConfig, "The gateway's own side.")
    )
    meta_mcp: MetaMcpConfig = attrs.field(
        factory=MetaMcpConfig, metadata=section(MetaMcpConfig, "The meta-tools.")
    )
    failsafe: FailsafeConfig = attrs.field(
        factory=FailsafeConfig, metadata=section(FailsafeConfig, "Guards around every backend.")
    )
    backends: Mapping[str, BackendConfig] = attrs.field(
        default=MappingProxyType({}),
        metadata={"doc": "The servers behind the gateway, by name.", "each": BackendConfig},
    )


@attrs.frozen
class FormKey:
    """A key of a backend that exists in the file only, and is no field once it is read."""

    name: str
    default: object
    doc: str
    kind: Kind[Any]


BACKEND_FORM_KEYS: tuple[FormKey, ...] = (
    FormKey("args", (), "Words that follow those of `command`.", TEXTS),
    FormKey(
        "passthrough",
        False,
        "Not honoured: every call passes the guards. Said loudly when it is on.",
        FLAG,
    ),
)
