"""`mcp-gateway stats`: usage, latency and cost of tools, over all gateways of the user.

Reads the state file; no gateway needs to run.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from mcpgw.cli.app import log_options, settle
from mcpgw.cli.configuration import usable_state_folder
from mcpgw.cli.exit_codes import FAILED, INTERRUPTED, NOT_FOUND, OK
from mcpgw.cli.output import form_option, print_json, say, say_lines
from mcpgw.config.environment import NO_COLOR

if TYPE_CHECKING:
    from mcpgw.cli.stats_table import Row
    from mcpgw.usage.model import Counts, ToolKey, ToolUsage

PERIODS: Final = {"24h": 1, "7d": 7, "30d": 30}
"""Values of `--since`, with the number of UTC days of spending that each includes."""
MICRO: Final = 1_000_000

_SORTS: Final[Mapping[str, Callable[[Row], Any]]] = {
    "calls": lambda row: -row.calls,
    "errors": lambda row: (-row.error_rate, -row.failures),
    "p95": lambda row: -(row.usage.p95 or 0.0),
    "cost": lambda row: (-row.cost_micro_usd, -row.calls),
    "recent": lambda row: -row.usage.last_used,
}


@click.command("stats")
@click.option("-s", "--server", default=None, metavar="NAME", help="Only tools of this server.")
@click.option(
    "--since",
    default=None,
    type=click.Choice(list(PERIODS)),
    help="Only calls of this period; latencies are those of all calls.",
)
@click.option(
    "--sort",
    default="calls",
    show_default=True,
    type=click.Choice(list(_SORTS)),
    help="Sort order.",
)
@click.option(
    "--limit",
    default=20,
    show_default=True,
    metavar="N",
    type=click.IntRange(min=1),
    help="Maximum number of tools.",
)
@form_option("table", "json")
@click.option("--ascii", "plain", is_flag=True, help="Use ASCII characters only.")
@log_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    server: str | None,
    since: str | None,
    sort: str,
    limit: int,
    form: str,
    plain: bool,
    **options: Any,
) -> None:
    """Show usage, latency and cost of tools.

    Includes all gateways of this user, and earlier runs. A running gateway writes its counts
    within ten seconds.
    """
    settle(ctx, **options, level="warning")
    try:
        ctx.exit(_show(server, since, sort, limit, form, plain))
    except KeyboardInterrupt:
        ctx.exit(INTERRUPTED)


def _show(
    server: str | None, since: str | None, sort: str, limit: int, form: str, plain: bool
) -> int:
    from mcpgw.state.database import StateError
    from mcpgw.usage.model import Counts
    from mcpgw.usage.store import FILE, UsageStore

    path = usable_state_folder() / FILE
    try:
        totals = UsageStore(path).read()
    except StateError as error:
        say_lines(f"Error: {error}", err=True)
        return FAILED
    counts = totals.counts if totals is not None else Counts()
    if server is not None and counts.tools and all(server != key[0] for key in counts.tools):
        from mcpgw.text.did_you_mean import did_you_mean

        called = sorted({key[0] for key in counts.tools})
        hint = did_you_mean(server, called) or f" Servers with calls: {', '.join(called)}."
        say(f"Error: No calls of server '{server}' recorded.{hint}", err=True)
        return NOT_FOUND
    now = time.time()
    rows = [
        _row(key, usage, counts, since, now)
        for key, usage in counts.tools.items()
        if server in (None, key[0])
    ]
    rows = [row for row in rows if row.calls]
    rows.sort(key=lambda row: (_SORTS[sort](row), row.server, row.tool))
    if form == "json":
        print_json(_as_json(rows, counts, since, limit, now))
    elif not rows:
        say_lines(_no_calls(bool(counts.tools), since, str(path)))
    else:
        counters = counts.counters if server is None else {}
        _print_table(rows, counters, since, limit, plain)
    return OK


def _no_calls(known: bool, since: str | None, path: str) -> str:
    if known:
        return f"No calls in the last {since}."
    return (
        f"No calls recorded in {path} yet.\n"
        "A gateway writes its counts a few seconds after a call, and when it stops."
    )


def _row(key: ToolKey, usage: ToolUsage, counts: Counts, since: str | None, now: float) -> Row:
    from mcpgw.cli.stats_table import Row
    from mcpgw.usage.model import DAY, HOUR

    hours = usage.calls_by_hour(now)
    if since is None:
        calls, failures, cost = usage.calls, usage.failures, usage.cost_micro_usd
    else:
        days = PERIODS[since]
        oldest = int(now) // HOUR - 24 if since == "24h" else int(now) // DAY - days
        slots = usage.hours if since == "24h" else usage.days
        recent = [pair for slot, pair in slots.items() if slot > oldest]
        calls, failures = sum(pair[0] for pair in recent), sum(pair[1] for pair in recent)
        cost = sum(
            spend.cost_micro_usd
            for (day, server, tool, _), spend in counts.spend.items()
            if (server, tool) == key and day > int(now) // DAY - days
        )
    return Row(*key, usage, calls, failures, cost, tuple(hours[24:]), usage.trend_at(now))


def _as_json(
    rows: list[Row], counts: Counts, since: str | None, limit: int, now: float
) -> dict[str, Any]:
    return {
        "at": _when(now),
        "since": since,
        "totals": {
            "tools": len(rows),
            "calls": sum(row.calls for row in rows),
            "failures": sum(row.failures for row in rows),
            "cost_usd": sum(row.cost_micro_usd for row in rows) / MICRO,
        },
        "counters": dict(sorted(counts.counters.items())),
        "tools": [_tool_as_json(row) for row in rows[:limit]],
        "tools_left_out": max(0, len(rows) - limit),
    }


def _tool_as_json(row: Row) -> dict[str, Any]:
    usage = row.usage
    return {
        "server": row.server,
        "tool": row.tool,
        "calls": row.calls,
        "failures": row.failures,
        "error_rate": round(row.error_rate, 4),
        "errors": dict(sorted(usage.errors.items())),
        "cached": usage.cached,
        "p50_ms": _milliseconds(usage.p50),
        "p95_ms": _milliseconds(usage.p95),
        "p99_ms": _milliseconds(usage.p99),
        "mean_ms": _milliseconds(usage.mean),
        "tokens": usage.tokens,
        "cost_usd": row.cost_micro_usd / MICRO,
        "last_used": _when(usage.last_used),
        "last_24_hours": list(row.hours),
        "trend": {
            "recent": row.trend.recent,
            "before": row.trend.before,
            "ratio": None if row.trend.ratio is None else round(row.trend.ratio, 4),
        },
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 3)


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


def _print_table(
    rows: list[Row], counters: Mapping[str, int], since: str | None, limit: int, plain: bool
) -> None:
    from mcpgw.cli.stats_table import Style, head, table

    terminal = sys.stdout.isatty()
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    coloured = terminal and not os.environ.get(NO_COLOR) and os.environ.get("TERM") != "dumb"
    style = Style(
        blocks=not plain and _can_draw(encoding),
        coloured=coloured,
        width=shutil.get_terminal_size().columns if terminal else None,
    )
    lines = [*head(rows, counters, since, style), "", *table(rows[:limit], style)]
    if len(rows) > limit:
        lines += ["", f"{len(rows) - limit:,} more; --limit {len(rows)} shows all."]
    if since is not None:
        days = PERIODS[since]
        period = "the current UTC day" if days == 1 else f"{days} UTC days, including today"
        lines += ["", f"P50 and P95 cover all calls; COST covers {period}."]
    text = "\n".join(lines)
    # Names were made printable; the colours are ours.
    click.echo(text.encode(encoding, "replace").decode(encoding), color=coloured)


def _can_draw(encoding: str) -> bool:
    from mcpgw.cli.stats_table import BAR, LEVELS

    try:
        f"{BAR}{LEVELS}".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
