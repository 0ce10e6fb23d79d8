"""Settings of playbooks, code mode, search and other features of the client surface."""

from __future__ import annotations

import attrs

from mcpgw.config.setting import setting
from mcpgw.config.value_types import FLAG, TEXT, TEXTS, duration, whole


@attrs.frozen
class SurfacedToolConfig:
    """A backend's tool that is listed in `tools/list` beside the meta-tools."""

    server: str = setting("", "Name of the server.", TEXT)
    tool: str = setting("", "Name of the tool, as the gateway offers it.", TEXT)


@attrs.frozen
class PlaybooksConfig:
    """Playbooks: sequences of tool calls under one name."""

    enabled: bool = setting(True, "Enable playbooks, including the built-in ones.", FLAG)
    directories: tuple[str, ...] = setting(
        ("playbooks",),
        "Folders of playbook files (`*.yaml`), relative to the folder of gateway.yaml. They are"
        " watched for changes. If two playbooks have the same name, the later folder wins.",
        TEXTS,
    )


@attrs.frozen
class CodeModeConfig:
    """Code mode: a surface of two tools, for clients that write code."""

    enabled: bool = setting(False, "List only `gateway_search` and `gateway_execute`.", FLAG)


@attrs.frozen
class SpecPreviewConfig:
    """Previews of proposed protocol features."""

    enabled: bool = setting(
        False, "Add successfully called tools to the `tools/list` of the session.", FLAG
    )
    max_promoted: int = setting(
        10,
        "Maximum number of added tools; the least recently called one is dropped.",
        whole(minimum=1),
    )


@attrs.frozen
class SearchConfig:
    """Tool search."""

    synonyms: tuple[str, ...] = setting(
        (),
        "Files of synonyms, in the format of the built-in table, relative to the folder of"
        " gateway.yaml.",
        TEXTS,
    )


@attrs.frozen
class ToolProfilesConfig:
    """Usage counters of each tool, shared by all gateways of a user."""

    enabled: bool = setting(
        True, "Keep counters on disk; if false, in memory only.", FLAG, reload="restart"
    )
    persistence_interval: float = setting(
        10.0, "Interval at which new counts are written.", duration(), reload="restart"
    )
