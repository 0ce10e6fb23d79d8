"""Catalogue of well-known MCP servers, and how to start or reach them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import attrs

DATA: Final = Path(__file__).parent / "servers.yaml"


@attrs.frozen
class ArgumentHint:
    """An argument that the user appends to the command."""

    name: str
    description: str
    required: bool


@attrs.frozen
class KnownServer:
    """One well-known server.

    `package` is its name in the `registry` (npm or pypi), "" for a remote server. `verified` is
    the date on which it was last found there, as YYYY-MM-DD, "" if it cannot be looked up.
    """

    name: str
    title: str
    category: str
    description: str
    transport: Literal["stdio", "http"]
    command: str = ""
    args: tuple[str, ...] = ()
    args_hint: tuple[ArgumentHint, ...] = ()
    required_env: tuple[str, ...] = ()
    optional_env: tuple[str, ...] = ()
    url: str = ""
    oauth: bool = False
    home: str = ""
    registry: str = ""
    package: str = ""
    verified: str = ""
    aliases: tuple[str, ...] = ()


@functools.cache
def known_servers() -> tuple[KnownServer, ...]:
    """Return all known servers."""
    from mcpgw.config.yamlfile import parse

    data: Any = parse(DATA.read_text("utf-8"))
    return tuple(map(_server, data["servers"]))


@functools.cache
def _by_name() -> Mapping[str, KnownServer]:
    found: dict[str, KnownServer] = {}
    for server in known_servers():
        for name in (server.name, *server.aliases):
            found.setdefault(name.lower(), server)
    return MappingProxyType(found)


def find(name: str) -> KnownServer | None:
    """Return the server with a name or alias, ignoring case, or None."""
    return _by_name().get(name.strip().lower())


def nearest_names(name: str) -> list[str]:
    """Return similar names and aliases."""
    from mcpgw.text.did_you_mean import nearest

    return nearest(name, _by_name())


def search(query: str) -> list[KnownServer]:
    """Return the servers that have all words in their name, title, category or description.

    Servers with a word in their name come first.
    """
    words = query.lower().split()

    def texts(server: KnownServer) -> str:
        parts = (server.name, server.title, server.category, server.description, *server.aliases)
        return " ".join(parts).lower()

    found = [each for each in known_servers() if all(word in texts(each) for word in words)]
    return sorted(found, key=lambda each: not any(word in each.name for word in words))


def backend_settings(server: KnownServer, extra_args: Sequence[str] = ()) -> dict[str, Any]:
    """Return the settings of a server for gateway.yaml. Secrets are references, never values."""
    settings: dict[str, Any] = {}
    if server.transport == "http":
        settings["http_url"] = server.url
    else:
        settings["command"] = [server.command, *server.args, *extra_args]
    settings["description"] = server.description
    names = (*server.required_env, *server.optional_env)
    if names:
        settings["env"] = {name: f"${{{name}}}" for name in names}
    return settings


def missing_env(server: KnownServer, environ: Mapping[str, str]) -> list[str]:
    """Return the required environment variables that are not set."""
    return [name for name in server.required_env if not environ.get(name)]


def _server(raw: Mapping[str, Any]) -> KnownServer:
    package = raw.get("package") or {}
    return KnownServer(
        name=raw["name"],
        title=raw["title"],
        category=raw["category"],
        description=raw["description"],
        transport=raw["transport"],
        command=raw.get("command", ""),
        args=tuple(raw.get("args", ())),
        args_hint=tuple(ArgumentHint(**hint) for hint in raw.get("args_hint", ())),
        required_env=tuple(raw.get("required_env", ())),
        optional_env=tuple(raw.get("optional_env", ())),
        url=raw.get("url", ""),
        oauth=raw.get("oauth", False),
        home=raw.get("home", ""),
        registry=package.get("registry", ""),
        package=package.get("name", ""),
        verified=raw.get("verified") or "",
        aliases=tuple(raw.get("aliases", ())),
    )


__all__ = [
    "ArgumentHint",
    "KnownServer",
    "backend_settings",
    "find",
    "known_servers",
    "missing_env",
    "nearest_names",
    "search",
]
