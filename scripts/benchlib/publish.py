"""Publication of a run's figures in the documentation and the list of public claims.

Every number in the tables is a claim with the name `<heading>: <row>: <column>`, so that a test
can compare the two.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

BEGIN: Final = "<!-- measured: begin (scripts/bench --publish writes this part) -->"
END: Final = "<!-- measured: end -->"
COMMAND: Final = "scripts/bench --publish"


@attrs.frozen
class Column:
    """One column of a table: its title, the unit, and how its figures are measured."""

    title: str
    unit: str
    how: str
    digits: int


@attrs.frozen
class Table:
    """A heading, columns, and rows of figures; None for figures that were not measured."""

    heading: str
    columns: Sequence[Column]
    rows: Mapping[str, Sequence[float | None]]

    def cells(self) -> Iterator[tuple[str, Column, float | None]]:
        """Yield each figure with the name of its row, and its column."""
        for name, row in self.rows.items():
            for column, value in zip(self.columns, row, strict=True):
                rounded = None if value is None else round(value, column.digits)
                yield name, column, rounded

    def markdown(self) -> str:
        """Return the table under its heading."""
        titles = " | ".join(column.title for column in self.columns)
        lines = [f"### {self.heading}", "", f"| | {titles} |"]
        lines.append("| --- |" + " ---: |" * len(self.columns))
        cells = list(self.cells())
        for place, name in enumerate(self.rows):
            first = place * len(self.columns)
            row = cells[first : first + len(self.columns)]
            shown = " | ".join(_shown(value, column) for _, column, value in row)
            lines.append(f"| {name} | {shown} |")
        return "\n".join([*lines, ""])


def publish(report: Mapping[str, Any], root: Path) -> None:
    """Write `benchmarks/public_claims.json` and the measured part of `docs/performance.md`."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    tables = _tables(report["parts"])
    claims = [*_claims(tables), *_target_claims(report["targets"])]
    path = root / "benchmarks" / "public_claims.json"
    # Figures that are agreed and not measured are kept.
    agreed = json.loads(path.read_text("utf-8"))
    record = {
        "last_verified": today,
        "command": COMMAND,
        "machine": report["machine"],
        "versions": report["versions"],
        "load_average": {"before": report["load_before"], "after": report["load_after"]},
        "meta_tools": agreed["meta_tools"],
        "readme_token_savings": agreed["readme_token_savings"],
        "poisoning": agreed["poisoning"],
        "claims": claims,
    }
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", "utf-8")
    page = root / "docs" / "performance.md"
    text = page.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"Error: {page.name} lacks the lines {BEGIN!r} and {END!r}")
    parts = [_about(report, today), _targets(report["targets"])]
    parts += [table.markdown() for table in tables]
    page.write_text("\n".join([before + BEGIN, *parts, END + after]), "utf-8")
    print(f"wrote {len(claims)} figures to {path.name} and {page.name}")


def _tables(parts: Mapping[str, Any]) -> list[Table]:
    tables = [
        _start(parts["start"]),
        _calls("Calls", parts["calls"]),
        _calls("Large calls (20 kB)", parts["large"]),
    ]
    if "six" in parts:
        tables.insert(2, _calls("Calls with real servers beside", parts["six"]))
        if "fastmcp_seconds" in parts["six"]:
            tables.insert(3, _fastmcp_over_many(parts["six"]))
    if "http" in parts:
        tables.append(_http(parts["http"]))
    if "apis" in parts:
        tables.append(_api_files(parts["apis"]))
        tables.append(_calls("Calls of an API", parts["apis"]["calls"]))
    if "search" in parts:
        tables.append(_search(parts["search"]))
        tables.append(_typos(parts["search"]))
        if "quality" in parts["search"]:
            tables.append(_coverage(parts["search"]["quality"]))
    if "tokens" in parts:
        tables.append(_definitions(parts["tokens"]))
    return tables


def _start(part: Mapping[str, Any]) -> Table:
    first = part["initialize_ms"]
    turns = first["gateway"]["turns"]
    how = f"spawn to the answer, {{}} of {turns} turns"
    columns = [
        Column("`initialize`, ms", "ms", how.format("median"), 1),
        Column("`initialize`, least, ms", "ms", how.format("least"), 1),
        Column("`tools/list`, ms", "ms", how.format("median"), 1),
        Column("`tools/list`, least, ms", "ms", how.format("least"), 1),
    ]
    rows = {
        name: [
            part[which][name][key]
            for which in ("initialize_ms", "tools_list_ms")
            for key in ("median", "min")
        ]
        for name in first
    }
    return Table("Start", columns, rows)


def _calls(heading: str, part: Mapping[str, Any]) -> Table:
    turns = next(iter(part["p50_us"].values()))["turns"]
    one, many = "one call in flight", "32 calls in flight"
    columns = [
        Column("p50, ms", "ms", f"{one}, median of the medians of {turns} turns", 3),
        Column("p50, best turn, ms", "ms", f"{one}, least median of {turns} turns", 3),
        Column("p99, ms", "ms", f"{one}, over all calls", 2),
        Column("calls/s at 32", "calls/s", f"{many}, median of {turns} turns", 0),
        Column("CPU a call, us", "us", f"{many}, user and system time of the process", 0),
        Column("RSS, MB", "MB", "resident memory of the process alone, most of its starts", 1),
    ]
    rows = {
        name: [
            part["p50_us"][name]["median"] / 1e3,
            part["p50_us"][name]["min"] / 1e3,
            part["p99_us"][name] / 1e3,
            part["rate"][name]["median"],
            part["cpu_us"].get(name),
            part["rss_mb"][name],
        ]
        for name in part["p50_us"]
    }
    return Table(heading, columns, rows)


def _http(part: Mapping[str, Any]) -> Table:
    turns, counts = part["turns"], list(part["rate"])
    how = f"{{}} kept-alive connections, {{}} of {turns} turns"
    columns = [
        *(Column(f"calls/s at {n}", "calls/s", how.format(n, "median"), 0) for n in counts),
        *(Column(f"p50 at {n}, ms", "ms", how.format(n, "all calls"), 2) for n in counts),
        *(Column(f"p99 at {n}, ms", "ms", how.format(n, "all calls"), 2) for n in counts),
        Column("RSS, MB", "MB", "resident memory of the process alone, most of the turns", 1),
    ]
    rows = {
        name: [
            *(part["rate"][n][name]["median"] for n in counts),
            *(part["p50_ms"][n][name] for n in counts),
            *(part["p99_ms"][n][name] for n in counts),
            memory,
        ]
        for name, memory in part["rss_mb"].items()
    }
    return Table("Calls by HTTP", columns, rows)


def _fastmcp_over_many(part: Mapping[str, Any]) -> Table:
    columns = [
        Column("`initialize`, s", "s", "spawn to the answer, once", 2),
        Column("a call, s", "s", "median of three calls", 2),
    ]
    took = part["fastmcp_seconds"]
    row = {"FastMCP proxy": [took["initialize"], took["call"]]}
    return Table("FastMCP's proxy in front of the same servers", columns, row)


def _api_files(part: Mapping[str, Any]) -> Table:
    loading = part["loading"]
    columns = [
        Column(
            "files", "files", "of a person's own; `shipped` is all that come with the gateway", 0
        ),
        Column("first, ms", "ms", "nothing is known of them", 1),
        Column("shipped, ms", "ms", "by what the package says of its own files", 1),
        Column("warm, ms", "ms", "by the cache of the last run", 1),
        Column("unchanged, ms", "ms", "looked at again", 2),
        Column("500 operations imported, s", "s", "`cap import` from its start", 2),
        Column("withdrawn, s", "s", "a pinned file that changes, the slowest", 2),
        Column("1,000 definitions scanned, ms", "ms", "for texts meant for a model", 0),
    ]
    row = [
        loading["files"],
        *(loading[f"{kind}_ms"] for kind in ("first", "shipped", "warm", "look")),
        part["import_seconds"],
        part["withdrawn_seconds"],
        part["scan_ms_per_1000"],
    ]
    return Table("Capability files", columns, {"mcpgw": row})


def _search(part: Mapping[str, Any]) -> Table:
    how = "synthetic tools, see scripts/bench_search.py"
    columns = [
        Column("build, us a tool", "us", how, 1),
        Column("longest step, ms", "ms", how, 1),
        Column("query p50, ms", "ms", how, 3),
        Column("query p99, ms", "ms", how, 3),
        Column("with typos p50, ms", "ms", how, 3),
        Column("with typos p99, ms", "ms", how, 3),
    ]
    rows = {
        f"{row['tools']:,.0f} tools": [
            row["build_us_per_tool"],
            row["longest_step_ms"],
            row["p50_ms"],
            row["p99_ms"],
            row["typo_p50_ms"],
            row["typo_p99_ms"],
        ]
        for row in part["speed"]
    }
    return Table("Search", columns, rows)


def _typos(part: Mapping[str, Any]) -> Table:
    kinds = list(part["typos"]["synthetic"])
    how = "queries with a damaged letter in each word whose first hit has the right name"
    columns = [Column(f"{kind}, %", "%", how, 1) for kind in kinds]
    rows = {"synthetic names": [100 * part["typos"]["synthetic"][kind] for kind in kinds]}
    return Table("Search repairs typos", columns, rows)


def _coverage(part: Mapping[str, Any]) -> Table:
    how = "share of a task's tools among the first so many hits, mean over 47 real tasks"
    kinds = {"steps": "a search a step", "question": "one search for the whole question"}
    cuts = (1, 3, 5, 10)
    columns = [Column(f"at {cut}", "share", how, 3) for cut in cuts]
    titles = {
        "ours": "mcpgw",
        "bm25": "plain BM25",
        "embedding": "embedding model (all-MiniLM-L6-v2)",
    }
    rows = {
        f"{titles[name]}, {kinds[kind]}": [figures["mean"][cut] for cut in cuts]
        for kind in kinds
        for name, found in part.items()
        if (figures := found[kind])
    }
    return Table("Search: what is found of what a task needs", columns, rows)


def _definitions(part: Mapping[str, Any]) -> Table:
    how = f"compact JSON of tools/list, counted by {part['counted_by']}"
    columns = [
        Column("tools", "tools", how, 0),
        Column("tokens", "tokens", how, 0),
        Column("saved by the gateway, %", "%", how, 1),
    ]
    rows: dict[str, list[float | None]] = {
        "the gateway": [part["gateway_tools"], part["gateway_tokens"], None]
    }
    for row in part["servers"]:
        rows[f"{row['behind']}, directly"] = [
            row["tools"],
            row["direct_tokens"],
            row["savings_percent"],
        ]
    return Table("Definitions in every request", columns, rows)


def _claims(tables: Sequence[Table]) -> list[dict[str, Any]]:
    return [
        {
            "name": f"{table.heading}: {name}: {column.title}",
            "value": value,
            "unit": column.unit,
            "how": column.how,
        }
        for table in tables
        for name, column, value in table.cells()
        if value is not None
    ]


_HOW: Final = {
    "x": "median of the ratios within each turn",
    "MB": "most of its starts",
    "ms": "median",
    "s": "median, or the slowest where said so",
    "share": "mean over 47 real tasks",
}


def _unit(target: str) -> str:
    """Return the unit of a target such as `at most 4 x`; without a unit it is a share."""
    last = target.split()[-1]
    return last if last in _HOW else "share"


def _target_claims(targets: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "name": f"Targets: {target['name']}: measured",
            "value": target["value"],
            "unit": _unit(target["target"]),
            "how": _HOW[_unit(target["target"])],
            "target": target["target"],
            "met": target["met"],
        }
        for target in targets
    ]


def _targets(targets: Sequence[Mapping[str, Any]]) -> str:
    lines = ["### Targets", "", "| | measured | target | |", "| --- | ---: | --- | --- |"]
    for target in targets:
        word = "met" if target["met"] else "**missed**"
        value = f"{target['value']:g}"
        lines.append(f"| {target['name']} | {value} | {target['target']} | {word} |")
    return "\n".join([*lines, ""])


def _about(report: Mapping[str, Any], today: str) -> str:
    about = report["machine"]
    named = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    before, after = report["load_before"][0], report["load_after"][0]
    return (
        f"\nMeasured on {today} by `{COMMAND}`: {about['processor']}, {about['cores']} cores,"
        f" {about['memory']}, {about['system']}, {about['libc']}, {about['python']}.\n"
        f"Versions: {named}.\n"
        f"Load average of the last minute: {before:g} before, {after:g} after.\n"
    )


def _shown(value: float | None, column: Column) -> str:
    return "-" if value is None else f"{value:,.{column.digits}f}"
