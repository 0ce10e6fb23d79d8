"""The settings of gateway.yaml as frozen classes: every default, unit and bound, in one place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import attrs

from mcpgw.config.failsafe import (
    CircuitBreakerConfig,
    ConcurrencyConfig,
    FailsafeConfig,
    HealthCheckConfig,
    RateLimitConfig,
    RetryConfig,
)
from mcpgw.config.features import (
    CodeModeConfig,
    PlaybooksConfig,
    SearchConfig,
    SpecPreviewConfig,
    SurfacedToolConfig,
    ToolProfilesConfig,
)
from mcpgw.config.governance import (
    EVERYTHING,
    NOTHING,
    CacheConfig,
    CostConfig,
    ErrorBudgetConfig,
    IdempotencyConfig,
    RoutingProfileConfig,
    SandboxConfig,
)
from mcpgw.config.oauth import OAuthConfig
from mcpgw.config.patterns import matches
from mcpgw.config.revisions import MODERN_VERSION, PROTOCOL_VERSIONS
from mcpgw.config.server import AuthConfig, ServerConfig, StreamingConfig
from mcpgw.config.setting import listed, named, section, setting
from mcpgw.config.transforms import RESPONSE, TRANSFORMS, ResponseTransform, Transform
from mcpgw.config.trust import CapabilitiesConfig, SecurityConfig, WebhooksConfig
from mcpgw.config.value_types import (
    FLAG,
    TEXT,
    TEXT_MAP,
    TEXTS,
    Kind,
    choice,
    duration,
    number,
    optional,
    whole,
)

Transport = Literal["stdio", "http", "websocket", "a2a", "builtin"]

ALL_BACKENDS = "all"


def _read_warm_start(value: object) -> tuple[str, ...]:
    return (ALL_BACKENDS,) if value == ALL_BACKENDS else TEXTS.read(value)


def _show_program(command: tuple[str, ...]) -> str:
    """Show the program alone: its arguments may hold an expanded secret."""
    more = f", ... {len(command) - 1} more" if len(command) > 1 else ""
    return f"({command[0]!r}{more})" if command else "()"


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

    surfaced_tools: tuple[SurfacedToolConfig, ...] = attrs.field(
        default=(),
        metadata=listed(
            SurfacedToolConfig,
            "Tools of servers that stand in `tools/list` beside the meta-tools and are called by"
            " their own name.",
        ),
    )
    operator_tools: bool = setting(
        False, "List the tools for operators too: `gateway_restart_server`.", FLAG
    )
    result_limit: int = setting(
        100_000,
        "Characters of text in one answer; the rest is kept for the session and read on by"
        " offset. 0 is without a bound.",
        whole(minimum=0, words="characters"),
    )
    projection_mode: str = setting(
        "off",
        "Whether answers of capabilities with a `projection` come in the common form: `off`, `on`,"
        " or `experimental`, for half of the sessions.",
        choice("off", "on", "experimental"),
    )

    def warms(self, backend: str) -> bool:
        """Tell whether a backend is to be started together with the gateway."""
        if backend in self.warm_start or ALL_BACKENDS in self.warm_start:
            return True
        return any(backend == surfaced.server for surfaced in self.surfaced_tools)


@attrs.frozen
class ToolConfig:
    """What holds for single tools of a backend."""

    cache_ttl: float | None = setting(
        None,
        "How long an answer is given again, whatever the tool declares; 0s is never.",
        optional(duration(above_zero=False)),
    )
    cost_per_call: float | None = setting(
        None, "Price of a call, before all other prices.", optional(number(minimum=0))
    )
    transform: ResponseTransform | None = setting(
        None, "What becomes of an answer, after the backend's own `transform`.", optional(RESPONSE)
    )
    visible_in_states: tuple[str, ...] = setting(
        (), "Workflow states in which the tool is listed and found; always if empty.", TEXTS
    )


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
        None,
        "The MCP version to speak; `auto` tries 2026-07-28 first, without a handshake. Negotiated"
        " by the handshake if unset, and without it where the server was found to have none.",
        optional(choice("auto", MODERN_VERSION, *PROTOCOL_VERSIONS)),
    )
    http_url: str = setting(
        "",
        "URL of a server reached by HTTP. Which of the two transports it speaks is found out.",
        TEXT,
        show=False,
    )
    streamable_http: bool | None = setting(
        None,
        "True keeps to Streamable HTTP, false to the older HTTP+SSE.",
        optional(FLAG),
    )
    ws_url: str = setting("", "URL of a server reached by WebSocket.", TEXT, show=False)
    a2a_url: str = setting("", "URL of an A2A agent.", TEXT, show=False)
    headers: Mapping[str, str] = setting(
        NOTHING, "Headers of each request to a network server.", TEXT_MAP, show=False
    )
    oauth: OAuthConfig | None = attrs.field(
        default=None,
        metadata=section(OAuthConfig, "How to log in to a network server that asks for it."),
    )
    connect_timeout: float = setting(
        10.0, "How long connecting to a network server may take.", duration()
    )
    first_byte_timeout: float | None = setting(
        None,
        "How long a network server may take to begin an answer; as long as the request if unset.",
        optional(duration()),
    )
    stream_idle_timeout: float = setting(
        300.0,
        "After how long without a sign of life a network server's stream is opened anew.",
        duration(),
    )
    scope: str = setting(
        "shared",
        "`shared`: one server for all clients. `session`: each client session has its own, ended"
        " with the session.",
        choice("shared", "session"),
    )
    watch: tuple[str, ...] = setting(
        (),
        "Globs of source files, below `cwd`; when one changes, the program is started anew and"
        " calls wait for it.",
        TEXTS,
    )
    transform: tuple[Transform, ...] = setting(
        (),
        "What its tools and answers look like to clients: a list of `namespace`, `filter`,"
        " `rename`, `describe` and `response`, applied in order.",
        TRANSFORMS,
    )
    visible_in_states: tuple[str, ...] = setting(
        (), "Workflow states in which its tools are listed and found; always if empty.", TEXTS
    )
    tools: Mapping[str, ToolConfig] = attrs.field(
        default=NOTHING,
        metadata=named(
            ToolConfig,
            "Settings of single tools, by offered name; `*` stands for any characters, and the"
            " first entry that fits counts.",
        ),
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

    @property
    def http_kind(self) -> Literal["auto", "streamable", "sse"]:
        """Which of the HTTP transports to speak."""
        if self.streamable_http is None:
            return "auto"
        return "streamable" if self.streamable_http else "sse"

    def tool(self, name: str) -> ToolConfig:
        """Return what holds for one tool: its own entry, else the first pattern that fits."""
        own = self.tools.get(name)
        if own is not None:
            return own
        fitting = (each for pattern, each in self.tools.items() if matches(pattern, name))
        return next(fitting, _PLAIN_TOOL)

    def visible(self, tool: str, state: str) -> bool:
        """Tell whether a tool is listed and found in a workflow state."""
        states = self.tool(tool).visible_in_states or self.visible_in_states
        return not states or state in states

    def effective_failsafe(self, common: FailsafeConfig) -> FailsafeConfig:
        """Return the guards of this backend: its own sections, otherwise the common ones."""
        own = {
            field.name: section
            for field in attrs.fields(FailsafeConfig)
            if (section := getattr(self, field.name)) is not None
        }
        return attrs.evolve(common, **own) if own else common

    def runs_like(self, other: BackendConfig) -> bool:
        """Tell whether a running server need not be started anew to become the other."""
        return self == attrs.evolve(other, **{name: getattr(self, name) for name in _SHOWN})

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


@attrs.frozen
class BuiltinConfig(BackendConfig):
    """A server within this process; no gateway.yaml names one."""

    @property
    def transport(self) -> Transport:
        """The way the server is reached."""
        return "builtin"


_PLAIN_TOOL = ToolConfig()
_SHOWN = ("description", "transform", "visible_in_states", "tools", "timeout")
"""Settings that take effect without a new start of the server."""
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
    auth: AuthConfig = attrs.field(
        factory=AuthConfig, metadata=section(AuthConfig, "Who may use the HTTP front.")
    )
    streaming: StreamingConfig = attrs.field(
        factory=StreamingConfig, metadata=section(StreamingConfig, "Sessions and streams by HTTP.")
    )
    meta_mcp: MetaMcpConfig = attrs.field(
        factory=MetaMcpConfig, metadata=section(MetaMcpConfig, "The meta-tools.")
    )
    failsafe: FailsafeConfig = attrs.field(
        factory=FailsafeConfig, metadata=section(FailsafeConfig, "Guards around every backend.")
    )
    cache: CacheConfig = attrs.field(
        factory=CacheConfig, metadata=section(CacheConfig, "Answers given again.")
    )
    idempotency: IdempotencyConfig = attrs.field(
        factory=IdempotencyConfig, metadata=section(IdempotencyConfig, "Calls with a key.")
    )
    error_budget: ErrorBudgetConfig = attrs.field(
        factory=ErrorBudgetConfig, metadata=section(ErrorBudgetConfig, "What mostly fails.")
    )
    cost_governance: CostConfig = attrs.field(
        factory=CostConfig, metadata=section(CostConfig, "Prices and budgets.")
    )
    sandbox: SandboxConfig = attrs.field(
        factory=SandboxConfig, metadata=section(SandboxConfig, "Limits of a session.")
    )
    default_routing_profile: str = setting(
        "default",
        "The routing profile of a new session; without a profile of this name all is allowed.",
        TEXT,
    )
    routing_profiles: Mapping[str, RoutingProfileConfig] = attrs.field(
        default=NOTHING, metadata=named(RoutingProfileConfig, "Routing profiles, by name.")
    )
    playbooks: PlaybooksConfig = attrs.field(
        factory=PlaybooksConfig, metadata=section(PlaybooksConfig, "Calls in a row.")
    )
    code_mode: CodeModeConfig = attrs.field(
        factory=CodeModeConfig, metadata=section(CodeModeConfig, "The surface of two tools.")
    )
    spec_preview: SpecPreviewConfig = attrs.field(
        factory=SpecPreviewConfig, metadata=section(SpecPreviewConfig, "Proposals.")
    )
    search: SearchConfig = attrs.field(
        factory=SearchConfig, metadata=section(SearchConfig, "How tools are found.")
    )
    tool_profiles: ToolProfilesConfig = attrs.field(
        factory=ToolProfilesConfig, metadata=section(ToolProfilesConfig, "Counters on disk.")
    )
    webhooks: WebhooksConfig = attrs.field(
        factory=WebhooksConfig, metadata=section(WebhooksConfig, "Events from outside.")
    )
    capabilities: CapabilitiesConfig = attrs.field(
        factory=CapabilitiesConfig, metadata=section(CapabilitiesConfig, "APIs as tools.")
    )
    security: SecurityConfig = attrs.field(
        factory=SecurityConfig, metadata=section(SecurityConfig, "What is trusted.")
    )
    backends: Mapping[str, BackendConfig] = attrs.field(
        default=MappingProxyType({}),
        metadata={"doc": "The servers behind the gateway, by name.", "each": BackendConfig},
    )

    def routing_profile(self, chosen: str | None) -> tuple[str, RoutingProfileConfig]:
        """Return the name and the rules of a session's routing profile: the one that it chose,
        else the default; one that is not configured allows everything."""
        name = chosen or self.default_routing_profile
        return name, self.routing_profiles.get(name, EVERYTHING)


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
