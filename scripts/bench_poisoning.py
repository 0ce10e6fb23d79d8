"""Measure the scanner for tool poisoning: what it withholds, and what crafted texts cost.

Only the project's runtime dependencies are needed: `python scripts/bench_poisoning.py`. How to
read the output:

- *Corpora*: the project's own texts in `tests/trust/poisoning`, by the authors of the rules. The
  rules were made on the first half (`seen`); the second half (`held out`) only measures. `poisoned`
  should be withheld, `honest` should not.
- *Public tools*: 527 tools of 70 public servers, read from `../shared/data/tool-search` beside the
  checkout; left out if the folder is missing.
- *Cost*: CPU time of texts that were made to cost much, as a multiple of that of prose of the same
  length (the documentation of the gateway). At most `LIMIT` is allowed; the exit status is 1 above
  it.

`--texts FILE` measures other texts: lines of JSON with a `text`, a `skill` (the text of a
SKILL.md), or a `tool` (a whole definition), and optionally a `source` to group by.
`--publish` writes the figures of the corpora to benchmarks/public_claims.json, under `poisoning`.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mcpgw.trust.poisoning import Finding

ROOT: Final = Path(__file__).resolve().parent.parent
CORPORA: Final = ROOT / "tests" / "trust" / "poisoning"
CLAIMS: Final = ROOT / "benchmarks" / "public_claims.json"
TOOLS: Final = ROOT / "../shared/data/tool-search/tools.json"
LIMIT: Final = 5.0
"""Times the cost of prose that a crafted text may have."""
LENGTH: Final = 60_000
"""Characters of the texts whose cost is compared."""
TURNS: Final = 3


def withheld(findings: Iterable[Finding]) -> bool:
    """Return whether a definition with these findings is withheld."""
    return any(finding.severity.name == "HIGH" for finding in findings)


def scan(entry: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Scan an entry of a corpus as the kind of definition that it is."""
    from mcpgw.trust.poisoning import scan_definition, scan_server

    if "text" in entry:
        schema = {"type": "object", "properties": {"q": {"type": "string"}}}
        tool = {"name": "t", "description": entry["text"], "inputSchema": schema}
        return scan_definition("tool", tool)
    if entry["kind"] == "server":
        return scan_server(entry["definition"])
    return scan_definition(entry["kind"], entry["definition"])


def corpora() -> dict[str, dict[str, int]]:
    """Return how many entries each half of a corpus has, and how many of them are withheld."""
    from mcpgw.config import yamlfile

    result: dict[str, dict[str, int]] = {}
    for name in ("poisoned", "honest"):
        entries = yamlfile.parse((CORPORA / f"{name}.yaml").read_text("utf-8"))
        for half, held_out in (("seen", False), ("held out", True)):
            chosen = [entry for entry in entries if entry["held_out"] == held_out]
            count = sum(withheld(scan(entry)) for entry in chosen)
            result[f"{name}, {half}"] = {"texts": len(chosen), "withheld": count}
    return result


def public_tools() -> dict[str, int] | None:
    """Return how many public tools there are, and how many are withheld; None without them."""
    from mcpgw.trust.poisoning import scan_definition

    if not TOOLS.exists():
        return None
    tools = json.loads(TOOLS.read_text("utf-8"))
    for tool in tools:
        tool.pop("server", None)
    count = sum(withheld(scan_definition("tool", tool)) for tool in tools)
    return {"texts": len(tools), "withheld": count}


def prose() -> str:
    """Return the words of the documentation."""
    pages = sorted((ROOT / "docs").glob("*.md"))
    text = " ".join(page.read_text("utf-8") for page in pages if page.stem != "reference")
    return " ".join(re.findall(r"[A-Za-z]+[.,]?", text))[:LENGTH]


def crafted() -> dict[str, str]:
    """Return texts of the same length that were made to cost much."""
    from mcpgw.trust.poisoning import concepts

    words = sorted(concepts.words())
    dense = " ".join(random.Random(3).choices(words, k=LENGTH))[:LENGTH]
    units = {
        "base64 in one run": "A001QUJDQUJD",
        "openings of comments": "<!--",
        "comments": "<!-- one two three four -->",
        "openings of block comments": "/* ",
        "tag characters": "\U000e0041",
        "combining marks": "a\u0301\u0302",
        "character references": "&#105;",
        "percent codes": "%69",
        "tags": "<system> a <secret> b ",
        "spaced letters": "i g n ",
        "hyphens in words": "ig-nore pre-vious ",
        "leet": "1gn0r3 pr3v10us ",
        "images": "![a](https://a.example/b?c={d}) ",
        "paths of secrets": "send ~/.ssh ",
        "wide letters": "\ufdfa",
    }
    texts = {name: (unit * LENGTH)[:LENGTH] for name, unit in units.items()}
    return texts | {"words of the rules": dense}


def crafted_definitions() -> dict[str, dict[str, Any]]:
    """Return definitions with many strings, of the words of the rules and of ordinary words."""
    from mcpgw.trust.poisoning import concepts

    dice = random.Random(5)
    words = sorted(concepts.words())
    names = [" ".join(dice.sample(words, 3)) for _ in range(4_500)]
    values = [f"ignore ssh send {place}" for place in range(15_000)]
    return {
        "properties of words of the rules": {"properties": {name: {} for name in names}},
        "many short values": {"enum": values},
    }


def seconds(run: Any) -> float:
    """Return the least CPU time of a few turns."""
    best = float("inf")
    for _ in range(TURNS):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


def costs() -> dict[str, float]:
    """Return the cost of crafted texts, as multiples of that of prose of the same length."""
    from mcpgw.trust.poisoning import scan_definition, scan_text

    plain = prose()
    scan_text(plain[:100], "x")
    base = seconds(lambda: scan_text(plain, "x")) / len(plain)
    found = {
        name: seconds(lambda text=text: scan_text(text, "x")) / (base * len(text))
        for name, text in crafted().items()
    }
    for name, schema in crafted_definitions().items():
        size = len(json.dumps(schema))
        tool = {"name": "t", "inputSchema": schema}
        spent = seconds(lambda tool=tool: scan_definition("tool", tool))
        found[name] = spent / (base * size)
    return {name: round(value, 2) for name, value in found.items()}


def others(file: Path) -> dict[str, dict[str, int]]:
    """Return the figures of the texts in a file of JSON lines, by source."""
    from mcpgw.skills.parsing import parse_skill
    from mcpgw.skills.scanning import screen
    from mcpgw.trust.poisoning import scan_definition, scan_text

    result: dict[str, dict[str, int]] = {}
    for line in file.read_text("utf-8").splitlines():
        entry = json.loads(line)
        row = result.setdefault(str(entry.get("source", "all")), {"texts": 0, "withheld": 0})
        row["texts"] += 1
        if "skill" in entry:
            severe = any(each.severe for each in screen(parse_skill(entry["skill"])))
        elif "tool" in entry:
            severe = withheld(scan_definition("tool", entry["tool"]))
        else:
            severe = withheld(scan_text(entry["text"], "text"))
        row["withheld"] += severe
    return result


def show(title: str, rows: Mapping[str, Mapping[str, int]]) -> None:
    """Print counts of texts."""
    print(title)
    for name, row in rows.items():
        share = row["withheld"] / row["texts"]
        print(f"  {row['withheld']:6,} of {row['texts']:6,} ({share:6.2%})  {name}")


def main() -> int:
    """Measure, print the figures, and write the requested ones."""
    parser = argparse.ArgumentParser(
        prog="bench poisoning",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--texts", type=Path, metavar="FILE", help="measure the texts of FILE")
    parser.add_argument("--no-cost", action="store_true", help="leave out the times")
    parser.add_argument(
        "--publish", action="store_true", help="write the figures to benchmarks/public_claims.json"
    )
    options = parser.parse_args()
    if options.texts is not None:
        show(str(options.texts), others(options.texts))
        return 0
    own = corpora()
    show("Corpora: withheld", own)
    if (public := public_tools()) is not None:
        show("Public tools: withheld", {"70 servers": public})
    worst = 0.0
    if not options.no_cost:
        print(f"Cost: multiple of that of prose (at most {LIMIT:g})")
        found = costs()
        for name, value in sorted(found.items(), key=lambda pair: -pair[1]):
            print(f"  {value:6.2f}  {name}")
        worst = max(found.values())
    if options.publish:
        claims = json.loads(CLAIMS.read_text("utf-8"))
        section = claims["poisoning"]
        section["own_texts"] = own
        if public is not None:
            section["public_tools"] = public
        if worst:
            section["greatest_cost"] = worst
        CLAIMS.write_text(json.dumps(claims, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return 1 if worst > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
