"""The settings of what a client is shown beside the servers: playbooks, code mode, search."""

from __future__ import annotations

import attrs

from mcpgw.config.setting import setting
from mcpgw.config.value_types import FLAG, TEXT, TEXTS, duration, whole


@attrs.frozen
class SurfacedToolConfig:
    """A backend's tool that stands in `tools/list` beside the meta-tools."""

    server: str = setting("", "The server.", TEXT)
    tool: str = setting("", "The tool, by the name under which it is offered.", TEXT)


@attrs.frozen
class PlaybooksConfig:
    """Calls in a row under one name."""

    enabled: bool = setting(True, "Offer playbooks, the built-in ones included.", FLAG)
    directories: tuple[str, ...] = setting(
        ("playbooks",),
        "Folders of playbook files (`*.yaml`), relative to the folder of gateway.yaml; they are"
        " watched. Later ones win where names are the same.",
        TEXTS,
    )


@attrs.frozen
class CodeModeConfig:
    """A surface of two tools, for clients that write code."""

    enabled: bool = setting(False, "Show only `gateway_search` and `gateway_execute`.", FLAG)


@attrs.frozen
class SpecPreviewConfig:
    """Parts of the protocol that are still proposals."""

    enabled: bool = setting(
        False, "Put tools that were called with success into the session's `tools/list`.", FLAG
    )
    max_promoted: int = setting(
        10, "How many of them; the one called longest ago goes first.", whole(minimum=1)
    )


@attrs.frozen
class SearchConfig:
    """How tools are found."""

    synonyms: tuple[str, ...] = setting(
        (),
        "Files of words that mean the same, in the form of the built-in table, relative to the"
        " folder of gateway.yaml.",
        TEXTS,
    )


@attrs.frozen
class ToolProfilesConfig:
    """Counters of each tool, kept over restarts and shared by all gateways of a person."""

    enabled: bool = setting(True, "Keep them on disk; else in memory.", FLAG, reload="restart")
    persistence_interval: float = setting(
        10.0, "How often what is new is written.", duration(), reload="restart"
    )
