"""Invalid playbook files and their errors."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcpgw.config.problems import ConfigError
from mcpgw.playbooks.library import PlaybookLibrary
from mcpgw.playbooks.parsing import read_playbook

HEAD = "name: p\ndescription: d\n"
STEP = "steps:\n- {name: one, tool: t}\n"


def faults(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_playbook(Path("p.yaml"), HEAD + text)
    return str(caught.value)


def step(rest: str) -> str:
    return f"steps:\n- {{name: one, tool: t, {rest}}}\n- {{name: late, tool: t}}\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            step("arguments: &a {x: *a}"),
            "p.yaml:4: steps[0]: is nested too deeply or contains itself",
        ),
        (step("arguments: {x: !!set {a, b}}"), "steps[0].arguments.x: a set cannot be sent"),
        (step("arguments: {x: !!binary aGk=}"), "steps[0].arguments.x: a bytes cannot be sent"),
        (step("arguments: {? [a, b] : c}"), "the key ('a', 'b') must be a string"),
        (step("arguments: {1: c}"), "the key 1 must be a string"),
        (step("arguments: {x: .nan}"), "steps[0].arguments.x: must be a finite number"),
        (step("arguments: []"), "steps[0].arguments: must be a map, but this is a list"),
        (
            step("arguments: {a: 1}, args: {b: 2}"),
            "steps[0].args: must not be used with `arguments`",
        ),
        (step("max_retries: false"), "steps[0].max_retries: must be a whole number"),
        (f"timeout: 1{'0' * 400}\n{STEP}", "p.yaml:3: timeout: must be at most 87600h (ten years)"),
        (
            f"output: {{properties: {{o: {{path: $one, falback: 1}}}}}}\n{STEP}",
            "output.properties.o.falback: unknown key. Did you mean 'fallback'?",
        ),
        (f"output: {{propertys: {{o: $one}}}}\n{STEP}", "Did you mean 'properties'?"),
        ("steps:\n- {name: a-b, tool: t}\n", "steps[0].name: invalid step name 'a-b'"),
    ],
)
def test_what_could_not_be_run_is_refused(text: str, told: str) -> None:
    """An error is reported with its key when the file is read, not during a run."""
    assert told in faults(text)


def test_aliases_that_double_are_refused() -> None:
    """Anchors that expand to millions of values are reported and not expanded."""
    doubling = "".join(f"    a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    text = f"steps:\n- name: one\n  tool: t\n  arguments:\n    a0: &a0 [x]\n{doubling}"
    assert "values" in faults(text)


@pytest.mark.parametrize("written", ["$late", "$late.x", "see $late", "$one", "$prev"])
def test_what_is_not_yet_known_is_refused(written: str) -> None:
    """A step cannot use itself, a later step, or a step before the first one, path or none."""
    told = faults(step(f"arguments: {{x: '{written}'}}"))
    assert "is not an input or an earlier step" in told


def test_a_later_step_is_named_as_such() -> None:
    """The remedy is to move the step, which no similar name would say."""
    assert "The step 'late' is this step or a later one; move it up." in (
        faults(step("arguments: {x: $late}"))
    )


@pytest.mark.parametrize("written", ["solve $x", "$HOME", "costs $5", "$$late.x", "$a and $b"])
def test_plain_dollars_stay(written: str) -> None:
    """Text that only resembles a reference is not an error, whatever the names of the steps."""
    text = f"{STEP}- {{name: c, tool: t, arguments: {{x: '{written}'}}}}\n"
    assert written == read_playbook(Path("p.yaml"), HEAD + text).steps[1].arguments["x"]


def test_unnamed_steps_are_told_of_once() -> None:
    """A name that is missing is missing, and not taken as well."""
    told = faults("steps:\n- {tool: a}\n- {tool: b}\n")
    assert 2 == told.count("is missing")
    assert "taken" not in told


@pytest.mark.parametrize(
    "text", [step("arguments: &a {x: *a}"), f"timeout: 1{'0' * 400}\n{STEP}", "a: [", "\x00"]
)
def test_a_broken_file_never_stops_the_look(tmp_path: Path, text: str) -> None:
    """Whatever a file holds, the others are read and it is listed with its fault."""
    (tmp_path / "good.yaml").write_text(HEAD + STEP)
    bad = tmp_path / "bad.yaml"
    bad.write_text(HEAD.replace("p", "bad") + text)
    library = PlaybookLibrary()
    library.use((tmp_path,), builtin=False)
    changes = library.refresh()
    assert (("p",), [bad]) == (changes.added, list(changes.problems))


def test_what_is_no_file_is_passed_over(tmp_path: Path) -> None:
    """A folder or a pipe with the name of a playbook is neither read nor waited for."""
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    library = PlaybookLibrary()
    library.use((tmp_path,), builtin=False)
    changes = library.refresh()
    assert ((), {}) == (changes.added, changes.problems)
