"""Reading and running playbooks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from mcpgw.config.problems import ConfigError
from mcpgw.playbooks.library import BUILTIN, PlaybookLibrary
from mcpgw.playbooks.model import Playbook
from mcpgw.playbooks.parsing import read_playbook
from mcpgw.playbooks.runner import PlaybookFailed, StepFailed, payload_of, run
from mcpgw.protocol.arguments import InvalidArguments

HEAD = "name: p\ndescription: d\n"


def read(text: str, *, head: str = HEAD) -> Playbook:
    return read_playbook(Path("p.yaml"), head + text)


def faults(text: str, *, head: str = HEAD) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text, head=head)
    return str(caught.value)


class Tools:
    """Tools that give the arguments back, and note every call."""

    def __init__(self, answers: Mapping[str, list[Any]] | None = None) -> None:
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.answers = {name: list(items) for name, items in (answers or {}).items()}

    async def __call__(self, server: str, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((server, tool, arguments))
        await trio.lowlevel.checkpoint()
        answer = self.answers[tool].pop(0) if self.answers.get(tool) else arguments
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, float):
            await trio.sleep(answer)
            answer = arguments
        if isinstance(answer, dict) and "isError" in answer:
            return answer
        return {"structuredContent": answer, "content": [], "trace_id": f"gw-{len(self.calls)}"}


def failing(text: str, *, retry: bool) -> dict[str, Any]:
    recovery = {"error_code": "BACKEND_ERROR", "retry": retry}
    return {"content": [{"type": "text", "text": text}], "isError": True, "recovery": recovery}


CHAIN = """
inputs:
  properties:
    city: {type: string}
    limit: {type: integer, default: 5}
  required: [city]
steps:
  - {name: find, server: maps, tool: search, arguments: {q: $inputs.city, max: $inputs.limit}}
  - {name: more, tool: details, args: {of: "$prev.q ($find.max)"}}
  - {name: never, tool: x, condition: $find.max > 9}
output:
  properties:
    place: {path: $more.of}
    extra: {path: $never.y, fallback: none}
"""


async def test_steps_use_what_came_before(autojump_clock: MockClock) -> None:
    """Inputs, defaults, earlier steps and the previous one; a false condition skips a step."""
    tools = Tools()
    result = await run(read(CHAIN), {"city": "Oslo"}, tools)
    assert [
        ("maps", "search", {"q": "Oslo", "max": 5}),
        ("capabilities", "details", {"of": "Oslo (5)"}),
    ] == tools.calls
    assert {"place": "Oslo (5)", "extra": "none"} == result.output
    assert (["find", "more"], ["never"], []) == (
        result.completed,
        result.skipped,
        result.failed,
    )
    assert {"find": "gw-1", "more": "gw-2"} == result.trace_ids


async def test_without_an_output_map_all_results_are_given(autojump_clock: MockClock) -> None:
    """Then the output is an object of every step."""
    result = await run(read("steps:\n- {name: a, tool: t, arguments: {x: 1}}\n"), {}, Tools())
    assert {"a": {"x": 1}} == result.output


@pytest.mark.parametrize("inputs", [{}, {"city": ["x", "y"]}, {"city": "x", "limit": "many"}])
async def test_inputs_are_checked(inputs: dict[str, Any]) -> None:
    """Inputs that do not fit the schema are refused before any call."""
    tools = Tools()
    with pytest.raises(InvalidArguments):
        await run(read(CHAIN), inputs, tools)
    assert [] == tools.calls


async def test_a_failed_step_ends_the_run_and_is_named(autojump_clock: MockClock) -> None:
    """The error has the playbook, the step, its tool and the cause, and the partial result."""
    tools = Tools({"details": [failing("out of order", retry=True)]})
    with pytest.raises(PlaybookFailed) as caught:
        await run(read(CHAIN), {"city": "Oslo"}, tools)
    assert "Playbook 'p' failed in step 2 of 3, 'more' (capabilities:details): out of order" == str(
        caught.value
    )
    result = caught.value.result.to_json()
    assert ["find"] == result["steps_completed"]
    assert [{"step": "more", "tool": "capabilities:details", "error": "out of order"}] == (
        result["steps_failed"]
    )


TWO = """
steps:
- {name: a, tool: one}
- {name: b, tool: two, arguments: {from: $a, prev: "$prev"}}
"""


async def test_going_on_after_a_failure(autojump_clock: MockClock) -> None:
    """With `continue` the step's result is null and the next one is made."""
    tools = Tools({"one": [StepFailed("X", "no")]})
    result = await run(read("on_error: continue" + TWO), {}, tools)
    assert {"a": None, "b": {"from": None, "prev": None}} == result.output
    assert ["b"] == result.completed
    assert ["a"] == [each["step"] for each in result.failed]


@pytest.mark.parametrize(
    ("answers", "calls", "completed"),
    [
        ([failing("x", retry=True), {"ok": 1}], 2, ["a", "b"]),
        ([failing("x", retry=True)] * 3, 3, ["b"]),
        ([failing("x", retry=False), {"ok": 1}], 1, ["b"]),
        ([StepFailed("C", "x", retry=True), {"ok": 1}], 2, ["a", "b"]),
    ],
)
async def test_trying_again(
    autojump_clock: MockClock, answers: list[Any], calls: int, completed: list[str]
) -> None:
    """`retry` repeats retryable failures up to the limit, and then goes on."""
    tools = Tools({"one": answers})
    result = await run(read("on_error: retry\nmax_retries: 2" + TWO), {}, tools)
    assert calls == sum(1 for _, tool, _ in tools.calls if tool == "one")
    assert completed == result.completed


async def test_a_step_has_its_own_rules(autojump_clock: MockClock) -> None:
    """A step's `on_error` and `timeout` come before the playbook's."""
    text = """
on_error: abort
steps:
- {name: slow, tool: one, timeout: 2, on_error: continue}
- {name: b, tool: two}
"""
    tools = Tools({"one": [30.0]})
    result = await run(read(text), {}, tools)
    assert ["b"] == result.completed
    assert "the step timed out after 2 s" in result.failed[0]["error"]


async def test_a_run_has_its_time(autojump_clock: MockClock) -> None:
    """When it is up the step that runs is stopped, and named."""
    with pytest.raises(PlaybookFailed, match="timed out after 5 s, in step 2 of 2, 'b'"):
        await run(read("timeout: 5" + TWO), {}, Tools({"two": [60.0]}))


async def test_the_previous_step_may_have_been_skipped(autojump_clock: MockClock) -> None:
    """Before any step is done `$prev` is null, and not the text of the reference."""
    text = """
steps:
- {name: a, tool: one, condition: $inputs.wanted}
- {name: b, tool: two, arguments: {from: $prev}}
"""
    tools = Tools()
    await run(read(text), {}, tools)
    assert [("capabilities", "two", {"from": None})] == tools.calls


@pytest.mark.parametrize("inputs", [{}, {"limit": None}])
async def test_null_counts_as_not_given(inputs: dict[str, Any], autojump_clock: MockClock) -> None:
    """An input given as null has its default, as models write null for what they leave out."""
    tools = Tools()
    await run(read(CHAIN), {"city": "Oslo", **inputs}, tools)
    assert {"q": "Oslo", "max": 5} == tools.calls[0][2]


async def test_a_failed_run_tells_its_time_and_trace(autojump_clock: MockClock) -> None:
    """After a failure the result has the duration and the call's trace id."""

    async def slow(server: str, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        await trio.sleep(2)
        return {**failing("no", retry=False), "trace_id": "gw-7"}

    with pytest.raises(PlaybookFailed) as caught:
        await run(read(TWO), {}, slow)
    assert (2000, {"a": "gw-7"}) == (
        caught.value.result.duration_ms,
        caught.value.result.trace_ids,
    )


async def test_a_dry_run_calls_nothing() -> None:
    """The plan has each step's call, as far as it is known."""
    tools = Tools()
    plan = (await run(read(CHAIN), {"city": "Oslo"}, tools, dry_run=True)).to_json()["plan"]
    assert [] == tools.calls
    assert {"q": "Oslo", "max": 5} == plan[0]["arguments"]
    assert {"of": "$prev.q ($find.max)"} == plan[1]["arguments"]
    assert "depends on earlier steps" == plan[2]["runs"]


@pytest.mark.parametrize(
    ("answer", "payload"),
    [
        ({"structuredContent": {"a": 1}, "content": [{"type": "text", "text": "x"}]}, {"a": 1}),
        ({"content": [{"type": "text", "text": '{"a": [1]}'}]}, {"a": [1]}),
        ({"content": [{"type": "text", "text": "plain"}]}, "plain"),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "a\nb"),
        ({"content": [{"type": "image", "data": "x"}]}, [{"type": "image", "data": "x"}]),
        ({"content": [{"type": "text", "text": "NaN"}]}, "NaN"),
        ({"content": [{"type": "text", "text": "1e999"}]}, "1e999"),
        ({"content": [{"type": "text", "text": "[1,"}, {"type": "text", "text": "2]"}]}, "[1,\n2]"),
    ],
)
def test_what_a_step_gives(answer: dict[str, Any], payload: Any) -> None:
    """Structured content, else JSON in a text, else the text, else the content."""
    assert payload == payload_of(answer)


def test_all_faults_of_a_file_at_once() -> None:
    """Each has its line, key and remedy."""
    told = faults(
        """
stepps: []
on_error: explode
timeout: soon
steps:
  - {name: a, tool: t, arguments: {x: $late.y}, condition: $a >}
  - {name: a, tol: t}
  - {name: late, tool: t, arguments: {x: $inptus.q, home: $HOME}}
output:
  properties:
    o: {path: $nobody.x}
"""
    )
    for part in (
        "p.yaml:4: stepps: unknown key. Did you mean 'steps'?",
        "p.yaml:5: on_error: must be one of abort, continue, retry",
        "p.yaml:6: timeout:",
        "p.yaml:8: steps[0].arguments: '$late.y' is not an input or an earlier step",
        "steps[0].condition:",
        "p.yaml:9: steps[1].name: the name 'a' is already used",
        "steps[1].tol: unknown key. Did you mean 'tool'?",
        "steps[1].tool: is missing",
        "'$inptus.q' is not an input or an earlier step. Did you mean '$inputs'?",
        "p.yaml:13: output.properties.o.path: '$nobody.x' is not an input",
    ):
        assert part in told
    assert "HOME" not in told


@pytest.mark.parametrize("text", ["", "[1]", "name: x\n\tdescription: y", "name: p\nsteps: {}\n"])
def test_what_is_no_playbook(text: str) -> None:
    """Other files are refused with a reason."""
    assert faults(text, head="")


@pytest.mark.parametrize("path", sorted(BUILTIN.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_built_in_ones_can_be_read(path: Path) -> None:
    """Each built-in playbook has the name of its file and a description."""
    playbook = read_playbook(path, path.read_text("utf-8"))
    assert path.stem == playbook.name
    assert playbook.description


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_library_follows_its_files(tmp_path: Path) -> None:
    """The next refresh notices new, changed, invalid, corrected and removed files."""
    library = PlaybookLibrary()
    library.use((tmp_path, tmp_path / "missing"), builtin=False)
    assert ((), ()) == (library.refresh().added, library.names)
    one = write(tmp_path, "one.yaml", HEAD + TWO)
    write(tmp_path, "ignored.txt", "x")
    assert ("p",) == library.refresh().added
    assert () == library.refresh().added
    write(tmp_path, "one.yaml", HEAD + "timeout: 7" + TWO)
    assert ("p",) == library.refresh().changed
    write(tmp_path, "one.yaml", HEAD + "timeout: never" + TWO)
    changes = library.refresh()
    assert ((), [one]) == (changes.removed, list(changes.problems))
    assert 7.0 == library.get("p").timeout  # type: ignore[union-attr]
    assert {} == library.refresh().problems
    assert [one] == list(library.problems)
    write(tmp_path, "one.yaml", HEAD + "timeout: 9" + TWO)
    assert (("p",), {}) == (library.refresh().changed, library.problems)
    one.unlink()
    assert ("p",) == library.refresh().removed


def test_later_folders_win(tmp_path: Path) -> None:
    """A playbook of the same name in a later folder takes the place of the earlier one."""
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    write(first, "x.yml", HEAD + TWO)
    write(second, "y.yaml", "name: p\ndescription: the later one\n" + TWO)
    library = PlaybookLibrary()
    library.use((first, second))
    library.refresh()
    playbook = library.get("p")
    assert playbook is not None
    assert "the later one" == playbook.description
    assert "gateway-overview" in library.names
