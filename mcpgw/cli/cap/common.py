"""Helpers for the commands of `cap`: the configured files and their entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from mcpgw.cli.configuration import configured, usable_state_folder
from mcpgw.cli.exit_codes import FAILED, NOT_FOUND
from mcpgw.cli.output import say_lines

if TYPE_CHECKING:
    from mcpgw.capabilities.entries import Entry
    from mcpgw.capabilities.library import Library


def files_of(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files, and the capability files below the folders."""
    from mcpgw.capabilities.entries import capability_files

    for path in paths:
        if path.is_dir():
            yield from (found for found, _ in capability_files(path))
        else:
            yield path


def library_of(
    ctx: click.Context, options: Mapping[str, Any], folder: Path | None, *, builtin: bool = False
) -> tuple[Library, str]:
    """Return the library of a folder, or of all configured folders, and its description.

    Args:
      ctx: the context of the command.
      options: the options of the command.
      folder: the folder; None for the configured ones.
      builtin: whether to include the built-in files.
    """
    from mcpgw.capabilities.builtin import folders_of
    from mcpgw.capabilities.library import Library
    from mcpgw.trust.approvals import ApprovalStore

    loaded, here = configured(ctx, options)
    settings = loaded.config.capabilities
    if builtin:
        settings = attrs.evolve(settings, builtin=True)
    named, shipped = ((folder.resolve(),), ()) if folder else folders_of(settings, here)
    library = Library(approvals=ApprovalStore.of(usable_state_folder()))
    library.use(named, fixed=shipped)
    library.refresh()
    return library, str(folder or "the configured folders")


def named(ctx: click.Context, options: Mapping[str, Any], name: str) -> tuple[Path, Entry]:
    """Return the file and the entry of a capability, by its name or path."""
    from mcpgw.capabilities.library import Library

    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            say_lines(f"Error: file not found: {path}", err=True)
            ctx.exit(NOT_FOUND)
        library = Library()
        entry = library.look(path.resolve())
        if entry.problem:
            say_lines(f"Error: {entry.problem}", err=True)
            ctx.exit(FAILED)
        return path.resolve(), entry
    library, _ = library_of(ctx, options, None, builtin=True)
    found = library.get(name)
    if found is None:
        from mcpgw.text.did_you_mean import did_you_mean

        reason = library.unavailable_reason(name)
        hint = did_you_mean(name, [entry.name for entry in library.entries()])
        say_lines(f"Error: {reason or f'Capability {name!r} not found.{hint}'}", err=True)
        ctx.exit(NOT_FOUND)
    return found.path, found


def scanned(capability: Any, data: bytes) -> tuple[list[str], list[str]]:
    """Scan a capability for tool poisoning; return the findings that block it, and doubts."""
    from mcpgw.capabilities.scanning import scan_capability
    from mcpgw.capabilities.tool_definition import tool_definition
    from mcpgw.config.yamlfile import parse

    document = parse(data.decode("utf-8-sig"))
    definition = tool_definition(capability) if capability.providers else {}
    found = document if isinstance(document, Mapping) else {}
    return scan_capability(definition, found, quote=True)
