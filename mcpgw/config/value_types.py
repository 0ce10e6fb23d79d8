"""The kinds of value a setting may have: how each is read, checked, and shown in the docs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

import attrs

from mcpgw.config.durations import format_duration, parse_duration

T = TypeVar("T")


class SettingError(ValueError):
    """A value that does not fit its setting; `key` is the way from the setting to the fault.

    Its text never holds a value that could be a secret.
    """

    def __init__(self, message: str, hint: str = "", *, key: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.key = key


@attrs.frozen
class Kind(Generic[T]):
    """One kind of value: its name in words, its reader (raises SettingError) and its YAML form."""

    words: str
    read: Callable[[object], T]
    show: Callable[[T], str]


def noun(value: object) -> str:
    """Name the YAML type of a value, without the value."""
    if value is None:
        return "nothing"
    for types, word in _NOUNS:
        if isinstance(value, types):
            return word
    return f"a {type(value).__name__}"


_NOUNS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    ((int, float), "a number"),
    (str, "text"),
    ((list, tuple, set), "a list"),
    (dict, "a map of keys"),
)


def duration(*, above_zero: bool = True, whole_seconds: bool = False) -> Kind[float]:
    """Make the kind of a length of time, kept in seconds; zero only where it has a meaning.

    With `whole_seconds` a plain number is understood too, as seconds.
    """

    def read(value: object) -> float:
        if whole_seconds and isinstance(value, int) and not isinstance(value, bool):
            value = f"{value}s"
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            raise SettingError(
                f"{_quoted(value)}: {error}", "Write it as 500ms, 30s, 5m, 2h or 1m30s."
            ) from None
        if seconds < 0 or (above_zero and seconds == 0):
            bound = "more than 0" if above_zero else "0 or more"
            raise SettingError(f"{_quoted(value)}: must be {bound}")
        return seconds

    return Kind("duration", read, format_duration)


def whole(*, minimum: int, words: str = "whole number") -> Kind[int]:
    """Make the kind of a whole number with a smallest value."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise SettingError(f"{_quoted(value)}: wants a whole number, without quotes")
        if value < minimum:
            raise SettingError(f"{_quoted(value)}: must be {minimum} or more")
        return value

    return Kind(words, read, str)


def number(*, minimum: float, above: bool = False) -> Kind[float]:
    """Make the kind of a number with a smallest value, or, with `above`, a bound below it."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SettingError(f"{_quoted(value)}: wants a number, without quotes")
        if not abs(value) <= 1e12:
            raise SettingError("is not a number to count with")
        if value < minimum or (above and value == minimum):
            bound = f"more than {minimum:g}" if above else f"{minimum:g} or more"
            raise SettingError(f"{_quoted(value)}: must be {bound}")
        return float(value)

    return Kind("number", read, lambda value: f"{value:g}")


def _read_flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise SettingError(
            f"{_quoted(value)}: wants true or false, without quotes",
            "This is YAML 1.2, where yes, no, on and off are plain text.",
        )
    return value


def _read_text(value: object) -> str:
    if not isinstance(value, str):
        raise SettingError(f"{_quoted(value)}: wants text", "Put it in quotes.")
    if "\0" in value:
        raise SettingError("holds a NUL character")
    return value


def _read_texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        hint = "Put it in brackets: [...]." if isinstance(value, str) else ""
        raise SettingError(f"wants a list, and this is {noun(value)}", hint)
    faults = [
        fault for index, item in enumerate(value) if (fault := _item_fault(item, index)) is not None
    ]
    if faults:
        raise ExceptionGroup("items that are not text", faults)
    return tuple(value)


def _read_text_map(value: object) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise SettingError(f"wants a map of names to text, and this is {noun(value)}")
    faults = []
    for name, item in value.items():
        if not isinstance(name, str):
            faults.append(SettingError(f"the name {name!r} is not text", "Put it in quotes."))
        elif not name or "=" in name or "\0" in name:
            faults.append(SettingError("a name is empty, or holds '=' or NUL", key=(name,)))
        elif (fault := _item_fault(item, name)) is not None:
            faults.append(fault)
    if faults:
        raise ExceptionGroup("entries that are not text", faults)
    return MappingProxyType(dict(value))


def _item_fault(item: object, key: str | int) -> SettingError | None:
    if isinstance(item, str):
        return SettingError("holds a NUL character", key=(key,)) if "\0" in item else None
    hint = 'Write "" for an empty value.' if item is None else "Put it in quotes."
    return SettingError(f"wants text, and this is {noun(item)}", hint, key=(key,))


def _quoted(value: object) -> str:
    """Show a plain value; a long one, or one with keys, only by its type."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) >= 10**18:
        return "a huge number"
    if isinstance(value, str | int | float) and len(text := repr(value)) <= 40:
        return text
    return noun(value)


def optional(kind: Kind[T]) -> Kind[T | None]:
    """Make the kind of a setting that may also be left unset."""
    return Kind(kind.words, kind.read, lambda value: "none" if value is None else kind.show(value))


def choice(*words: str) -> Kind[str]:
    """Make the kind of a setting that is one of a few words, in any case."""

    def read(value: object) -> str:
        if isinstance(value, str) and value.lower() in words:
            return value.lower()
        raise SettingError(f"{_quoted(value)}: wants one of {', '.join(words)}")

    return Kind(f"one of {', '.join(words)}", read, str)


def map_of(kind: Kind[T]) -> Kind[Mapping[str, T]]:
    """Make the kind of a map of names of free choice to values of one kind."""

    def read(value: object) -> Mapping[str, T]:
        if not isinstance(value, Mapping):
            raise SettingError(f"wants a map of names to values, and this is {noun(value)}")
        result: dict[str, T] = {}
        faults = []
        for name, item in value.items():
            if not isinstance(name, str) or not name:
                faults.append(SettingError(f"the name {name!r} is not text", "Put it in quotes."))
                continue
            try:
                result[name] = kind.read(item)
            except SettingError as fault:
                faults.append(SettingError(fault.message, fault.hint, key=(name, *fault.key)))
        if faults:
            raise ExceptionGroup("entries that do not fit", faults)
        return MappingProxyType(result)

    def show(value: Mapping[str, T]) -> str:
        return "{}" if not value else "{...}"

    return Kind(f"map of names to {kind.words}", read, show)


FLAG: Kind[bool] = Kind("true or false", _read_flag, lambda value: "true" if value else "false")
TEXT: Kind[str] = Kind("text", _read_text, lambda value: value or '""')
TEXTS: Kind[tuple[str, ...]] = Kind(
    "list of text", _read_texts, lambda value: f"[{', '.join(value)}]"
)
TEXT_MAP: Kind[Mapping[str, str]] = Kind(
    "map of names to text", _read_text_map, lambda value: "{}" if not value else "{...}"
)
NUMBER_MAP: Kind[Mapping[str, float]] = map_of(number(minimum=0))
TEXTS_MAP: Kind[Mapping[str, tuple[str, ...]]] = map_of(TEXTS)
