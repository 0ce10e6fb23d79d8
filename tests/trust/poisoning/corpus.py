"""The corpora of poisoned and honest definitions, and how to scan one entry of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mcpgw.config import yamlfile
from mcpgw.trust.poisoning import Finding, Severity, scan_definition, scan_server, worst

HERE = Path(__file__).parent
SHARED = HERE.parents[2] / "../shared/data/tool-search/tools.json"


def entries(name: str, *, held_out: bool) -> list[dict[str, Any]]:
    """Return one half of a corpus."""
    parsed = yamlfile.parse((HERE / f"{name}.yaml").read_text(encoding="utf-8"))
    return [entry for entry in parsed if entry["held_out"] == held_out]


def scan(entry: dict[str, Any]) -> tuple[Finding, ...]:
    """Scan an entry as the kind of definition that it is."""
    if "text" in entry:
        schema = {"type": "object", "properties": {"q": {"type": "string"}}}
        tool = {"name": "t", "description": entry["text"], "inputSchema": schema}
        return scan_definition("tool", tool)
    if entry["kind"] == "server":
        return scan_server(entry["definition"])
    return scan_definition(entry["kind"], entry["definition"])


def shares(scanned: list[tuple[Finding, ...]]) -> tuple[float, float]:
    """Return the share of definitions that are HIGH, and of those with any finding."""
    severities = [worst(findings) for findings in scanned]
    high = sum(severity is Severity.HIGH for severity in severities)
    any_at_all = sum(severity is not None for severity in severities)
    return high / len(scanned), any_at_all / len(scanned)


def public_tools() -> list[dict[str, Any]]:
    """Return the tools of public servers, or skip the test if they are missing."""
    if not SHARED.exists():
        pytest.skip("needs the folder shared/data/tool-search beside the checkout")
    tools = json.loads(SHARED.read_text(encoding="utf-8"))
    return [{key: value for key, value in tool.items() if key != "server"} for tool in tools]
