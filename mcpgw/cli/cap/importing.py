"""`mcp-gateway cap import` and `import-url`: capabilities from OpenAPI documents."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import trio

from mcpgw.cli.app import log_options, settle
from mcpgw.cli.configuration import usable_state_folder
from mcpgw.cli.exit_codes import FAILED, OK, UNAVAILABLE
from mcpgw.cli.output import format_option, print_json, say, say_lines
from mcpgw.text.plural import plural

if TYPE_CHECKING:
    from mcpgw.capabilities.errors import CallProblem
    from mcpgw.openapi_import import Conversion, Read, Written

LARGEST_SPEC: Final = 20 * 1024 * 1024


def _import_options(function: Any) -> Any:
    for decorate in (
        click.option(
            "-o",
            "--output",
            default="capabilities",
            show_default=True,
            type=click.Path(path_type=Path),
            help="Folder for the files.",
        ),
        click.option("-p", "--prefix", default="", help="Prefix of all names."),
        click.option(
            "--include",
            multiple=True,
            help="Operations to import: tag:NAME, path:GLOB, method:GET or a name.",
        ),
        click.option("--exclude", multiple=True, help="Operations to skip, in the same form."),
        click.option("--deprecated", is_flag=True, help="Include deprecated operations."),
        click.option("--base-url", default="", help="Base URL in place of the document's servers."),
        click.option("--details", is_flag=True, help="List all skipped operations and notes."),
        click.option("--dry-run", is_flag=True, help="Write nothing."),
        click.option(
            "--allow-private",
            multiple=True,
            metavar="HOST",
            help="Private host or network to fetch from and to call; also"
            " MCP_GATEWAY_ALLOW_PRIVATE, comma-separated.",
        ),
        click.option(
            "--allow",
            multiple=True,
            metavar="NAME",
            help="Import this capability even if it looks like tool poisoning; repeatable.",
        ),
        click.option("--overwrite", is_flag=True, help="Replace manually changed files."),
        click.option("--cost-per-call", type=float, default=0.0, help="Price of a call, in USD."),
        format_option,
        log_options,
    ):
        function = decorate(function)
    return function


@click.command("import")
@click.argument("spec")
@click.option("--auth-key", default=None, help="Reference to the credential, such as env:KEY.")
@_import_options
@click.pass_context
def import_command(ctx: click.Context, /, spec: str, **options: Any) -> None:
    """Import an OpenAPI document from a file or URL.

    Writes one capability file for each operation of SPEC. Operations that look like tool poisoning
    are reported and not written, unless `security.tool_poisoning` in gateway.yaml is `warn` or
    `off`, or --allow names them; the gateway then offers just the file that was written. The exit
    status is 0 if at least one capability was imported, else 1.
    """
    from mcpgw.openapi_import import ImportProblem, load

    try:
        document = load(_document(ctx, spec, options), spec)
    except ImportProblem as problem:
        say_lines(f"Error: Failed to parse OpenAPI spec: {problem}", err=True)
        ctx.exit(FAILED)
    _convert_and_write(ctx, document, spec, options)


def _document(ctx: click.Context, spec: str, options: Mapping[str, Any]) -> str:
    if spec.startswith(("http://", "https://")):
        from mcpgw.capabilities.errors import CallProblem
        from mcpgw.capabilities.fetching import fetch_response

        inside = _inside(options)
        try:
            answer = trio.run(lambda: fetch_response(spec, limit=LARGEST_SPEC, inside=inside))
        except CallProblem as problem:
            say_lines(f"Error: OpenAPI spec fetch failed: {_with_hint(problem)}", err=True)
            ctx.exit(UNAVAILABLE)
        if answer.status != 200:
            say_lines(f"Error: OpenAPI spec fetch failed: HTTP {answer.status}", err=True)
            ctx.exit(UNAVAILABLE)
        return answer.text()
    try:
        with Path(spec).open("rb") as file:
            found = file.read(LARGEST_SPEC + 1)
        if len(found) > LARGEST_SPEC:
            raise OSError(0, f"larger than {LARGEST_SPEC >> 20} MiB")
        return found.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        say_lines(f"Error: Failed to read OpenAPI spec {spec}: {reason}", err=True)
        ctx.exit(FAILED)


def _reader(spec: str, options: Mapping[str, Any], headers: Mapping[str, str]) -> Read | None:
    """Return a reader of the documents that a document from a URL refers to."""
    if not spec.startswith(("http://", "https://")):
        return None
    from mcpgw.capabilities.errors import CallProblem
    from mcpgw.capabilities.fetching import fetch_response
    from mcpgw.openapi_import import ReadProblem, remote_reader

    inside = _inside(options)

    def fetch(url: str) -> bytes:
        try:
            answer = trio.run(
                lambda: fetch_response(url, limit=LARGEST_SPEC, headers=headers, inside=inside)
            )
        except CallProblem as problem:
            raise ReadProblem(f"cannot be fetched: {_with_hint(problem)}") from None
        if answer.status != 200:
            raise ReadProblem(f"cannot be fetched: HTTP {answer.status}")
        return answer.content

    return remote_reader(spec, fetch)


def _private(options: Mapping[str, Any]) -> Callable[[str], bool]:
    """Return a function that tells whether a host is a private one that is allowed."""
    from fnmatch import fnmatchcase
    from ipaddress import ip_address

    from mcpgw.transports.address_policy import AllowedNetworks, is_loopback_host, kind

    inside = _inside(options)
    allowed = AllowedNetworks(inside)

    def private(host: str) -> bool:
        try:
            address = ip_address("127.0.0.1" if is_loopback_host(host) else host)
        except ValueError:
            return any(each != "*" and fnmatchcase(host, each.lower()) for each in inside)
        return kind(address) != "public" and allowed.allows(host, address)

    return private


def _inside(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the private hosts and networks that documents may be fetched from."""
    named = os.environ.get("MCP_GATEWAY_ALLOW_PRIVATE", "").split(",")
    return (*options["allow_private"], *(each.strip() for each in named if each.strip()))


def _with_hint(problem: CallProblem) -> str:
    text = str(problem)
    return f"{text} To allow it: --allow-private HOST." if problem.inside else text


def _convert_and_write(
    ctx: click.Context,
    document: Mapping[str, Any],
    source: str,
    options: Mapping[str, Any],
    *,
    most: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> None:
    from mcpgw.openapi_import import Filter, ImportProblem, convert, rank, write
    from mcpgw.state.database import StateError

    form, output = options["form"], options["output"]
    policy = _poisoning_policy(ctx, options)
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
                base_url=_base_url(options["base_url"]),
                private=_private(options),
                read=_reader(source, options, headers or {}),
                scan=None if policy == "off" else _scan,
                allow=options["allow"],
                warn_only=policy == "warn",
                progress=None if progress is None else lambda: progress.update(1),
            )
        if most is not None:
            conversion = rank(conversion, most)
        written = write(
            conversion, output, dry_run=options["dry_run"], overwrite=options["overwrite"]
        )
    except ImportProblem as problem:
        say_lines(f"Error: {problem}", err=True)
        ctx.exit(FAILED)
    try:
        allowed = {each.name for each in conversion.capabilities if each.suspicious}
        _approve(written.files, allowed & set(options["allow"]))
    except StateError as error:
        say(
            f"Error: {plural(len(written.files), 'file')} written, but not approved: {error}",
            err=True,
        )
        ctx.exit(FAILED)
    _report(conversion, written, source, options)
    ctx.exit(OK if conversion.capabilities else FAILED)


def _operations(document: Mapping[str, Any]) -> int:
    paths = document.get("paths")
    if not isinstance(paths, Mapping):
        return 0
    return sum(len(item) for item in paths.values() if isinstance(item, Mapping))


def _poisoning_policy(ctx: click.Context, options: Mapping[str, Any]) -> str:
    """Return `security.tool_poisoning` of the configuration."""
    from mcpgw.config import loader
    from mcpgw.config.problems import ConfigError

    logs = {name: options[name] for name in ("config", "log_level", "log_format")}
    given = settle(ctx, **logs, level="warning")
    try:
        path = Path(given).expanduser() if given else loader.find(os.environ, Path.cwd())
        return loader.load(path, environ=os.environ).config.security.tool_poisoning
    except ConfigError as error:
        if given:
            say_lines(f"Error: {error}", err=True)
            ctx.exit(FAILED)
        return "block"  # an unrelated file; the strictest policy


def _scan(text: str, document: Mapping[str, Any]) -> list[str]:
    from mcpgw.capabilities.scanning import scan_capability
    from mcpgw.trust.poisoning import scan_text

    raw = [each.reason for each in scan_text(text, "operation") if each.severity.name == "HIGH"]
    blocked, _ = scan_capability(document, {}) if document else ([], [])
    return raw + blocked


def _approve(files: Iterable[Path], reviewed: Collection[str]) -> None:
    """Pin the written files, so that they do not count as changed by others.

    Those in `reviewed`, by name, were accepted by a person in spite of findings.
    """
    from mcpgw.capabilities.pins import content_hash
    from mcpgw.trust.approvals import ApprovalStore, ApprovedFile

    found = []
    for path in files:
        place = path.parent.resolve() / path.name
        digest = content_hash(path.read_bytes())
        by_person = path.stem in reviewed
        found.append(ApprovedFile(str(place), path.stem, digest, True, by_person))
    if found:
        ApprovalStore.of(usable_state_folder()).pin_files(found)


def _base_url(text: str) -> str:
    """Return the URL of `--base-url`, which must be one."""
    from urllib.parse import urlsplit

    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise click.BadParameter(f"{text!r} must be an http or https URL", param_hint="--base-url")
    return text


def _report(
    conversion: Conversion, written: Written, source: str, options: Mapping[str, Any]
) -> None:
    from mcpgw.cli.cap.import_report import as_json, as_text

    if options["form"] == "json":
        print_json(as_json(conversion, written, source, options))
    else:
        as_text(conversion, written, source, options)


@click.command("import-url")
@click.argument("url")
@click.option("--auth", default=None, help="Authorization header for fetching the document.")
@click.option(
    "--max-endpoints",
    default=50,
    show_default=True,
    type=click.IntRange(min=1),
    help="Maximum number of operations to import.",
)
@_import_options
@click.pass_context
def import_url_command(
    ctx: click.Context, /, url: str, auth: str | None, max_endpoints: int, **options: Any
) -> None:
    """Find and import the OpenAPI document of an API.

    Only the most useful operations of the API at URL are imported.
    """
    from mcpgw.capabilities.errors import CallProblem
    from mcpgw.capabilities.fetching import fetch_response
    from mcpgw.openapi_import import ImportProblem, load, probe

    headers = {"authorization": auth} if auth else {}
    inside = _inside(options)

    async def fetch(address: str) -> bytes | None:
        try:
            answer = await fetch_response(
                address, limit=LARGEST_SPEC, headers=headers, inside=inside
            )
        except CallProblem as problem:
            failures.append(_with_hint(problem))
            return None
        return answer.content if answer.status == 200 else None

    failures: list[str] = []

    async def search() -> tuple[str, str] | None:
        return await probe(url, fetch)

    try:
        found = trio.run(search)
        if found is None:
            more = f" {failures[0]}" if failures else ""
            say_lines(f"Error: no OpenAPI document was found at {url}.{more}", err=True)
            ctx.exit(UNAVAILABLE)
        document = load(found[1], found[0])
    except ImportProblem as problem:
        say_lines(f"Error: {problem}", err=True)
        ctx.exit(FAILED)
    _convert_and_write(ctx, document, found[0], options, most=max_endpoints, headers=headers)
