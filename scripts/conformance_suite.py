"""The official conformance suite: how it is installed, run, and what it found.

Nothing here knows of the gateway; `scripts/conformance.py` does.
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
"""The suite does not start on a Node older than 22."""
REVISIONS = ("2025-11-25", "2026-07-28")
PATIENCE = 600.0
"""Seconds for one run of the suite, which takes a few seconds or half a minute."""
CLIENT_PATIENCE = 60.0
"""Seconds for each client scenario; the suite starts all of them at once."""

_STAMP = re.compile(r"-\d{4}-\d\d-\d\dT[\d-]+Z$")
_SUMMARY = re.compile(r"^[✓✗] (\S+): \d+ passed, \d+ failed", re.MULTILINE)
_BAD = ("FAILURE", "WARNING")


class CannotInstall(Exception):
    """There is no npm, or it could not get the packages."""


@attrs.frozen
class Bad:
    """A check that was not passed: a must (FAILURE) or a should (WARNING)."""

    id: str
    status: str
    message: str = ""


@attrs.frozen
class Scenario:
    """What came of one scenario."""

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
    """What is not as the list of expected failures says."""

    unexpected: tuple[str, ...]
    """Entries that would have to be on the list, each `scenario:check`."""
    stale: tuple[str, ...]
    """Entries of the list that are passed now."""

    def __bool__(self) -> bool:
        return bool(self.unexpected or self.stale)


def compare(results: Results, expected: Sequence[str]) -> Difference:
    """Compare what failed with the list of what may fail.

    An entry is a scenario, of which then something must fail, or `scenario:check`. An entry
    that a run did not reach is neither here nor there.
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
        """Run scenarios against a server; with a revision, those that it requires."""
        required = ("--requirements", revision) if revision else ()
        return self._run("server", "--url", url, *required, *options, revision=revision)

    def server_scenarios(self, url: str, names: Iterable[str], revision: str) -> Results:
        """Run single scenarios against a server, one after the other."""
        results: Results = {}
        for name in names:
            options = ("--scenario", name, "--spec-version", revision)
            results |= self._run("server", "--url", url, *options, only=name)
        return results

    def client(self, command: str, *, revision: str | None) -> Results:
        """Run a client against the suite's servers, all of a set at once.

        Without a revision these are the servers of before 2025-06-18.
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
                raise SystemExit(f"The suite said nothing of any scenario:\n{done.stdout[-3000:]}")
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
        said = path.with_name("stdout.txt")
        # A client that gave up may have passed every check that was reached.
        if kind == "client" and "done\n" not in said.read_text():
            message = path.with_name("stderr.txt").read_text()[-400:]
            checks.append({"id": "client-exit", "status": "FAILURE", "errorMessage": message})
    return found


def node_package() -> str:
    """Return the name of the npm package that holds Node for this machine."""
    system = {"Linux": "linux", "Darwin": "darwin"}.get(platform.system())
    machine = {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine())
    if system is None or machine is None:
        raise CannotInstall(f"There is no Node for {platform.system()} on {platform.machine()}.")
    prefix = "node-bin" if (system, machine) == ("darwin", "arm64") else "node"
    return f"{prefix}-{system}-{machine}"


def install() -> Suite:
    """Install the suite and its Node into .cache/conformance, where they are not there yet.

    Raises:
      CannotInstall: there is no npm, or it failed.
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
