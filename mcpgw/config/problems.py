"""Problems of a configuration: where they are, what they are, and how to fix them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import attrs

Level = Literal["error", "warning"]
Path = tuple[str | int, ...]


def dotted(path: Path) -> str:
    """Return the path of a key as `backends.github.args[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


@attrs.frozen
class Problem:
    """One problem, with its location and a hint.

    No text of a problem contains a value of `env` or `headers`.

    Args:
      file: the name of the file or environment variable.
      line: the line, counted from 1, if known.
      key: the dotted key; may be empty.
      message: what is wrong.
      hint: how to fix it; may be empty.
      level: `error` prevents loading, `warning` does not.
    """

    file: str
    line: int | None
    key: str
    message: str
    hint: str = ""
    level: Level = "error"

    def __str__(self) -> str:
        """Return the problem as one paragraph that starts with its location."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        head = ": ".join(part for part in (place, self.key, self.message) if part)
        text = head if head.endswith((".", "?", "!")) else f"{head}."
        return f"{text} {self.hint}" if self.hint else text


class ConfigError(Exception):
    """The configuration is not valid; `problems` has all problems, errors first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        self.problems: tuple[Problem, ...] = tuple(
            sorted(problems, key=lambda problem: problem.level != "error")
        )

    def __str__(self) -> str:
        """Return the errors, one paragraph each; the warnings are only in `problems`."""
        errors = [str(problem) for problem in self.problems if problem.level == "error"]
        return "\n\n".join(errors)


@attrs.frozen
class Finding:
    """A problem that is not yet located in a file."""

    path: Path
    message: str
    hint: str
    level: Level
    discreet: str = ""
    """The message without the value, if the message has it."""


@attrs.define
class Findings:
    """The problems of one load, without duplicates."""

    _found: dict[Finding, None] = attrs.field(factory=dict, init=False)

    def __iter__(self) -> Iterator[Finding]:
        """Iterate over the findings, in the order in which they were added."""
        return iter(self._found)

    def error(self, path: Path, message: str, hint: str = "", *, discreet: str = "") -> None:
        """Add an error, which makes the configuration invalid."""
        self._found[Finding(path, message, hint, "error", discreet)] = None

    def warn(self, path: Path, message: str, hint: str = "") -> None:
        """Add a warning, which does not prevent loading."""
        self._found[Finding(path, message, hint, "warning")] = None
