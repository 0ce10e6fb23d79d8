"""Settings of capabilities, webhooks and the vetting of definitions."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import attrs

from mcpgw.config.api_login import ApiLoginConfig
from mcpgw.config.setting import named, setting
from mcpgw.config.transforms import TRANSFORMS, Transform
from mcpgw.config.value_types import FLAG, TEXT, TEXTS, choice, optional, whole

_NOTHING: Final[Mapping[str, ApiLoginConfig]] = MappingProxyType({})


@attrs.frozen
class CapabilitiesConfig:
    """Capabilities: tools defined by YAML files (REST, GraphQL, JSON-RPC, tools, commands)."""

    enabled: bool = setting(True, "Offer capabilities, as tools of one server.", FLAG)
    name: str = setting("gateway", "Name of that server.", TEXT)
    directories: tuple[str, ...] = setting(
        (),
        "Folders of capability files, including subfolders, relative to the folder of gateway.yaml."
        " They are watched for changes. If two files have the same name, the later folder wins. If"
        " empty, the built-in files are used.",
        TEXTS,
    )
    builtin: bool | None = setting(
        None,
        "Whether to use the built-in files; if unset, only if `directories` is empty.",
        optional(FLAG),
    )
    allow_private: tuple[str, ...] = setting(
        (),
        "Private networks (`10.0.0.0/8`) and hosts (`localhost`, `*.corp.example`) that files with"
        " `network: {allow_private: true}` may reach.",
        TEXTS,
    )
    allow_commands: tuple[str, ...] = setting(
        (),
        "Folders, files and pins (`sha256:...`) of files whose capabilities may run commands.",
        TEXTS,
    )
    logins: Mapping[str, ApiLoginConfig] = attrs.field(
        default=_NOTHING,
        metadata=named(ApiLoginConfig, "OAuth logins to APIs, by the name in `oauth:NAME`."),
    )
    transform: tuple[Transform, ...] = setting(
        (),
        "Transforms of its tools and results, like `backends.<name>.transform`.",
        TRANSFORMS,
    )


@attrs.frozen
class WebhooksConfig:
    """Webhooks: events received by the HTTP front, which become notifications."""

    enabled: bool = setting(
        False, "Receive webhooks, and list `gateway_webhook_status`.", FLAG, reload="restart"
    )
    base_path: str = setting("/webhooks", "Path prefix of all endpoints.", TEXT, reload="restart")
    require_signature: bool = setting(True, "Refuse endpoints with `signature: none`.", FLAG)
    rate_limit: int = setting(
        100,
        "Maximum number of requests to one endpoint per minute; 0 means no limit.",
        whole(minimum=0),
    )
    max_body_size: int = setting(
        1024 * 1024,
        "Maximum size of a delivery, in bytes. GitHub sends up to 25 MiB.",
        whole(minimum=1024, words="bytes"),
    )


@attrs.frozen
class SecurityConfig:
    """Vetting of the definitions that servers offer."""

    tool_poisoning: str = setting(
        "block",
        "Handling of definitions whose text tries to manipulate a model: `block` withholds clear"
        " cases, `warn` only warns, `off` disables the check.",
        choice("block", "warn", "off"),
    )
    definition_changes: str = setting(
        "warn",
        "Handling of definitions that changed after they were first seen, and of new ones on a"
        " known server: `warn` warns of changes and uses them, `quarantine` withholds them until"
        " `mcp-gateway approvals accept`, `block` withholds new ones, and the whole server if one"
        " has changed.",
        choice("warn", "quarantine", "block"),
    )
