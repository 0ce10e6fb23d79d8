"""Linting of files: reads them, applies the rules, computes scores and grades."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from mcpgw.observe.printable import printable as escaped
from mcpgw.validation.model import ORDER, Key, Result, Severity, ToolView, graded
from mcpgw.validation.rules import SINGLE, style_of, words_of

GRADES: Final = (
    *((0.95, "A+"), (0.90, "A"), (0.85, "A-"), (0.80, "B+"), (0.75, "B"), (0.70, "B-")),
    *((0.65, "C+"), (0.60, "C"), (0.55, "C-"), (0.50, "D")),
)
LARGEST: Final = 20 * 1024 * 1024


@attrs.frozen
class ToolReport:
    """Results of all rules for one tool."""

    tool: ToolView
    results: tuple[Result, ...]

    @property
    def score(self) -> float:
        """Mean of all scores."""
        return round(sum(each.score for each in self.results) / max(1, len(self.results)), 3)

    @property
    def worst(self) -> Severity:
        """Highest severity."""
        return max((each.severity for each in self.results), key=lambda s: ORDER[s], default="PASS")


@attrs.frozen
class Broken:
    """A structural problem of a file."""

    file: str
    line: int | None
    code: str
    message: str


@attrs.frozen
class Report:
    """Results for all files."""

    tools: tuple[ToolReport, ...]
    broken: tuple[Broken, ...] = ()
    notes: tuple[Broken, ...] = ()
    """Structural warnings of valid files."""

    @property
    def score(self) -> float:
        """Mean over all tools."""
        return round(sum(each.score for each in self.tools) / max(1, len(self.tools)), 3)

    @property
    def grade(self) -> str:
        """Grade of the score."""
        return grade(self.score)

    @property
    def failed(self) -> bool:
        """True if a rule failed for any tool."""
        return any(each.worst == "FAIL" for each in self.tools)


def grade(score: float) -> str:
    """Return the grade of a score."""
    return next((name for least, name in GRADES if score >= least), "F")


def report(paths: Sequence[Path]) -> Report:
    """Lint files and folders."""
    views: list[ToolView] = []
    broken: list[Broken] = []
    notes: list[Broken] = []
    for path in _files(paths):
        if path.suffix == ".json":
            _read_json(path, views, broken)
        else:
            _read_capability(path, views, broken, notes)
    across = _across(views)
    tools = []
    for view in views:
        found = [rule(view) for rule in SINGLE]
        found += across.get(id(view), [])
        placed = tuple(attrs.evolve(each, line=_line(view, each.key)) for each in _merged(found))
        tools.append(ToolReport(view, placed))
    return Report(tuple(tools), tuple(broken), tuple(notes))


def _merged(results: list[Result]) -> Iterator[Result]:
    """Yield the worst result of each rule."""
    for code in dict.fromkeys(each.code for each in results):
        yield min((each for each in results if each.code == code), key=lambda each: each.score)


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for found in sorted(path.rglob("*")):
            hidden = any(part.startswith(".") for part in found.relative_to(path).parts)
            if found.suffix in (".yaml", ".yml") and found.is_file() and not hidden:
                yield found


def _read_capability(
    path: Path, views: list[ToolView], broken: list[Broken], notes: list[Broken]
) -> None:
    from mcpgw.capabilities.parsing import read_capability, structural_problems
    from mcpgw.capabilities.pins import PinProblem, read_pin
    from mcpgw.capabilities.tool_definition import tool_definition
    from mcpgw.config.problems import ConfigError
    from mcpgw.config.yamlfile import Lines, parse

    try:
        data = path.read_bytes()
        pinned = read_pin(data)
    except (OSError, PinProblem) as error:
        broken.append(
            Broken(str(path), None, "CAP-000", getattr(error, "strerror", None) or str(error))
        )
        return
    if not pinned.holds:
        broken.append(Broken(str(path), 1, "CAP-PIN", pinned.mismatch(path)))
    found = structural_problems(path, data)
    for each in found:
        target = broken if each.severity == "error" else notes
        target.append(Broken(str(path), each.line, each.code, each.message))
    try:
        capability, _ = read_capability(path, data)
    except ConfigError:
        return
    if not capability.providers:
        return  # only receives webhooks
    text = data.decode("utf-8-sig")
    document = parse(text)
    lines = Lines.of(text)
    views.append(
        ToolView(
            str(path),
            capability.name,
            tool_definition(capability),
            len(capability.examples),
            document if isinstance(document, Mapping) else {},
            lambda key: lines.find(key),
        )
    )


def _read_json(path: Path, views: list[ToolView], broken: list[Broken]) -> None:
    try:
        with path.open("rb") as file:
            data: Any = json.loads(file.read(LARGEST))
    except OSError as error:
        broken.append(Broken(str(path), None, "AX-000", error.strerror or "cannot be read"))
        return
    except (ValueError, RecursionError) as error:
        broken.append(Broken(str(path), None, "AX-000", f"is not valid JSON: {str(error)[:120]}"))
        return
    if isinstance(data, Mapping):
        inner = data.get("result", data)
        data = inner.get("tools") if isinstance(inner, Mapping) else None
    if not isinstance(data, list):
        message = "must be a list of tool definitions, or the result of tools/list"
        broken.append(Broken(str(path), None, "AX-000", message))
        return
    for number, each in enumerate(data):
        if not isinstance(each, Mapping) or not isinstance(each.get("name"), str):
            broken.append(
                Broken(str(path), None, "AX-000", f"item {number} must be a tool definition")
            )
            continue
        views.append(ToolView(str(path), each["name"], each))


def _line(view: ToolView, key: Key) -> int | None:
    while key:
        line = view.line_of(key)
        if line is not None:
            return line
        key = key[:-1]
    return 1 if view.document else None


def _across(views: Sequence[ToolView]) -> dict[int, list[Result]]:
    """Apply the rules that compare several tools: AX-008 and AX-009."""
    found: dict[int, list[Result]] = {}
    by_name: dict[str, ToolView] = {}
    for view in views:
        other = by_name.setdefault(view.name, view)
        if other is not view:
            issue = [f"{view.name!r} is also the name of a tool in {other.file}"]
            found.setdefault(id(view), []).append(
                graded("AX-008", 0.0, issue, "Rename one of them.", ("name",))
            )
    ends: dict[tuple[str, str], ToolView] = {}
    for view in views:
        words = words_of(view.name)
        if len(words) < 2:
            continue
        other = ends.setdefault((words[0], words[-1]), view)
        if (
            other is not view
            and other.name != view.name
            and len(words_of(other.name)) != len(words)
        ):
            issue = [f"{view.name!r} is easily confused with {other.name!r}"]
            found.setdefault(id(view), []).append(
                graded("AX-008", 0.85, issue, "Describe in both how they differ.", ("name",))
            )
    styles = [style_of(view.name) for view in views]
    known = {style for style in styles if style != "plain"}
    usual = max(known, key=styles.count, default="plain")
    for view, style in zip(views, styles, strict=True):
        if style not in (usual, "plain", "mixed"):
            issue = [f"{view.name!r} is in {style} case, most others in {usual} case"]
            found.setdefault(id(view), []).append(graded("AX-009", 0.6, issue, "", ("name",)))
    return found


def printable(text: str) -> str:
    """Return a text in one line, with terminal control characters escaped."""
    return escaped(re.sub(r"\s+", " ", text))
