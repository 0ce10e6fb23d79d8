"""Quality of the search for the tools that real tasks need."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from mcpgw.catalog.index import ToolIndex

DATA = Path(__file__).parents[2] / "../shared/data/tool-search"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="no tool-search data beside the checkout")


def coverage(
    index: ToolIndex, tasks: list[Any], queries: Callable[[Any], list[str]], cut: int
) -> float:
    """Return the share of a task's tools among the first hits of its queries, averaged."""
    shares: list[float] = []
    for task in tasks:
        hits = [hit for query in queries(task) for hit in index.search(query, limit=cut).hits]
        found = {hit.tool.lower() for hit in hits}
        shares.append(len(found & set(task["tools"])) / len(set(task["tools"])))
    return fmean(shares)


@pytest.fixture(scope="module")
def index() -> ToolIndex:
    """An index of the real tools by their servers."""
    made = ToolIndex()
    tools = json.loads((DATA / "tools.json").read_text("utf-8"))
    for server in dict.fromkeys(tool["server"] for tool in tools):
        made.replace(server, [tool for tool in tools if tool["server"] == server])
    return made


@pytest.fixture(scope="module")
def tasks() -> list[Any]:
    """The real tasks."""
    found: list[Any] = json.loads((DATA / "tasks.json").read_text("utf-8"))
    return found


@needs_data
def test_real_tasks_find_their_tools(index: ToolIndex, tasks: list[Any]) -> None:
    """The search finds far more than plain BM25 does: 0.64, 0.68, 0.29 and 0.34."""
    assert coverage(index, tasks, lambda task: list(task["steps"]), 5) >= 0.71
    assert coverage(index, tasks, lambda task: list(task["steps"]), 10) >= 0.78
    assert coverage(index, tasks, lambda task: [task["question"]], 5) >= 0.40
    assert coverage(index, tasks, lambda task: [task["question"]], 10) >= 0.49


@needs_data
def test_steps_asked_in_one_request_find_most_of_their_tools(
    index: ToolIndex, tasks: list[Any]
) -> None:
    """A compound request finds more than half of what its parts need."""
    assert coverage(index, tasks, lambda task: [", then ".join(task["steps"])], 5) >= 0.57
    assert coverage(index, tasks, lambda task: [", then ".join(task["steps"])], 10) >= 0.66


@needs_data
def test_honest_queries_fit(index: ToolIndex, tasks: list[Any]) -> None:
    """Nearly every page for a real step or question fits."""
    steps = [index.search(step).fits for task in tasks for step in task["steps"]]
    questions = [index.search(task["question"]).fits for task in tasks]
    assert fmean(steps) >= 0.9
    assert fmean(questions) >= 0.9
