"""The tools around the official suite: what counts as a difference, and what the driver sends."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from subprocess import run

import pytest

from scripts.conformance_suite import Difference, Scenario, compare

from .drive import METADATA_URL, STEPS, Task, accept_defaults, sample, step_of

ROOT = Path(__file__).parents[2]


def scenario(name: str, **statuses: str) -> Scenario:
    """Return a scenario whose checks ended so."""
    checks = [{"id": check, "status": status} for check, status in statuses.items()]
    return Scenario.of(name, checks, scored=True)


class TestCompare:
    def test_nothing_fails(self) -> None:
        """If nothing fails and nothing may, there is no difference."""
        results = {"ping": scenario("ping", answered="SUCCESS", note="INFO")}
        assert Difference((), ()) == compare(results, [])

    @pytest.mark.parametrize("status", ["FAILURE", "WARNING"])
    def test_new_failure(self, status: str) -> None:
        """A must and a should that are not kept are both named by scenario and check."""
        results = {"ping": scenario("ping", answered=status, quick="SUCCESS")}
        assert Difference(("ping:answered",), ()) == compare(results, [])

    def test_listed_scenario(self) -> None:
        """A listed scenario may fail in any check."""
        results = {"ping": scenario("ping", answered="FAILURE", quick="FAILURE")}
        assert Difference((), ()) == compare(results, ["ping"])

    def test_listed_check(self) -> None:
        """A listed check may fail, and no other of its scenario."""
        results = {"ping": scenario("ping", answered="FAILURE", quick="FAILURE")}
        assert Difference(("ping:quick",), ()) == compare(results, ["ping:answered"])

    @pytest.mark.parametrize("entry", ["ping", "ping:answered"])
    def test_stale_entry(self, entry: str) -> None:
        """An expected failure that passes is a difference: the list can only get shorter."""
        results = {"ping": scenario("ping", answered="SUCCESS")}
        assert Difference((), (entry,)) == compare(results, [entry])

    def test_not_run(self) -> None:
        """An entry of a scenario that was not run says nothing."""
        assert Difference((), ()) == compare({}, ["ping", "ping:answered"])


def task(name: str, revision: str = "2025-11-25", **context: object) -> Task:
    """Return what the suite would ask for."""
    return Task(name, revision, "http://localhost:1/mcp", context)


class TestTask:
    def test_given(self) -> None:
        """The scenario comes by the environment, the URL as the last argument."""
        environ = {
            "MCP_CONFORMANCE_SCENARIO": "auth/pre-registration",
            "MCP_CONFORMANCE_PROTOCOL_VERSION": "2026-07-28",
            "MCP_CONFORMANCE_CONTEXT": '{"client_id": "me"}',
        }
        expected = task("auth/pre-registration", "2026-07-28", client_id="me")
        assert expected == Task.given(["drive.py", "http://localhost:1/mcp"], environ)

    def test_plain_backend(self, tmp_path: Path) -> None:
        """A scenario without a login has a backend with a URL and a revision only."""
        backend = {"http_url": "http://localhost:1/mcp", "protocol_version": "2025-11-25"}
        expected = {"backends": {"under_test": backend}}
        assert expected == json.loads(task("initialize").config(tmp_path))

    def test_given_client(self, tmp_path: Path) -> None:
        """The client that the suite registered becomes the login's settings."""
        given = {"client_id": "me", "client_secret": "shh", "issuer": "http://localhost:2"}
        login = task("auth/pre-registration", **given).login(tmp_path)
        assert {"storage": "file", **given} == login

    def test_key(self, tmp_path: Path) -> None:
        """A private key is given as a file that only its owner may read."""
        given = {"private_key_pem": "PEM", "signing_algorithm": "ES384"}
        login = task("auth/client-credentials-jwt", **given).login(tmp_path)
        key = Path(login["private_key_file"])
        assert ("PEM", 0o600) == (key.read_text(), key.stat().st_mode & 0o777)
        assert ("client_credentials", "ES384") == (login["grant"], login["private_key_algorithm"])

    def test_document(self, tmp_path: Path) -> None:
        """The client id is the URL of a document only where the scenario is about that."""
        assert METADATA_URL == task("auth/basic-cimd").login(tmp_path)["client_metadata_url"]
        assert "client_metadata_url" not in task("auth/iss-supported").login(tmp_path)


class TestDriver:
    def test_defaults(self) -> None:
        """A form is accepted with its defaults, and with yes where a flag has none."""
        properties = {
            "name": {"type": "string", "default": "John Doe"},
            "note": {"type": "string"},
            "verified": {"type": "boolean", "default": False},
            "confirmed": {"type": "boolean"},
        }
        expected = {
            "action": "accept",
            "content": {"name": "John Doe", "verified": False, "confirmed": True},
        }
        assert expected == accept_defaults({"requestedSchema": {"properties": properties}})

    def test_sample(self) -> None:
        """A tool is tried with a value of each argument's type."""
        kinds = ("string", "integer", "number", "boolean", "null", "array", "object")
        schema = {"properties": {kind: {"type": kind} for kind in kinds}}
        expected = {
            "string": "us-west1",
            "integer": 1,
            "number": 1.5,
            "boolean": True,
            "null": None,
            "array": [],
            "object": {},
        }
        assert expected == sample(schema)

    def test_steps(self) -> None:
        """A login without an entry of its own is one that has to succeed."""
        assert step_of("auth/metadata-default") is step_of("auth/iss-supported")
        assert STEPS["auth/iss-wrong-issuer"] is STEPS["auth/resource-mismatch"]
        assert step_of("auth/iss-supported") is not step_of("auth/iss-wrong-issuer")


class Pages(BaseHTTPRequestHandler):
    """A page that leads to another one."""

    def do_GET(self) -> None:
        """Answer /start with a redirect, and anything else with a page."""
        self.server.seen.append(self.path)  # type: ignore[attr-defined]
        self.send_response(302 if self.path == "/start" else 200)
        if self.path == "/start":
            self.send_header("Location", "/callback?code=1")
        self.send_header("Content-Length", "0")
        self.end_headers()
        if self.path != "/start":
            self.server.done.set()  # type: ignore[attr-defined]

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.mark.process
class TestBrowser:
    def test_follows_to_the_callback(self) -> None:
        """The browser returns at once and follows the link in the background."""
        with HTTPServer(("127.0.0.1", 0), Pages) as server:
            server.seen, server.done = [], threading.Event()  # type: ignore[attr-defined]
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            link = f"http://127.0.0.1:{server.server_port}/start"
            status = run(
                [sys.executable, "tests/conformance/browser.py", link], cwd=ROOT
            ).returncode
            came = server.done.wait(20)  # type: ignore[attr-defined]
            server.shutdown()
            thread.join()
            assert (0, True) == (status, came)
            assert ["/start", "/callback?code=1"] == server.seen  # type: ignore[attr-defined]

    def test_stays_on_this_machine(self) -> None:
        """A link to another machine is not loaded."""
        link = "http://conformance-test.invalid/start"
        words = [sys.executable, "tests/conformance/browser.py", "--load", link]
        done = run(words, cwd=ROOT, capture_output=True, text=True)
        assert (1, f"{link} is not on this machine\n") == (done.returncode, done.stderr)


@pytest.mark.real
@pytest.mark.process
class TestFixture:
    def test_alone(self, tmp_path: Path) -> None:
        """The everything-server alone passes all of the suite's default scenarios."""
        if not (ROOT / ".cache" / "conformance" / "installed.json").exists():
            pytest.skip("the conformance suite is not installed: run scripts/conformance fixture")
        report = tmp_path / "report.json"
        words = ("fixture", "--era", "default", "--json", str(report))
        done = run(
            [sys.executable, "scripts/conformance.py", *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert 0 == done.returncode, done.stdout + done.stderr
        [only] = json.loads(report.read_text())
        failed = {name for name, one in only["scenarios"].items() if one["failed"]}
        assert (31, set()) == (len(only["scenarios"]), failed)
