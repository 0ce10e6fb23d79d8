"""Reading a value of gateway.yaml part by part, so that every fault is told with its key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import attrs

from mcpgw.config.value_types import TEXT, SettingError, noun
from mcpgw.text.did_you_mean import correction

T = TypeVar("T")


@attrs.define
class Faults:
    """What is wrong with a value, collected so that a person hears of all of it at once."""

    found: list[SettingError] = attrs.field(factory=list)

    @contextmanager
    def at(self, *key: str | int) -> Iterator[None]:
        """Collect the faults of what is read inside, as faults below a key."""
        try:
            yield
        except (SettingError, ExceptionGroup) as error:
            self.found += [
                SettingError(fault.message, fault.hint, key=(*key, *fault.key))
                for fault in _each_fault(error)
            ]

    def check(self) -> None:
        """Raise what was found, if anything."""
        if len(self.found) == 1:
            raise self.found[0]
        if self.found:
            raise ExceptionGroup("parts that do not fit", self.found)


def _each_fault(error: Exception) -> Iterator[SettingError]:
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from _each_fault(inner)
    elif isinstance(error, SettingError):
        yield error
    else:
        raise error


def read_keys(value: object, readers: Mapping[str, Callable[[object], Any]]) -> dict[str, Any]:
    """Read a map whose keys are fixed; a key without a value counts as not given."""
    if not isinstance(value, Mapping):
        raise SettingError(f"wants a map of {', '.join(readers)}, and this is {noun(value)}")
    read: dict[str, Any] = {}
    faults = Faults()
    for key, item in value.items():
        with faults.at(str(key)):
            if key not in readers:
                raise unknown_key(str(key), readers)
            if item is not None:
                read[key] = readers[key](item)
    faults.check()
    return read


def unknown_key(key: str, known: Iterable[str]) -> SettingError:
    """Make the fault of a key that has no meaning here, with the nearest one that has."""
    near = correction(key, known)
    hint = f"Did you mean {near!r}?" if near else f"What can stand here: {', '.join(known)}."
    return SettingError("unknown key", hint)


def read_some_text(value: object) -> str:
    """Read a text that is not empty."""
    text = TEXT.read(value)
    if not text.strip():
        raise SettingError("is empty")
    return text


def read_pairs(
    value: object, read: Callable[[object], str], what: str
) -> tuple[tuple[str, str], ...]:
    """Read a map of names of free choice, in the order written."""
    if not isinstance(value, Mapping):
        raise SettingError(f"wants a map of {what}, and this is {noun(value)}")
    if not value:
        raise SettingError("is empty", f"It wants a map of {what}.")
    pairs: list[tuple[str, str]] = []
    faults = Faults()
    for name, item in value.items():
        with faults.at(str(name)):
            pairs.append((read_some_text(name), read(item)))
    faults.check()
    return tuple(pairs)


def read_list(value: object, read: Callable[[object], T], example: str) -> tuple[T, ...]:
    """Read a list that has at least one item, none twice."""
    if not isinstance(value, list | tuple):
        raise SettingError(f"wants a list, and this is {noun(value)}", f"Example: `{example}`.")
    items: list[T] = []
    faults = Faults()
    for index, item in enumerate(value):
        with faults.at(index):
            items.append(read(item))
    faults.check()
    if not items:
        raise SettingError("is empty", f"Leave it out, or fill it: `{example}`.")
    check_distinct(items, "this")
    return tuple(items)


def check_distinct(items: Sequence[object], what: str) -> None:
    """Refuse an item that equals an earlier one."""
    faults = Faults()
    for index, item in enumerate(items):
        if item in items[:index]:
            with faults.at(index):
                raise SettingError(f"{what} stands here twice", "Leave one of them out.")
    faults.check()
