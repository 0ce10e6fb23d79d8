"""`mcp-gateway init`: creates a gateway.yaml, with two capability files that need no API key."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from mcpgw.cli.app import log_options, settle
from mcpgw.cli.exit_codes import FAILED
from mcpgw.cli.output import say, say_lines

EXAMPLES: Final = ("knowledge/weather_current.yaml", "knowledge/public_holidays.yaml")
"""Capability files to copy, relative to the folder of the built-in ones."""

_HEAD: Final = """\
# mcp-gateway; all settings: docs/configuration.md. Changes are applied while it runs.

server:  # HTTP; not used by `mcp-gateway serve --mode stdio`
  host: 127.0.0.1
  port: 39400
"""
_CAPABILITIES: Final = """
# Capabilities: tools defined by the YAML files in these folders.
capabilities:
  enabled: true
  directories: [capabilities]
  builtin: true  # also use the built-in ones
"""
_NO_CAPABILITIES: Final = """
capabilities: {enabled: false}  # no built-in REST APIs
"""
_BACKENDS: Final = """
# MCP servers, by a name of your choice.
backends:
#  time:
#    command: uvx mcp-server-time
#    description: Time and time zones
#  issues:
#    http_url: https://mcp.example.com/mcp
#    headers: {Authorization: "Bearer ${ISSUES_TOKEN}"}
"""


@click.command("init", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-o",
    "--output",
    default="gateway.yaml",
    show_default=True,
    metavar="FILE",
    help="The file to write.",
)
@click.option(
    "--profile",
    type=click.Choice(["local", "minimal"]),
    default="local",
    show_default=True,
    help="local: with capabilities; minimal: MCP servers only.",
)
@click.option(
    "--with-examples/--no-examples",
    default=True,
    help="Add two capability files that need no API key (local only).",
)
@log_options
@click.pass_context
def command(
    ctx: click.Context, /, output: str, profile: str, with_examples: bool, **options: Any
) -> None:
    """Create a gateway.yaml.

    Existing files are not overwritten.
    """
    settle(ctx, **options, level="error")
    target = Path(output)
    try:
        written = write_first(target, profile, examples=with_examples)
    except OSError as error:
        say(f"Error: {_reason(error)}", err=True)
        ctx.exit(FAILED)
    for path in written:
        say(f"Created {path}")
    say_lines(_next_steps(target, profile == "local"))


def write_first(target: Path, profile: str, *, examples: bool) -> tuple[Path, ...]:
    """Write a configuration and its examples; return the files.

    Args:
      target: the gateway.yaml.
      profile: `local` or `minimal`.
      examples: whether to write the capability files too (`local` only).

    Raises:
      OSError: a file already exists or cannot be written; no file is written then.
    """
    local = profile == "local"
    wanted = {target: (_HEAD + (_CAPABILITIES if local else _NO_CAPABILITIES) + _BACKENDS).encode()}
    if local and examples:
        wanted |= _examples(target.parent / "capabilities")
    _write(wanted)
    return tuple(wanted)


def _examples(folder: Path) -> dict[Path, bytes]:
    from mcpgw.capabilities.builtin import builtin_folder

    shipped = builtin_folder()
    if shipped is None:
        raise FileNotFoundError(
            "the built-in capability files are not installed; use --no-examples, or reinstall the"
            " package"
        )
    return {folder / name: (shipped / name).read_bytes() for name in EXAMPLES}


def _write(wanted: dict[Path, bytes]) -> None:
    """Write all files, or none if one of them cannot be written."""
    for path in wanted:
        if path.exists() or path.is_symlink():
            raise FileExistsError(
                f"{path} already exists. Remove it first, or choose another place with --output"
                " (and --no-examples to omit the capability files)."
            )
        for folder in path.parents:
            if folder.exists():
                if not folder.is_dir():
                    raise NotADirectoryError(f"{folder} is a file, so {path} cannot be below it.")
                break
    written: list[Path] = []
    try:
        for path, content in wanted.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                written.append(path)
                file.write(content)
    except OSError:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def _reason(error: OSError) -> str:
    if error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _next_steps(target: Path, local: bool) -> str:
    chosen = "" if target.name == "gateway.yaml" and target.parent == Path() else f" -c {target}"
    steps = [
        ("List its tools", f"mcp-gateway tool list{chosen}"),
        ("Serve HTTP", f"mcp-gateway serve{chosen}"),
        ("Command for an AI client", f"mcp-gateway serve --mode stdio{chosen}"),
    ]
    if local:
        call = "tool invoke gateway:public_holidays country_code=FI year=2027"
        steps.insert(1, ("Call a tool", f"mcp-gateway {call}{chosen}"))
    width = max(len(what) for what, _ in steps)
    lines = [f"  {i}. {what:<{width}}  {how}" for i, (what, how) in enumerate(steps, 1)]
    return "\nNext:\n" + "\n".join(lines)
