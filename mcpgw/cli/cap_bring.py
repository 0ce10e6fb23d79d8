"""`mcp-gateway cap install`, `import` and `import-url`: files from elsewhere."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import trio

from mcpgw.cli.app import log_options
from mcpgw.cli.cap import _library, command, format_option, print_json
from mcpgw.cli.exits import FAILED, NOT_FOUND, OK, UNAVAILABLE

if TYPE_CHECKING:
    from mcpgw.openapi_import import Conversion

REPOSITORY: Final = "mcpgw/capabilities"
RAW: Final = "https://raw.githubusercontent.com"
LARGEST_SPEC: Final = 20 * 1024 * 1024
_NAME: Final = re.compile(r"[a-z0-9_]{1,64}")
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")
_BRANCH: Final = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_./-]{0,200}")


@command.command("install")
@click.argument("name")
@click.option("--from-github", is_flag=True, help="From a repository at GitHub.")
@click.option("--repo", default=REPOSITORY, show_default=True, help="The repository, OWNER/NAME.")
@click.option("--branch", default="main", show_default=True)
@click.option("-o", "--output", default="capabilities", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask before a file from elsewhere is written.")
@format_option
@log_options
@click.pass_context
def install_command(
    ctx: click.Context,
    /,
    name: str,
    from_github: bool,
    repo: str,
    branch: str,
    output: Path,
    yes: bool,
    form: str,
    **options: Any,
) -> None:
    """Copy the capability NAME into a folder of yours, checked and pinned.

    Without --from-github it is a built-in one, for you to change. A file from GitHub is shown
    before it is written.
    """
    if not _NAME.fullmatch(name):
        raise click.UsageError(f"{name!r} is no name of a capability: a-z, 0-9 and '_'")
    if from_github:
        data, category = _from_github(ctx, name, repo, branch)
    else:
        library, _ = _library(ctx, options, None, builtin=True)
        entry = library.get(name)
        if entry is None:
            click.echo(f"Error: no built-in capability is called '{name}'.", err=True)
            ctx.exit(NOT_FOUND)
        data, category = entry.path.read_bytes(), entry.path.parent.name
    problem = _unusable(name, data)
    if problem:
        click.echo(f"Error: {problem}", err=True)
        ctx.exit(FAILED)
    if from_github and not yes:
        click.echo(data.decode("utf-8", "replace"), err=True)
        if not click.confirm("Write this file?", err=True):
            ctx.exit(FAILED)
    target = output / category / f"{name}.yaml"
    if target.exists():
        click.echo(f"Error: {target} is there already.", err=True)
        ctx.exit(FAILED)
    digest = _write(ctx, target, data)
    if form == "json":
        print_json({"file": str(target), "sha256": digest})
    else:
        click.echo(f"Installed {target}\n  sha256: {digest}")
    ctx.exit(OK)


def _from_github(ctx: click.Context, name: str, repo: str, branch: str) -> tuple[bytes, str]:
    from mcpgw.capabilities.builtin import builtin_folder
    from mcpgw.capabilities.failures import CallProblem
    from mcpgw.capabilities.fetching import fetch_answer
    from mcpgw.capabilities.reading import LARGEST

    if not _REPOSITORY.fullmatch(repo) or ".." in repo:
        raise click.UsageError(f"{repo!r} is no repository; write OWNER/NAME")
    if not _BRANCH.fullmatch(branch):
        raise click.UsageError(f"{branch!r} is no branch")
    shipped = builtin_folder()
    known = sorted(p.name for p in shipped.iterdir() if p.is_dir()) if shipped else []
    base = os.environ.get("MCP_GATEWAY_RAW_GITHUB", RAW)
    inside = ("localhost", "127.0.0.0/8") if base != RAW else ()
    last = "no category has it"

    async def search() -> tuple[bytes, str] | None:
        nonlocal last
        for category in known:
            url = f"{base}/{repo}/{branch}/capabilities/{category}/{name}.yaml"
            try:
                answer = await fetch_answer(url, limit=LARGEST, inside=inside)
            except CallProblem as problem:
                last = str(problem)
                return None
            if answer.status == 200:
                return answer.content, category
            last = f"HTTP {answer.status}"
        return None

    found = trio.run(search)
    if found is None:
        click.echo(
            f"Error: Capability '{name}' not found in repository {repo}:{branch}."
            f" Last error: {last}",
            err=True,
        )
        ctx.exit(FAILED)
    return found


def _unusable(name: str, data: bytes) -> str:
    """Return why a file of somebody else is not let in, "" where it may be."""
    from mcpgw.capabilities.pins import PinProblem, look_at
    from mcpgw.capabilities.reading import read_capability
    from mcpgw.cli.cap import _scanned
    from mcpgw.config.problems import ConfigError

    try:
        pinned = look_at(data)
        capability, _ = read_capability(Path(f"{name}.yaml"), data)
    except (PinProblem, ConfigError) as error:
        return str(error)
    if not pinned.holds:
        return pinned.mismatch(name)
    if capability.name != name:
        return f"the file calls itself '{capability.name}', and not '{name}'"
    blocked, _ = _scanned(capability, data)
    return f"tool poisoning: {'; '.join(blocked)}" if blocked else ""


def _write(ctx: click.Context, target: Path, data: bytes) -> str:
    from mcpgw.capabilities.pinning import pin_file
    from mcpgw.state.folder import state_folder

    try:
        return pin_file(target, state_folder(os.environ), data=data)
    except ValueError as error:
        click.echo(f"Error: {error}", err=True)
        ctx.exit(FAILED)


# -- OpenAPI ----------------------------------------------------------------------------------


def _import_options(function: Any) -> Any:
    for decorate in (
        click.option("-o", "--output", default="capabilities", type=click.Path(path_type=Path)),
        click.option("-p", "--prefix", default="", help="What each name begins with."),
        click.option("--include", multiple=True, help="tag:NAME, path:GLOB, method:GET or a name."),
        click.option("--exclude", multiple=True, help="The same, left out."),
        click.option("--deprecated", is_flag=True, help="Deprecated operations too."),
        click.option("--dry-run", is_flag=True, help="Write nothing."),
        click.option("--overwrite", is_flag=True, help="Replace files that were changed by hand."),
        click.option("--cost-per-call", type=float, default=0.0, help="Price of a call, in USD."),
        format_option,
        log_options,
    ):
        function = decorate(function)
    return function


@command.command("import")
@click.argument("spec")
@click.option("--auth-key", default=None, help="Reference to the credential, such as env:KEY.")
@_import_options
@click.pass_context
def import_command(ctx: click.Context, /, spec: str, **options: Any) -> None:
    """Make capabilities of the OpenAPI document SPEC, a file or a URL."""
    from mcpgw.openapi_import import ImportProblem, load

    try:
        document = load(_document(ctx, spec), spec)
    except ImportProblem as problem:
        click.echo(f"Error: Failed to parse OpenAPI spec: {problem}", err=True)
        ctx.exit(FAILED)
    _convert_and_write(ctx, document, spec, options)


def _document(ctx: click.Context, spec: str) -> str:
    if spec.startswith(("http://", "https://")):
        from mcpgw.capabilities.failures import CallProblem
        from mcpgw.capabilities.fetching import fetch_answer

        inside = _inside()
        try:
            answer = trio.run(lambda: fetch_answer(spec, limit=LARGEST_SPEC, inside=inside))
        except CallProblem as problem:
            click.echo(f"Error: OpenAPI spec fetch failed: {problem}", err=True)
            ctx.exit(UNAVAILABLE)
        if answer.status != 200:
            click.echo(f"Error: OpenAPI spec fetch failed: HTTP {answer.status}", err=True)
            ctx.exit(UNAVAILABLE)
        return answer.text()
    try:
        with Path(spec).open("rb") as file:
            return file.read(LARGEST_SPEC + 1).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        click.echo(f"Error: Failed to read OpenAPI spec {spec}: {reason}", err=True)
        ctx.exit(FAILED)


def _inside() -> tuple[str, ...]:
    """Return what the person lets a specification be fetched from inside this network."""
    named = os.environ.get("MCP_GATEWAY_ALLOW_PRIVATE", "")
    return tuple(each.strip() for each in named.split(",") if each.strip())


def _convert_and_write(
    ctx: click.Context,
    document: Mapping[str, Any],
    source: str,
    options: Mapping[str, Any],
    *,
    most: int | None = None,
) -> None:
    from mcpgw.openapi_import import Filter, ImportProblem, convert, rank, write

    form, output = options["form"], options["output"]
    bar = form == "text" and sys.stderr.isatty()
    shown = click.progressbar(
        length=_operations(document), label="Reading operations", file=sys.stderr
    )
    try:
        with shown if bar else contextlib.nullcontext() as progress:
            conversion = convert(
                document,
                source=source,
                prefix=options["prefix"],
                include=Filter.of(options["include"]),
                exclude=Filter.of(options["exclude"]),
                auth_key=options.get("auth_key"),
                cost_per_call=options["cost_per_call"],
                deprecated=options["deprecated"],
                scan=_scan,
                progress=None if progress is None else lambda: progress.update(1),
            )
        if most is not None:
            conversion = rank(conversion, most)
        written = write(
            conversion, output, dry_run=options["dry_run"], overwrite=options["overwrite"]
        )
    except ImportProblem as problem:
        click.echo(f"Error: {problem}", err=True)
        ctx.exit(FAILED)
    if not options["dry_run"]:
        _let_in(written.files)
    _report(conversion, written, source, options)
    ctx.exit(OK if conversion.capabilities else FAILED)


def _operations(document: Mapping[str, Any]) -> int:
    paths = document.get("paths")
    if not isinstance(paths, Mapping):
        return 0
    return sum(len(item) for item in paths.values() if isinstance(item, Mapping))


def _scan(text: str, document: Mapping[str, Any]) -> list[str]:
    from mcpgw.capabilities.scanning import scan_capability
    from mcpgw.poisoning import scan_text

    raw = [each.reason for each in scan_text(text, "operation") if each.severity.name == "HIGH"]
    blocked, _ = scan_capability(document, {}) if document else ([], [])
    return raw + blocked


def _let_in(files: Iterable[Path]) -> None:
    """Take note of files that were written here, so that none counts as changed by others."""
    from mcpgw.capabilities.pins import content_hash
    from mcpgw.state.approvals import ApprovalStore, ApprovedFile
    from mcpgw.state.folder import state_folder

    store = ApprovalStore.of(state_folder(os.environ))
    for path in files:
        place = path.parent.resolve() / path.name
        digest = content_hash(path.read_bytes())
        store.pin_file(ApprovedFile(str(place), path.stem, digest, pinned=True))


def _report(conversion: Conversion, written: Any, source: str, options: Mapping[str, Any]) -> None:
    output = options["output"]
    if options["form"] == "json":
        print_json(
            {
                "source": source,
                "output": str(output),
                "dry_run": options["dry_run"],
                "capabilities": [
                    {"name": c.name, "method": c.method, "path": c.path, "notes": list(c.notes)}
                    for c in conversion.capabilities
                ],
                "skipped": [
                    {"method": s.method, "path": s.path, "reason": s.reason}
                    for s in conversion.skipped
                ],
                "warnings": list(conversion.warnings),
            }
        )
        return
    total = len(conversion.capabilities)
    verb = "Would import" if options["dry_run"] else "Imported"
    click.echo(f"{verb} {total} tools from {source}. Review {output}/ before loading.")
    for each in conversion.capabilities:
        click.echo(f"  {each.name}  ({each.method} {each.path})")
        for note in each.notes:
            click.echo(f"      {note}")
    for skipped in conversion.skipped:
        click.echo(f"Left out: {skipped.method} {skipped.path}: {skipped.reason}", err=True)
    for warning in conversion.warnings:
        click.echo(f"Note: {warning}", err=True)
    if not options["dry_run"]:
        click.echo(f"Capabilities written to {output}/")


@command.command("import-url")
@click.argument("url")
@click.option("--auth", default=None, help="Value of the Authorization header for fetching.")
@click.option("--max-endpoints", default=50, show_default=True, type=click.IntRange(min=1))
@_import_options
@click.pass_context
def import_url_command(
    ctx: click.Context, /, url: str, auth: str | None, max_endpoints: int, **options: Any
) -> None:
    """Find the OpenAPI document of the API at URL, and make capabilities of its best operations."""
    from mcpgw.capabilities.failures import CallProblem
    from mcpgw.capabilities.fetching import fetch_answer
    from mcpgw.openapi_import import ImportProblem, load, probe

    headers = {"authorization": auth} if auth else {}
    inside = _inside()

    async def fetch(address: str) -> bytes | None:
        try:
            answer = await fetch_answer(address, limit=LARGEST_SPEC, headers=headers, inside=inside)
        except CallProblem as problem:
            failures.append(str(problem))
            return None
        return answer.content if answer.status == 200 else None

    failures: list[str] = []

    async def search() -> tuple[str, str] | None:
        return await probe(url, fetch)

    try:
        found = trio.run(search)
        if found is None:
            more = f" {failures[0]}" if failures else ""
            click.echo(f"Error: no OpenAPI document was found at {url}.{more}", err=True)
            ctx.exit(UNAVAILABLE)
        document = load(found[1], found[0])
    except ImportProblem as problem:
        click.echo(f"Error: {problem}", err=True)
        ctx.exit(FAILED)
    _convert_and_write(ctx, document, found[0], options, most=max_endpoints)
