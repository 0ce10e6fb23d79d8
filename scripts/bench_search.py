"""Measure the tool search: speed, repair of typos, and how well it finds what tasks need.

Run it with the project's runtime dependencies alone: `python scripts/bench_search.py`;
`--quick` takes a tenth of the tools and queries. How to read what it prints:

- *Speed*: synthetic tools (a name of three words and a number, a description of 20 to 35
  words, two parameters) spread over servers of up to 250 tools. `build` is the cost of the
  first search, which cuts and weighs all the words, per tool; `longest step` is what
  `prepare` holds the loop for between two yields. The queries are two or three words of a
  tool's name, all different; `typo` rows have every word damaged. Times are milliseconds.
- *Typos*: each word of a name gets one damaged letter (replaced, inserted, deleted, swapped
  with the next). A query is right when the first hit has exactly these words in its name; the
  number is not part of the query. `real` rows do the same with the names of real tools.
- *Quality*: the share of a task's tools among the first k hits, averaged over tasks; `steps`
  searches once for each step of a task, `question` once with the user's whole question.
  Higher is better. Real data is read from `../shared/data/tool-search` beside the checkout and
  left out, with a message, where that folder is missing.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mcpgw.catalog.index import ToolIndex
from mcpgw.catalog.words import identifier_parts

DATA = Path(__file__).resolve().parents[1] / "../shared/data/tool-search"
SEED = 20_240
CUTS = (1, 3, 5, 10)
LETTERS = "abcdefghijklmnopqrstuvwxyz"
TOOLS_PER_SERVER = 250


def _listed(words: str) -> tuple[str, ...]:
    return tuple(words.split())


VERBS = _listed(
    """get list create update delete search send fetch read write convert export import
    merge split rename copy move upload download validate schedule cancel archive restore publish
    summarize translate render compare"""
)
KINDS = _listed(
    """daily public shared remote local recent nested signed active hidden monthly global
    draft binary secure virtual primary expired pending static custom linked bulk raw archived
    verified temporary private regional default"""
)
THINGS = _listed(
    """invoice calendar message document repository branch ticket customer payment report
    image folder contract account weather forecast channel meeting playlist dataset pipeline cluster
    container certificate webhook template dashboard metric address shipment contact route survey
    budget"""
)
FILLER = _listed(
    """the a given by its identifier returns result for each record and supports filters
    paging sorting with options when available in this workspace of current user"""
)


def synthetic_tools(count: int, rng: random.Random) -> list[dict[str, Any]]:
    """Return tools with names of three words and a number."""
    tools: list[dict[str, Any]] = []
    words = VERBS + KINDS + THINGS
    for number in range(count):
        name = [rng.choice(VERBS), rng.choice(KINDS), rng.choice(THINGS)]
        text = rng.choices(words, k=rng.randint(10, 17)) + rng.choices(FILLER, k=18)
        rng.shuffle(text)
        properties = {
            f"{rng.choice(THINGS)}_id": {"type": "string", "description": "Which one to use"},
            rng.choice(KINDS): {"type": "boolean"},
        }
        tools.append(
            {
                "name": "_".join([*name, str(number)]),
                "description": " ".join(text[: rng.randint(20, 35)]),
                "inputSchema": {"type": "object", "properties": properties},
            }
        )
    return tools


def index_of(tools: list[dict[str, Any]]) -> ToolIndex:
    """Return an index of tools spread over servers, not yet built."""
    index = ToolIndex()
    for start in range(0, len(tools), TOOLS_PER_SERVER):
        name = f"backend{start // TOOLS_PER_SERVER}"
        index.replace(name, tools[start : start + TOOLS_PER_SERVER])
    return index


def _replace(word: str, place: int, rng: random.Random) -> str:
    letter = rng.choice(LETTERS.replace(word[place], ""))
    return word[:place] + letter + word[place + 1 :]


def _insert(word: str, place: int, rng: random.Random) -> str:
    return word[:place] + rng.choice(LETTERS) + word[place:]


def _delete(word: str, place: int, rng: random.Random) -> str:
    return word[:place] + word[place + 1 :]


def _transpose(word: str, place: int, rng: random.Random) -> str:
    place = min(place, len(word) - 2)
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


DAMAGES: dict[str, Callable[[str, int, random.Random], str]] = {
    "replace": _replace,
    "insert": _insert,
    "delete": _delete,
    "transpose": _transpose,
}


def damaged(words: Iterable[str], kind: str, rng: random.Random) -> str:
    """Return the words with one damaged letter each; words of one letter stay whole."""
    change = DAMAGES[kind]
    return " ".join(
        change(word, rng.randrange(len(word)), rng) if len(word) > 1 else word for word in words
    )


def name_words(name: str) -> list[str]:
    """Return the words of a tool's name without its numbers."""
    return [word for word in identifier_parts(name) if not word.isdigit()]


def typo_rates(
    index: ToolIndex, names: list[str], queries: int, rng: random.Random
) -> dict[str, float]:
    """Return the share of damaged queries whose first hit has the right name, by damage."""
    rates: dict[str, float] = {}
    for kind in DAMAGES:
        right = 0
        for _ in range(queries):
            wanted = name_words(rng.choice(names))
            hits = index.search(damaged(wanted, kind, rng), limit=1).hits
            right += bool(hits) and name_words(hits[0].tool) == wanted
        rates[kind] = right / queries
    rates["overall"] = statistics.fmean(rates.values())
    return rates


def _times(index: ToolIndex, queries: list[str]) -> dict[str, float]:
    taken: list[float] = []
    for query in queries:
        start = time.perf_counter()
        index.search(query, limit=10)
        taken.append((time.perf_counter() - start) * 1e3)
    taken.sort()
    return {"p50_ms": statistics.median(taken), "p99_ms": taken[int(len(taken) * 0.99)]}


def _longest_step(tools: list[dict[str, Any]]) -> float:
    """Return the longest time, in milliseconds, that `prepare` runs without yielding."""
    import trio

    longest = 0.0

    async def watch(index: ToolIndex) -> None:
        nonlocal longest
        async with trio.open_nursery() as nursery:

            async def tick() -> None:
                nonlocal longest
                while True:
                    start = time.perf_counter()
                    await trio.lowlevel.checkpoint()
                    longest = max(longest, (time.perf_counter() - start) * 1e3)

            nursery.start_soon(tick)
            await index.prepare()
            nursery.cancel_scope.cancel()

    trio.run(watch, index_of(tools))
    return longest


def speed(count: int, queries: int) -> dict[str, float]:
    """Return build and query times at a number of tools."""
    rng = random.Random(SEED)
    tools = synthetic_tools(count, rng)
    builds: list[float] = []
    for _ in range(3):
        index = index_of(tools)
        start = time.perf_counter()
        index.search("")
        builds.append((time.perf_counter() - start) / count * 1e6)
    plain: list[str] = []
    typos: list[str] = []
    for _ in range(queries):
        words = name_words(rng.choice(tools)["name"])
        plain.append(" ".join(words[: rng.randint(2, 3)]))
        typos.append(damaged(words, rng.choice(list(DAMAGES)), rng))
    index.search("warmm up", limit=10)
    found = {"tools": float(count), "build_us_per_tool": min(builds)}
    found["longest_step_ms"] = _longest_step(tools)
    found |= _times(index, list(dict.fromkeys(plain)))
    found |= {f"typo_{key}": value for key, value in _times(index, typos).items()}
    return found


def real_tools() -> list[dict[str, Any]] | None:
    """Return the real tools beside the checkout, None where there are none."""
    path = DATA / "tools.json"
    if not path.exists():
        return None
    tools: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
    return tools


def real_index(tools: list[dict[str, Any]]) -> ToolIndex:
    """Return an index of the real tools by their servers."""
    index = ToolIndex()
    for server in dict.fromkeys(tool["server"] for tool in tools):
        index.replace(server, [tool for tool in tools if tool["server"] == server])
    return index


def coverage(
    index: ToolIndex, tasks: list[dict[str, Any]], queries_of: Callable[[dict[str, Any]], list[str]]
) -> dict[int, float]:
    """Return the share of each task's tools among the first k hits, averaged, by k."""
    shares: dict[int, list[float]] = {cut: [] for cut in CUTS}
    for task in tasks:
        wanted = set(task["tools"])
        found = [
            [hit.tool.lower() for hit in index.search(query, limit=max(CUTS)).hits]
            for query in queries_of(task)
        ]
        for cut in CUTS:
            seen = {tool for hits in found for tool in hits[:cut]}
            shares[cut].append(len(wanted & seen) / len(wanted))
    return {cut: statistics.fmean(values) for cut, values in shares.items()}


def quality(index: ToolIndex) -> dict[str, dict[int, float]]:
    """Return the coverage by the steps and by the question of the real tasks."""
    tasks = json.loads((DATA / "tasks.json").read_text("utf-8"))
    return {
        "steps": coverage(index, tasks, lambda task: list(task["steps"])),
        "question": coverage(index, tasks, lambda task: [task["question"]]),
    }


def run(quick: bool) -> dict[str, Any]:
    """Measure everything and return the figures; `quick` takes a tenth of the work."""
    sizes = (500, 1_000) if quick else (500, 10_000)
    queries = 100 if quick else 500
    result: dict[str, Any] = {"speed": [speed(size, queries) for size in sizes]}
    rng = random.Random(SEED)
    tools = synthetic_tools(sizes[-1], rng)
    names = [tool["name"] for tool in tools]
    result["typos"] = {"synthetic": typo_rates(index_of(tools), names, queries, rng)}
    real = real_tools()
    if real is not None:
        index = real_index(real)
        names = [tool["name"] for tool in real if len(name_words(tool["name"])) > 1]
        result["typos"]["real"] = typo_rates(index, names, queries, rng)
        result["quality"] = quality(index)
    return result


def show(result: dict[str, Any]) -> None:
    """Print the figures as tables."""
    print("Speed (ms; build in microseconds a tool)")
    print(
        f"{'tools':>8}{'build':>9}{'step':>9}{'p50':>9}{'p99':>9}{'typo p50':>10}{'typo p99':>10}"
    )
    for row in result["speed"]:
        print(
            f"{row['tools']:>8.0f}{row['build_us_per_tool']:>9.1f}{row['longest_step_ms']:>9.1f}"
            f"{row['p50_ms']:>9.3f}{row['p99_ms']:>9.3f}"
            f"{row['typo_p50_ms']:>10.3f}{row['typo_p99_ms']:>10.3f}"
        )
    print("\nTypos: first hit right by name, one damaged letter a word")
    print(f"{'names':>10}" + "".join(f"{kind:>11}" for kind in [*DAMAGES, "overall"]))
    for label, rates in result["typos"].items():
        print(f"{label:>10}" + "".join(f"{rate:>11.1%}" for rate in rates.values()))
    print("\nQuality: coverage of a task's tools at k")
    if "quality" not in result:
        print(f"  left out: no folder {DATA.name} in the shared data beside the checkout")
        return
    print(f"{'queries':>10}" + "".join(f"{f'@{cut}':>9}" for cut in CUTS))
    for label, shares in result["quality"].items():
        print(f"{label:>10}" + "".join(f"{share:>9.3f}" for share in shares.values()))


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description="Measure the tool search.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the tools and queries")
    show(run(parser.parse_args().quick))


if __name__ == "__main__":
    main()
