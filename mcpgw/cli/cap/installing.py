"""`mcp-gateway cap install`: built-in capability files, or those of a GitHub repository."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final

import click
import trio

from mcpgw.cli.app import log_options
from mcpgw.cli.cap.common import library_of, scanned
from mcpgw.cli.configuration import usable_state_folder
from mcpgw.cli.exit_codes import FAILED, NOT_FOUND, OK
from mcpgw.cli.output import format_option, print_json, say, say_lines
from mcpgw.text.did_you_mean import did_you_mean

REPOSITORY: Final = "mcpgw/capabilities"
RAW: Final = "https://raw.githubusercontent.com"
_NAME: Final = re.compile(r"[a-z0-9_]{1,64}")
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")
_BRANCH: Final = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_./-]{0,200}")


@click.command("install")
@click.argument("name")
@click.option("--from-github", is_flag=True, help="Install from a GitHub repository.")
@click.option(
    "--repo", default=REPOSITORY, show_default=True, help="GitHub repository, OWNER/NAME."
)
@click.option("--branch", default="main", show_default=True, help="Branch of the repository.")
@click.option(
    "-o",
    "--output",
    default="capabilities",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder to install to.",
)
@click.option("--yes", is_flag=True, help="Do not ask before writing a file from GitHub.")
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
    """Install a capability, checked and pinned.

    Copies the built-in capability NAME to a folder, where you can change it, or with
    --from-github, one from a GitHub repository, which is shown before it is written.
    """
    if not _NAME.fullmatch(name):
        raise click.UsageError(f"{name!r} is not a valid capability name: use a-z, 0-9 and '_'")
    if from_github:
        data, category = _from_github(ctx, name, repo, branch)
    else:
        library, _ = library_of(ctx, options, None, builtin=True)
        entry = library.get(name)
        if entry is None:
            hint = did_you_mean(name, [each.name for each in library.entries()])
            say_lines(f"Error: Built-in capability '{name}' not found.{hint}", err=True)
            ctx.exit(NOT_FOUND)
        data, category = entry.path.read_bytes(), entry.path.parent.name
    problem = _refusal(name, data)
    if problem:
        say_lines(f"Error: {problem}", err=True)
        ctx.exit(FAILED)
    if from_github and not yes:
        say_lines(data.decode("utf-8", "replace"), err=True)
        if not click.confirm("Write this file?", err=True):
            ctx.exit(FAILED)
    target = output / category / f"{name}.yaml"
    if target.exists():
        say_lines(f"Error: {target} already exists.", err=True)
        ctx.exit(FAILED)
    digest = _write(ctx, target, data)
    if form == "json":
        print_json({"file": str(target), "sha256": digest})
    else:
        say_lines(f"Installed {target}\n  sha256: {digest}")
    ctx.exit(OK)


def _from_github(ctx: click.Context, name: str, repo: str, branch: str) -> tuple[bytes, str]:
    from mcpgw.capabilities.builtin import builtin_folder
    from mcpgw.capabilities.errors import CallProblem
    from mcpgw.capabilities.fetching import fetch_response
    from mcpgw.capabilities.parsing import LARGEST

    if not _REPOSITORY.fullmatch(repo) or ".." in repo:
        raise click.UsageError(f"{repo!r} is not a valid repository; use OWNER/NAME")
    if not _BRANCH.fullmatch(branch):
        raise click.UsageError(f"{branch!r} is not a valid branch name")
    shipped = builtin_folder()
    known = sorted(p.name for p in shipped.iterdir() if p.is_dir()) if shipped else []
    base = os.environ.get("MCP_GATEWAY_RAW_GITHUB", RAW)
    inside = ("localhost", "127.0.0.0/8") if base != RAW else ()
    last = "not found in any category"

    async def search() -> tuple[bytes, str] | None:
        nonlocal last
        for category in known:
            url = f"{base}/{repo}/{branch}/capabilities/{category}/{name}.yaml"
            try:
                answer = await fetch_response(url, limit=LARGEST, inside=inside)
            except CallProblem as problem:
                last = str(problem)
                return None
            if answer.status == 200:
                return answer.content, category
            last = f"HTTP {answer.status}"
        return None

    found = trio.run(search)
    if found is None:
        say(
            f"Error: Capability '{name}' not found in repository {repo}:{branch}."
            f" Last error: {last}",
            err=True,
        )
        ctx.exit(FAILED)
    return found


def _refusal(name: str, data: bytes) -> str:
    """Return the reason to refuse a file, or "" if it is acceptable."""
    from mcpgw.capabilities.parsing import read_capability
    from mcpgw.capabilities.pins import PinProblem, read_pin
    from mcpgw.config.problems import ConfigError

    try:
        pinned = read_pin(data)
        capability, _ = read_capability(Path(f"{name}.yaml"), data)
    except (PinProblem, ConfigError) as error:
        return str(error)
    if not pinned.holds:
        return pinned.mismatch(name)
    if capability.name != name:
        return f"the name in the file must be '{name}', not '{capability.name}'"
    blocked, _ = scanned(capability, data)
    return f"tool poisoning: {'; '.join(blocked)}" if blocked else ""


def _write(ctx: click.Context, target: Path, data: bytes) -> str:
    from mcpgw.capabilities.pinning import pin_file

    try:
        return pin_file(target, usable_state_folder(), data=data)
    except ValueError as error:
        say_lines(f"Error: {error}", err=True)
        ctx.exit(FAILED)
