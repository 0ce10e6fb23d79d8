"""The settings of capabilities and webhooks, and of what definitions are trusted with."""

from __future__ import annotations

import attrs

from mcpgw.config.setting import setting
from mcpgw.config.transforms import TRANSFORMS, Transform
from mcpgw.config.value_types import FLAG, TEXT, TEXTS, choice, optional, whole


@attrs.frozen
class CapabilitiesConfig:
    """Tools that are YAML files: REST, GraphQL and JSON-RPC APIs, other tools, commands."""

    enabled: bool = setting(True, "Offer them, as the tools of one server.", FLAG)
    name: str = setting("gateway", "The name of that server.", TEXT)
    directories: tuple[str, ...] = setting(
        (),
        "Folders of capability files, with all that is below them, relative to the folder of"
        " gateway.yaml; they are watched. Later ones win where names are the same. Where none is"
        " named, the built-in files are used.",
        TEXTS,
    )
    builtin: bool | None = setting(
        None,
        "Use the built-in files too where `directories` names some, or leave them out where it"
        " names none.",
        optional(FLAG),
    )
    allow_private: tuple[str, ...] = setting(
        (),
        "Networks (`10.0.0.0/8`) and hosts (`localhost`, `*.corp.example`) inside, which files"
        " with `network: {allow_private: true}` may reach.",
        TEXTS,
    )
    allow_commands: tuple[str, ...] = setting(
        (),
        "Folders and files whose capabilities may run commands, and pins (`sha256:...`) of single"
        " files.",
        TEXTS,
    )
    transform: tuple[Transform, ...] = setting(
        (),
        "What its tools and answers look like to clients; as `backends.<name>.transform`.",
        TRANSFORMS,
    )


@attrs.frozen
class WebhooksConfig:
    """Events from outside, which become notifications. They come by the HTTP front."""

    enabled: bool = setting(
        False, "Receive them, and list `gateway_webhook_status`.", FLAG, reload="restart"
    )
    base_path: str = setting(
        "/webhooks", "What the path of every endpoint begins with.", TEXT, reload="restart"
    )
    require_signature: bool = setting(
        True, "Refuse endpoints whose file says `signature: none`.", FLAG
    )
    rate_limit: int = setting(
        100, "Requests a minute to one endpoint; 0 is without a bound.", whole(minimum=0)
    )


@attrs.frozen
class SecurityConfig:
    """What is done about definitions that are not what they should be."""

    tool_poisoning: str = setting(
        "block",
        "What becomes of definitions whose text tries to talk a model into something: `block`"
        " withholds those that surely do, `warn` only says so, `off` does not look.",
        choice("block", "warn", "off"),
    )
    definition_changes: str = setting(
        "warn",
        "What becomes of a server's definition that is not what it was when it was first seen:"
        " `warn` says so and uses it, `quarantine` withholds it until `mcp-gateway approvals"
        " accept`, `block` withholds all of that server.",
        choice("warn", "quarantine", "block"),
    )
