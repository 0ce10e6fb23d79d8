"""`mcp-gateway cap test`: one call, live or from a recording."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import trio

from mcpgw.cli.app import log_options
from mcpgw.cli.cap.common import named
from mcpgw.cli.configuration import configured, usable_state_folder
from mcpgw.cli.exit_codes import OK, TOOL_ERROR, USAGE
from mcpgw.cli.output import format_option, print_json, print_result, say, say_lines

if TYPE_CHECKING:
    from mcpgw.capabilities.entries import Entry
    from mcpgw.config.loader import Loaded


@click.command("test")
@click.argument("name")
@click.option("-a", "--args", "text", default="{}", help="Arguments as JSON.")
@click.option("--record", type=click.Path(path_type=Path), help="Record the call to a file.")
@click.option(
    "--replay",
    type=click.Path(path_type=Path),
    help="Replay a recording instead of sending requests.",
)
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
    """Call a capability, live or from a recording.

    NAME is the name of a capability or a file. It is checked in the same way as by the gateway.
    """
    try:
        arguments = json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"--args is not JSON: {error}") from None
    except RecursionError:
        raise click.UsageError("--args is nested too deeply") from None
    if not isinstance(arguments, dict):
        raise click.UsageError('--args must be a JSON object, such as \'{"city": "Oslo"}\'')
    if record is not None and replay is not None:
        raise click.UsageError("--record and --replay are mutually exclusive")
    path, entry = named(ctx, options, name)
    loaded, here = configured(ctx, options)
    result, problem = try_capability(
        path, entry, arguments, loaded, here, record=record, replay=replay
    )
    if problem:
        say_lines(f"Error: {problem}", err=True)
        ctx.exit(USAGE)
    failed = result.get("isError") is True
    if form == "json":
        print_json(result)
    else:
        say(f"{entry.name} {json.dumps(arguments, ensure_ascii=False)}")
        say("Execution failed:" if failed else "Success:", err=failed)
        for block in result["content"]:
            shown = block.get("text") or f"({block['type']}, {len(str(block))} bytes)"
            print_result(shown, err=failed)
    ctx.exit(TOOL_ERROR if failed else OK)


def try_capability(
    path: Path,
    entry: Entry,
    arguments: Mapping[str, Any],
    loaded: Loaded,
    here: Path,
    *,
    record: Path | None,
    replay: Path | None,
) -> tuple[dict[str, Any], str]:
    """Call a capability; return its result, and an error message if the call is not valid."""
    from mcpgw.capabilities.errors import CallProblem
    from mcpgw.capabilities.parsing import read_capability
    from mcpgw.capabilities.recording import RecordingSender, ReplayingSender, read_recording
    from mcpgw.protocol.arguments import InvalidArguments, compiled
    from mcpgw.transports.network import Network

    capability, _ = read_capability(path, path.read_bytes())
    checker = compiled(entry.definition.get("inputSchema")).checker
    try:
        checked = dict(arguments) if checker is None else checker.check(dict(arguments))
    except InvalidArguments as error:
        return {}, f"{error}."
    network = Network(loaded.environ)
    try:
        sender: Any = (
            ReplayingSender(network, calls=read_recording(replay))
            if replay is not None
            else RecordingSender(network)
        )
    except CallProblem as problem:
        return {}, str(problem)

    folder = usable_state_folder()

    async def main() -> dict[str, Any]:
        from mcpgw.capabilities.service import executor_of

        executor = executor_of(loaded.config, sender, loaded.environ, here, folder)
        try:
            result = await executor.call(capability, checked, content_hash=entry.hash, path=path)
        finally:
            await sender.aclose()
        if record is not None:
            try:
                sender.save(record, executor.credentials.seen)
            except OSError as error:
                raise click.FileError(str(record), error.strerror) from None
        return result

    return trio.run(main), ""
