"""`mcp-gateway tool`: tools of the configured servers, for use in shell scripts.

Results go to stdout, everything else to stderr. The exit status distinguishes the outcomes.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

import attrs
import click
import trio

from mcpgw.backends.verdict import refused
from mcpgw.cli.app import log_options
from mcpgw.cli.exit_codes import FAILED, NOT_FOUND, OK, TOOL_ERROR, UNAVAILABLE, USAGE
from mcpgw.cli.in_process import (
    LEARNING,
    Stop,
    ask,
    at_terminal,
    learn,
    timeout_option,
    with_context,
)
from mcpgw.cli.output import form_option, print_json, print_result, say, say_lines
from mcpgw.meta.context import GatewayContext
from mcpgw.observe.printable import printable
from mcpgw.text.sentences import sentence

if TYPE_CHECKING:
    from mcpgw.backends.server import BackendServer

_STATUS_OF: Final = {
    "TOOL_NOT_FOUND": NOT_FOUND,
    "INVALID_PARAM": USAGE,
    "BACKEND_ERROR": UNAVAILABLE,
    "BACKEND_TIMEOUT": UNAVAILABLE,
    "BACKEND_UNREACHABLE": UNAVAILABLE,
    "CIRCUIT_OPEN": UNAVAILABLE,
    "RATE_LIMITED": UNAVAILABLE,
    "SERVER_DISABLED": UNAVAILABLE,
    "TOOL_DISABLED": UNAVAILABLE,
    "NOT_ALLOWED": FAILED,
    "NOT_AUTHORIZED": TOOL_ERROR,
    "BUDGET_EXCEEDED": FAILED,
}
FORMS: Final = ("table", "json", "plain")


@click.group("tool")
def command() -> None:
    """List, inspect and call tools."""


@command.command("list")
@click.option("-s", "--server", default=None, help="Only tools of this server.")
@timeout_option
@form_option(*FORMS)
@log_options
@click.pass_context
def list_command(
    ctx: click.Context,
    /,
    server: str | None,
    timeout: float | None,
    form: str,
    **options: Any,
) -> None:
    """List the tools of all servers.

    Servers whose tools are not yet known are started once. The tools of those that answer within a
    few seconds are printed first, if others take longer.
    """

    async def run(context: GatewayContext) -> int:
        if server is not None and context.pool.get(server) is None:
            _stop_without_server(context, server)
        listing = _Listing(form, server)

        def waiting(names: list[str]) -> None:
            say(f"Waiting for {', '.join(names)} ...", err=True)
            if form != "json":
                listing.print_known(context)

        await learn(context, timeout, only=server, waiting=waiting)
        await context.pool.look_again(
            patience=LEARNING if timeout is None else timeout, only=server
        )
        if not len(context.pool):
            hint = "Add one under `backends` in gateway.yaml."
            say(f"Warning: no servers are configured. {hint}", err=True)
        listing.print_known(context)
        silent = [b for b in context.pool if not b.known and server in (None, b.name)]
        for backend in silent:
            say_lines(f"Warning: {_why_unknown(backend)}", err=True)
        for backend in context.pool:
            if server in (None, backend.name):
                _warn_of_lists(backend)
        return FAILED if silent else OK

    ctx.exit(with_context(ctx, options, run))


@command.command("inspect")
@click.argument("tool")
@timeout_option
@form_option(*FORMS)
@log_options
@click.pass_context
def inspect_command(
    ctx: click.Context, /, tool: str, timeout: float | None, form: str, **options: Any
) -> None:
    """Show the definition of a tool.

    TOOL is SERVER:TOOL, or a name that only one server has.
    """

    async def run(context: GatewayContext) -> int:
        server, definition = await _find(context, tool, timeout)
        if form == "json":
            print_json({"server": server, **definition})
        else:
            _print_definition(server, definition)
        return OK

    ctx.exit(with_context(ctx, options, run))


@command.command("invoke")
@click.argument("tool")
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("-j", "--json", "-a", "--args", "json_text", default=None, help="Arguments as JSON.")
@timeout_option
@form_option(*FORMS, default="json")
@log_options
@click.pass_context
def invoke_command(
    ctx: click.Context,
    /,
    tool: str,
    arguments: tuple[str, ...],
    json_text: str | None,
    timeout: float | None,
    form: str,
    **options: Any,
) -> None:
    """Call a tool and print its result.

    TOOL is SERVER:TOOL, or a name that only one server has. Arguments are a JSON object on stdin,
    in --json, and KEY=VALUE; later ones take precedence. A VALUE is parsed as JSON unless the
    schema of the tool requires a string. With --json -, stdin is read to its end, without a
    timeout.

    With --format plain, only the texts of the result are printed. If the call was refused or could
    not be made, the reason is on stderr.
    """
    if json_text == "-":
        json_text, piped = _read_stdin(), ""
    else:
        piped = _piped()
    given = _json_object(piped, "stdin") | _json_object(json_text or "", "--json")

    async def run(context: GatewayContext) -> int:
        from mcpgw.meta.invoke import invoke

        server, definition = await _find(context, tool, timeout)
        given.update(_pairs(arguments, definition))
        if not given and _needs_arguments(definition) and not _at_terminal():
            # A program may still be preparing them; nothing else can provide them.
            text = await trio.to_thread.run_sync(_read_stdin, abandon_on_cancel=True)
            given.update(_json_object(text, "stdin"))
        result = await invoke(
            ask(context, {"server": server, "tool": definition["name"], "arguments": given})
        )
        return _print_result(result, form)

    ctx.exit(with_context(ctx, options, run))


def _warn_of_lists(backend: BackendServer) -> None:
    """Print what is withheld of a server, and which of its lists could not be read."""
    from mcpgw.text.plural import plural

    if backend.known and backend.lists.problem:
        say_lines(f"Warning: server '{backend.name}': {backend.lists.problem}", err=True)
    verdict = backend.lists.verdict
    if verdict is not None and not verdict.clean:
        what = plural(len(verdict.withheld), "definition")
        if verdict.blocked is not None:
            what = "all definitions"
        say(
            f"Warning: server '{backend.name}': {what} withheld; see mcp-gateway approvals list",
            err=True,
        )


def _stop_without_server(context: GatewayContext, name: str) -> NoReturn:
    from mcpgw.text.did_you_mean import did_you_mean

    hint = did_you_mean(name, context.pool.names) or (
        f" Configured: {', '.join(context.pool.names) or 'none'}."
    )
    raise Stop(f"Server '{name}' not found.{hint}", NOT_FOUND)


async def _find(
    context: GatewayContext, wanted: str, timeout: float | None
) -> tuple[str, dict[str, Any]]:
    """Return the server and the definition of a tool; start servers only if necessary."""
    from mcpgw.backends.states import Unavailable
    from mcpgw.text.did_you_mean import did_you_mean

    server, colon, name = wanted.partition(":")
    if colon:
        backend = context.pool.get(server)
        if backend is None:
            _stop_without_server(context, server)
        if name not in backend.tools:
            with trio.move_on_after(LEARNING if timeout is None else timeout):
                try:
                    await backend.learned()
                except Unavailable as error:
                    raise Stop(sentence(str(error)), UNAVAILABLE) from error
            if not backend.known:
                raise Stop(sentence(_why_unknown(backend)), UNAVAILABLE)
            withheld = backend.lists.refusal("tool", backend.tool_view.own_name(name) or name)
            if name not in backend.tools and withheld is not None:
                raise Stop(" ".join(refused(server, "tool", withheld)), FAILED)
        owners = [backend]
    else:
        name = wanted
        if not any(name in backend.tools for backend in context.pool):
            await learn(context, timeout)
        owners = list(context.pool)
    found = [(backend.name, backend.tools[name]) for backend in owners if name in backend.tools]
    if len(found) > 1:
        choices = ", ".join(f"{owner}:{name}" for owner, _ in found)
        raise Stop(f"Several servers have '{name}'; specify one of: {choices}", USAGE)
    if not found:
        known = [tool for backend in owners for tool in backend.tools]
        silent = [backend for backend in owners if not backend.known]
        reasons = " ".join(sentence(_why_unknown(backend)) for backend in silent)
        missing = f" Not known: {reasons}" if silent else ""
        hint = did_you_mean(name, known)
        if name in context.pool.names or (colon and not name):
            about = server if colon else name
            hint = f" '{about}' is a server; `tool list --server {about}` lists its tools."
        raise Stop(f"Tool not found: '{wanted}'.{hint}{missing}", NOT_FOUND)
    return found[0]


def _why_unknown(backend: BackendServer) -> str:
    """Return why the tools of a server are not known."""
    from mcpgw.backends.states import State

    if backend.state is State.READY:
        return f"Server '{backend.name}' has not answered `tools/list` in time"
    return backend.situation()


def _at_terminal() -> bool:
    return sys.stdin is None or sys.stdin.isatty()


def _read_stdin() -> str:
    return "" if sys.stdin is None else sys.stdin.read()


def _needs_arguments(definition: Mapping[str, Any]) -> bool:
    schema = definition.get("inputSchema")
    return isinstance(schema, Mapping) and bool(schema.get("required"))


def _piped() -> str:
    if _at_terminal():
        return ""
    import select

    # The stdin of a script may be an open pipe without a writer, so only read available data.
    try:
        ready, _, _ = select.select([sys.stdin], [], [], 0.05)
    except (OSError, ValueError):
        return ""
    return _read_stdin() if ready else ""


def _json_object(text: str, source: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"Invalid JSON from {source}: {error}") from error
    if not isinstance(value, dict):
        raise click.UsageError(f"The JSON from {source} must be an object with the arguments")
    return value


def _pairs(pairs: tuple[str, ...], definition: Mapping[str, Any]) -> dict[str, Any]:
    schema = definition.get("inputSchema")
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    arguments: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise Stop(f"Expected key=value, got: {pair}", USAGE)
        wanted = properties.get(key) if isinstance(properties, Mapping) else None
        kind = wanted.get("type") if isinstance(wanted, Mapping) else None
        arguments[key] = value if kind == "string" else _json_or_text(value)
    return arguments


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _print_result(result: Mapping[str, Any], form: str) -> int:
    status = _status_of(result)
    # The gateway's message about a call that it did not make is not a result of the tool.
    own = status not in (OK, TOOL_ERROR)
    if form == "json":
        print_json(result)
    if form != "json" or own:
        for block in result.get("content", ()):
            if isinstance(block, Mapping) and block.get("type") == "text":
                text = block.get("text", "")
                if own:
                    say_lines(f"Error: {at_terminal(str(text))}", err=True)
                else:
                    print_result(str(text))
            elif isinstance(block, Mapping):
                say(f"[{block.get('type')} {block.get('mimeType', '')}]".replace(" ]", "]"))
    return status


def _status_of(result: Mapping[str, Any]) -> int:
    if not result.get("isError"):
        return OK
    meta = result.get("_meta")
    if isinstance(meta, Mapping) and "gateway/backend_error" in meta:
        return TOOL_ERROR
    recovery = result.get("recovery")
    if not isinstance(recovery, Mapping) or not _is_own(result):
        return TOOL_ERROR
    return _STATUS_OF.get(recovery.get("error_code") or "", TOOL_ERROR)


def _is_own(result: Mapping[str, Any]) -> bool:
    """Return whether an error is the gateway's; a tool's own error may have advice added to it."""
    meta = result.get("_meta")
    return isinstance(meta, Mapping) and "gateway/sent" in meta


@attrs.define
class _Listing:
    """Prints each server's tools once, when they are known."""

    form: str
    only: str | None
    _printed: set[str] = attrs.field(factory=set)
    _widths: tuple[int, int] = (len("SERVER"), len("TOOL"))

    def print_known(self, context: GatewayContext) -> None:
        """Print the tools of the servers that were not printed yet."""
        servers = [
            backend
            for backend in context.pool
            if self.only in (None, backend.name)
            and backend.tools
            and backend.name not in self._printed
        ]
        rows = [
            {"server": backend.name, "name": name, "description": _one_line(tool)}
            for backend in servers
            for name, tool in backend.tools.items()
        ]
        first = not self._printed
        self._printed.update(backend.name for backend in servers)
        if self.form == "json":
            print_json(rows)
        elif self.form == "plain":
            for row in rows:
                say(f"{row['server']}:{row['name']}")
        elif rows:
            shown = [{key: printable(value) for key, value in row.items()} for row in rows]
            self._print_table(shown, head=first)

    def _print_table(self, rows: list[dict[str, str]], *, head: bool) -> None:
        server = max(self._widths[0], *(len(row["server"]) for row in rows))
        name = max(self._widths[1], *(len(row["name"]) for row in rows))
        self._widths = server, name
        room = max(20, shutil.get_terminal_size().columns - server - name - 4)
        if head:
            say(f"{'SERVER':{server}}  {'TOOL':{name}}  DESCRIPTION")
        for row in rows:
            text = row["description"]
            text = text if len(text) <= room else text[: room - 1].rstrip() + "…"
            say(f"{row['server']:{server}}  {row['name']:{name}}  {text}".rstrip())


def _print_definition(server: str, definition: Mapping[str, Any]) -> None:
    from mcpgw.catalog.summary import input_summary

    say(f"Server:       {server}")
    say(f"Tool:         {definition['name']}")
    if definition.get("title"):
        say(f"Title:        {definition['title']}")
    say(f"Description:  {_one_line(definition)}")
    say(f"Arguments:    {input_summary(definition.get('inputSchema')) or 'none'}")
    say("Input schema:")
    print_json(definition.get("inputSchema"))


def _one_line(tool: Mapping[str, Any]) -> str:
    text = tool.get("description") or tool.get("title") or ""
    return " ".join(text.split()) if isinstance(text, str) else ""
