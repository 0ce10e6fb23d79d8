"""`mcp-gateway skills`: imports, shows and removes Agent Skills.

Skills are never executed, and their text is printed without control characters.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import click
import trio

from mcpgw.cli.app import log_options, settle
from mcpgw.cli.exit_codes import FAILED, INTERRUPTED, NOT_FOUND, OK
from mcpgw.cli.in_process import Stop
from mcpgw.cli.output import format_option, print_json, say, say_lines
from mcpgw.skills import registry as registries
from mcpgw.skills.builtin import builtin_folder
from mcpgw.skills.library import SkillLibrary, uri_of
from mcpgw.skills.model import Skill, SkillError, shown_line
from mcpgw.skills.registry import VARIABLE, RegistryError, registry_path
from mcpgw.text.plural import plural

if TYPE_CHECKING:
    from mcpgw.skills.loading import Gathered
    from mcpgw.skills.sources import Fetch

Function = TypeVar("Function", bound=Callable[..., Any])

_NAME, _VERSION, _DESCRIPTION = 32, 10, 70
_ORIGIN = ("name", "version", "source_path", "source_url", "content_hash")


def _options(function: Function) -> Function:
    return click.option(
        "--registry",
        default=None,
        metavar="FILE",
        help=f"File of the imported skills (default: {VARIABLE}, or skills.json in the state"
        " folder).",
    )(format_option(function))


@click.group("skills", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Import, search and read Agent Skills."""


@command.command("import")
@click.argument("source", metavar="SRC")
@click.option(
    "--force", is_flag=True, help="Import skills even if they look like an attack on a model."
)
@_options
@log_options
@click.pass_context
def import_command(
    ctx: click.Context,
    /,
    source: str,
    force: bool,
    form: str,
    registry: str | None,
    **options: Any,
) -> None:
    """Import skills from a file, folder, archive or URL.

    SRC is a SKILL.md, a folder with one or more skills, a zip or tar archive, or the http or
    https URL of a SKILL.md or an archive. Nothing is executed. A skill with the same name is
    replaced. If a skill cannot be imported, the others still are, and the exit status is 1.
    """
    settle(ctx, **options, level="warning")
    path = registry_path(os.environ, registry)

    def run() -> int:
        gathered = _gathered(source)
        faults = [str(problem) for problem in gathered.problems]
        good: list[Skill] = []
        warnings: dict[str, list[str]] = {}
        for skill in gathered.skills:
            refused, notes = _screened(skill, force)
            faults += refused
            warnings[skill.name] = notes
            if not refused:
                good.append(skill)
        known = registries.add_skills(path, tuple(good)) if good else ()
        if form == "json":
            print_json(_imported_json(path, good, known, warnings, faults))
        else:
            for skill in good:
                _print_imported(skill, path, updated=skill.name in known)
            for note in (note for notes in warnings.values() for note in notes):
                say(f"Warning: {note}", err=True)
            for fault in faults:
                say(f"Error: {shown_line(fault)}", err=True)
        return FAILED if faults else OK

    ctx.exit(_guarded(run))


@command.command("list")
@_options
@log_options
@click.pass_context
def list_command(ctx: click.Context, /, form: str, registry: str | None, **options: Any) -> None:
    """List imported and built-in skills."""
    settle(ctx, **options, level="warning")

    def run() -> int:
        library = _library(registry)
        imported = [skill for skill in library.all() if not library.is_builtin(skill.name)]
        builtin = [skill for skill in library.all() if library.is_builtin(skill.name)]
        if form == "json":
            rows = [library.summary(skill) for skill in imported + builtin]
            print_json({"registry": str(library.registry_path), "skills": rows})
            return OK
        if imported:
            say(f"{len(imported)} skill(s) in {library.registry_path}:")
            _print_rows(imported)
        else:
            say("No skills imported. Use mcp-gateway skills import <path>")
        if builtin:
            say_lines(f"\n{plural(len(builtin), 'built-in skill')}:")
            _print_rows(builtin)
        return OK

    ctx.exit(_guarded(run))


@command.command("search")
@click.argument("words", nargs=-1, required=True, metavar="WORDS...")
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=None, help="Maximum number of skills."
)
@_options
@log_options
@click.pass_context
def search_command(
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    limit: int | None,
    form: str,
    registry: str | None,
    **options: Any,
) -> None:
    """Search skills.

    Skills with the words in their names come first.
    """
    settle(ctx, **options, level="warning")
    query = " ".join(words)

    def run() -> int:
        library = _library(registry)
        hits = library.search(query, limit)
        if form == "json":
            rows = [{**library.summary(hit.skill), "score": hit.score} for hit in hits]
            print_json({"query": query, "matches": rows})
        elif hits:
            say(f"{len(hits)} match(es) for '{shown_line(query)}':")
            for hit in hits:
                name = shown_line(hit.skill.name)
                say(f"  {name:<{_NAME}} {_cut(hit.skill.description)}".rstrip())
        else:
            say(f"No skills matched '{shown_line(query)}'.")
        return OK if hits else NOT_FOUND

    ctx.exit(_guarded(run))


@command.command("show")
@click.argument("name")
@_options
@log_options
@click.pass_context
def show_command(
    ctx: click.Context, /, name: str, form: str, registry: str | None, **options: Any
) -> None:
    """Show a skill with its full text."""
    settle(ctx, **options, level="warning")

    def run() -> int:
        library = _library(registry)
        skill = library.get(name)
        if skill is None:
            raise _unknown(name, [each.name for each in library.all()])
        if form == "json":
            print_json(
                {
                    **library.summary(skill),
                    "body": skill.body,
                    "code_blocks": [attrs.asdict(block) for block in skill.code_blocks],
                    "extra": dict(skill.extra),
                    "auxiliary_texts": dict(skill.auxiliary),
                }
            )
        else:
            _print_skill(skill, builtin=library.is_builtin(name))
        return OK

    ctx.exit(_guarded(run))


@command.command("remove")
@click.argument("name")
@_options
@log_options
@click.pass_context
def remove_command(
    ctx: click.Context, /, name: str, form: str, registry: str | None, **options: Any
) -> None:
    """Remove an imported skill."""
    settle(ctx, **options, level="warning")
    path = registry_path(os.environ, registry)

    def run() -> int:
        if not registries.remove_skill(path, name):
            library = _library(registry)
            if library.is_builtin(name):
                raise Stop(
                    f"'{name}' is a built-in skill. To replace it, import a skill of this name.",
                    FAILED,
                )
            own = [each.name for each in library.all() if not library.is_builtin(each.name)]
            raise _unknown(name, own)
        if form == "json":
            print_json({"registry": str(path), "removed": name})
        else:
            say(f"Removed '{shown_line(name)}' from {path}")
        return OK

    ctx.exit(_guarded(run))


def _guarded(run: Callable[[], int]) -> int:
    try:
        return run()
    except Stop as stop:
        say_lines(f"Error: {shown_line(stop.message)}", err=True)
        return stop.status
    except (SkillError, RegistryError) as error:
        say(f"Error: {shown_line(str(error))}", err=True)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _library(registry: str | None) -> SkillLibrary:
    """Read all skills.

    Raises:
      RegistryError: the registry file is not valid.
    """
    path = registries.read_registry(registry_path(os.environ, registry)).path
    library = SkillLibrary(path, builtin_folder())
    library.refresh()
    for problem in library.problems:
        say(f"Warning: {shown_line(problem)}", err=True)
    return library


def _gathered(source: str) -> Gathered:
    from mcpgw.skills.sources import fetch_source, is_url, read_source

    if not is_url(source):
        return read_source(Path(source).expanduser())
    from mcpgw.capabilities.errors import CallProblem
    from mcpgw.transports.address_policy import Unreachable

    failed: BaseException
    try:
        return trio.run(fetch_source, source, fetcher())
    except* (OSError, ValueError, CallProblem, Unreachable) as group:
        failed = group
        while isinstance(failed, BaseExceptionGroup):
            failed = failed.exceptions[0]
    if isinstance(failed, SkillError):
        raise failed
    raise Stop(f"{source}: {failed}", FAILED) from failed


def fetcher() -> Fetch:
    """Return a function that fetches a public URL, with a size limit."""
    from mcpgw.capabilities.fetching import fetch_public
    from mcpgw.skills.sources import LARGEST_FETCHED

    async def fetch(url: str) -> bytes:
        return await fetch_public(url, limit=LARGEST_FETCHED)

    return fetch


def _screened(skill: Skill, force: bool) -> tuple[list[str], list[str]]:
    """Return the reasons to refuse a skill, and warnings."""
    from mcpgw.skills.scanning import screen

    suspicions = screen(skill)
    severe = [each for each in suspicions if each.severe]
    if severe and not force:
        reasons = "; ".join(f"{each.where}: {each.reason}" for each in severe[:3])
        fault = (
            f"Skill '{skill.name}' was not imported because it looks like an attack on a model:"
            f" {reasons}. If it is legitimate, import it with --force."
        )
        return [fault], []
    notes = [f"Skill '{skill.name}', {each.where}: {each.reason}" for each in suspicions]
    if skill.left_out:
        names = ", ".join(skill.left_out[:5]) + (", …" if len(skill.left_out) > 5 else "")
        count = plural(len(skill.left_out), "file")
        notes.append(f"Skill '{skill.name}': {count} left out, too large or unreadable: {names}")
    return [], [shown_line(note) for note in notes]


def _unknown(name: str, names: list[str]) -> Stop:
    from mcpgw.text.did_you_mean import correction

    near = correction(name, names)
    hint = f"Did you mean '{near}'?" if near else "`mcp-gateway skills list` lists all skills."
    return Stop(f"Skill '{name}' not found. {hint}", NOT_FOUND)


def _print_imported(skill: Skill, path: Path, *, updated: bool) -> None:
    name = shown_line(skill.name)
    done = "Updated" if updated else "Imported"
    say(f"{done} skill '{name}' {'in' if updated else 'into'} {path}")
    say(f"  Description: {_cut(skill.description)}")
    if skill.version:
        say(f"  Version: {shown_line(skill.version)}")
    if skill.files:
        say(f"  Auxiliary files: {shown_line(', '.join(skill.files))}")
    say(f"  Content: {skill.content_hash}")
    if skill.code_blocks:
        say(f"  {plural(len(skill.code_blocks), 'code block')} stored read-only; never run.")


def _print_rows(skills: list[Skill]) -> None:
    for skill in skills:
        name, version = shown_line(skill.name), shown_line(skill.version) or "-"
        row = f"  {name:<{_NAME}} {version:<{_VERSION}} {_cut(skill.description)}"
        say(row.rstrip())


def _print_skill(skill: Skill, *, builtin: bool) -> None:
    fields = {
        "Name": skill.name,
        "Description": skill.description,
        "Version": skill.version,
        "Effort": skill.effort,
        "Tools": ", ".join(skill.allowed_tools),
        "Triggers": ", ".join(skill.triggers),
        "Keywords": ", ".join(skill.keywords),
        "Source": skill.source_url or skill.source_path,
        "Content": skill.content_hash,
        "Auxiliary files": ", ".join(skill.files),
        "Address": uri_of(skill.name),
    }
    for label, value in fields.items():
        if value:
            say(f"{label}: {shown_line(value)}")
    if builtin:
        say("Built-in skill.")
    if skill.code_blocks:
        say(f"Code blocks: {len(skill.code_blocks)} (read-only; never run)")
        for index, block in enumerate(skill.code_blocks):
            size = len(block.content.encode())
            say(f"  [{index}] lang={shown_line(block.lang)} ({size} bytes)")
    say_lines("\n--- Body ---")
    say_lines(skill.body, nl=not skill.body.endswith("\n"))


def _imported_json(
    path: Path,
    skills: list[Skill],
    known: tuple[str, ...],
    warnings: Mapping[str, list[str]],
    faults: list[str],
) -> dict[str, Any]:
    return {
        "registry": str(path),
        "imported": [
            {
                **{key: getattr(skill, key) for key in _ORIGIN},
                "updated": skill.name in known,
                "auxiliary_files": list(skill.files),
                "code_blocks": len(skill.code_blocks),
                "warnings": warnings.get(skill.name, []),
            }
            for skill in skills
        ],
        "errors": faults,
    }


def _cut(text: str) -> str:
    line = shown_line(text)
    return line if len(line) <= _DESCRIPTION else f"{line[: _DESCRIPTION - 1].rstrip()}…"
