"""What is wrong with a configuration, said so that a person can put it right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import attrs

Level = Literal["error", "warning"]
Path = tuple[str | int, ...]


def dotted(path: Path) -> str:
    """Write the path of a key as `backends.github.args[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


@attrs.frozen
class Problem:
    """One fault: where it is, what it is, and what to do about it.

    `file` is the name of the file, or of the environment variable, that holds the fault; `line`
    counts from 1. No text of a problem holds a value of `env` or `headers`.
    """

    file: str
    line: int | None
    key: str
    message: str
    hint: str = ""
    level: Level = "error"

    def __str__(self) -> str:
        """Write the problem as one paragraph, beginning with its place."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        head = ": ".join(part for part in (place, self.key, self.message) if part)
        text = head if head.endswith((".", "?", "!")) else f"{head}."
        return f"{text} {self.hint}" if self.hint else text


class ConfigError(Exception):
    """The configuration cannot be used; `problems` says why, errors first, all of them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        self.problems: tuple[Problem, ...] = tuple(
            sorted(problems, key=lambda problem: problem.level != "error")
        )

    def __str__(self) -> str:
        """Write the errors, one paragraph each; the warnings stay in `problems`."""
        errors = [str(problem) for problem in self.problems if problem.level == "error"]
        return "\n\n".join(errors)


@attrs.frozen
class Finding:
    """A problem as it is met: it knows its key, and not yet its file and line."""

    path: Path
    message: str
    hint: str
    level: Level


@attrs.define
class Findings:
    """The problems of one load, collected so that a person hears of each of them, and once."""

    _found: dict[Finding, None] = attrs.field(factory=dict, init=False)

    def __iter__(self) -> Iterator[Finding]:
        """Go through what was found, in the order in which it was met."""
        return iter(self._found)

    def error(self, path: Path, message: str, hint: str = "") -> None:
        """Note a fault that makes the configuration unusable."""
        self._found[Finding(path, message, hint, "error")] = None

    def warn(self, path: Path, message: str, hint: str = "") -> None:
        """Note something that a person should know and that stops nothing."""
        self._found[Finding(path, message, hint, "warning")] = None
