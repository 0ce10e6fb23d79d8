"""Calling one capability from the command line, live or by a recording."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from mcpgw.capabilities.library import Entry
    from mcpgw.config.schema import GatewayConfig


def try_capability(
    path: Path,
    entry: Entry,
    arguments: Mapping[str, Any],
    config: GatewayConfig,
    here: Path,
    environ: Mapping[str, str],
    *,
    record: Path | None,
    replay: Path | None,
) -> tuple[dict[str, Any], str]:
    """Call a capability; return its result, or why it cannot be called like this."""
    from mcpgw.capabilities.failures import CallProblem
    from mcpgw.capabilities.reading import read_capability
    from mcpgw.capabilities.recording import PlayingSender, RecordingSender, read_recording
    from mcpgw.protocol.arguments import InvalidArguments, compiled
    from mcpgw.state.folder import state_folder
    from mcpgw.transports.network import Network

    capability, _ = read_capability(path, path.read_bytes())
    checker = compiled(entry.definition.get("inputSchema")).checker
    try:
        checked = dict(arguments) if checker is None else checker.check(dict(arguments))
    except InvalidArguments as error:
        return {}, f"{error}."
    network = Network(environ)
    try:
        sender: Any = (
            PlayingSender(network, calls=read_recording(replay))
            if replay is not None
            else RecordingSender(network)
        )
    except CallProblem as problem:
        return {}, str(problem)

    async def main() -> dict[str, Any]:
        from mcpgw.apis import executor_of

        executor = executor_of(config, sender, environ, here, state_folder(os.environ))
        try:
            result = await executor.call(capability, checked, content_hash=entry.hash, path=path)
        finally:
            await sender.aclose()
        if record is not None:
            sender.save(record, executor.credentials.seen)
        return result

    return trio.run(main), ""
