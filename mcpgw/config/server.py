"""Settings of the gateway's own side: what it listens on, whom it serves, and its limits."""

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

AUTO_TOKEN = "auto"  # noqa: S105 - the word that asks for a token, not a token
_HIGHEST_PORT = 65_535


def _read_port(value: object) -> int:
    port = whole(minimum=0).read(value)
    if port > _HIGHEST_PORT:
        raise SettingError(f"{port}: a port is at most {_HIGHEST_PORT}")
    return port


PORT: Kind[int] = Kind("port", _read_port, str)


@attrs.frozen
class ServerConfig:
    """The gateway's own side: where it listens, what it accepts and how it ends."""

    host: str = setting(
        "127.0.0.1", "The address that the HTTP front listens on.", TEXT, reload="restart"
    )
    port: int = setting(
        39400,
        "The port of the HTTP front; 0 lets the system choose one.",
        PORT,
        reload="restart",
    )
    shutdown_timeout: float = setting(
        30.0, "How long calls in flight may take to finish when the gateway ends.", duration()
    )
    max_body_size: int = setting(
        10 * 1024 * 1024,
        "The largest message accepted on any transport, in bytes.",
        whole(minimum=1024, words="bytes"),
        reload="restart",
    )
    public_url: str = setting(
        "",
        "The address by which others reach the HTTP front, such as https://mcp.example.org; its"
        " host is accepted beside the loopback names.",
        TEXT,
        reload="restart",
    )
    allowed_hosts: tuple[str, ...] = setting(
        (),
        "Names that the `Host` header of an HTTP request may have beside the loopback names.",
        TEXTS,
        reload="restart",
    )
    allowed_origins: tuple[str, ...] = setting(
        (),
        "Origins of web pages, such as https://app.example.org, that may use the HTTP front"
        " beside its own.",
        TEXTS,
        reload="restart",
    )


@attrs.frozen
class AuthConfig:
    """Who may use the HTTP front. A stdio session needs no credentials."""

    enabled: bool = setting(False, "Whether HTTP requests need a token.", FLAG, reload="restart")
    bearer_token: str | None = setting(
        None,
        "The token; `env:NAME` or `${NAME}` takes it from a variable, `auto` makes one at the"
        " start and prints it.",
        optional(TEXT),
        reload="restart",
        show=False,
    )
    public_paths: tuple[str, ...] = setting(
        ("/health",),
        "Paths that need no token, each just as it stands; `/health` also opens `/health/live`"
        " and `/health/ready`.",
        TEXTS,
        reload="restart",
    )


@attrs.frozen
class StreamingConfig:
    """Sessions and streams of the HTTP front."""

    session_ttl: float = setting(
        1800.0,
        "How long a session without any request or stream is kept.",
        duration(),
        reload="restart",
    )
    keep_alive_interval: float = setting(
        15.0,
        "Seconds between signs of life on a stream on which nothing else is sent.",
        duration(),
        reload="restart",
    )
    buffer_size: int = setting(
        100,
        "Messages of a stream that are kept for a client that comes back for them. Older ones are"
        " lost to it, which is logged; the answer to a call never is.",
        whole(minimum=1, words="messages"),
        reload="restart",
    )
    max_sessions: int = setting(
        10_000,
        "Sessions that may be open at once; one more is refused.",
        whole(minimum=1, words="sessions"),
        reload="restart",
    )
