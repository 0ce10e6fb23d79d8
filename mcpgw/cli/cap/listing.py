"""`mcp-gateway cap list`, `registry`, `search` and `show`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcpgw.cli.app import log_options
from mcpgw.cli.cap.common import library_of, named
from mcpgw.cli.exit_codes import NOT_FOUND, OK
from mcpgw.cli.output import format_option, print_json, say, say_lines
from mcpgw.text.plural import plural

if TYPE_CHECKING:
    from mcpgw.capabilities.entries import Entry

KEY_MARK = " [key]"


@click.command("list")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--category", default="", help="Only this category.")
@format_option
@log_options
@click.pass_context
def list_command(
    ctx: click.Context, /, folder: Path | None, category: str, form: str, **options: Any
) -> None:
    """List capabilities.

    Those in FOLDER, or in all configured folders.
    """
    library, name = library_of(ctx, options, folder)
    entries = [e for e in library.entries() if category in ("", e.facts.get("category"))]
    if form == "json":
        print_json([_row(entry) for entry in entries])
    elif not entries:
        of = f" of the category '{category}'" if category else ""
        gone = ": no such folder" if folder is not None and not folder.is_dir() else ""
        say(f"No capabilities{of} found in {name}{gone}")
    else:
        say(f"Found {plural(len(entries), 'capability', 'capabilities')} in {name}:")
        for entry in entries:
            auth = f" [{entry.facts.get('auth') or 'key'}]" if entry.facts.get("key") else ""
            say(f"  {entry.name} - {_short(entry)}{auth}")
    for path, why in library.refused.items():
        say_lines(f"Not used: {path}: {why}", err=True)
    ctx.exit(OK if folder is None or folder.exists() else NOT_FOUND)


@click.command("registry-list")
@click.option(
    "--capabilities",
    "folder",
    type=click.Path(path_type=Path),
    default=None,
    help="Folder to use instead of the configured ones.",
)
@format_option
@log_options
@click.pass_context
def registry_list_command(
    ctx: click.Context, /, folder: Path | None, form: str, **options: Any
) -> None:
    """List installable capabilities with their tags."""
    library, _ = library_of(ctx, options, folder, builtin=True)
    entries = list(library.entries())
    if form == "json":
        print_json({"version": "2.0", "capabilities": [_row(entry) for entry in entries]})
        return
    say(f"Available capabilities ({len(entries)}):")
    _print_entries(entries)


registry_command = click.Command(
    "registry",
    params=registry_list_command.params,
    callback=registry_list_command.callback,
    help=registry_list_command.help,
)


@click.command("search")
@click.argument("words", nargs=-1, required=True)
@click.option(
    "--capabilities",
    "folder",
    type=click.Path(path_type=Path),
    default=None,
    help="Folder to use instead of the configured ones.",
)
@format_option
@log_options
@click.pass_context
def search_command(
    ctx: click.Context, /, words: tuple[str, ...], folder: Path | None, form: str, **options: Any
) -> None:
    """Search capabilities by name, description and tags."""
    library, _ = library_of(ctx, options, folder, builtin=True)
    query = " ".join(words)
    found = _matching(library.entries(), query)
    if form == "json":
        print_json([_row(entry) for entry in found])
    elif not found:
        say(f"No capabilities match '{query}'.")
    else:
        say(f"Found {len(found)} capability(ies) matching '{query}':")
        _print_entries(found)
    ctx.exit(OK if found else NOT_FOUND)


def _matching(entries: Iterable[Entry], query: str) -> list[Entry]:
    words = query.lower().split()

    def score(entry: Entry) -> int:
        name, tags = entry.name.lower(), " ".join(entry.facts.get("tags", ())).lower()
        text = str(entry.facts.get("description", "")).lower()
        points = 0
        for word in words:
            here = 4 * (word in name) + 2 * (word in tags) + (word in text)
            if not here:
                return 0
            points += here
        return points

    scored = [(score(entry), entry) for entry in entries]
    return [e for points, e in sorted(scored, key=lambda p: (-p[0], p[1].name)) if points]


@click.command("show")
@click.argument("name")
@format_option
@log_options
@click.pass_context
def show_command(ctx: click.Context, /, name: str, form: str, **options: Any) -> None:
    """Show a capability as a tool, and its requirements.

    NAME is the name of a capability or a file.
    """
    path, entry = named(ctx, options, name)
    from mcpgw.capabilities.parsing import read_capability

    capability, _ = read_capability(path, path.read_bytes())
    auth = capability.auth
    shown: dict[str, Any] = {
        "name": capability.name,
        "title": capability.title,
        "description": capability.description,
        "file": str(path),
        "sha256": entry.hash,
        "pinned": bool(entry.pin),
        "category": capability.metadata.category,
        "tags": list(capability.metadata.tags),
        "provider": entry.facts.get("service"),
        "host": entry.facts.get("host"),
        "credential": (auth.key or auth.client_secret) if auth.used else None,
        "how_to_get_it": auth.description or None,
        "read_only": capability.read_only,
        "docs": capability.metadata.docs or None,
        "tool": dict(entry.definition),
        "examples": [
            {"description": e.description, "arguments": dict(e.arguments)}
            for e in capability.examples
        ],
    }
    if form == "json":
        print_json(shown)
        return
    for key, value in shown.items():
        if key not in ("tool", "examples") and value not in (None, "", []):
            text = ", ".join(value) if isinstance(value, list) else value
            say_lines(f"{key.replace('_', ' ').capitalize() + ':':<16}{text}")
    say("Input:")
    print_json(entry.definition.get("inputSchema"))
    for example in shown["examples"]:
        say(f"Example: {example['description']}")
        say(f"  mcp-gateway cap test {name} -a '{json.dumps(example['arguments'])}'")


def _row(entry: Entry) -> dict[str, Any]:
    facts = entry.facts
    return {
        "name": entry.name,
        "description": facts.get("description", ""),
        "path": str(entry.path),
        "category": facts.get("category", ""),
        "tags": facts.get("tags", []),
        "service": facts.get("service", ""),
        "requires_key": bool(facts.get("required")),
        "credential": facts.get("key", ""),
        "pinned": bool(entry.pin),
        "sha256": entry.hash,
    }


def _print_entries(entries: Iterable[Entry]) -> None:
    for entry in entries:
        mark = KEY_MARK if entry.facts.get("required") else ""
        say(f"  {entry.name} - {_short(entry)}{mark}")
        if tags := entry.facts.get("tags"):
            say(f"    Tags: {', '.join(tags)}")


def _short(entry: Entry) -> str:
    text = " ".join(str(entry.facts.get("description", "")).split())
    return text if len(text) <= 100 else f"{text[:99].rstrip()}…"
