"""`mcp-gateway cap`: capability files: check, pin, look at, try, find, install and import them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mcpgw.cli.app import log_options, settle
from mcpgw.cli.exits import FAILED, NOT_FOUND, OK, TOOL_ERROR, USAGE

if TYPE_CHECKING:
    from mcpgw.capabilities.library import Entry, Library
    from mcpgw.config.schema import GatewayConfig

Function = TypeVar("Function", bound=Callable[..., Any])
KEY_MARK = " [key]"


def format_option(function: Function) -> Function:
    """Add the choice between text and JSON."""
    return click.option(
        "-f",
        "--format",
        "form",
        type=click.Choice(["text", "json"]),
        default="text",
        help="Form of the output.",
    )(function)


def print_json(value: Any) -> None:
    """Print a value as JSON for people and programs."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


@click.group("cap", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Work with capability files: APIs as tools."""


# -- checking ---------------------------------------------------------------------------------


@command.command("validate")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@format_option
@click.pass_context
def validate_command(ctx: click.Context, /, paths: tuple[Path, ...], form: str) -> None:
    """Check that the files of PATHS (files or folders) can be used."""
    rows = [_checked(path) for path in _files(paths)]
    if form == "json":
        print_json(rows)
    for row in rows if form == "text" else ():
        if row["valid"]:
            click.echo(f"{row['name']} - valid")
            click.echo(f"  {row['description']}")
            click.echo(f"  Provider: {row['provider']}")
            if row["url"]:
                click.echo(f"  URL: {row['url']}")
            click.echo(f"  Auth: {row['auth']}")
        for problem in row["problems"]:
            mark = "ERROR" if problem["severity"] == "error" else "WARN"
            where = row["file"] + (f":{problem['line']}" if problem["line"] else "")
            click.echo(f"[{mark}] {problem['code']} {where}: {problem['message']}", err=True)
    if not rows:
        click.echo("No capability files there.", err=True)
    ctx.exit(OK if rows and all(row["valid"] for row in rows) else FAILED)


def _checked(path: Path) -> dict[str, Any]:
    from mcpgw.capabilities.pins import PinProblem, look_at
    from mcpgw.capabilities.reading import read_capability, structural_problems
    from mcpgw.config.problems import ConfigError

    row: dict[str, Any] = {"file": str(path), "valid": False, "problems": []}
    try:
        data = path.read_bytes()
        pinned = look_at(data)
    except (OSError, PinProblem) as error:
        reason = getattr(error, "strerror", None) or str(error)
        row["problems"] = [_problem("CAP-000", None, reason)]
        return row
    found = structural_problems(path, data)
    row["problems"] = [
        {"code": p.code, "severity": p.severity, "line": p.line, "message": p.message}
        for p in found
    ]
    if not pinned.holds:
        row["problems"].append(_problem("CAP-PIN", 1, pinned.mismatch(path)))
    try:
        capability, _ = read_capability(path, data)
    except ConfigError:
        return row
    blocked, doubts = _scanned(capability, data)
    row["problems"] += [_problem("AX-010", None, text) for text in blocked]
    row["problems"] += [_problem("AX-010", None, text, "warn") for text in doubts]
    primary = capability.primary
    method = f"{primary.service} ({primary.config.method})" if primary else "webhooks only"
    auth = capability.auth
    row |= {
        "valid": pinned.holds and not blocked,
        "name": capability.name,
        "description": capability.description,
        "provider": method,
        "url": (primary.config.endpoint or primary.config.base_url + primary.config.path)
        if primary
        else "",
        "auth": f"{auth.type or 'bearer'} ({auth.key})" if auth.used else "none",
        "pinned": bool(pinned.pin),
        "sha256": pinned.actual,
    }
    return row


def _problem(code: str, line: int | None, message: str, severity: str = "error") -> dict[str, Any]:
    return {"code": code, "severity": severity, "line": line, "message": message}


def _scanned(capability: Any, data: bytes) -> tuple[list[str], list[str]]:
    from mcpgw.capabilities.definition import tool_definition
    from mcpgw.capabilities.scanning import scan_capability
    from mcpgw.config.yamlfile import parse

    document = parse(data.decode("utf-8-sig"))
    definition = tool_definition(capability) if capability.providers else {}
    return scan_capability(definition, document if isinstance(document, Mapping) else {})


@command.command("pin")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@format_option
@click.pass_context
def pin_command(ctx: click.Context, /, paths: tuple[Path, ...], form: str) -> None:
    """Write the pin into files, and let them in as they are now.

    The pin is the hash of the file without its `sha256:` line; `grep -v '^sha256:' FILE |
    sha256sum` gives the same. A file that was shut out is let in again.
    """
    status = OK
    rows = []
    for path in _files(paths):
        row, message = _pinned(path)
        if message:
            click.echo(f"Error: {message}", err=True)
            status = FAILED
        else:
            rows.append(row)
            if form == "text":
                click.echo(f"Pinned {row['file']}\n  sha256: {row['sha256']}")
    if form == "json":
        print_json(rows)
    if not rows and status == OK:
        click.echo("No capability files there.", err=True)
        status = FAILED
    ctx.exit(status)


def _pinned(path: Path) -> tuple[dict[str, Any], str]:
    from mcpgw.capabilities.pinning import pin_file
    from mcpgw.state.folder import state_folder

    try:
        digest = pin_file(path, state_folder(os.environ))
    except ValueError as error:
        return {}, str(error)
    return {"file": str(path), "sha256": digest}, ""


@command.command("verify")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@format_option
@log_options
@click.pass_context
def verify_command(
    ctx: click.Context, /, paths: tuple[Path, ...], form: str, **options: Any
) -> None:
    """Check the pins of PATHS, or of all configured files; tell what was shut out."""
    from mcpgw.capabilities.pins import PinProblem, look_at

    config, folder = _configured(ctx, options)
    wanted = list(_files(paths)) if paths else list(_files(_folders(config, folder)))
    shut = _quarantined()
    rows = []
    for path in wanted:
        try:
            pinned = look_at(path.read_bytes())
        except (OSError, PinProblem) as error:
            reason = getattr(error, "strerror", None) or str(error)
            rows.append({"file": str(path), "state": "broken", "reason": reason})
            continue
        state = "pinned" if pinned.pin else "unpinned"
        row = {"file": str(path), "state": state, "sha256": pinned.actual}
        if not pinned.holds:
            row |= {"state": "mismatch", "reason": pinned.mismatch(path)}
        elif (jailed := shut.get(str(path.resolve()))) is not None:
            row |= {"state": "quarantined", "reason": jailed}
        rows.append(row)
    bad = [row for row in rows if row["state"] not in ("pinned", "unpinned")]
    if form == "json":
        print_json(rows)
    else:
        for row in bad:
            click.echo(f"{row['state'].upper()} {row['file']}\n  {row['reason']}", err=True)
        unpinned = sum(row["state"] == "unpinned" for row in rows)
        click.echo(f"{len(rows)} files: {len(bad)} not as pinned, {unpinned} without a pin.")
    ctx.exit(FAILED if bad else OK)


def _quarantined() -> dict[str, str]:
    from mcpgw.state.approvals import ApprovalStore
    from mcpgw.state.folder import state_folder

    _, shut = ApprovalStore.of(state_folder(os.environ)).files()
    return {path: each.reason for path, each in shut.items()}


# -- looking ----------------------------------------------------------------------------------


@command.command("list")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--category", default="", help="Of one category only.")
@format_option
@log_options
@click.pass_context
def list_command(
    ctx: click.Context, /, folder: Path | None, category: str, form: str, **options: Any
) -> None:
    """List the capabilities of FOLDER, or all that are configured."""
    library, name = _library(ctx, options, folder)
    entries = [e for e in library.entries() if category in ("", e.facts.get("category"))]
    if form == "json":
        print_json([_row(entry) for entry in entries])
    elif not entries:
        click.echo(f"No capabilities found in {name}")
    else:
        click.echo(f"Found {len(entries)} capabilities in {name}:")
        for entry in entries:
            auth = f" [{entry.facts.get('auth') or 'key'}]" if entry.facts.get("key") else ""
            click.echo(f"  {entry.name} - {_short(entry)}{auth}")
    for path, why in library.refused.items():
        click.echo(f"Not used: {path}: {why}", err=True)
    ctx.exit(OK)


@command.command("registry-list")
@click.option("--capabilities", "folder", type=click.Path(path_type=Path), default=None)
@format_option
@log_options
@click.pass_context
def registry_list_command(
    ctx: click.Context, /, folder: Path | None, form: str, **options: Any
) -> None:
    """List all capabilities that can be installed, with their tags."""
    library, _ = _library(ctx, options, folder, builtin=True)
    entries = list(library.entries())
    if form == "json":
        print_json({"version": "2.0", "capabilities": [_row(entry) for entry in entries]})
        return
    click.echo(f"Available capabilities ({len(entries)}):")
    _print_entries(entries)


registry_list_alias = click.Command(
    "registry",
    params=registry_list_command.params,
    callback=registry_list_command.callback,
    help=registry_list_command.help,
)
command.add_command(registry_list_alias)


@command.command("search")
@click.argument("query")
@click.option("--capabilities", "folder", type=click.Path(path_type=Path), default=None)
@format_option
@log_options
@click.pass_context
def search_command(
    ctx: click.Context, /, query: str, folder: Path | None, form: str, **options: Any
) -> None:
    """Find capabilities by words of their name, description and tags."""
    library, _ = _library(ctx, options, folder, builtin=True)
    found = _matching(library.entries(), query)
    if form == "json":
        print_json([_row(entry) for entry in found])
    elif not found:
        click.echo(f"No capabilities match '{query}'.")
    else:
        click.echo(f"Found {len(found)} capability(ies) matching '{query}':")
        _print_entries(found)
    ctx.exit(OK)


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


@command.command("show")
@click.argument("name")
@format_option
@log_options
@click.pass_context
def show_command(ctx: click.Context, /, name: str, form: str, **options: Any) -> None:
    """Show what the capability NAME (or the file NAME) is as a tool, and what it needs."""
    path, entry = _named(ctx, options, name)
    from mcpgw.capabilities.reading import read_capability

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
        "credential": auth.key if auth.used else None,
        "how_to_get_it": auth.description or None,
        "read_only": capability.metadata.read_only,
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
            click.echo(f"{key.replace('_', ' ').capitalize() + ':':<16}{text}")
    click.echo("Input:")
    click.echo(json.dumps(entry.definition.get("inputSchema"), indent=2, ensure_ascii=False))
    for example in shown["examples"]:
        click.echo(f"Example: {example['description']}")
        click.echo(f"  mcp-gateway cap test {name} -a '{json.dumps(example['arguments'])}'")


# -- trying -----------------------------------------------------------------------------------


@command.command("test")
@click.argument("name")
@click.option("-a", "--args", "text", default="{}", help="Arguments as JSON.")
@click.option("--record", type=click.Path(path_type=Path), help="Write the call down.")
@click.option("--replay", type=click.Path(path_type=Path), help="Play a recording; send nothing.")
@format_option
@log_options
@click.pass_context
def test_command(
    ctx: click.Context,
    /,
    name: str,
    text: str,
    record: Path | None,
    replay: Path | None,
    form: str,
    **options: Any,
) -> None:
    """Call the capability NAME (or the file NAME), checked as the gateway does it."""
    from mcpgw.cli.cap_test import try_capability

    try:
        arguments = json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"--args is not JSON: {error}") from None
    if not isinstance(arguments, dict):
        raise click.UsageError('--args is a JSON object, such as \'{"city": "Oslo"}\'')
    path, entry = _named(ctx, options, name)
    config, here = _configured(ctx, options)
    environ = ctx.find_root().meta["environ"]
    result, problem = try_capability(
        path, entry, arguments, config, here, environ, record=record, replay=replay
    )
    if problem:
        click.echo(f"Error: {problem}", err=True)
        ctx.exit(USAGE)
    failed = result.get("isError") is True
    if form == "json":
        print_json(result)
    else:
        click.echo(f"{entry.name} {json.dumps(arguments, ensure_ascii=False)}")
        click.echo("Execution failed:" if failed else "Success:", err=failed)
        for block in result["content"]:
            shown = block.get("text") or f"({block['type']}, {len(str(block))} bytes)"
            click.echo(shown, err=failed)
    ctx.exit(TOOL_ERROR if failed else OK)


# -- shared -----------------------------------------------------------------------------------


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    from mcpgw.capabilities.reading import SUFFIXES

    for path in paths:
        if path.is_dir():
            for found in sorted(path.rglob("*")):
                hidden = any(part.startswith(".") for part in found.relative_to(path).parts)
                if found.suffix in SUFFIXES and found.is_file() and not hidden:
                    yield found
        else:
            yield path


def _configured(ctx: click.Context, options: Mapping[str, Any]) -> tuple[GatewayConfig, Path]:
    """Load the configuration; return it with the folder that its paths are below."""
    from mcpgw.config import loader
    from mcpgw.config.problems import ConfigError

    given = settle(ctx, **options, level="error")
    path = Path(given).expanduser() if given else loader.find(os.environ, Path.cwd())
    try:
        loaded = loader.load(path, environ=os.environ)
    except ConfigError as error:
        click.echo(f"Error: {error}", err=True)
        ctx.exit(FAILED)
    ctx.find_root().meta["environ"] = loaded.environ
    return loaded.config, path.parent if path else Path.cwd()


def _folders(config: GatewayConfig, folder: Path) -> list[Path]:
    return [(folder / Path(name).expanduser()) for name in config.capabilities.directories]


def _library(
    ctx: click.Context, options: Mapping[str, Any], folder: Path | None, *, builtin: bool = False
) -> tuple[Library, str]:
    from mcpgw.capabilities.builtin import builtin_folder
    from mcpgw.capabilities.library import Library
    from mcpgw.state.approvals import ApprovalStore
    from mcpgw.state.folder import state_folder

    config, here = _configured(ctx, options)
    settings = config.capabilities
    library = Library(approvals=ApprovalStore.of(state_folder(os.environ)))
    shipped = builtin_folder()
    own = settings.builtin if settings.builtin is not None else not settings.directories
    fixed = (shipped,) if shipped is not None and (builtin or own) and folder is None else ()
    folders = (folder.resolve(),) if folder else tuple(p.resolve() for p in _folders(config, here))
    library.use(folders, fixed=fixed)
    library.refresh()
    return library, str(folder or "the configured folders")


def _named(ctx: click.Context, options: Mapping[str, Any], name: str) -> tuple[Path, Entry]:
    """Return the file of a capability by its name or path, and what is known of it."""
    from mcpgw.capabilities.library import Library

    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            click.echo(f"Error: there is no file {path}", err=True)
            ctx.exit(NOT_FOUND)
        library = Library()
        entry = library.look(path.resolve())
        if entry.problem:
            click.echo(f"Error: {entry.problem}", err=True)
            ctx.exit(FAILED)
        return path.resolve(), entry
    library, _ = _library(ctx, options, None, builtin=True)
    found = library.get(name)
    if found is None:
        from mcpgw.catalog.suggest import did_you_mean

        why = library.why_not(name)
        hint = did_you_mean(name, [entry.name for entry in library.entries()])
        click.echo(f"Error: {why or f'no capability is called {name!r}.{hint}'}", err=True)
        ctx.exit(NOT_FOUND)
    return found.path, found


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
        click.echo(f"  {entry.name} - {_short(entry)}{mark}")
        if tags := entry.facts.get("tags"):
            click.echo(f"    Tags: {', '.join(tags)}")


def _short(entry: Entry) -> str:
    text = str(entry.facts.get("description", ""))
    return text if len(text) <= 100 else f"{text[:99].rstrip()}…"


import mcpgw.cli.cap_bring  # noqa: E402, F401 - it adds its commands to the group
