"""Tokens saved by the gateway's few tool definitions: an estimate and a measurement.

`scripts/bench tokens --scenario readme` computes the usual estimate: the tokens of a number of
tools in every request, compared with the gateway's own tools. Its inputs are in
benchmarks/public_claims.json, under `readme_token_savings`.

`scripts/bench tokens --scenario live` starts the gateway as a client would, and counts the tokens
of its real `tools/list` and of those of its servers: with the encoding o200k_base if `bpe-openai`
is installed (`pip install bpe-openai`), otherwise as one token for 4 characters of compact JSON.
The method is printed. The servers are the example server of the package and, if it exists beside
the checkout, the catalogue of `../shared/data/tool-search`.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
CLAIMS: Final = ROOT / "benchmarks" / "public_claims.json"
CATALOGUE: Final = ROOT / "../shared/data/tool-search/tools.json"
BUDGET: Final = 1_600
"""Tokens that the definitions of the 16 meta-tools may have together."""
ENCODING: Final = "o200k_base"
RULE: Final = "one token for 4 characters of compact JSON"

Count = Callable[[str], int]


def counter() -> tuple[Count, str]:
    """Return the function that counts tokens, and the name of its method."""
    try:
        import bpe_openai
    except ImportError:
        return (lambda text: math.ceil(len(text) / 4)), RULE
    encoding = bpe_openai.get_encoding(ENCODING)
    return (lambda text: len(encoding.encode(text))), ENCODING


def compact(value: Any) -> str:
    """Return JSON as sent to a model: without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def readme(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Compute the scenario of the README from its inputs."""
    given = claims["readme_token_savings"]
    direct = given["direct_tools"] * given["direct_tokens_per_tool"]
    gateway = given["gateway_tools"] * given["gateway_tokens_per_tool"]
    price = given["input_cost_per_million_usd"] * given["requests"] / 1e6
    return {
        "scenario": "readme",
        "direct_tools": given["direct_tools"],
        "gateway_tools": given["gateway_tools"],
        "meta_tool_counts": claims["meta_tools"],
        "direct_tokens": direct,
        "gateway_tokens": gateway,
        "requests": given["requests"],
        "input_cost_per_million_usd": given["input_cost_per_million_usd"],
        "savings_percent": round(100 * (1 - gateway / direct), 2),
        "direct_cost_usd": round(direct * price, 2),
        "gateway_cost_usd": round(gateway * price, 2),
        "savings_usd": round((direct - gateway) * price, 2),
    }


def listed_by_gateway(sections: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Start the gateway over the example server and return its `tools/list`."""
    backends = {"example": {"command": [sys.executable, "-m", "mcpgw.example"]}}
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "gateway.yaml"
        config.write_text(json.dumps({"backends": backends, **sections}), "utf-8")
        learn = {"name": "gateway_list_tools", "arguments": {}}
        answers = converse(
            [sys.executable, "-m", "mcpgw", "serve", "--mode", "stdio", "-c", str(config)],
            folder,
            [("tools/call", learn), ("tools/list", {})],
        )
    tools: list[dict[str, Any]] = answers[1]["tools"]
    return tools


def listed_by_example() -> list[dict[str, Any]]:
    """Return the `tools/list` of the example server itself."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "mcpgw.example"]
        tools: list[dict[str, Any]] = converse(command, folder, [("tools/list", {})])[0]["tools"]
    return tools


def converse(
    command: Sequence[str], folder: str, requests: Sequence[tuple[str, Mapping[str, Any]]]
) -> list[dict[str, Any]]:
    """Start a server, initialize it, send the requests in turn, and return the results."""
    hello = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "bench", "version": "1"},
    }
    results: list[dict[str, Any]] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"MCP_GATEWAY_HOME": folder, "PATH": "/usr/bin:/bin"},
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number, (method, params) in enumerate([("initialize", hello), *requests]):
            message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            process.stdin.write(compact(message) + "\n")
            process.stdin.flush()
            while (answer := json.loads(process.stdout.readline())).get("id") != number:
                pass
            if number == 0:
                note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
                process.stdin.write(compact(note) + "\n")
            else:
                results.append(answer["result"])
        process.stdin.close()
    return results


def live() -> dict[str, Any]:
    """Count the tokens of the real definitions."""
    count, name = counter()
    own = listed_by_gateway({})
    behind = {"the example server": listed_by_example()}
    if CATALOGUE.is_file():
        catalogue = json.loads(CATALOGUE.read_text("utf-8"))
        kept = ("name", "description", "inputSchema", "annotations")
        tools = [{key: tool[key] for key in kept if tool.get(key)} for tool in catalogue]
        behind[f"{len({tool['server'] for tool in catalogue})} public servers"] = tools
    gateway = count(compact(own))
    rows = []
    for title, tools in behind.items():
        direct = count(compact(tools))
        rows.append(
            {
                "behind": title,
                "tools": len(tools),
                "direct_tokens": direct,
                "direct_tokens_per_tool": round(direct / len(tools), 1),
                "savings_percent": round(100 * (1 - gateway / direct), 1),
            }
        )
    return {
        "scenario": "live",
        "counted_by": name,
        "gateway_tools": len(own),
        "gateway_tokens": gateway,
        "gateway_characters": len(compact(own)),
        "budget": BUDGET,
        "tools": {tool["name"]: count(compact(tool)) for tool in own},
        "servers": rows,
    }


def show(result: Mapping[str, Any]) -> None:
    """Print the result of a scenario."""
    if result["scenario"] == "readme":
        print("Arithmetic of the README (inputs: benchmarks/public_claims.json)")
        for who in ("direct", "gateway"):
            print(
                f"  {who:8} {result[f'{who}_tools']:4} tools  {result[f'{who}_tokens']:7,} tokens"
                f"  ${result[f'{who}_cost_usd']:.2f} for {result['requests']:,} requests"
            )
        print(f"  saved    {result['savings_percent']:.0f}%  ${result['savings_usd']:.2f}")
        return
    print(f"Definitions as they are, counted by {result['counted_by']}")
    for name, tokens in result["tools"].items():
        print(f"  {tokens:6,}  {name}")
    print(
        f"  {result['gateway_tokens']:6,}  all {result['gateway_tools']} together"
        f" (budget: {result['budget']:,}; {result['gateway_characters']:,} characters)"
    )
    for row in result["servers"]:
        print(
            f"  {row['direct_tokens']:6,}  {row['tools']} tools of {row['behind']} directly"
            f" ({row['direct_tokens_per_tool']:.0f} each): the gateway saves"
            f" {row['savings_percent']:.0f}%"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one scenario; return 1 if the live definitions exceed their budget."""
    parser = argparse.ArgumentParser(
        prog="bench tokens",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--scenario", choices=["readme", "live"], default="readme")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    if options.scenario == "readme":
        result = readme(json.loads(CLAIMS.read_text("utf-8")))
    else:
        result = live()
    if options.json:
        print(json.dumps(result, indent=1))
    else:
        show(result)
    if result["scenario"] == "live" and result["gateway_tokens"] > BUDGET:
        print(f"Over the budget of {BUDGET:,} tokens", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
