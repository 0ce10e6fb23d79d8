"""Installation and runs of the official conformance suite, and its results.

This module is independent of the gateway; see `scripts/conformance.py`.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import attrs

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".cache" / "conformance"
SUITE = "@modelcontextprotocol/conformance"
SUITE_VERSION = "0.2.0-alpha.12"
NODE_VERSION = "22.23.3"
"""The suite requires Node 22 or newer."""
REVISIONS = ("2025-11-25", "2026-07-28")
PATIENCE = 600.0
"""Seconds for one run of the suite, which takes up to half a minute."""
CLIENT_PATIENCE = 60.0
"""Seconds for each client scenario; the suite starts all of them at once."""

_STAMP = re.compile(r"-\d{4}-\d\d-\d\dT[\d-]+Z$")
_SUMMARY = re.compile(r"^[✓✗] (\S+): \d+ passed, \d+ failed", re.MULTILINE)
_BAD = ("FAILURE", "WARNING")


class CannotInstall(Exception):
    """The suite cannot be installed: npm is missing or failed."""


@attrs.frozen
class Bad:
    """A failed check: a MUST (FAILURE) or a SHOULD (WARNING) of the specification."""

    id: str
    status: str
    message: str = ""


@attrs.frozen
class Scenario:
    """The result of one scenario."""

    name: str
    passed: int
    failed: int
    warnings: int
    bad: tuple[Bad, ...] = ()
    scored: bool = True

    @classmethod
    def of(cls, name: str, checks: Iterable[Mapping[str, str]], *, scored: bool) -> Scenario:
        """Count the checks of a scenario."""
        all_checks = list(checks)
        states = [check["status"] for check in all_checks]
        bad = tuple(
            Bad(check["id"], check["status"], check.get("errorMessage") or "")
            for check in all_checks
            if check["status"] in _BAD
        )
        failed, warnings = states.count("FAILURE"), states.count("WARNING")
        return cls(name, states.count("SUCCESS"), failed, warnings, bad, scored)


Results = dict[str, Scenario]


@attrs.frozen
class Difference:
    """The differences from the list of expected failures."""

    unexpected: tuple[str, ...]
    """Failures that are not on the list, each `scenario:check`."""
    stale: tuple[str, ...]
    """Entries of the list that pass now."""

    def __bool__(self) -> bool:
        return bool(self.unexpected or self.stale)


def compare(results: Results, expected: Sequence[str]) -> Difference:
    """Compare the failures with the list of expected failures.

    An entry is a scenario with at least one failure, or `scenario:check`. Entries for scenarios
    that were not run are ignored.
    """
    listed = {entry.partition(":")[0] for entry in expected if ":" not in entry}
    unexpected = {
        f"{scenario.name}:{bad.id}"
        for scenario in results.values()
        for bad in scenario.bad
        if scenario.name not in listed and f"{scenario.name}:{bad.id}" not in expected
    }
    stale = [entry for entry in expected if _is_passed(results, entry)]
    return Difference(tuple(sorted(unexpected)), tuple(stale))


def _is_passed(results: Results, entry: str) -> bool:
    name, _, check = entry.partition(":")
    scenario = results.get(name)
    if scenario is None:
        return False
    if check:
        return all(bad.id != check for bad in scenario.bad)
    return not scenario.bad


@attrs.frozen
class Suite:
    """An installed suite."""

    node: Path
    package: Path

    def server(self, url: str, *options: str, revision: str | None = None) -> Results:
        """Run scenarios against a server; with a revision, only those that it requires."""
        required = ("--requirements", revision) if revision else ()
        return self._run("server", "--url", url, *required, *options, revision=revision)

    def server_scenarios(self, url: str, names: Iterable[str], revision: str) -> Results:
        """Run the given scenarios against a server, one after the other."""
        results: Results = {}
        for name in names:
            options = ("--scenario", name, "--spec-version", revision)
            results |= self._run("server", "--url", url, *options, only=name)
        return results

    def client(self, command: str, *, revision: str | None) -> Results:
        """Run a client against the suite's servers, all of a set at once.

        Without a revision the set is `backcompat`, with servers older than 2025-06-18.
        """
        chosen = ("--requirements", revision) if revision else ("--suite", "backcompat")
        return self._client(command, *chosen, revision=revision)

    def client_scenario(self, command: str, name: str, revision: str | None) -> Results:
        """Run a client in one scenario."""
        options = ("--spec-version", revision, "--force") if revision else ()
        return self._client(command, "--scenario", name, *options, revision=revision, only=name)

    def _client(
        self, command: str, *options: str, revision: str | None, only: str | None = None
    ) -> Results:
        patience = str(int(CLIENT_PATIENCE * 1000))
        asked = ("client", "--command", command, "--timeout", patience, *options)
        return self._run(*asked, revision=revision, only=only)

    def _run(
        self, kind: str, *words: str, revision: str | None = None, only: str | None = None
    ) -> Results:
        program = self.package / "dist" / "index.js"
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [str(self.node), str(program), kind, *words, "-o", folder],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=ROOT,
                env={**os.environ, "PATH": f"{self.node.parent}:{os.environ.get('PATH', '')}"},
                timeout=PATIENCE,
                check=False,
            )
            names = [only] if only else _SUMMARY.findall(done.stdout)
            if not names:
                raise SystemExit(f"The suite reported no scenario:\n{done.stdout[-3000:]}")
            scored = self.required(kind, revision) if revision else None
            found = _read_checks(Path(folder), kind)
        return {name: self._result(name, found, scored) for name in names}

    @staticmethod
    def _result(
        name: str, found: Mapping[str, list[dict[str, str]]], scored: frozenset[str] | None
    ) -> Scenario:
        nothing = {"id": "no-result", "status": "FAILURE", "errorMessage": "It wrote no result."}
        checks = found.get(name, [nothing])
        return Scenario.of(name, checks, scored=scored is None or name in scored)

    def required(self, kind: str, revision: str) -> frozenset[str]:
        """Return the scenarios of a revision that count."""
        from ruamel.yaml import YAML

        sets = YAML(typ="safe").load(self.package / "requirements" / f"{revision}.yaml")
        return frozenset(sets[kind])


def _read_checks(folder: Path, kind: str) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for path in folder.rglob("checks.json"):
        name = _STAMP.sub("", path.parent.relative_to(folder).as_posix())
        found[name.removeprefix("server-") if kind == "server" else name] = checks = json.loads(
            path.read_text()
        )
        output = path.with_name("stdout.txt")
        # A client that exited early may have passed every check up to there.
        if kind == "client" and "done\n" not in output.read_text():
            message = path.with_name("stderr.txt").read_text()[-400:]
            checks.append({"id": "client-exit", "status": "FAILURE", "errorMessage": message})
    return found


def node_package() -> str:
    """Return the name of the npm package with Node for this machine.

    Raises:
      CannotInstall: there is no such package.
    """
    system = {"Linux": "linux", "Darwin": "darwin"}.get(platform.system())
    machine = {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine())
    if system is None or machine is None:
        raise CannotInstall(f"There is no Node for {platform.system()} on {platform.machine()}.")
    prefix = "node-bin" if (system, machine) == ("darwin", "arm64") else "node"
    return f"{prefix}-{system}-{machine}"


def install() -> Suite:
    """Install the suite and its Node into .cache/conformance, unless they are installed.

    Raises:
      CannotInstall: npm is missing or failed.
    """
    node = node_package()
    modules = FOLDER / "node_modules"
    suite = Suite(modules / node / "bin" / "node", modules.joinpath(*SUITE.split("/")))
    wanted = [f"{SUITE}@{SUITE_VERSION}", f"{node}@{NODE_VERSION}"]
    stamp = FOLDER / "installed.json"
    if stamp.exists() and json.loads(stamp.read_text()) == wanted:
        return suite
    npm = shutil.which("npm")
    if npm is None:
        raise CannotInstall("npm is not installed.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--silent")
    done = subprocess.run(
        [npm, "install", "--prefix", str(FOLDER), *options, *wanted],
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=300,
    )
    if done.returncode:
        raise CannotInstall(f"npm ended with status {done.returncode}.")
    stamp.write_text(json.dumps(wanted))
    return suite
