"""Generated tables of the documentation, read from the code that they describe."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click

from mcpgw.backends import connection, handshake, instance, list_reading, process, restarts
from mcpgw.backends.breaker import JITTER
from mcpgw.capabilities.model import Provider
from mcpgw.capabilities.service import LONGEST_CALL
from mcpgw.cli import exit_codes
from mcpgw.cli import tool as tool_command
from mcpgw.cli.app import group
from mcpgw.config.durations import format_duration
from mcpgw.config.environment import ENVIRONMENT
from mcpgw.config.key_names import USED_KEYS
from mcpgw.config.known_keys import ANY_NAME, EACH_ITEM, KNOWN_KEYS, Tree
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
from mcpgw.meta.operator import CONFIRM_PATIENCE
from mcpgw.meta.registry import META_TOOLS
from mcpgw.meta.tool import MetaTool
from mcpgw.pipeline.call import Recovery
from mcpgw.pipeline.stages import live_definition
from mcpgw.pipeline.stages.deadline import CEILING
from mcpgw.protocol.errors import ERROR_CODES
from mcpgw.protocol.peer import MAX_IN_FLIGHT
from mcpgw.shaping.pages import MOST_RESULTS
from mcpgw.state.file_watcher import INTERVAL
from mcpgw.transports.line_channel import QUEUE_LIMIT

HELP_WIDTH: Final = 80
ROOT: Final = Path(__file__).resolve().parents[1]
CLAIMS: Final = ROOT / "benchmarks" / "public_claims.json"
PURPOSES: Final = {
    "gateway_list_servers": "List servers with state and the cause of failures.",
    "gateway_list_tools": "List all tools briefly, or one server's full definitions.",
    "gateway_search_tools": "Find tools by describing a task.",
    "gateway_invoke": "Call any tool of any server.",
    "gateway_get_stats": "Show calls, errors, latency, cache hits, saved tokens, breakers.",
    "gateway_cost_report": "Report costs by session, server, tool and caller.",
    "gateway_webhook_status": "Count webhook deliveries; listed with `webhooks.enabled`.",
    "gateway_run_playbook": "Run a playbook, or preview its steps.",
    "gateway_kill_server": "Stop a server and refuse its calls.",
    "gateway_revive_server": "Re-enable a killed, failing or disabled server.",
    "gateway_restart_server": "Restart one server; listed with `meta_mcp.operator_tools`.",
    "gateway_reload_config": "Reload gateway.yaml now and report the changes.",
    "gateway_reload_capabilities": "Reload capability and playbook files and report the changes.",
    "gateway_list_disabled_capabilities": "List tools and servers disabled by error budgets.",
    "gateway_set_profile": "Switch the session to a routing profile.",
    "gateway_get_profile": "Show the session's routing profile and its rules.",
    "gateway_list_profiles": "List routing profiles.",
    "gateway_set_state": "Switch the workflow state, which determines the visible tools.",
    "gateway_search": "Find tools by task or name pattern; only with `code_mode.enabled`.",
    "gateway_execute": "Call a tool or a chain of tools; only with `code_mode.enabled`.",
}
"""Purpose of each meta-tool; a new tool needs an entry."""
MEANINGS: Final = {
    "server": "Name of a server",
    "role": "Only tools with this role: declared, or derived from annotations and name",
    "query": "Task description, keywords, or a complete request",
    "limit": "Maximum number of matches",
    "explain": "Explain the ranking of each match",
    "tool": "Name of the tool (`server:name` for `gateway_execute`)",
    "arguments": "Arguments of the tool or playbook, as an object or a JSON string",
    "price_per_million": "Model price per million tokens, used to compute savings",
    "session_id": "Report another session",
    "include_all_sessions": "Report all sessions of this gateway",
    "include_all_keys": "Include the costs of each caller over 1, 7 and 30 days",
    "name": "Name of the playbook",
    "dry_run": "Preview the steps without calling anything",
    "profile": "Name of a routing profile",
    "state": "Name of the state (any string)",
    "include_schema": "Include input schemas",
    "chain": "Sequence of calls, each `{tool, arguments}`",
}
"""Descriptions of the meta-tools' arguments; the model sees only the names."""
LAYERS: Final = {
    "mcpgw.cli": "commands, imported when they are called",
    "mcpgw.gateway": "nursery tree, core, bridge to a running gateway, services for backends",
    "mcpgw.front": "client sessions: stdio, HTTP, protocol translation",
    "mcpgw.meta": "meta-tools, one module for each group",
    "mcpgw.pipeline": "the stages of a call",
    "mcpgw.openapi_import": "capability files from OpenAPI documents",
    "mcpgw.validation": "lint rules for tool definitions",
    "mcpgw.skills": "Agent Skills",
    "mcpgw.webhooks": "webhook endpoints and deliveries",
    "mcpgw.known_servers": "well-known MCP servers and their commands",
    "mcpgw.capabilities": "REST APIs and commands as tools",
    "mcpgw.trust": "vetting of tool definitions",
    "mcpgw.backends": "MCP servers: processes, connections, supervision",
    "mcpgw.catalog": "search index",
    "mcpgw.playbooks": "multi-step workflows",
    "mcpgw.shaping": "tool names and response transforms",
    "mcpgw.oauth": "OAuth client",
    "mcpgw.transports": "message channels over pipes, HTTP and WebSocket",
    "mcpgw.protocol": "JSON-RPC peers and MCP constants",
    "mcpgw.config": "`gateway.yaml`",
    "mcpgw.usage": "usage counters",
    "mcpgw.state": "state folder and database",
    "mcpgw.observe": "logging and redaction",
    "mcpgw.text": "words, suggestions, plural forms",
}
"""Contents of each package; a new package needs an entry."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a Markdown table."""
    lines = [_row(head), _row(["---"] * len(head))]
    return lines + [_row([cell.replace("|", "\\|") for cell in row]) for row in rows]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def seconds(value: float) -> str:
    """Format a duration as in gateway.yaml."""
    return format_duration(value)


def size(value: int) -> str:
    """Format a number of bytes."""
    return f"{value // 2**20} MiB" if value % 2**20 == 0 else f"{value:,} bytes"


# -- settings and environment -----------------------------------------------------------------


def settings() -> list[str]:
    """Return the settings of gateway.yaml, one table for each section."""
    groups: dict[str, list[Row]] = {}
    for row in settings_table():
        groups.setdefault(_part(row.key), []).append(row)
    lines: list[str] = []
    for part, rows in groups.items():
        lines += [f"### `{part}`" if part else "### Top level", ""]
        lines += table(
            ("Key", "Type", "Default", "Changes apply", "Description"),
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
    return "on reload" if reload == "live" else "after a restart"


def unused_settings() -> list[str]:
    """Return the keys that are accepted but have no effect."""
    return [f"- `{key}`" for key in unused_keys()]


def unused_keys() -> list[str]:
    """Return the known keys of gateway.yaml that nothing reads, at their topmost place."""
    return list(_unused(KNOWN_KEYS, USED_KEYS, ""))


def _unused(known: Tree, used: Tree, prefix: str) -> Iterator[str]:
    for name, below in (known or {}).items():
        shown = {ANY_NAME: "NAME", EACH_ITEM: "[]"}.get(name, name)
        key = f"{prefix}.{shown}" if prefix else shown
        if used is None or name not in used:
            yield key
        elif used[name] is not None:
            yield from _unused(below, used[name], key)


def layers() -> list[str]:
    """Return the layers of the import rules, the highest first."""
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (found,) = (rule["layers"] for rule in rules["contracts"] if rule["type"] == "layers")
    rows = [[name.strip() for name in layer.split("|")] for layer in found]
    return table(
        ("Layer", "Packages"),
        (
            (str(len(rows) - index), "; ".join(f"`{name}`: {LAYERS[name]}" for name in names))
            for index, names in enumerate(rows)
        ),
    )


def environment() -> list[str]:
    """Return the environment variables."""
    return table(
        ("Variable", "Default", "Description"),
        (
            (f"`{each}`", f"`{each.default}`" if each.default else "", each.doc)
            for each in ENVIRONMENT
        ),
    )


def token_savings() -> list[str]:
    """Return the token costs of tool definitions: by formula, and as measured."""
    claims = json.loads(CLAIMS.read_text("utf-8"))
    given = claims["readme_token_savings"]
    direct = given["direct_tools"] * given["direct_tokens_per_tool"]
    gateway = given["gateway_tools"] * given["gateway_tokens_per_tool"]
    price = given["input_cost_per_million_usd"] * given["requests"] / 1e6
    lines = [
        (
            f"{given['direct_tools']} tools with {given['direct_tokens_per_tool']} tokens each add"
            f" {direct:,} tokens to every request; {given['gateway_tools']} tools with"
            f" {given['gateway_tokens_per_tool']} tokens add {gateway:,}:"
            f" **{100 * (1 - gateway / direct):.0f} % less**. At {given['requests']:,} requests and"
            f" ${given['input_cost_per_million_usd']:.0f} per million tokens, that is"
            f" ${gateway * price:.2f} instead of ${direct * price:.2f}."
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
            f"Measured with {way}, the {claims['meta_tools']['readme_benchmark']} tool definitions"
            f" take {own['value']:,.0f} tokens; see [performance](docs/performance.md)."
        )
    return lines


# -- errors and statuses ----------------------------------------------------------------------


def error_codes() -> list[str]:
    """Return the JSON-RPC error codes."""
    return table(
        ("Code", "Name", "Meaning"),
        ((f"`{int(code)}`", code.name, code.meaning) for code in ERROR_CODES),
    )


def recovery_codes() -> list[str]:
    """Return the codes of failed calls."""
    return table(
        ("`error_code`", "`retry`", "Meaning"),
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
    """Return a section for each meta-tool: description, arguments, annotations."""
    context = Gateway(None, {}).context
    lines: list[str] = []
    for tool in META_TOOLS:
        lines += [f"### `{tool.name}`", "", f"{tool.title}. {tool.describe(context)}", ""]
        if tool.properties:
            lines += table(
                ("Argument", "Type", "Required", "Default", "Description"), _arguments(tool)
            )
        else:
            lines.append("No arguments.")
        hints = ", ".join(f"`{name}: {str(on).lower()}`" for name, on in _hints(tool))
        lines += ["", f"Annotations: {hints}.", ""]
    return lines[:-1]


def meta_tools_in_brief() -> list[str]:
    """Return the table of meta-tools and their purposes."""
    return table(
        ("Tool", "Purpose"),
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
    """Return the full names of all commands."""
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
    """Return all deadlines and delays with their settings."""
    one, all_of = BackendConfig("x"), GatewayConfig()
    failsafe = all_of.failsafe
    check, retry, http = failsafe.health_check, failsafe.retry, HttpSettings()
    ttl = seconds(all_of.meta_mcp.cache_ttl)
    rows = (
        (("A call, from the moment its server is known to its answer, including queueing, server"
         " start and retries"), seconds(one.timeout), "`backends.<name>.timeout`"),
        (("A call whose tool reports progress: each report restarts the timeout, up to"
         f" {CEILING} times the timeout in total"), f"{CEILING} × timeout", "fixed factor"),
        ("A call of a capability, in total", seconds(LONGEST_CALL), "fixed"),
        ("One request of a capability", seconds(Provider().timeout),
         "`timeout` of the provider, in the capability file"),
        ("Calls to a server that waits for an answer from the client (sampling, elicitation)",
         seconds(CLIENT_PATIENCE), "fixed"),
        ("Answer of a server to `initialize`", seconds(one.start_timeout),
         "`backends.<name>.start_timeout`"),
        ("Maximum delay before the second attempt (full jitter)",
         seconds(retry.initial_backoff), "`failsafe.retry.initial_backoff`"),
        ("Maximum delay between attempts or starts (full jitter)", seconds(retry.max_backoff),
         "`failsafe.retry.max_backoff`"),
        ("Open circuit breaker, plus up to 10 % of jitter"
         if JITTER == 0.1 else f"Open circuit breaker, plus up to {JITTER:.0%} of jitter",
         seconds(failsafe.circuit_breaker.reset_timeout),
         "`failsafe.circuit_breaker.reset_timeout`"),
        (("Interval between pings of a running server; skipped while it handles a call that has not"
          " timed out"),
         seconds(check.interval), "`failsafe.health_check.interval`"),
        ("Answer to a ping; two missed in a row restart the server",
         seconds(check.timeout), "`failsafe.health_check.timeout`"),
        ("Search, or listing all tools: wait for servers without a manifest",
         seconds(LEARNING_PATIENCE), "fixed"),
        ("Listing one server's tools: wait for the server, or its `timeout` if shorter",
         seconds(2 * LEARNING_PATIENCE), "fixed"),
        ("Listing resources or prompts: wait for servers without a manifest",
         seconds(aggregation.LIST_PATIENCE), "fixed"),
        ("`mcp-gateway tool`: wait for servers without a manifest",
         seconds(tool_command.LEARNING), "`--timeout`"),
        ("A call after a start: wait for the server's lists, or half the call's timeout if shorter",
         seconds(live_definition.LIST_PATIENCE), "fixed"),
        ("Answer of a server to a request for one of its lists",
         seconds(list_reading.LIST_TIMEOUT), "fixed"),
        ("Refresh of a server's lists, unless the server announces changes", ttl,
         "`meta_mcp.cache_ttl`"),
        ("Interval for checking gateway.yaml and its env files for changes", seconds(INTERVAL),
         "fixed"),
        ("Window in which list changes are combined into one notification", seconds(SETTLE),
         "fixed"),
        ("Uptime after which a crashed server restarts without delay",
         seconds(restarts.STABLE_AFTER), "fixed"),
        ("Calls in flight of a server that was changed or removed in gateway.yaml",
         seconds(all_of.server.shutdown_timeout), "`server.shutdown_timeout`"),
        (("Calls in flight after the client closed stdin, or `server.shutdown_timeout` if"
         " shorter"), seconds(session.END_GRACE), "fixed"),
        ("Calls in flight of a stdio client after SIGTERM, SIGINT or SIGHUP",
         seconds(SIGNAL_GRACE), "fixed"),
        ("Calls in flight of HTTP clients after a signal",
         seconds(all_of.server.shutdown_timeout), "`server.shutdown_timeout`"),
        ("Reading the remaining output of a child that exited", seconds(instance.EXIT_DRAIN),
         "fixed"),
        ("From closing a child's stdin to SIGTERM",
         seconds(process.EOF_GRACE), "fixed"),
        ("From SIGTERM to SIGKILL", seconds(process.TERM_GRACE), "fixed"),
        ("Connecting to a remote server", seconds(one.connect_timeout),
         "`backends.<name>.connect_timeout`"),
        ("Open stream of a remote server without traffic",
         seconds(one.stream_idle_timeout), "`backends.<name>.stream_idle_timeout`"),
        ("Answer of a server that is probed without a handshake", seconds(handshake.PROBE_PATIENCE),
         "fixed"),
        ("Parked call waiting for the client's next request (stateless protocol)",
         seconds(input_required.PATIENCE), "fixed"),
        ("Result of a task", seconds(tasks.RESULT_PATIENCE), "fixed"),
        ("Confirmation of `gateway_kill_server` by the user", seconds(CONFIRM_PATIENCE), "fixed"),
        ("Interval for writing counters to disk",
         seconds(all_of.tool_profiles.persistence_interval),
         "`tool_profiles.persistence_interval`"),
        ("Idle HTTP session", seconds(all_of.streaming.session_ttl),
         "`streaming.session_ttl`"),
        ("Keep-alive interval of a stream", seconds(all_of.streaming.keep_alive_interval),
         "`streaming.keep_alive_interval`"),
        ("Wait before an HTTP response becomes an event stream",
         seconds(http.answer_wait), "fixed"),
        ("Head of an HTTP request on a new connection", seconds(http.head_timeout), "fixed"),
        ("Body of an HTTP request", seconds(http.body_timeout), "fixed"),
        ("HTTP client that does not read, until it is disconnected", seconds(http.write_timeout),
         "fixed"),
    )  # fmt: skip
    return table(("Deadline", "Default", "Setting"), rows)


def limits() -> list[str]:
    """Return all limits, and what happens when they are exceeded."""
    all_of = GatewayConfig()
    failsafe = all_of.failsafe
    rate, places, streaming = failsafe.rate_limit, failsafe.concurrency, all_of.streaming
    rows = (
        ("One message", size(all_of.server.max_body_size), "`server.max_body_size`",
         "the message is skipped; its sender gets an error if the id can be read"),
        ("Output queued for one client or server", size(QUEUE_LIMIT), "fixed",
         "answers and calls wait; notifications are dropped"),
        ("Requests in flight from one peer", f"{MAX_IN_FLIGHT:,}", "fixed",
         "further requests are answered with an error"),
        ("Calls in flight to one server", f"{places.max_in_flight:,}",
         "`failsafe.concurrency.max_in_flight`", "further calls wait in order of arrival"),
        ("Burst of calls to one server", f"{rate.burst_size:,}",
         "`failsafe.rate_limit.burst_size`", "further calls wait in order of arrival"),
        ("Calls per second to one server", f"{rate.requests_per_second:g}",
         "`failsafe.rate_limit.requests_per_second`",
         "calls wait; `RATE_LIMITED` at once if the wait would exceed the deadline"),
        ("HTTP sessions", f"{streaming.max_sessions:,}", "`streaming.max_sessions`",
         ("a new session takes the place of the one unused for the longest time, if that is a"
         " minute or more; else it is refused")),
        ("Messages kept of a stream for resumption", f"{streaming.buffer_size:,}",
         "`streaming.buffer_size`", "older messages are lost to the client; answers are kept"),
        ("Calls parked for clients of the stateless protocol",
         f"{input_required.MOST_PARKED:,}", "fixed", "further calls are refused"),
        ("Characters of a result", f"{all_of.meta_mcp.result_limit:,}", "`meta_mcp.result_limit`",
         "the result is paginated"),
        ("Long results kept for a session", f"{MOST_RESULTS}", "fixed",
         "the oldest are discarded"),
        ("Cached responses", f"{all_of.cache.max_entries:,}", "`cache.max_entries`",
         "the oldest are discarded"),
        ("Idempotency keys", f"{all_of.idempotency.max_entries:,}", "`idempotency.max_entries`",
         "the oldest are discarded"),
        ("Pages of one list of a server", f"{connection.MAX_PAGES:,}", "fixed",
         "the list is truncated"),
        ("Lines kept of a server's stderr", f"{process.STDERR_TAIL}", "fixed",
         "older lines are discarded; stderr is always read"),
    )  # fmt: skip
    return table(("Limit", "Default", "Setting", "When exceeded"), rows)


def nursery_tree() -> list[str]:
    """Return the drawing of the nursery tree, from the module that builds it."""
    drawing = (tree.__doc__ or "").partition("\n\n")[2].strip("\n")
    return ["```text", *drawing.splitlines(), "```"]
