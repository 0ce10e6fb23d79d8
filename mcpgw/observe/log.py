"""Structured logging to stderr that does not slow down the start.

`get_logger` returns a light wrapper of structlog, which is imported when the first line is written.
Lines below the level cost one comparison.

Every value is cut, redacted and made printable, whatever it is: known secrets are replaced in all
texts, what looks like a credential in foreign ones (all but `OwnWords`).
"""

from __future__ import annotations

import contextlib
import io
import sys
import weakref
from typing import IO, TYPE_CHECKING, Any, Final, TextIO, cast

import attrs

if TYPE_CHECKING:
    from mcpgw.observe.redactor import Redactor

LEVELS: Final = {"trace": 5, "debug": 10, "info": 20, "warning": 30, "warn": 30, "error": 40}

FORMS: Final = ("text", "json")


_QUOTED_BY_CONSOLE: Final = frozenset(" \t=\r\n\"'")
MOST_TEXT: Final = 4_096
"""Characters of one value that are logged."""
MOST_TRACEBACK: Final = 16_384
"""Characters of a traceback that are logged, from its end."""
MOST_ITEMS: Final = 100
"""Items of a list or map that are logged."""


@attrs.define
class _Settings:
    threshold: int = LEVELS["warning"]
    json: bool = False
    output: IO[str] | None = None
    logger: Any = None
    redactors: tuple[weakref.ref[Redactor], ...] = ()
    """Replaced as a whole, because worker threads log too."""
    preface: list[tuple[str, str, dict[str, Any]]] = attrs.field(factory=list)
    """Lines that are written before the next one: source, event, data."""


# Like every logging library, this module has process-wide settings.
_settings = _Settings()


def configure(*, level: str = "info", form: str = "text", output: IO[str] | None = None) -> None:
    """Set level, format and output of all log lines of this process.

    Args:
      level: trace, debug, info, warning (or warn) or error.
      form: one of `FORMS`; `json` writes one JSON object per line.
      output: the stream to write to; None for stderr.

    Raises:
      ValueError: the level is not known.
    """
    if level.lower() not in LEVELS:
        raise ValueError(f"unknown log level {level!r}; choose one of {', '.join(LEVELS)}")
    _settings.threshold = LEVELS[level.lower()]
    _settings.json = form == "json"
    _settings.output = output
    _settings.logger = None


class OwnWords(str):
    """A text in the gateway's own words, whose foreign parts were redacted before.

    Its words may look like a credential (`GITHUB_TOKEN: the variable X is not set`), so the log
    replaces only known secrets in it.
    """

    __slots__ = ()


def protect(redactor: Redactor) -> None:
    """Keep the secrets that a redactor knows out of all log lines, as long as it is in use."""
    alive = tuple(known for known in _settings.redactors if known() is not None)
    _settings.redactors = (*alive, weakref.ref(redactor))


@attrs.frozen
class Logger:
    """A named source of log lines; event names are short constants, data goes in keys."""

    name: str

    def enabled(self, level: str) -> bool:
        """Return true if lines of this level are written."""
        return LEVELS[level] >= _settings.threshold

    def preface(self, event: str, **data: Any) -> None:
        """Write a line about a normal event before the next line, whatever that is.

        The log is not made ready for it, which would take longer than the start of a gateway.
        """
        if _settings.threshold <= 20:
            _settings.preface.append((self.name, event, data))

    def debug(self, event: str, **data: Any) -> None:
        """Write a line that helps to find faults."""
        if _settings.threshold <= 10:
            _write("debug", self.name, event, data)

    def info(self, event: str, **data: Any) -> None:
        """Write a line about a normal event."""
        if _settings.threshold <= 20:
            _write("info", self.name, event, data)

    def warning(self, event: str, **data: Any) -> None:
        """Write a line about an event that may need attention."""
        if _settings.threshold <= 30:
            _write("warning", self.name, event, data)

    def error(self, event: str, **data: Any) -> None:
        """Write a line about a failure."""
        _write("error", self.name, event, data)


def get_logger(name: str) -> Logger:
    """Return the source of log lines with this name."""
    return Logger(name)


def write_preface() -> None:
    """Write the lines that wait for the next one."""
    waiting, _settings.preface = _settings.preface, []
    for name, event, data in waiting:
        _write("info", name, event, data)


def _write(level: str, name: str, event: str, data: dict[str, Any]) -> None:
    if _settings.preface:
        write_preface()
    if _settings.logger is None:
        _settings.logger = _make()
    getattr(_settings.logger, level)(event, source=name, **data)


class _Output(io.TextIOBase):
    """Stream for log lines that writes to the current stderr and ignores write errors."""

    def write(self, text: str) -> int:
        """Write a line, or drop it if the stream is closed."""
        with contextlib.suppress(OSError, ValueError):
            output = _settings.output or sys.stderr
            output.write(text)
            output.flush()
        return len(text)


def prepare() -> None:
    """Import structlog in advance, so that the first log line is not delayed."""
    _structlog()


def _structlog() -> Any:
    """Import structlog without its optional dependencies, which are only used for tracebacks.

    If `rich` is installed, it would take 6 MB and most of the time of the import.
    """
    unwanted = [name for name in ("rich", "better_exceptions") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(unwanted))  # type: ignore[arg-type]
    try:
        import structlog.contextvars
        import structlog.dev
        import structlog.processors
    finally:
        for name in unwanted:
            del sys.modules[name]
    return structlog


def _make() -> Any:
    structlog = _structlog()
    renderer: Any
    if _settings.json:
        renderer = structlog.processors.JSONRenderer()
    else:
        console = structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback, pad_event_to=28
        )

        def renderer(logger: Any, method: str, event: dict[str, Any]) -> str:
            from mcpgw.observe.printable import printable_lines

            trace = event.pop("exception", "")
            line = console(logger, method, {key: _shown(value) for key, value in event.items()})
            return f"{line}\n{printable_lines(trace)}" if trace else line

    chain = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _safe_values,
        renderer,
    ]
    return structlog.wrap_logger(
        structlog.PrintLogger(cast(TextIO, _Output())),
        processors=chain,
        wrapper_class=structlog.BoundLogger,
    )


def _safe_values(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a line, cut and redacted."""
    safe = {key: _safe(value) for key, value in event.items() if key != "exception"}
    if "exception" in event:
        text = str(event["exception"])
        safe["exception"] = _redacted(text[-MOST_TRACEBACK:], MOST_TRACEBACK)
    return safe


def _safe(value: Any, depth: int = 5) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, OwnWords):
        return _without_known(value)[:MOST_TEXT]
    if isinstance(value, str):
        return _redacted(value, MOST_TEXT)
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_safe(each, depth - 1) for each in list(value)[:MOST_ITEMS]]
    if depth and isinstance(value, dict):
        items = list(value.items())[:MOST_ITEMS]
        return {_redacted(str(key), MOST_TEXT): _safe(each, depth - 1) for key, each in items}
    return _redacted(repr(value), MOST_TEXT)


def _redacted(text: str, limit: int) -> str:
    from mcpgw.observe.redactor import Redactor

    # Twice the limit, so that a known secret at the limit is seen whole.
    return Redactor().foreign(_without_known(text[: 2 * limit]), limit)


def _without_known(text: str) -> str:
    for known in _settings.redactors:
        if (redactor := known()) is not None:
            text = redactor.known(text)
    return text


def _shown(value: Any) -> Any:
    """Return a value for the console, which quotes texts with blanks by repr()."""
    from mcpgw.observe.printable import printable

    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else repr(value)
    return text if _QUOTED_BY_CONSOLE & set(text) else printable(text)
