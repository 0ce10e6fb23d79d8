"""Settings of the gateway as a server: address, authentication, sessions and limits."""

from __future__ import annotations

import attrs

from mcpgw.config.setting import setting
from mcpgw.config.value_types import (
    FLAG,
    TEXT,
    TEXTS,
    Kind,
    SettingError,
    duration,
    optional,
    whole,
)

AUTO_TOKEN = "auto"  # noqa: S105  # requests a generated token
_HIGHEST_PORT = 65_535


def _read_port(value: object) -> int:
    port = whole(minimum=0).read(value)
    if port > _HIGHEST_PORT:
        raise SettingError(f"must be at most {_HIGHEST_PORT}, not {port}")
    return port


PORT: Kind[int] = Kind("port", _read_port, str)


@attrs.frozen
class ServerConfig:
    """The HTTP front: address, accepted requests, shutdown."""

    host: str = setting(
        "127.0.0.1", "Address that the HTTP front listens on.", TEXT, reload="restart"
    )
    port: int = setting(
        39400,
        "Port of the HTTP front; 0 chooses a free one.",
        PORT,
        reload="restart",
    )
    shutdown_timeout: float = setting(
        30.0, "How long running calls may take to finish at shutdown.", duration()
    )
    max_body_size: int = setting(
        10 * 1024 * 1024,
        "Maximum size of a message on any transport, in bytes.",
        whole(minimum=1024, words="bytes"),
        reload="restart",
    )
    public_url: str = setting(
        "",
        "Public URL of the HTTP front, such as https://mcp.example.org. Its host is accepted in"
        " addition to the loopback names.",
        TEXT,
        reload="restart",
    )
    allowed_hosts: tuple[str, ...] = setting(
        (),
        "Hosts accepted in the `Host` header of requests, in addition to the loopback names.",
        TEXTS,
        reload="restart",
    )
    allowed_origins: tuple[str, ...] = setting(
        (),
        "Origins of web pages, such as https://app.example.org, that may use the HTTP front, in"
        " addition to its own.",
        TEXTS,
        reload="restart",
    )


@attrs.frozen
class AuthConfig:
    """Authentication of HTTP clients. A stdio session needs no credentials."""

    enabled: bool = setting(False, "Require a token for HTTP requests.", FLAG, reload="restart")
    bearer_token: str | None = setting(
        None,
        "The token. `env:NAME` or `${NAME}` reads it from a variable; `auto` generates one at the"
        " start and prints it.",
        optional(TEXT),
        reload="restart",
        show=False,
    )
    public_paths: tuple[str, ...] = setting(
        ("/health",),
        "Paths that need no token, matched exactly; `/health` includes `/health/live` and"
        " `/health/ready`.",
        TEXTS,
        reload="restart",
    )


@attrs.frozen
class StreamingConfig:
    """Sessions and streams of the HTTP front."""

    session_ttl: float = setting(
        1800.0,
        "How long a session without requests and streams is kept.",
        duration(),
        reload="restart",
    )
    keep_alive_interval: float = setting(
        15.0,
        "Interval of keep-alive messages on idle streams.",
        duration(),
        reload="restart",
    )
    buffer_size: int = setting(
        100,
        "Number of messages of a stream that are kept for a client that reconnects. Older messages"
        " are dropped, which is logged; results of calls are never dropped.",
        whole(minimum=1, words="messages"),
        reload="restart",
    )
    max_sessions: int = setting(
        10_000,
        "Maximum number of open sessions. A new one replaces one that is unused for a minute or"
        " more, or is refused.",
        whole(minimum=1, words="sessions"),
        reload="restart",
    )
