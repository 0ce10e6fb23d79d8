"""Imported operations make the requests that the OpenAPI specification defines."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "scripts/openapi_oracle.py"
KNOWN = importlib.util.find_spec("openapi_core") is not None


@pytest.mark.process
@pytest.mark.parametrize("words", [["--quick"], *([[]] if KNOWN else [])])
def test_requests_are_right(words: list[str]) -> None:
    """All of them, and openapi-core reads those that it supports as they were meant."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *words], capture_output=True, text=True, timeout=300
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    assert "(100.0%)" in done.stdout
    assert ("openapi-core reads" in done.stdout) == (not words)


@pytest.mark.process
def test_a_wrong_request_is_found() -> None:
    """A serialization that ignores its style fails the comparison."""
    code = """
import runpy, sys
import mcpgw.capabilities.requests as requests
sys.argv = ["openapi_oracle.py", "--quick"]
sys.path.insert(0, sys.argv.pop(0) and SCRIPTS)
requests.query_pairs = lambda name, value, how=None: [requests.QueryPair.of(name, str(value))]
runpy.run_path(SCRIPTS + "/openapi_oracle.py", run_name="__main__")
"""
    code = f"SCRIPTS = {str(SCRIPT.parent)!r}\n{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert 1 == done.returncode, done.stderr
    assert "wrong  query form explode=False array" in done.stdout
