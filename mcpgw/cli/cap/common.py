"""What the commands of `cap` share: the configured files, and what is known of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcpgw.cli.app import settle
from mcpgw.cli.exits import FAILED, NOT_FOUND

if TYPE_CHECKING:
    from mcpgw.capabilities.entries import Entry
    from mcpgw.capabilities.library import Library
    from mcpgw.config.schema import GatewayConfig


def files_of(paths: Iterable[Path]) -> Iterator[Path]:
    from mcpgw.capabilities.reading import SUFFIXES

    for path in paths:
        if path.is_dir():
            for found in sorted(path.rglob("*")):
                hidden = any(part.startswith(".") for part in found.relative_to(path).parts)
                if found.suffix in SUFFIXES and found.is_file() and not hidden:
                    yield found
        else:
            yield path


def configured(ctx: click.Context, options: Mapping[str, Any]) -> tuple[GatewayConfig, Path]:
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


def folders_of(config: GatewayConfig, folder: Path) -> list[Path]:
    return [(folder / Path(name).expanduser()) for name in config.capabilities.directories]


def library_of(
    ctx: click.Context, options: Mapping[str, Any], folder: Path | None, *, builtin: bool = False
) -> tuple[Library, str]:
    from mcpgw.capabilities.builtin import builtin_folder
    from mcpgw.capabilities.library import Library
    from mcpgw.state.approvals import ApprovalStore
    from mcpgw.state.folder import state_folder

    config, here = configured(ctx, options)
    settings = config.capabilities
    library = Library(approvals=ApprovalStore.of(state_folder(os.environ)))
    shipped = builtin_folder()
    own = settings.builtin if settings.builtin is not None else not settings.directories
    fixed = (shipped,) if shipped is not None and (builtin or own) and folder is None else ()
    folders = (
        (folder.resolve(),) if folder else tuple(p.resolve() for p in folders_of(config, here))
    )
    library.use(folders, fixed=fixed)
    library.refresh()
    return library, str(folder or "the configured folders")


def named(ctx: click.Context, options: Mapping[str, Any], name: str) -> tuple[Path, Entry]:
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
    library, _ = library_of(ctx, options, None, builtin=True)
    found = library.get(name)
    if found is None:
        from mcpgw.catalog.suggest import did_you_mean

        why = library.why_not(name)
        hint = did_you_mean(name, [entry.name for entry in library.entries()])
        click.echo(f"Error: {why or f'no capability is called {name!r}.{hint}'}", err=True)
        ctx.exit(NOT_FOUND)
    return found.path, found


def scanned(capability: Any, data: bytes) -> tuple[list[str], list[str]]:
    from mcpgw.capabilities.definition import tool_definition
    from mcpgw.capabilities.scanning import scan_capability
    from mcpgw.config.yamlfile import parse

    document = parse(data.decode("utf-8-sig"))
    definition = tool_definition(capability) if capability.providers else {}
    found = document if isinstance(document, Mapping) else {}
    return scan_capability(definition, found, quote=True)
