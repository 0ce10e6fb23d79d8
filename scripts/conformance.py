"""Run the official conformance suite against the gateway, and the gateway against the suite.

    scripts/conformance server [--direct | --aggregated] [--era ERA] [--backend KIND] [--legacy]
    scripts/conformance client [--era ERA]
    scripts/conformance fixture [--era ERA] [--legacy]

`server` runs the suite against the gateway in front of an everything-server, and against that
server alone for comparison; `client` runs the gateway as the client of the suite's own servers;
`fixture` runs the suite against the everything-server alone. Failures are compared with
`tests/conformance/expected.yml`. The exit status is 0 if all results are as expected, 1 if any
differ, and 77 if the suite cannot be installed on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import attrs
from conformance_suite import REVISIONS, ROOT, CannotInstall, Difference, Results, Suite
from conformance_suite import compare as compare_results
from conformance_suite import install as install_suite

TESTS = Path("tests") / "conformance"
EXPECTED = ROOT / TESTS / "expected.yml"
FIXTURE = TESTS / "everything_server.py"
DRIVER = TESTS / "drive.py"
SKIPPED = 77
PATIENCE = 30.0
"""Seconds for a server to listen, and to exit."""
REPEATS = 8
"""Up to this many failed scenarios of a client run are repeated alone, because all run at once."""

# Scenarios that any server must pass: these run against the gateway's own surface.
_BOTH = ("tools-list", "server-sse-multiple-streams", "resources-list", "prompts-list")
GENERIC: Mapping[str, Sequence[str]] = {
    "2025-11-25": (
        "server-initialize",
        "server-session-lifecycle",
        "logging-set-level",
        "ping",
        *_BOTH,
        "resources-subscribe",
        "resources-unsubscribe",
        "dns-rebinding-protection",
    ),
    "2026-07-28": (
        "server-stateless",
        *_BOTH,
        "sep-2164-resource-not-found",
        "caching",
        "http-header-validation",
        "input-required-result-unsupported-methods",
        "dns-rebinding-protection",
    ),
}


@attrs.frozen
class Run:
    """One set of scenarios, its results, and the results of the everything-server alone."""

    name: str
    results: Results
    difference: Difference
    alone: Results | None = None

    def line(self) -> str:
        """Return the row of the table."""
        scored = [one for one in self.results.values() if one.scored]
        clean = sum(not one.failed for one in scored)
        beside = "-" if self.alone is None else _counts(self.alone)
        other = sum(bool(one.failed) for one in self.results.values() if not one.scored)
        verdict = "differs" if self.difference else "as expected"
        return (
            f"{self.name:<36} {clean:>3}/{len(scored):<3} {_counts(self.results):>13}"
            f" {other:>8}   {beside:>13}   {verdict}"
        )

    def as_json(self) -> dict[str, object]:
        """Return all results as JSON data."""
        alone = self.alone
        return {
            "set": self.name,
            "scenarios": {name: attrs.asdict(one) for name, one in self.results.items()},
            "fixture": alone and {name: attrs.asdict(one) for name, one in alone.items()},
            **attrs.asdict(self.difference),
        }


HEADINGS = f"{'set':<36} {'scored':>7} {'checks +/-/w':>13} {'unscored':>8}   {'fixture alone':>13}"


def _counts(results: Results) -> str:
    totals = [(one.passed, one.failed, one.warnings) for one in results.values()]
    passed, failed, warnings = (sum(column) for column in zip(*totals, strict=True))
    return f"{passed}/{failed}/{warnings}"


def free_port() -> int:
    """Return an unused port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running(
    words: Sequence[str], port: int, environ: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run a server that listens on a port; at exit end it and its children."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            words,
            cwd=ROOT,
            env={**os.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            if not _listens(process, port):
                output.seek(0)
                text = output.read().decode(errors="replace")[-3000:]
                raise SystemExit(f"{' '.join(words)} does not listen on {port}:\n{text}")
            yield
        finally:
            _end(process)


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    limit = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < limit:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        time.sleep(0.05)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
    # The server has its own process group, so this ends only the children it left behind.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def fixture(kind: str, *, legacy: bool = False) -> Iterator[int]:
    """Run the everything-server; yield its port."""
    port = free_port()
    words = [sys.executable, str(FIXTURE), kind, "--port", str(port)]
    with running([*words, "--legacy"] if legacy else words, port):
        yield port


@contextmanager
def gateway(backend: str, *, legacy: bool = False) -> Iterator[str]:
    """Run the gateway in front of the everything-server; yield its URL."""
    with ExitStack() as stack:
        environ = {"FIXTURE_PYTHON": sys.executable}
        if backend != "stdio":
            environ["FIXTURE_PORT"] = str(stack.enter_context(fixture(backend, legacy=legacy)))
        variant = "-legacy" if legacy and backend == "stdio" else ""
        config = TESTS / f"gateway-{backend}{variant}.yaml"
        environ["MCP_GATEWAY_HOME"] = stack.enter_context(tempfile.TemporaryDirectory())
        port = free_port()
        words = [sys.executable, "-m", "mcpgw", "serve", "--mode", "http"]
        words += ["--config", str(config), "--port", str(port)]
        stack.enter_context(running(words, port, environ))
        yield f"http://127.0.0.1:{port}/mcp"


def expected(name: str) -> list[str]:
    """Return the expected failures of a set; nested lists are flattened."""
    from ruamel.yaml import YAML

    entries = YAML(typ="safe").load(EXPECTED).get(name) or ()
    lists = [[entry] if isinstance(entry, str) else entry for entry in entries]
    return [entry for some in lists for entry in some]


def run_server(suite: Suite, flags: argparse.Namespace) -> Iterator[Run]:
    """Run the server sets against the gateway."""
    with ExitStack() as stack:
        alone = f"http://127.0.0.1:{stack.enter_context(fixture('http'))}/mcp"
        url = stack.enter_context(gateway(flags.backend, legacy=flags.legacy))
        route = "aggregated" if flags.aggregated else "direct"
        for era in eras(flags, [*REVISIONS] if flags.aggregated else ["default", *REVISIONS]):
            older = flags.legacy or flags.backend == "sse"  # which has no newer era
            name = f"server {route} {era}{' legacy' if older else ''}"
            if flags.aggregated:
                results = suite.server_scenarios(url, GENERIC[era], era)
                beside = suite.server_scenarios(alone, GENERIC[era], era)
            else:
                modern = era == REVISIONS[-1] and not older
                results = server_set(suite, f"{url}/{'newer' if modern else 'everything'}", era)
                beside = server_set(suite, alone, era)
            label = f"{name} ({flags.backend})"
            yield Run(label, results, compare_results(results, expected(name)), beside)


def server_set(suite: Suite, url: str, era: str) -> Results:
    """Run one server set."""
    return suite.server(url, revision=None if era == "default" else era)


def run_client(suite: Suite, flags: argparse.Namespace) -> Iterator[Run]:
    """Run the client sets with the gateway as the client."""
    command = f"{sys.executable} {DRIVER}"
    for era in eras(flags, [*REVISIONS, "default"]):
        revision = None if era == "default" else era
        name = f"client {era}"
        results = suite.client(command, revision=revision)
        difference = compare_results(results, expected(name))
        doubtful = {entry.partition(":")[0] for entry in difference.unexpected}
        for scenario in sorted(doubtful) if len(doubtful) <= REPEATS else ():
            scored = results[scenario].scored
            [again] = suite.client_scenario(command, scenario, revision).values()
            results[scenario] = attrs.evolve(again, scored=scored)
        yield Run(name, results, compare_results(results, expected(name)))


def run_fixture(suite: Suite, flags: argparse.Namespace) -> Iterator[Run]:
    """Run the server sets against the everything-server itself."""
    known = ["default", "2025-11-25"] if flags.legacy else ["default", *REVISIONS]
    with fixture("http", legacy=flags.legacy) as port:
        for era in eras(flags, known):
            name = f"fixture {era}"
            results = server_set(suite, f"http://127.0.0.1:{port}/mcp", era)
            yield Run(name, results, compare_results(results, expected(name)))


def eras(flags: argparse.Namespace, known: Sequence[str]) -> list[str]:
    """Return the requested sets."""
    if flags.era == "all":
        return list(known)
    if flags.era not in known:
        raise SystemExit(f"Unknown set {flags.era!r}; choose from {', '.join(known)}.")
    return [flags.era]


def explain(run: Run) -> None:
    """Print the differences, and what to do."""
    messages = {
        f"{one.name}:{bad.id}": f"{bad.status}: {bad.message}"
        for one in run.results.values()
        for bad in one.bad
    }
    for entry in run.difference.unexpected:
        print(f"  fails: {entry}\n         {messages[entry][:600]}")
    for entry in run.difference.stale:
        print(f"  passes now, remove it from the list of {run.name!r}: {entry}")


def flags_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/conformance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("server", "client", "fixture"):
        command = commands.add_parser(name)
        command.add_argument("--era", default="all", choices=(*REVISIONS, "default", "all"))
        command.add_argument("--json", type=Path, metavar="FILE", help="write all results to FILE")
        if name != "client":
            command.add_argument("--legacy", action="store_true", help="a server of the older era")
        if name == "server":
            route = command.add_mutually_exclusive_group()
            route.add_argument(
                "--direct", action="store_true", help="the server's own endpoint (default)"
            )
            route.add_argument("--aggregated", action="store_true", help="the gateway's surface")
            command.add_argument("--backend", default="stdio", choices=("stdio", "http", "sse"))
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the requested sets; return the exit status."""
    flags = flags_of(arguments)
    try:
        suite = install_suite()
    except CannotInstall as error:
        print(f"Skipped: {error} The conformance suite needs it.", file=sys.stderr)
        return SKIPPED
    run = {"server": run_server, "client": run_client, "fixture": run_fixture}[flags.command]
    runs = list(run(suite, flags))
    print(HEADINGS)
    for one in runs:
        print(one.line())
        explain(one)
    if flags.json:
        flags.json.write_text(json.dumps([one.as_json() for one in runs], indent=1) + "\n")
    return int(any(one.difference for one in runs))


if __name__ == "__main__":
    sys.exit(main())
