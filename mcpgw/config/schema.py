"""Schema of gateway.yaml: frozen classes with all defaults, units and limits."""

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
    """Return the program without its arguments, which may contain expanded secrets."""
    more = f", ... {len(command) - 1} more" if len(command) > 1 else ""
    return f"({command[0]!r}{more})" if command else "()"


@attrs.frozen
class MetaMcpConfig:
    """Meta-tools: the compact surface that clients see."""

    cache_ttl: float = setting(
        300.0,
        "Maximum age of a backend's lists of tools, resources and prompts before they are fetched"
        " again, if the backend does not send change notifications.",
        duration(),
    )
    warm_start: tuple[str, ...] = setting(
        (),
        "Backends to start with the gateway; `all` means all of them. The others start at their"
        " first call.",
        Kind(TEXTS.words, _read_warm_start, TEXTS.show),
    )

    surfaced_tools: tuple[SurfacedToolConfig, ...] = attrs.field(
        default=(),
        metadata=listed(
            SurfacedToolConfig,
            "Tools of servers that are listed in `tools/list` beside the meta-tools and can be"
            " called by their own name.",
        ),
    )
    operator_tools: bool = setting(
        False, "List the operator tools: `gateway_restart_server`.", FLAG
    )
    result_limit: int = setting(
        100_000,
        "Maximum length of the text of one result, in characters. The rest is kept for the session"
        " and can be read by offset. 0 means no limit.",
        whole(minimum=0, words="characters"),
    )
    projection_mode: str = setting(
        "off",
        "Whether results of capabilities with a `projection` have the common form: `off`, `on`, or"
        " `experimental` (for half of the sessions).",
        choice("off", "on", "experimental"),
    )

    def warms(self, backend: str) -> bool:
        """Return true if a backend is to be started with the gateway."""
        if backend in self.warm_start or ALL_BACKENDS in self.warm_start:
            return True
        return any(backend == surfaced.server for surfaced in self.surfaced_tools)


@attrs.frozen
class ToolConfig:
    """Settings of single tools of a backend."""

    cache_ttl: float | None = setting(
        None,
        "How long a result is cached, whatever the tool declares; 0s disables caching.",
        optional(duration(above_zero=False)),
    )
    cost_per_call: float | None = setting(
        None,
        "Price of a call; takes precedence over all other prices.",
        optional(number(minimum=0)),
    )
    transform: ResponseTransform | None = setting(
        None,
        "Transform of results, applied after the `transform` of the backend.",
        optional(RESPONSE),
    )
    visible_in_states: tuple[str, ...] = setting(
        (), "Workflow states in which the tool is visible; all if empty.", TEXTS
    )


@attrs.frozen
class BackendConfig:
    """One MCP server behind the gateway: its transport and its own limits.

    Exactly one of `command`, `http_url`, `ws_url` and `a2a_url` is set. All `${VAR}` are
    expanded. The repr shows neither arguments nor values of `env` and `headers`.
    """

    name: str
    command: tuple[str, ...] = setting(
        (),
        "Program to start, as a string (split like in a shell, but no shell runs) or as a list of"
        " words.",
        Kind("string or list of strings", TEXTS.read, lambda value: "none" if not value else "..."),
        show=_show_program,
    )
    env: Mapping[str, str] = setting(
        NOTHING,
        "Environment variables of the program. Entries that refer to unset variables are omitted.",
        TEXT_MAP,
        show=False,
    )
    cwd: str | None = setting(
        None, "Working directory of the program; `~` is expanded.", optional(TEXT)
    )
    enabled: bool = setting(True, "If false, the backend is ignored.", FLAG)
    timeout: float = setting(60.0, "Timeout of one request.", duration())
    start_timeout: float = setting(
        60.0, "Timeout of the start, until `initialize` is answered.", duration()
    )
    description: str = setting("", "Purpose of the server; listed and searched.", TEXT)
    stop_when_idle_for: float | None = setting(
        None,
        "Stop the program after this time without a call; the next call starts it. Never if unset.",
        optional(duration()),
    )
    protocol_version: str | None = setting(
        None,
        "MCP version to use; `auto` tries 2026-07-28 first, without a handshake. If unset, it is"
        " negotiated by the handshake, unless the server is known to have none.",
        optional(choice("auto", MODERN_VERSION, *PROTOCOL_VERSIONS)),
    )
    http_url: str = setting(
        "",
        "URL of an HTTP server. Which of the two HTTP transports it uses is detected.",
        TEXT,
        show=False,
    )
    streamable_http: bool | None = setting(
        None,
        "Use only Streamable HTTP (true) or only the older HTTP+SSE (false).",
        optional(FLAG),
    )
    ws_url: str = setting("", "URL of a WebSocket server.", TEXT, show=False)
    a2a_url: str = setting("", "URL of an A2A agent.", TEXT, show=False)
    headers: Mapping[str, str] = setting(
        NOTHING, "Headers of all requests to a network server.", TEXT_MAP, show=False
    )
    oauth: OAuthConfig | None = attrs.field(
        default=None,
        metadata=section(OAuthConfig, "OAuth login to a network server."),
    )
    connect_timeout: float = setting(10.0, "Timeout of connecting to a network server.", duration())
    first_byte_timeout: float | None = setting(
        None,
        "Timeout of the first byte of an answer of a network server; that of the request if unset.",
        optional(duration()),
    )
    stream_idle_timeout: float = setting(
        300.0,
        "Time without data after which a stream of a network server is reconnected.",
        duration(),
    )
    scope: str = setting(
        "shared",
        "`shared`: one server for all clients. `session`: each client session has its own, which"
        " stops with the session.",
        choice("shared", "session"),
    )
    watch: tuple[str, ...] = setting(
        (),
        "Globs of source files below `cwd`; when one changes, the program is restarted, and calls"
        " wait for it.",
        TEXTS,
    )
    transform: tuple[Transform, ...] = setting(
        (),
        "Transforms of its tools and results: a list of `namespace`, `filter`, `rename`,"
        " `describe` and `response`, applied in order.",
        TRANSFORMS,
    )
    visible_in_states: tuple[str, ...] = setting(
        (), "Workflow states in which its tools are visible; all if empty.", TEXTS
    )
    tools: Mapping[str, ToolConfig] = attrs.field(
        default=NOTHING,
        metadata=named(
            ToolConfig,
            "Settings of single tools, by offered name. `*` matches any characters; the first match"
            " is used.",
        ),
    )
    circuit_breaker: CircuitBreakerConfig | None = attrs.field(
        default=None, metadata=section(CircuitBreakerConfig, "Circuit breaker of this backend.")
    )
    retry: RetryConfig | None = attrs.field(
        default=None, metadata=section(RetryConfig, "Retries of this backend.")
    )
    rate_limit: RateLimitConfig | None = attrs.field(
        default=None, metadata=section(RateLimitConfig, "Rate limit of this backend.")
    )
    concurrency: ConcurrencyConfig | None = attrs.field(
        default=None,
        metadata=section(ConcurrencyConfig, "Limit of concurrent calls of this backend."),
    )
    health_check: HealthCheckConfig | None = attrs.field(
        default=None, metadata=section(HealthCheckConfig, "Health checks of this backend.")
    )

    variables: Mapping[str, str] = attrs.field(
        default=NOTHING, repr=False, eq=False, metadata={"computed": True}
    )
    """The variables that its settings refer to, with their values."""

    @property
    def transport(self) -> Transport:
        """The transport of the server."""
        if self.http_url:
            return "http"
        if self.ws_url:
            return "websocket"
        return "a2a" if self.a2a_url else "stdio"

    @property
    def http_kind(self) -> Literal["auto", "streamable", "sse"]:
        """The HTTP transport to use."""
        if self.streamable_http is None:
            return "auto"
        return "streamable" if self.streamable_http else "sse"

    def tool(self, name: str) -> ToolConfig:
        """Return the settings of a tool: its own entry, or the first matching pattern."""
        own = self.tools.get(name)
        if own is not None:
            return own
        matching = (each for pattern, each in self.tools.items() if matches(pattern, name))
        return next(matching, _DEFAULT_TOOL)

    def visible(self, tool: str, state: str) -> bool:
        """Return true if a tool is visible in a workflow state."""
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
        """Return true if a change to `other` does not require a restart of the server."""
        return self == attrs.evolve(other, **{name: getattr(self, name) for name in _LIVE})

    def fingerprint(self) -> str:
        """Return a hash, in hex, of the settings that determine what the server offers.

        Limits, timeouts and the description are not included. Values of `env` and `headers` are,
        so the hash must not be shown; it is a key of stored data.
        """
        offered = {name: getattr(self, name) for name in _IDENTITY}
        # Not `json.dumps(..., default=dict)`: an unexpected type should be an error.
        offered |= {name: dict(getattr(self, name)) for name in ("env", "headers")}
        text = json.dumps(offered, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


@attrs.frozen
class BuiltinConfig(BackendConfig):
    """A server within this process, which cannot be configured in gateway.yaml."""

    @property
    def transport(self) -> Transport:
        """The transport of the server."""
        return "builtin"


_DEFAULT_TOOL = ToolConfig()
_LIVE = ("description", "transform", "visible_in_states", "tools", "timeout")
"""Settings that take effect without a restart of the server."""
_IDENTITY = ("command", "cwd", "protocol_version", "http_url", "ws_url", "a2a_url")


@attrs.frozen
class GatewayConfig:
    """The whole gateway.yaml; `backends` includes the disabled ones."""

    env_files: tuple[str, ...] = setting(
        (),
        "Files of `NAME=value` lines that override the environment in `${NAME}`. Later files win;"
        " missing files are skipped.",
        TEXTS,
    )
    server: ServerConfig = attrs.field(
        factory=ServerConfig, metadata=section(ServerConfig, "HTTP front.")
    )
    auth: AuthConfig = attrs.field(
        factory=AuthConfig, metadata=section(AuthConfig, "Authentication of HTTP clients.")
    )
    streaming: StreamingConfig = attrs.field(
        factory=StreamingConfig, metadata=section(StreamingConfig, "HTTP sessions and streams.")
    )
    meta_mcp: MetaMcpConfig = attrs.field(
        factory=MetaMcpConfig, metadata=section(MetaMcpConfig, "Meta-tools.")
    )
    failsafe: FailsafeConfig = attrs.field(
        factory=FailsafeConfig, metadata=section(FailsafeConfig, "Guards around every backend.")
    )
    cache: CacheConfig = attrs.field(
        factory=CacheConfig, metadata=section(CacheConfig, "Response cache.")
    )
    idempotency: IdempotencyConfig = attrs.field(
        factory=IdempotencyConfig, metadata=section(IdempotencyConfig, "Idempotency keys.")
    )
    error_budget: ErrorBudgetConfig = attrs.field(
        factory=ErrorBudgetConfig, metadata=section(ErrorBudgetConfig, "Error budgets.")
    )
    cost_governance: CostConfig = attrs.field(
        factory=CostConfig, metadata=section(CostConfig, "Prices and budgets.")
    )
    sandbox: SandboxConfig = attrs.field(
        factory=SandboxConfig, metadata=section(SandboxConfig, "Session limits.")
    )
    default_routing_profile: str = setting(
        "default",
        "Routing profile of new sessions; if it is not configured, all tools are allowed.",
        TEXT,
    )
    routing_profiles: Mapping[str, RoutingProfileConfig] = attrs.field(
        default=NOTHING, metadata=named(RoutingProfileConfig, "Routing profiles, by name.")
    )
    playbooks: PlaybooksConfig = attrs.field(
        factory=PlaybooksConfig, metadata=section(PlaybooksConfig, "Playbooks.")
    )
    code_mode: CodeModeConfig = attrs.field(
        factory=CodeModeConfig, metadata=section(CodeModeConfig, "Code mode.")
    )
    spec_preview: SpecPreviewConfig = attrs.field(
        factory=SpecPreviewConfig,
        metadata=section(SpecPreviewConfig, "Previews of proposed protocol features."),
    )
    search: SearchConfig = attrs.field(
        factory=SearchConfig, metadata=section(SearchConfig, "Tool search.")
    )
    tool_profiles: ToolProfilesConfig = attrs.field(
        factory=ToolProfilesConfig, metadata=section(ToolProfilesConfig, "Usage counters.")
    )
    webhooks: WebhooksConfig = attrs.field(
        factory=WebhooksConfig, metadata=section(WebhooksConfig, "Webhooks.")
    )
    capabilities: CapabilitiesConfig = attrs.field(
        factory=CapabilitiesConfig,
        metadata=section(CapabilitiesConfig, "Capabilities: APIs as tools."),
    )
    security: SecurityConfig = attrs.field(
        factory=SecurityConfig, metadata=section(SecurityConfig, "Vetting of definitions.")
    )
    backends: Mapping[str, BackendConfig] = attrs.field(
        default=MappingProxyType({}),
        metadata={"doc": "Servers behind the gateway, by name.", "each": BackendConfig},
    )

    def routing_profile(self, chosen: str | None) -> tuple[str, RoutingProfileConfig]:
        """Return the name and the rules of the routing profile of a session.

        Args:
          chosen: the profile that the session chose; the default one if None or not configured.
            A default one that is not configured allows everything.
        """
        known = chosen and chosen in self.routing_profiles  # a typo must not lift a restriction
        name = chosen if chosen and known else self.default_routing_profile
        return name, self.routing_profiles.get(name, EVERYTHING)


@attrs.frozen
class FormKey:
    """A key of a backend that exists only in the file and is not a field of `BackendConfig`."""

    name: str
    default: object
    doc: str
    kind: Kind[Any]


BACKEND_FORM_KEYS: tuple[FormKey, ...] = (
    FormKey("args", (), "Arguments that are appended to `command`.", TEXTS),
    FormKey(
        "passthrough",
        False,
        "Ignored, with a warning: all calls pass through the guards.",
        FLAG,
    ),
)
