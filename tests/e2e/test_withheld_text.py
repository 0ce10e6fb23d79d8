"""No text of a withheld definition reaches a client, by whatever way it asks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import marked_server
from tests.support.http_gateway import http_gateway
from tests.support.marked_server import MARKER
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

SERVER = [sys.executable, str(Path(marked_server.__file__))]
NAMES = [str(each["name"]) for each in marked_server.TOOLS]
PROMPTS = [str(each["name"]) for each in marked_server.PROMPTS]
URIS = [str(each["uri"]) for each in marked_server.RESOURCES] + [f"y://{MARKER}/1"]
VARIANTS = (
    "{}",
    " {}",
    "{}\t",
    "{}\u200b",
)
"""Forms of a name that a server may take for the name."""


def meta_calls() -> list[tuple[str, dict[str, Any]]]:
    """Return calls of meta-tools that may say something about the server or its definitions."""
    calls: list[tuple[str, dict[str, Any]]] = [
        ("gateway_list_servers", {}),
        ("gateway_list_tools", {}),
        ("gateway_list_tools", {"server": "s"}),
        ("gateway_search_tools", {"query": "read the user's id_rsa", "explain": True}),
        ("gateway_search_tools", {"query": MARKER[:6]}),
        ("gateway_search", {"query": "*"}),
        ("gateway_revive_server", {"server": "s"}),
        ("gateway_reload_config", {}),
        ("gateway_run_playbook", {"name": "uses_it", "arguments": {}}),
        ("gateway_invoke", {"server": "s", "tool": MARKER[:-1], "arguments": {}}),
    ]
    for name in NAMES:
        for form in VARIANTS:
            wanted = form.format(name)
            target = {"server": "s", "tool": wanted, "arguments": {}}
            calls.append(("gateway_invoke", target))
            calls.append(("gateway_execute", {"tool": f"s:{wanted}", "arguments": {}}))
    calls.append(("gateway_execute", {"chain": [{"tool": f"s:{NAMES[2]}", "arguments": {}}]}))
    # Afterwards, so that what was called is counted.
    calls += [("gateway_get_stats", {}), ("gateway_cost_report", {}), ("gateway_list_servers", {})]
    return calls


def requests() -> list[tuple[str, dict[str, Any]]]:
    """Return requests of a client, to the gateway or to the server's own endpoint."""
    found: list[tuple[str, dict[str, Any]]] = [
        ("tools/list", {}),
        ("tools/list", {"query": MARKER[:6]}),
        ("prompts/list", {}),
        ("resources/list", {}),
        ("resources/templates/list", {}),
        ("server/discover", {}),
    ]
    for form in VARIANTS:
        found += [("tools/call", {"name": form.format(n), "arguments": {}}) for n in NAMES]
        found += [("tools/resolve", {"name": form.format(n)}) for n in NAMES]
        found += [("prompts/get", {"name": form.format(n)}) for n in PROMPTS]
        found += [("prompts/get", {"name": f"s/{form.format(n)}"}) for n in PROMPTS]
        for uri in URIS:
            wanted = form.format(uri)
            found += [("resources/read", {"uri": wanted}), ("resources/subscribe", {"uri": wanted})]
    found.append(
        ("completion/complete", {
            "ref": {"type": "ref/prompt", "name": PROMPTS[0]},
            "argument": {"name": "a", "value": "b"},
        })
    )  # fmt: skip
    return found


async def test_no_text_of_a_withheld_definition_reaches_a_client(tmp_path: Path) -> None:
    """Whatever is asked for, by name or otherwise, nothing that the server has written is in the
    answer; only what the client has sent itself may be repeated."""
    (tmp_path / "books").mkdir()
    (tmp_path / "books/uses_it.yaml").write_text(
        "playbook: '1'\nname: uses_it\ndescription: Uses a tool.\nsteps:\n"
        f"  - {{name: one, server: s, tool: {NAMES[2]}}}\n"
    )
    leaked: list[str] = []
    reached: list[str] = []
    async with (
        http_gateway(
            {"s": SERVER},
            folder=tmp_path,
            code_mode={"enabled": True},
            playbooks={"directories": ["books"]},
            spec_preview={"enabled": True},
        ) as gateway,
        httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client,
    ):

        async def ask(path: str, method: str, params: dict[str, Any]) -> None:
            message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            response = await client.post(f"{gateway.base}{path}", json=message)
            # References in a chain or playbook are words of their author, not of the server.
            text = response.content.decode().replace(f"s:{NAMES[2]}", "s:...")
            what = f"{path} {method} {json.dumps(params)}: {text[:3500]}"
            if "REACHED" in text:
                reached.append(what)
            if MARKER in text and not _is_echo(method, params, text):
                leaked.append(what)

        for path in ("/mcp", "/mcp/s"):
            for method, params in requests():
                await ask(path, method, params)
        for name, arguments in meta_calls():
            await ask("/mcp", "tools/call", {"name": name, "arguments": arguments})
        document = await client.get(f"{gateway.base}/openapi/s/openapi.json")
        found = document.text.find(MARKER)
        assert found < 0, document.text[max(0, found - 300) : found + 100]
    assert [] == reached
    assert not leaked, "\n".join(leaked)


def _is_echo(method: str, params: dict[str, Any], text: str) -> bool:
    """Tell whether an answer repeats what the client has sent, and nothing else of the server."""
    own = ("Unknown tool: ", "Unknown prompt: ", "not found", "Unknown resource template: ")
    sent = json.dumps(params)
    return any(each in text for each in own) and text.count(MARKER) <= sent.count(MARKER)
