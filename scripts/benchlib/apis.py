"""Benchmark of APIs as tools: loading of files, calls, and import of a document."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from .calls import Subject, measure_subjects
from .conversation import Broken, Calls, Conversation
from .figures import table
from .programs import FASTMCP_ENV, GATEWAY, HERE, Setup, home

OPERATIONS: Final = 500
FILES: Final = 120
"""A user's own files, in addition to those shipped with the gateway."""
TEXT: Final = '{"text":"' + "x" * 64 + '"}'
"""The answer of the API."""
LONGEST: Final = 30.0


def measure_apis(setup: Setup) -> dict[str, Any]:
    """Return the times to load files, to import a document and to withdraw a changed file, and
    the latencies and rates of calls to an API on this machine."""
    turns = 3 if setup.quick else 7
    loading = measure_loading(turns)
    imported = [import_seconds() for _ in range(1 if setup.quick else 3)]
    withdrawn = [withdrawn_seconds() for _ in range(2 if setup.quick else 5)]
    scan = scan_ms(1 if setup.quick else 3)
    _show(loading, imported, withdrawn, scan)
    with item_server() as url:
        subjects = {
            "gateway": Subject(lambda folder: gateway(folder, url), lambda _: _invoke()),
        }
        if (python := setup.fastmcp) is not None:
            command = [python, str(HERE / "fastmcp_api.py"), json.dumps(_document(url))]
            subjects["FastMCP"] = Subject(
                lambda _: (command, FASTMCP_ENV), lambda _: Calls("item", {"id": "7"}, TEXT)
            )
        calls = measure_subjects("API calls", subjects, "", setup)
    return {
        "loading": loading,
        "import_seconds": statistics.median(imported),
        "withdrawn_seconds": max(withdrawn),
        "scan_ms_per_1000": scan,
        "calls": calls,
        "ratios": calls["ratios"],
    }


def _show(
    loading: dict[str, Any], imported: list[float], withdrawn: list[float], scan: float
) -> None:
    rows = {
        f"load {loading['files']} files, nothing known of them": [f"{loading['first_ms']:,.1f} ms"],
        "load those that come with the gateway": [f"{loading['shipped_ms']:,.1f} ms"],
        "load them again, by the cache": [f"{loading['warm_ms']:,.1f} ms"],
        "look whether any has changed": [f"{loading['look_ms']:,.2f} ms"],
        f"import {OPERATIONS} operations": [f"{statistics.median(imported):,.2f} s"],
        "withdraw a pinned file that changes": [f"{max(withdrawn):,.2f} s"],
        "scan 1,000 definitions": [f"{scan:,.0f} ms"],
    }
    table("APIs", [""], rows)


# -- loading ------------------------------------------------------------------------------------


def measure_loading(turns: int) -> dict[str, Any]:
    """Return the milliseconds to load a user's own files for the first time, from the cache, and
    to check them for changes; and to load all files shipped with the gateway."""
    from mcpgw.capabilities.builtin import builtin_folder
    from mcpgw.capabilities.library import Library
    from mcpgw.capabilities.scanning import SCAN_VERSION, scan_capability

    shipped = builtin_folder()
    if shipped is None:
        raise Broken("the built-in capability files are not installed")
    took: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        own = Path(name) / "own"
        own.mkdir()
        for path in sorted(shipped.rglob("*.yaml"))[:FILES]:
            shutil.copy(path, own)
        for turn in range(turns):
            for kind, cache, folders, fixed in (
                ("first", Path(name) / f"{turn}.json", (own,), ()),
                ("warm", Path(name) / f"{turn}.json", (own,), ()),
                ("shipped", None, (), (shipped,)),
            ):
                library = Library(cache, None, scan_capability, SCAN_VERSION)
                library.use(folders, fixed=fixed)
                _timed(took, kind, library.refresh)
                if kind != "shipped" and len(library) != FILES:
                    raise Broken(f"{len(library)} of {FILES} files were loaded")
                if kind == "warm":
                    _timed(took, "look", library.refresh)
    return {"files": FILES, **{f"{kind}_ms": statistics.median(ms) for kind, ms in took.items()}}


def _timed(took: dict[str, list[float]], kind: str, work: Any) -> None:
    started = time.perf_counter()
    work()
    took.setdefault(kind, []).append((time.perf_counter() - started) * 1e3)


def scan_ms(turns: int) -> float:
    """Return the milliseconds to scan 1,000 definitions for tool poisoning."""
    from mcpgw.capabilities.builtin import builtin_folder
    from mcpgw.capabilities.library import Library
    from mcpgw.trust.poisoning import scan_definition

    shipped = builtin_folder()
    assert shipped is not None
    library = Library()
    library.use((), fixed=(shipped,))
    library.refresh()
    definitions = [each.definition for each in library.entries() if each.definition]
    took = []
    for _ in range(turns):
        started = time.perf_counter()
        for each in definitions:
            scan_definition("tool", each)
        took.append((time.perf_counter() - started) / len(definitions) * 1e6)
    return statistics.median(took)


# -- files that change ----------------------------------------------------------------------------


def _document(url: str, operations: int = 1) -> dict[str, Any]:
    answer = {
        "description": "OK",
        "content": {
            "application/json": {
                "schema": {"type": "object", "properties": {"text": {"type": "string"}}}
            }
        },
    }
    parameter = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    paths = {
        f"/items{number or ''}/{{id}}": {
            "get": {
                "operationId": f"item{number or ''}",
                "summary": "Return one item by its identifier.",
                "parameters": [parameter],
                "responses": {"200": answer},
            }
        }
        for number in range(operations)
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Items", "version": "1"},
        "servers": [{"url": url}],
        "paths": paths,
    }


def import_seconds() -> float:
    """Return the seconds of `cap import` for a document of 500 operations, with its startup."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        spec = folder / "api.json"
        spec.write_text(json.dumps(_document("https://api.example.com", OPERATIONS)), "utf-8")
        words = ["-m", "mcpgw", "cap", "import", str(spec), "-o", str(folder / "caps")]
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *words],
            cwd=folder,
            env={**os.environ, **home(folder)},
            capture_output=True,
            check=False,
        )
        took = time.perf_counter() - started
        written = len(list((folder / "caps").rglob("*.yaml")))
        if done.returncode or written != OPERATIONS:
            raise Broken(f"cap import wrote {written} files: {done.stderr[-300:]!r}")
        return took


def _file(url: str) -> str:
    return f"""name: item
description: Return one item by its identifier.
schema: {{input: {{type: object, properties: {{id: {{type: string}}}}, required: [id]}}}}
providers: {{primary: {{config: {{base_url: "{url}", path: "/items/{{id}}"}}}}}}
network: {{allow_private: true}}
"""


def gateway(folder: Path, url: str) -> tuple[list[str], dict[str, str]]:
    """Write a capability and a configuration; return a gateway's command and environment."""
    caps = folder / "caps"
    caps.mkdir()
    (caps / "item.yaml").write_text(_file(url), "utf-8")
    config = {
        "capabilities": {"directories": ["caps"], "allow_private": ["127.0.0.1"]},
        "failsafe": {"rate_limit": {"enabled": False}},
    }
    path = folder / "gateway.yaml"
    path.write_text(json.dumps(config), "utf-8")
    return [*GATEWAY, "-c", str(path)], home(folder)


def _invoke() -> Calls:
    arguments = {"server": "gateway", "tool": "item", "arguments": {"id": "7"}}
    return Calls("gateway_invoke", arguments, TEXT)


def withdrawn_seconds() -> float:
    """Return the seconds from a change of a pinned file to the refusal of its tool."""
    call = {"server": "gateway", "tool": "item", "arguments": {"id": "7"}}
    with item_server() as url, tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        command, env = gateway(folder, url)
        path = folder / "caps/item.yaml"
        pin = [sys.executable, "-m", "mcpgw", "cap", "pin", str(path)]
        subprocess.run(pin, env={**os.environ, **env}, check=True, capture_output=True)
        with Conversation(command, cwd=folder, env=env) as program:
            program.open()
            params = {"name": "gateway_invoke", "arguments": call}
            if program.ask("tools/call", params).get("isError"):
                raise Broken("the capability cannot be called")
            with path.open("a", encoding="utf-8") as file:
                file.write("#")
            started = time.perf_counter()
            while not program.ask("tools/call", params).get("isError"):
                if time.perf_counter() - started > LONGEST:
                    raise Broken("a pinned file that was changed is still in use")
                time.sleep(0.01)
            return time.perf_counter() - started


@contextmanager
def item_server() -> Iterator[str]:
    """Run the API during the block; yield its URL."""
    with subprocess.Popen(
        [sys.executable, str(HERE / "item_server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        assert server.stdin is not None
        server.stdin.close()
