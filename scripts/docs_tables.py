"""The tables of the documentation, each read from the code that it describes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click

from mcpgw.backends import connection, handshake, instance, process
from mcpgw.backends.breaker import JITTER
from mcpgw.cli import exit_codes
from mcpgw.cli import tool as tool_command
from mcpgw.cli.app import group
from mcpgw.config.durations import format_duration
from mcpgw.config.environment import ENVIRONMENT
from mcpgw.config.reference import Row, settings_table
from mcpgw.config.schema import BackendConfig, GatewayConfig
from mcpgw.front import aggregation, input_required, session, tasks
from mcpgw.front.http.settings import HttpSettings
from mcpgw.front.session_registry import SETTLE
from mcpgw.gateway import tree
from mcpgw.gateway.client_requests import CLIENT_PATIENCE
from mcpgw.gateway.gateway import Gateway
from mcpgw.gateway.tree import SIGNAL_GRACE
from mcpgw.meta.context import LEARNING_PATIENCE
from mcpgw.meta.registry import META_TOOLS
from mcpgw.meta.tool import MetaTool
from mcpgw.pipeline.call import Recovery
from mcpgw.pipeline.stages.deadline import CEILING
from mcpgw.protocol.errors import ERROR_CODES
from mcpgw.protocol.peer import MAX_IN_FLIGHT
from mcpgw.state.file_watcher import INTERVAL
from mcpgw.transports.line_channel import QUEUE_LIMIT

HELP_WIDTH: Final = 80
CLAIMS: Final = Path(__file__).resolve().parents[1] / "benchmarks" / "public_claims.json"
PURPOSES: Final = {
    "gateway_list_servers": "See every server with its state, and why one does not run.",
    "gateway_list_tools": "Read one server's whole definitions, or all names in brief.",
    "gateway_search_tools": "Find a tool by describing the task.",
    "gateway_invoke": "Call any tool of any server.",
    "gateway_get_stats": "Count calls, failures, cache hits, tokens saved; see times and breakers.",
    "gateway_cost_report": "Sum up what the calls cost, by session, server, tool and caller.",
    "gateway_webhook_status": "See webhook endpoints; listed with `webhooks.enabled`.",
    "gateway_run_playbook": "Run a named series of calls, or see what it would do.",
    "gateway_kill_server": "Stop a server at once and refuse its calls.",
    "gateway_revive_server": "Let a killed, failing or disabled server be used again.",
    "gateway_restart_server": "Restart one server; listed with `meta_mcp.operator_tools`.",
    "gateway_reload_config": "Load gateway.yaml again now and say what changed.",
    "gateway_reload_capabilities": "Read playbook files again and say what changed.",
    "gateway_list_disabled_capabilities": "See what rests because it mostly failed.",
    "gateway_set_profile": "Work with the servers and tools of a routing profile.",
    "gateway_get_profile": "See the session's routing profile and what it allows.",
    "gateway_list_profiles": "See all routing profiles.",
    "gateway_set_state": "Enter a workflow state, which shows the tools bound to it.",
    "gateway_search": "Find tools by task or pattern; with `code_mode.enabled` one of two.",
    "gateway_execute": "Call a tool or a chain of tools; with `code_mode.enabled` one of two.",
}
"""What each meta-tool is for, in words for a person; a new tool needs its line here."""


MEANINGS: Final = {
    "server": "Name of a server",
    "role": "Only tools of this role: by annotations and name, or their own `role`",
    "query": "What the tool should do; a task, keywords, or a whole request",
    "limit": "Matches at most",
    "explain": "Say what moved each match up or down",
    "tool": "Name of the tool (`server:name` for `gateway_execute`)",
    "arguments": "Arguments of the tool or playbook; JSON text is understood too",
    "price_per_million": "Price of a million tokens of the model, for the savings",
    "session_id": "Another session than this one",
    "include_all_sessions": "All sessions of this gateway",
    "include_all_keys": "What each caller spent in 1, 7 and 30 days",
    "name": "Name of the playbook",
    "dry_run": "Only say what it would do",
    "profile": "Name of a routing profile",
    "state": "Name of the state, of your choice",
    "include_schema": "Give the input schemas too",
    "chain": "Calls in a row: `{tool, arguments}` each",
}
"""What the arguments of the meta-tools mean; their names alone go to the model."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a Markdown table."""
    lines = [_row(head), _row(["---"] * len(head))]
    return lines + [_row([cell.replace("|", "\\|") for cell in row]) for row in rows]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def seconds(value: float) -> str:
    """Write a length of time as gateway.yaml has it."""
    return format_duration(value)


def size(value: int) -> str:
    """Write a number of bytes for a person."""
    return f"{value // 2**20} MiB" if value % 2**20 == 0 else f"{value:,} bytes"


# -- settings and environment -----------------------------------------------------------------


def settings() -> list[str]:
    """Return the settings of gateway.yaml, a table for each part of the file."""
    groups: dict[str, list[Row]] = {}
    for row in settings_table():
        groups.setdefault(_part(row.key), []).append(row)
    lines: list[str] = []
    for part, rows in groups.items():
        lines += [f"### `{part}`" if part else "### At the top", ""]
        lines += table(
            ("Key", "Kind", "Default", "A change takes effect", "Meaning"),
            (
                (f"`{row.key}`", row.type, f"`{row.default}`", _effect(row.reload), row.doc)
                for row in rows
            ),
        )
        lines.append("")
    return lines[:-1]


def _part(key: str) -> str:
    parts = key.split(".")
    if parts[0] == "backends":
        return ".".join(parts[:2])
    return ".".join(parts[:-1])


def _effect(reload: str) -> str:
    return "at once" if reload == "live" else "at the next start"


def environment() -> list[str]:
    """Return the environment variables."""
    return table(
        ("Variable", "Default", "Meaning"),
        (
            (f"`{each}`", f"`{each.default}`" if each.default else "", each.doc)
            for each in ENVIRONMENT
        ),
    )


def token_savings() -> list[str]:
    """Return what the definitions cost: by arithmetic, and as they were counted."""
    claims = json.loads(CLAIMS.read_text("utf-8"))
    given = claims["readme_token_savings"]
    direct = given["direct_tools"] * given["direct_tokens_per_tool"]
    gateway = given["gateway_tools"] * given["gateway_tokens_per_tool"]
    price = given["input_cost_per_million_usd"] * given["requests"] / 1e6
    lines = [
        (
            f"{given['direct_tools']} tools of {given['direct_tokens_per_tool']} tokens each are"
            f" {direct:,} tokens in every request; {given['gateway_tools']} of"
            f" {given['gateway_tokens_per_tool']} are {gateway:,}:"
            f" **{100 * (1 - gateway / direct):.0f} % less**. For {given['requests']:,} requests at"
            f" ${given['input_cost_per_million_usd']:.0f} a million tokens that is"
            f" ${gateway * price:.2f} in place of ${direct * price:.2f}."
        )
    ]
    heading = "Definitions in every request: "
    counted = {
        claim["name"].removeprefix(heading): claim
        for claim in claims["claims"]
        if claim["name"].startswith(heading)
    }
    own = counted.get("the gateway: tokens")
    if own is not None:
        way = own["how"].rpartition("counted by ")[2]
        lines.append(
            f"Counted (by {way}), the {claims['meta_tools']['readme_benchmark']} definitions are"
            f" {own['value']:,.0f} tokens; [performance](docs/performance.md) has more."
        )
    return lines


# -- errors and statuses ----------------------------------------------------------------------


def error_codes() -> list[str]:
    """Return the JSON-RPC error codes."""
    return table(
        ("Code", "Name", "When"),
        ((f"`{int(code)}`", code.name, code.meaning) for code in ERROR_CODES),
    )


def recovery_codes() -> list[str]:
    """Return the codes of failed calls."""
    return table(
        ("`error_code`", "`retry`", "What it says"),
        ((f"`{each.code}`", f"`{str(each.retry).lower()}`", each.meaning) for each in Recovery),
    )


def exit_statuses() -> list[str]:
    """Return the exit statuses of all commands."""
    return table(
        ("Status", "Meaning"),
        ((f"`{int(status)}`", status.meaning) for status in exit_codes.EXIT_STATUSES),
    )


# -- meta-tools -------------------------------------------------------------------------------


def meta_tools() -> list[str]:
    """Return every meta-tool with its arguments and annotations."""
    context = Gateway(None, {}).context
    lines: list[str] = []
    for tool in META_TOOLS:
        lines += [f"### `{tool.name}`", "", f"{tool.title}. {tool.describe(context)}", ""]
        if tool.properties:
            lines += table(("Argument", "Type", "Needed", "Default", "Meaning"), _arguments(tool))
        else:
            lines.append("No arguments.")
        hints = ", ".join(f"`{name}: {str(on).lower()}`" for name, on in _hints(tool))
        lines += ["", f"Annotations: {hints}.", ""]
    return lines[:-1]


def meta_tools_in_brief() -> list[str]:
    """Return one line for each meta-tool."""
    return table(
        ("Tool", "What the model uses it for"),
        ((f"`{tool.name}`", PURPOSES[tool.name]) for tool in META_TOOLS),
    )


def _arguments(tool: MetaTool) -> Iterator[Sequence[str]]:
    for name, schema in tool.properties.items():
        default = schema.get("default")
        yield (
            f"`{name}`",
            _type(schema),
            "yes" if name in tool.required else "no",
            "" if default is None else f"`{default}`",
            MEANINGS[name],
        )


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    bounds = [schema[key] for key in ("minimum", "maximum") if key in schema]
    return f"{schema['type']}, {bounds[0]} to {bounds[1]}" if len(bounds) == 2 else schema["type"]


def _hints(tool: MetaTool) -> Iterable[tuple[str, bool]]:
    return tool.hints.to_wire().items()


# -- commands ---------------------------------------------------------------------------------


def commands() -> list[str]:
    """Return the help text of every command."""
    lines: list[str] = []
    for name, text in _help(group, "mcp-gateway", None):
        lines += [f"### `{name}`", "", "```text", text, "```", ""]
    return lines[:-1]


def command_names() -> list[str]:
    """Return every command as a person types it."""
    return [name for name, _ in _help(group, "mcp-gateway", None)]


def _help(
    command: click.Command, name: str, parent: click.Context | None
) -> Iterator[tuple[str, str]]:
    context = click.Context(
        command,
        info_name=name,
        parent=parent,
        terminal_width=HELP_WIDTH,
        max_content_width=HELP_WIDTH,
        help_option_names=["-h", "--help"],
    )
    yield context.command_path, command.get_help(context).rstrip()
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            inner = command.get_command(context, below)
            if inner is not None:
                yield from _help(inner, below, context)


# -- deadlines and limits ---------------------------------------------------------------------


def deadlines() -> list[str]:
    """Return every deadline and wait, with where it applies."""
    one, all_of = BackendConfig("x"), GatewayConfig()
    failsafe = all_of.failsafe
    check, retry, http = failsafe.health_check, failsafe.retry, HttpSettings()
    ttl = seconds(all_of.meta_mcp.cache_ttl)
    rows = (
        (("A call, from its backend being known to its answer: waiting in line, a start of the"
         " server and repeats included"), seconds(one.timeout), "`backends.<name>.timeout`"),
        (("A call whose tool reports progress: each report starts the time anew, up to"
         f" {CEILING} times the time in all"), f"{CEILING} × timeout", "fixed factor"),
        ("The calls on a server that waits for an answer of the client (sampling, elicitation)",
         seconds(CLIENT_PATIENCE), "fixed"),
        ("A server's answer to `initialize`", seconds(one.start_timeout),
         "`backends.<name>.start_timeout`"),
        ("The wait before a second attempt, at most; random between nothing and that",
         seconds(retry.initial_backoff), "`failsafe.retry.initial_backoff`"),
        ("The wait between two attempts or starts, at most", seconds(retry.max_backoff),
         "`failsafe.retry.max_backoff`"),
        ("An open circuit breaker refuses calls; up to a tenth more is added at random"
         if JITTER == 0.1 else f"An open circuit breaker refuses calls, and up to {JITTER} more",
         seconds(failsafe.circuit_breaker.reset_timeout),
         "`failsafe.circuit_breaker.reset_timeout`"),
        ("Between two pings of a started server; none while it works on a call",
         seconds(check.interval), "`failsafe.health_check.interval`"),
        ("The answer to a ping; two missed ones in a row restart the server",
         seconds(check.timeout), "`failsafe.health_check.timeout`"),
        ("A search or a list of tools waits for servers that were never started",
         seconds(LEARNING_PATIENCE), "fixed"),
        ("A list of one server's tools waits for it, or the call's time where that is shorter",
         seconds(2 * LEARNING_PATIENCE), "fixed"),
        ("A list of resources or prompts waits for servers that were never started",
         seconds(aggregation.LIST_PATIENCE), "fixed"),
        ("`mcp-gateway tool` waits for servers that were never started",
         seconds(tool_command.LEARNING), "fixed"),
        ("A backend's lists are asked for anew, unless it announces changes itself", ttl,
         "`meta_mcp.cache_ttl`"),
        ("gateway.yaml and its env files are looked at for changes", seconds(INTERVAL), "fixed"),
        ("Several changes of lists become one notification to the client", seconds(SETTLE),
         "fixed"),
        ("A server that ran this long counts as healthy again: the next restart does not wait",
         seconds(instance.STABLE_AFTER), "fixed"),
        ("A server that was changed or taken out of gateway.yaml finishes its calls",
         seconds(all_of.server.shutdown_timeout), "`server.shutdown_timeout`"),
        (("Calls in flight finish after the client has closed our input;"
         " `server.shutdown_timeout` where that is shorter"), seconds(session.END_GRACE), "fixed"),
        ("Calls in flight finish after SIGTERM, SIGINT or SIGHUP", seconds(SIGNAL_GRACE), "fixed"),
        ("A child's last output is read after it has exited", seconds(instance.EXIT_DRAIN),
         "fixed"),
        ("From closing a child's stdin to SIGTERM for its process group",
         seconds(process.EOF_GRACE), "fixed"),
        ("From SIGTERM to SIGKILL for its process group", seconds(process.TERM_GRACE), "fixed"),
        ("Connecting to a network server", seconds(one.connect_timeout),
         "`backends.<name>.connect_timeout`"),
        ("An open stream of a network server without any sign of life",
         seconds(one.stream_idle_timeout), "`backends.<name>.stream_idle_timeout`"),
        ("A server that was tried without a handshake answers", seconds(handshake.PROBE_PATIENCE),
         "fixed"),
        ("A call that asks something waits for its client's next request",
         seconds(input_required.PATIENCE), "fixed"),
        ("The answer to a task is waited for", seconds(tasks.RESULT_PATIENCE), "fixed"),
        ("A session by HTTP without any request or stream", seconds(all_of.streaming.session_ttl),
         "`streaming.session_ttl`"),
        ("Between two signs of life on a stream", seconds(all_of.streaming.keep_alive_interval),
         "`streaming.keep_alive_interval`"),
        ("An answer by HTTP is waited for before it becomes a stream",
         seconds(http.answer_wait), "fixed"),
        ("The head of a request by HTTP on a new connection", seconds(http.head_timeout), "fixed"),
        ("The body of a request by HTTP", seconds(http.body_timeout), "fixed"),
        ("A client by HTTP that does not read is cut off", seconds(http.write_timeout), "fixed"),
    )  # fmt: skip
    return table(("What has so long", "Time", "Setting"), rows)


def limits() -> list[str]:
    """Return every limit of queues and numbers, with what happens beyond it."""
    all_of = GatewayConfig()
    failsafe = all_of.failsafe
    rate, places = failsafe.rate_limit, failsafe.concurrency
    rows = (
        ("One message", size(all_of.server.max_body_size), "`server.max_body_size`",
         "it is skipped; where its id can be read, its sender gets an error at once"),
        ("Bytes queued for one slow reader, client or backend", size(QUEUE_LIMIT), "fixed",
         "answers and calls wait; notifications are dropped"),
        ("Requests of one side in flight", f"{MAX_IN_FLIGHT:,}", "fixed",
         "a further one is answered with an error at once"),
        ("Calls in flight to one backend", f"{places.max_in_flight:,}",
         "`failsafe.concurrency.max_in_flight`", "further ones wait in order of arrival"),
        ("Calls at once to one backend before its rate counts", f"{rate.burst_size:,}",
         "`failsafe.rate_limit.burst_size`", "further ones wait in order of arrival"),
        ("Calls a second to one backend over time", f"{rate.requests_per_second:g}",
         "`failsafe.rate_limit.requests_per_second`",
         "calls wait; `RATE_LIMITED` at once where the wait is longer than the call may take"),
        ("Pages of one list of a backend", f"{connection.MAX_PAGES:,}", "fixed",
         "the list is cut off there"),
        ("Lines of a backend's stderr kept", f"{process.STDERR_TAIL}", "fixed",
         "older lines are forgotten; stderr is always read"),
    )  # fmt: skip
    return table(("What is limited", "Limit", "Setting", "Beyond it"), rows)


def nursery_tree() -> list[str]:
    """Return the drawing of the nursery tree, from the module that builds it."""
    drawing = (tree.__doc__ or "").partition("\n\n")[2].strip("\n")
    return ["```text", *drawing.splitlines(), "```"]
