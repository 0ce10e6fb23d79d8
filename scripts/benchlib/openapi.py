"""Benchmark of `cap import` for a large document with deep responses."""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from .conversation import Broken
from .figures import table
from .openapi_document import large_document
from .programs import NPM, Setup, home

OPERATIONS: Final = 600
GENERATOR: Final = NPM.parent / "openapi-mcp-generator" / "bin" / "openapi-mcp-generator.js"


def measure_openapi(setup: Setup) -> dict[str, Any]:
    """Return the CPU seconds of an import, and of openapi-mcp-generator if it is installed."""
    programs: dict[str, Callable[[Path, Path], list[str]]] = {"gateway": _gateway}
    if GENERATOR.exists() and shutil.which("node"):
        programs["openapi-mcp-generator"] = _generator
    else:
        print("openapi-mcp-generator is left out: not found in .cache/npm")
    turns: dict[str, list[float]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        spec = Path(name) / "api.json"
        spec.write_text(json.dumps(large_document(OPERATIONS)), "utf-8")
        for turn in range(1 if setup.quick else 3):
            for program, command in programs.items():
                folder = Path(name) / f"{program}-{turn}"
                folder.mkdir()
                turns[program].append(_cpu_seconds(command(spec, folder), folder))
    seconds = {program: statistics.median(each) for program, each in turns.items()}
    rows = {f"{program}, CPU": [f"{each:,.2f} s"] for program, each in seconds.items()}
    table(f"Import of {OPERATIONS} operations", [""], rows)
    return {"operations": OPERATIONS, "cpu_seconds": seconds}


def _gateway(spec: Path, folder: Path) -> list[str]:
    return [sys.executable, "-m", "mcpgw", "cap", "import", str(spec), "-o", str(folder / "out")]


def _generator(spec: Path, folder: Path) -> list[str]:
    return ["node", str(GENERATOR), "--input", str(spec), "--output", str(folder / "out")]


def _cpu_seconds(command: list[str], folder: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **home(folder)},
        capture_output=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode or not any((folder / "out").rglob("*")):
        raise Broken(f"{command[0]} failed: {done.stderr[-300:]!r}")
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
