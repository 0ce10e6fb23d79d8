"""Kinds of setting values: how each is read, validated and shown in the docs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

import attrs

from mcpgw.config.durations import format_duration, parse_duration

T = TypeVar("T")


class SettingError(ValueError):
    """An invalid value of a setting.

    The text never contains a value that could be a secret.

    Args:
      message: what is wrong, as a predicate of the setting ("must be a list, not a string").
      hint: how to correct it.
      key: the path from the setting to the invalid part.
      discreet: the message without the value, for a value from a variable.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        key: tuple[str | int, ...] = (),
        discreet: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.key = key
        self.discreet = discreet or message

    def below(self, *keys: str | int) -> SettingError:
        """Return the same error of a setting that is below these keys."""
        return SettingError(self.message, self.hint, key=(*keys, *self.key), discreet=self.discreet)

    @classmethod
    def mismatch(cls, expected: str, value: object, hint: str = "") -> SettingError:
        """Return the error of a value that is not what a setting expects."""
        return cls(
            f"{expected}, not {_quoted(value)}", hint, discreet=f"{expected}, not {noun(value)}"
        )


@attrs.frozen
class Kind(Generic[T]):
    """One kind of value: its name in words, its reader (raises SettingError) and its YAML form."""

    words: str
    read: Callable[[object], T]
    show: Callable[[T], str]


def noun(value: object) -> str:
    """Return the YAML type of a value, with its article."""
    if value is None:
        return "null"
    for types, word in _NOUNS:
        if isinstance(value, types):
            return word
    return f"a {type(value).__name__}"


_NOUNS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "a boolean"),
    ((int, float), "a number"),
    (str, "a string"),
    ((list, tuple, set), "a list"),
    (dict, "a map"),
)


def duration(*, above_zero: bool = True, whole_seconds: bool = False) -> Kind[float]:
    """Return the kind of a duration, stored in seconds.

    Args:
      above_zero: whether zero is refused.
      whole_seconds: whether a plain integer is accepted too, as seconds.
    """

    def read(value: object) -> float:
        if whole_seconds and isinstance(value, int) and not isinstance(value, bool):
            value = f"{value}s"
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            hint = "Write it as 500ms, 30s, 5m, 2h or 1m30s."
            raise SettingError.mismatch(str(error), value, hint) from None
        if seconds < 0 or (above_zero and seconds == 0):
            bound = "greater than 0" if above_zero else "at least 0"
            raise SettingError.mismatch(f"must be {bound}", value)
        return seconds

    return Kind("duration", read, format_duration)


def whole(*, minimum: int, words: str = "whole number") -> Kind[int]:
    """Return the kind of a whole number with a minimum."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise SettingError.mismatch("must be a whole number without quotes", value)
        if value < minimum:
            raise SettingError.mismatch(f"must be at least {minimum}", value)
        return value

    return Kind(words, read, str)


def number(*, minimum: float, above: bool = False) -> Kind[float]:
    """Return the kind of a number with a minimum, which `above` excludes."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SettingError.mismatch("must be a number without quotes", value)
        if not abs(value) <= 1e12:
            raise SettingError("must be a finite number of at most 1e12")
        if value < minimum or (above and value == minimum):
            bound = f"greater than {minimum:g}" if above else f"at least {minimum:g}"
            raise SettingError.mismatch(f"must be {bound}", value)
        return float(value)

    return Kind("number", read, lambda value: f"{value:g}")


def _read_flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise SettingError.mismatch(
            "must be true or false without quotes",
            value,
            "In YAML 1.2, yes, no, on and off are strings.",
        )
    return value


def _read_text(value: object) -> str:
    if not isinstance(value, str):
        # A number without quotes may be a token or a PIN.
        raise SettingError(f"must be a string, not {noun(value)}", "Put it in quotes.")
    if "\0" in value:
        raise SettingError("must not contain NUL")
    return value


def _read_texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        hint = "Put it in brackets: [...]." if isinstance(value, str) else ""
        raise SettingError(f"must be a list, not {noun(value)}", hint)
    faults = [
        fault for index, item in enumerate(value) if (fault := _item_fault(item, index)) is not None
    ]
    if faults:
        raise ExceptionGroup("invalid items", faults)
    return tuple(value)


def _read_text_map(value: object) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise SettingError(f"must be a map of names to strings, not {noun(value)}")
    faults = []
    for name, item in value.items():
        if not isinstance(name, str):
            faults.append(SettingError(f"the name {name!r} must be a string", "Put it in quotes."))
        elif not name or "=" in name or "\0" in name:
            faults.append(
                SettingError("a name must not be empty or contain '=' or NUL", key=(name,))
            )
        elif (fault := _item_fault(item, name)) is not None:
            faults.append(fault)
    if faults:
        raise ExceptionGroup("invalid entries", faults)
    return MappingProxyType(dict(value))


def _item_fault(item: object, key: str | int) -> SettingError | None:
    if isinstance(item, str):
        return SettingError("must not contain NUL", key=(key,)) if "\0" in item else None
    hint = 'Write "" for an empty string.' if item is None else "Put it in quotes."
    return SettingError(f"must be a string, not {noun(item)}", hint, key=(key,))


def _quoted(value: object) -> str:
    """Return a short plain value as written, and the type of any other value.

    A string is shown only if it looks like a number, duration, flag or word: a secret that was
    written at the wrong key must not be shown.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) >= 10**18:
        return "a huge number"
    if isinstance(value, int | float):
        return repr(value)
    return repr(value) if isinstance(value, str) and _SHOWN.fullmatch(value) else noun(value)


_SHOWN = re.compile(
    r"[+-]?\d{0,9}(?:[.,]\d{0,6})?\s?[A-Za-z]{0,12}|[A-Za-z]{1,12}(?:[_-][A-Za-z]{1,12})?"
)


def optional(kind: Kind[T]) -> Kind[T | None]:
    """Return the kind of a setting that may also be unset."""
    return Kind(kind.words, kind.read, lambda value: "none" if value is None else kind.show(value))


def choice(*words: str) -> Kind[str]:
    """Return the kind of a setting that is one of a few words; case is ignored."""

    def read(value: object) -> str:
        if isinstance(value, str) and value.lower() in words:
            return value.lower()
        raise SettingError.mismatch(f"must be {kind}", value)

    kind = f"one of {', '.join(filter(None, words))}"
    return Kind(kind, read, str)


def map_of(kind: Kind[T]) -> Kind[Mapping[str, T]]:
    """Return the kind of a map of arbitrary names to values of one kind."""

    def read(value: object) -> Mapping[str, T]:
        if not isinstance(value, Mapping):
            raise SettingError(f"must be a map of names to values, not {noun(value)}")
        result: dict[str, T] = {}
        faults = []
        for name, item in value.items():
            if not isinstance(name, str) or not name:
                faults.append(
                    SettingError(f"the name {name!r} must be a string", "Put it in quotes.")
                )
                continue
            try:
                result[name] = kind.read(item)
            except SettingError as fault:
                faults.append(fault.below(name))
        if faults:
            raise ExceptionGroup("invalid entries", faults)
        return MappingProxyType(result)

    def show(value: Mapping[str, T]) -> str:
        return "{}" if not value else "{...}"

    return Kind(f"map of names to {kind.words}", read, show)


FLAG: Kind[bool] = Kind("true or false", _read_flag, lambda value: "true" if value else "false")
TEXT: Kind[str] = Kind("string", _read_text, lambda value: value or '""')
TEXTS: Kind[tuple[str, ...]] = Kind(
    "list of strings", _read_texts, lambda value: f"[{', '.join(value)}]"
)
TEXT_MAP: Kind[Mapping[str, str]] = Kind(
    "map of names to strings", _read_text_map, lambda value: "{}" if not value else "{...}"
)
NUMBER_MAP: Kind[Mapping[str, float]] = map_of(number(minimum=0))
TEXTS_MAP: Kind[Mapping[str, tuple[str, ...]]] = map_of(TEXTS)
