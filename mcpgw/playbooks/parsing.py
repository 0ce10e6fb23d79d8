"""Parser for playbook files; reports all errors of a file at once."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from mcpgw.config.durations import parse_duration
from mcpgw.config.problems import ConfigError, Findings, Problem, dotted
from mcpgw.config.value_types import noun
from mcpgw.playbooks.conditions import Condition, ConditionError, parse_condition
from mcpgw.playbooks.expressions import INPUTS, PREVIOUS, references, unknown_roots
from mcpgw.playbooks.model import OnError, Output, Playbook, Step
from mcpgw.text.did_you_mean import correction

DEFAULT_SERVER: Final = "capabilities"
MOST_STEPS: Final = 100
DEEPEST: Final = 64
MOST_VALUES: Final = 20_000
"""Values that a file may hold, counting an alias each time it is used."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_TITLE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_KEYS: Final = (
    *("playbook", "name", "description", "inputs", "steps", "output"),
    *("on_error", "max_retries", "timeout"),
)
_STEP_KEYS: Final = (
    *("name", "tool", "server", "arguments", "args", "condition"),
    *("on_error", "max_retries", "timeout"),
)
_OUTPUT_KEYS: Final = ("type", "description", "properties")
_PART_KEYS: Final = ("path", "fallback", "type", "description")
_ON_ERROR: Final = ("abort", "continue", "retry")

Key = tuple[str | int, ...]


def read_playbook(path: Path, text: str) -> Playbook:
    """Parse a playbook.

    Raises:
      ConfigError: the file is invalid; has every error with its line and key.
    """
    from mcpgw.config.yamlfile import Lines, YamlSyntaxError, parse

    try:
        data = parse(text)
    except YamlSyntaxError as error:
        raise ConfigError([Problem(str(path), error.line, "", error.message)]) from None
    if not isinstance(data, Mapping):
        message = f"must be a map of keys, but this is {noun(data)}"
        raise ConfigError([Problem(str(path), 1, "", message, "Start with 'name: ...'.")])
    reader = _Reader(Findings())
    playbook = reader.playbook(data, path) if reader.is_plain(data) else None
    found = list(reader.found)
    if found:
        lines = Lines.of(text)
        problems = [
            Problem(str(path), _line(lines, each.path), dotted(each.path), each.message, each.hint)
            for each in found
        ]
        raise ConfigError(problems)
    assert playbook is not None
    return playbook


def _line(lines: Any, path: Key) -> int | None:
    """Return the line of a key, or of its nearest parent that is in the file."""
    while path:
        line: int | None = lines.find(path)
        if line is not None:
            return line
        path = path[:-1]
    return 1


@attrs.define
class _Reader:
    found: Findings
    names: frozenset[str] = frozenset()
    """The names of all steps of the file, including later ones."""

    def is_plain(self, data: object) -> bool:
        """Report values that JSON cannot represent; return whether the data is finite.

        A YAML anchor may contain itself, or double its content with each line.
        """
        pending: list[tuple[Key, object]] = [((), data)]
        for _ in range(MOST_VALUES):
            if not pending:
                return True
            path, value = pending.pop()
            if len(path) > DEEPEST:
                hint = "Check its anchors (&name) and aliases (*name)."
                self.found.error(path[:2], "is nested too deeply or contains itself", hint)
                return False
            if isinstance(value, Mapping):
                for key, inner in value.items():
                    if not isinstance(key, str):
                        message = f"the key {key!r:.40} must be a string"
                        self.found.error((*path, str(key)), message, "Put it in quotes.")
                    pending.append(((*path, str(key)), inner))
            elif isinstance(value, list):
                pending += (((*path, index), inner) for index, inner in enumerate(value))
            elif isinstance(value, float) and not math.isfinite(value):
                self.found.error(path, "must be a finite number", "Or put it in quotes.")
            elif not (value is None or isinstance(value, (str, int, float))):
                message = f"a {type(value).__name__} cannot be sent as JSON"
                self.found.error(path, message, "Use strings, numbers, lists and maps only.")
        if pending:
            message = f"the file has more than {MOST_VALUES} values"
            self.found.error((), message, "Split it into several playbooks.")
        return not pending

    def playbook(self, data: Mapping[Any, Any], path: Path) -> Playbook:
        self._keys(data, _KEYS, ())
        name = self._text(data, "name", ())
        if name and not _TITLE.fullmatch(name):
            self.found.error(
                ("name",), f"invalid name {name!r:.60}", "Use letters, digits, '-', '_' and '.'."
            )
        inputs = data.get("inputs")
        if inputs is not None and not isinstance(inputs, Mapping):
            self.found.error(("inputs",), f"must be a JSON Schema, but this is {noun(inputs)}")
            inputs = None
        steps = self._steps(data.get("steps"))
        return Playbook(
            name=name,
            description=self._text(data, "description", ()),
            steps=steps,
            inputs=inputs,
            output=self._output(data.get("output"), steps),
            on_error=self._on_error(data, ()) or "abort",
            max_retries=_or(self._retries(data, ()), 1),
            timeout=_or(self._timeout(data, ()), 60.0),
            version=str(data.get("playbook", "1.0")),
            path=path,
        )

    def _steps(self, data: object) -> tuple[Step, ...]:
        if not isinstance(data, list) or not data:
            self.found.error(("steps",), "must be a list of at least 1 step")
            return ()
        if len(data) > MOST_STEPS:
            self.found.error(("steps",), f"must have at most {MOST_STEPS} steps, not {len(data)}")
        known = {INPUTS}
        named = (item.get("name") for item in data if isinstance(item, Mapping))
        self.names = frozenset(name.strip() for name in named if isinstance(name, str))
        steps: list[Step] = []
        for index, item in enumerate(data):
            path: Key = ("steps", index)
            if not isinstance(item, Mapping):
                self.found.error(path, f"must be a map of keys, but this is {noun(item)}")
                continue
            step = self._step(item, path, known)
            if step.name and (step.name in known or step.name == PREVIOUS):
                hint = "Give each step its own name; `inputs` and `prev` are reserved."
                self.found.error((*path, "name"), f"the name {step.name!r} is already used", hint)
            known |= {step.name, PREVIOUS}
            steps.append(step)
        return tuple(steps)

    def _step(self, data: Mapping[Any, Any], path: Key, known: set[str]) -> Step:
        self._keys(data, _STEP_KEYS, path)
        name = self._text(data, "name", path)
        if name and not _NAME.fullmatch(name):
            hint = "Start with a letter, followed by letters, digits and '_'."
            self.found.error((*path, "name"), f"invalid step name {name!r:.60}", hint)
        key = "arguments" if data.get("arguments") is not None else "args"
        if key == "arguments" and "args" in data:
            hint = "Remove one; `args` is another name for `arguments`."
            self.found.error((*path, "args"), "must not be used with `arguments`", hint)
        arguments = _or(data.get(key), {})
        if not isinstance(arguments, Mapping):
            hint = "Write each argument as 'name: value'."
            self.found.error((*path, key), f"must be a map, but this is {noun(arguments)}", hint)
            arguments = {}
        self._report_unknown(unknown_roots(arguments, known), (*path, key), known)
        server = data.get("server", DEFAULT_SERVER)
        if not isinstance(server, str) or not server:
            hint = "Omit it for the capabilities of the gateway."
            self.found.error((*path, "server"), "must be the name of a server", hint)
            server = DEFAULT_SERVER
        return Step(
            name=name,
            tool=self._text(data, "tool", path),
            server=server,
            arguments=arguments,
            condition=self._condition(data.get("condition"), path, known),
            on_error=self._on_error(data, path),
            max_retries=self._retries(data, path),
            timeout=self._timeout(data, path),
        )

    def _condition(self, value: object, path: Key, known: set[str]) -> Condition | None:
        if value is None:
            return None
        at = (*path, "condition")
        if not isinstance(value, str):
            self.found.error(at, f"must be a string, but this is {noun(value)}")
            return None
        try:
            condition = parse_condition(value)
        except ConditionError as error:
            self.found.error(at, str(error), "Example: $inputs.city and $search.total >= 3")
            return None
        missing = (each for each in condition.references() if each.root not in known)
        self._report_unknown(missing, at, known, strict=True)
        return condition

    def _output(self, data: object, steps: Iterable[Step]) -> dict[str, Output]:
        if data is None:
            return {}
        whole: Mapping[Any, Any] = data if isinstance(data, Mapping) else {}
        self._keys(whole, _OUTPUT_KEYS, ("output",))
        properties = whole.get("properties")
        if not isinstance(properties, Mapping) or not properties:
            hint = "Omit `output` to get the results of all steps."
            self.found.error(("output",), "must have `properties`, each with a `path`", hint)
            return {}
        known = {INPUTS, PREVIOUS, *(step.name for step in steps)}
        output: dict[str, Output] = {}
        for name, item in properties.items():
            at: Key = ("output", "properties", str(name))
            given = {"path": item} if isinstance(item, str) else item
            path = given.get("path") if isinstance(given, Mapping) else None
            if isinstance(given, Mapping):
                self._keys(given, _PART_KEYS, at)
            if not isinstance(path, str) or not path.startswith("$"):
                self.found.error(at, "must have a `path` such as $step.total")
                continue
            found = list(references(path))
            if len(found) != 1 or (found[0].start, found[0].end) != (0, len(path)):
                hint = "Write $step.key, or ${step.key} if the key has other characters."
                message = f"must be a single reference, not {path!r:.60}"
                self.found.error((*at, "path"), message, hint)
                continue
            missing = (each for each in found if each.root not in known)
            self._report_unknown(missing, (*at, "path"), known, strict=True)
            output[str(name)] = Output(path, given.get("fallback"))
        return output

    def _report_unknown(
        self, missing: Iterable[Any], path: Key, known: set[str], *, strict: bool = False
    ) -> None:
        """Report references without a target; unless `strict`, only those that are clearly meant
        as references, so that `$HOME` and prices stay text."""
        for reference in missing:
            root = reference.root
            # Names of one or two letters are all similar to each other.
            near = correction(root, known) if len(root) > 2 else None
            later = root in self.names or root == PREVIOUS
            if not (strict or near or later or reference.path.steps):
                continue
            if root == PREVIOUS:
                hint = "There is no earlier step."
            elif later:
                hint = f"The step '{root}' is this step or a later one; move it up."
            else:
                hint = f"Did you mean '${near}'?" if near else f"Known: {', '.join(sorted(known))}."
                hint += "" if strict else " Write $$ for a plain dollar sign."
            message = f"'${reference.text}' is not an input or an earlier step"
            self.found.error(path, message, hint)

    def _keys(self, data: Mapping[Any, Any], known: tuple[str, ...], path: Key) -> None:
        for key in data:
            # `is_plain` has reported keys that are not strings.
            if isinstance(key, str) and key not in known:
                near = correction(key, known)
                hint = f"Did you mean {near!r}?" if near else f"Known keys: {', '.join(known)}."
                self.found.error((*path, str(key)), "unknown key", hint)

    def _text(self, data: Mapping[Any, Any], key: str, path: Key) -> str:
        value = data.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip()
        message = "is missing" if value is None else f"must be a string, but this is {noun(value)}"
        self.found.error((*path, key), message, f"Write '{key}: ...'.")
        return ""

    def _on_error(self, data: Mapping[Any, Any], path: Key) -> OnError | None:
        value = data.get("on_error")
        if value is None or value in _ON_ERROR:
            return value
        self.found.error((*path, "on_error"), f"must be one of {', '.join(_ON_ERROR)}")
        return None

    def _retries(self, data: Mapping[Any, Any], path: Key) -> int | None:
        value = data.get("max_retries")
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100:
            return value
        self.found.error((*path, "max_retries"), "must be a whole number from 0 to 100")
        return None

    def _timeout(self, data: Mapping[Any, Any], path: Key) -> float | None:
        value = data.get("timeout")
        if value is None:
            return None
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            self.found.error((*path, "timeout"), str(error), "Write 30, 30s or 5m.")
            return None
        if seconds <= 0:
            self.found.error((*path, "timeout"), "must be more than 0 seconds", "Write 30 or 30s.")
            return None
        return seconds


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value
