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
from mcpgw.shaping.results import joined_text, texts

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds between two attempts of a step; each pause is twice as long as the one before."""
LONGEST_CAUSE: Final = 500
"""Characters of a step's error that are reported."""

Invoke = Callable[[str, str, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Calls a tool of a server and returns the result of `tools/call`."""


class StepFailed(Exception):
    """A step's call failed: `code`, `message`, and whether it may be retried.

    `trace_id` is that of the call, or "" if it has none.
    """

    def __init__(self, code: str, message: str, *, retry: bool = False, trace_id: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry = retry
        self.trace_id = trace_id


@attrs.define
class PlaybookResult:
    """The result of a run so far."""

    output: Any = None
    completed: list[str] = attrs.field(factory=list)
    skipped: list[str] = attrs.field(factory=list)
    failed: list[dict[str, Any]] = attrs.field(factory=list)
    duration_ms: int = 0
    trace_ids: dict[str, str] = attrs.field(factory=dict)
    plan: list[dict[str, Any]] | None = None
    """The planned calls, for a dry run."""

    def to_json(self) -> dict[str, Any]:
        """Return the result in the form of `gateway_run_playbook`."""
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
    """An aborted run; `result` is its result until then."""

    def __init__(self, message: str, result: PlaybookResult) -> None:
        super().__init__(message)
        self.result = result


async def run(
    playbook: Playbook, inputs: Mapping[str, Any], invoke: Invoke, *, dry_run: bool = False
) -> PlaybookResult:
    """Run a playbook, or only plan its calls.

    A step fails when its call answers with `isError`, raises `StepFailed`, or takes longer than
    its own `timeout`. Then `on_error` of the step, or else of the playbook, applies: `abort` ends
    the run; `continue` goes on with null as the step's result; `retry` makes up to `max_retries`
    further attempts, with exponential backoff, if the failure is marked as retryable, and then
    goes on like `continue`.

    Raises:
      InvalidArguments: the inputs do not match the playbook's schema.
      PlaybookFailed: a step failed finally or the run timed out; the message names the step.
    """
    started = trio.current_time()
    given = _checked(playbook, inputs)
    result = PlaybookResult()
    scope: dict[str, Any] = {INPUTS: given}
    if dry_run:
        result.plan = [_planned(step, scope) for step in playbook.steps]
        return result
    # Set from the start: if the first step is skipped, `$prev` must not be left as text.
    scope[PREVIOUS] = None
    current = 0
    try:
        with trio.move_on_after(playbook.timeout) as clock:
            for number, step in enumerate(playbook.steps):
                current = number
                await _run_step(playbook, number, step, scope, invoke, result)
    finally:
        result.duration_ms = round(1000 * (trio.current_time() - started))
    if clock.cancelled_caught:
        step = playbook.steps[current]
        _record_failure(result, step, f"the playbook timed out after {playbook.timeout:g} s")
        raise PlaybookFailed(
            f"Playbook '{playbook.name}' timed out after {playbook.timeout:g} s, in"
            f" {_place(playbook, current)}.",
            result,
        )
    result.output = _output(playbook, scope)
    return result


async def _run_step(
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
            _record_failure(result, step, error.message, error.trace_id)
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
    """Call the step's tool; every failure is raised as `StepFailed`."""
    limit = float("inf") if step.timeout is None else step.timeout
    with trio.move_on_after(limit) as clock:
        answer = await invoke(step.server, step.tool, arguments)
    if clock.cancelled_caught:
        # The call may have taken effect, so it is not retried.
        raise StepFailed("STEP_TIMEOUT", f"the step timed out after {limit:g} s")
    if answer.get("isError") is True:
        given = answer.get("recovery")
        recovery = given if isinstance(given, Mapping) else {}
        trace_id = answer.get("trace_id")
        raise StepFailed(
            str(recovery.get("error_code", "TOOL_ERROR")),
            joined_text(answer) or "the tool returned an error without a message",
            retry=recovery.get("retry") is True,
            trace_id=trace_id if isinstance(trace_id, str) else "",
        )
    return answer


def _place(playbook: Playbook, number: int) -> str:
    step = playbook.steps[number]
    return f"step {number + 1} of {len(playbook.steps)}, '{step.name}' ({step.server}:{step.tool})"


def _record_failure(result: PlaybookResult, step: Step, cause: str, trace_id: str = "") -> None:
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
    """Return the value of a `tools/call` result: the structured content, else a single text
    parsed as JSON, else the texts joined, else the content."""
    if (structured := answer.get("structuredContent")) is not None:
        return structured
    found = texts(answer)
    if len(found) == 1:
        try:
            return json.loads(found[0], parse_constant=_finite, parse_float=_finite)
        except (ValueError, RecursionError):
            return found[0]
    return joined_text(answer) if found else answer.get("content")


def _finite(written: str) -> float:
    """Reject numbers that Python parses but JSON cannot represent: NaN, Infinity, 1e999."""
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
        # Fill again, because the check drops inputs given as null.
        _fill(given, playbook.inputs)
    return given


def _fill(given: dict[str, Any], schema: Mapping[str, Any]) -> None:
    """Add the defaults of a schema's properties that are missing, in nested objects too."""
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
    """Return the planned call of a step; references to results of other steps are kept."""
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
