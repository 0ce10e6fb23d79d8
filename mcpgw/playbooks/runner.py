"""Running a playbook: its steps in order, each with the results of those before it."""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import attrs
import trio

from mcpgw.playbooks.expressions import INPUTS, PREVIOUS, interpolate, lookup
from mcpgw.playbooks.model import Playbook, Step
from mcpgw.shaping.results import texts

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds between two attempts of a step; each pause is twice as long as the one before."""
LONGEST_CAUSE: Final = 500
"""Characters of a step's error that are told."""

Invoke = Callable[[str, str, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Calls a tool of a server and gives the result of `tools/call`."""


class StepFailed(Exception):
    """A step's call failed: `code`, `message`, and whether it may be tried again.

    `trace_id` is that of the call, "" where it has none.
    """

    def __init__(self, code: str, message: str, *, retry: bool = False, trace_id: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry = retry
        self.trace_id = trace_id


@attrs.define
class PlaybookResult:
    """What a run gave so far."""

    output: Any = None
    completed: list[str] = attrs.field(factory=list)
    skipped: list[str] = attrs.field(factory=list)
    failed: list[dict[str, Any]] = attrs.field(factory=list)
    duration_ms: int = 0
    trace_ids: dict[str, str] = attrs.field(factory=dict)
    plan: list[dict[str, Any]] | None = None
    """What each step would do, for a dry run."""

    def to_json(self) -> dict[str, Any]:
        """Return it as the answer of `gateway_run_playbook`."""
        answer: dict[str, Any] = {
            "output": self.output,
            "steps_completed": self.completed,
            "steps_skipped": self.skipped,
            "steps_failed": self.failed,
            "duration_ms": self.duration_ms,
        }
        if self.trace_ids:
            answer["trace_ids"] = self.trace_ids
        if self.plan is not None:
            answer["dry_run"] = True
            answer["plan"] = self.plan
        return answer


class PlaybookFailed(Exception):
    """A run that was aborted; `result` is what it gave until then."""

    def __init__(self, message: str, result: PlaybookResult) -> None:
        super().__init__(message)
        self.result = result


async def run(
    playbook: Playbook, inputs: Mapping[str, Any], invoke: Invoke, *, dry_run: bool = False
) -> PlaybookResult:
    """Run a playbook, or say what its steps would do.

    A step fails when its call answers with `isError`, raises `StepFailed`, or takes longer than
    its own `timeout`. Then `on_error` of the step, else of the playbook, says what follows:
    `abort` ends the run; `continue` goes on, with null as the step's result; `retry` tries up to
    `max_retries` times more, with growing pauses, but only a call that says of its failure that
    it may be tried again, and then goes on like `continue`.

    Raises:
      InvalidArguments: the inputs do not fit the playbook's schema.
      PlaybookFailed: a step failed for good, or the time is up; the text names the step.
    """
    began = trio.current_time()
    given = _checked(playbook, inputs)
    result = PlaybookResult()
    scope: dict[str, Any] = {INPUTS: given}
    if dry_run:
        result.plan = [_planned(step, scope) for step in playbook.steps]
        return result
    # Known from the start: a first step may be skipped, and `$prev` must not stay text then.
    scope[PREVIOUS] = None
    current = 0
    try:
        with trio.move_on_after(playbook.timeout) as clock:
            for number, step in enumerate(playbook.steps):
                current = number
                await _do(playbook, number, step, scope, invoke, result)
    finally:
        result.duration_ms = round(1000 * (trio.current_time() - began))
    if clock.cancelled_caught:
        step = playbook.steps[current]
        _note(result, step, f"the playbook's time of {playbook.timeout:g} s was up")
        raise PlaybookFailed(
            f"Playbook '{playbook.name}' was stopped after {playbook.timeout:g} s, in"
            f" {_place(playbook, current)}.",
            result,
        )
    result.output = _output(playbook, scope)
    return result


async def _do(
    playbook: Playbook,
    number: int,
    step: Step,
    scope: dict[str, Any],
    invoke: Invoke,
    result: PlaybookResult,
) -> None:
    if step.condition is not None and not step.condition.holds(scope):
        result.skipped.append(step.name)
        scope[step.name] = None
        return
    on_error = step.on_error or playbook.on_error
    most = playbook.max_retries if step.max_retries is None else step.max_retries
    retries = most if on_error == "retry" else 0
    arguments = interpolate(dict(step.arguments), scope)
    for attempt in range(retries + 1):
        try:
            answer = await _call(step, arguments, invoke)
            break
        except StepFailed as error:
            if attempt < retries and error.retry:
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)
                await trio.sleep(pause * (0.5 + random.random() / 2))  # noqa: S311
                continue
            _note(result, step, error.message, error.trace_id)
            if on_error == "abort":
                raise PlaybookFailed(
                    f"Playbook '{playbook.name}' failed in {_place(playbook, number)}:"
                    f" {error.message[:LONGEST_CAUSE]}",
                    result,
                ) from error
            scope[step.name] = scope[PREVIOUS] = None
            return
    scope[step.name] = scope[PREVIOUS] = payload_of(answer)
    result.completed.append(step.name)
    if isinstance(trace_id := answer.get("trace_id"), str):
        result.trace_ids[step.name] = trace_id


async def _call(step: Step, arguments: dict[str, Any], invoke: Invoke) -> dict[str, Any]:
    """Call the step's tool; a failure of whatever kind is `StepFailed`."""
    limit = float("inf") if step.timeout is None else step.timeout
    with trio.move_on_after(limit) as clock:
        answer = await invoke(step.server, step.tool, arguments)
    if clock.cancelled_caught:
        # Whether the call took effect is not known, so it is not tried again.
        raise StepFailed("STEP_TIMEOUT", f"no answer within the step's {limit:g} s")
    if answer.get("isError") is True:
        recovery = answer.get("recovery")
        told = recovery if isinstance(recovery, Mapping) else {}
        trace_id = answer.get("trace_id")
        raise StepFailed(
            str(told.get("error_code", "TOOL_ERROR")),
            "\n".join(texts(answer)) or "the tool answered with an error",
            retry=told.get("retry") is True,
            trace_id=trace_id if isinstance(trace_id, str) else "",
        )
    return answer


def _place(playbook: Playbook, number: int) -> str:
    step = playbook.steps[number]
    return f"step {number + 1} of {len(playbook.steps)}, '{step.name}' ({step.server}:{step.tool})"


def _note(result: PlaybookResult, step: Step, cause: str, trace_id: str = "") -> None:
    if trace_id:
        result.trace_ids[step.name] = trace_id
    result.failed.append(
        {
            "step": step.name,
            "tool": f"{step.server}:{step.tool}",
            "error": cause[:LONGEST_CAUSE],
        }
    )


def payload_of(answer: dict[str, Any]) -> Any:
    """Return what a result of `tools/call` holds: the structured content, else a single text
    read as JSON, else the texts, else the content."""
    if (structured := answer.get("structuredContent")) is not None:
        return structured
    found = texts(answer)
    if len(found) == 1:
        try:
            return json.loads(found[0], parse_constant=_finite, parse_float=_finite)
        except (ValueError, RecursionError):
            return found[0]
    return "\n".join(found) if found else answer.get("content")


def _finite(written: str) -> float:
    """Refuse what Python reads as a number and JSON cannot carry: NaN, Infinity, 1e999."""
    number = float(written)
    if not math.isfinite(number):
        raise ValueError(f"{written} is not JSON")
    return number


def _checked(playbook: Playbook, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs with the schema's defaults, checked against it."""
    from mcpgw.protocol.arguments import compiled

    given = dict(inputs)
    if playbook.inputs is None:
        return given
    _fill(given, playbook.inputs)
    schema = playbook.inputs
    if "type" not in schema:
        schema = {"type": "object", **schema}
    checker = compiled(schema).checker
    if checker is not None:
        given = dict(checker.check(given))
        # Again: the check leaves out what was given as null.
        _fill(given, playbook.inputs)
    return given


def _fill(given: dict[str, Any], schema: Mapping[str, Any]) -> None:
    """Put the defaults of a schema's properties where nothing is given, also inside of objects."""
    properties = schema.get("properties")
    for name, inner in properties.items() if isinstance(properties, Mapping) else ():
        if not isinstance(inner, Mapping):
            continue
        if name not in given and "default" in inner:
            given[name] = copy.deepcopy(inner["default"])
        if isinstance(given.get(name), Mapping):
            given[name] = dict(given[name])
            _fill(given[name], inner)


def _planned(step: Step, scope: Mapping[str, Any]) -> dict[str, Any]:
    """Say what a step would do; references to results of other steps stay as they are."""
    plan: dict[str, Any] = {
        "step": step.name,
        "server": step.server,
        "tool": step.tool,
        "arguments": interpolate(dict(step.arguments), scope),
    }
    if step.condition is not None:
        known = all(each.root in scope for each in step.condition.references())
        plan["condition"] = step.condition.text
        plan["runs"] = step.condition.holds(scope) if known else "depends on earlier steps"
    return plan


def _output(playbook: Playbook, scope: Mapping[str, Any]) -> Any:
    if not playbook.output:
        return {step.name: scope.get(step.name) for step in playbook.steps}
    found = {}
    for name, part in playbook.output.items():
        value = lookup(part.path, scope)
        found[name] = part.fallback if value is None else value
    return found
