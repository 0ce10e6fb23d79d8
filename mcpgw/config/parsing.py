"""Readers for structured values of gateway.yaml, which report every fault with its key."""

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
    """Collected faults of a value, so that all of them are reported together."""

    found: list[SettingError] = attrs.field(factory=list)

    @contextmanager
    def at(self, *key: str | int) -> Iterator[None]:
        """Collect the faults raised in the block as faults of the given key."""
        try:
            yield
        except (SettingError, ExceptionGroup) as error:
            self.found += [fault.below(*key) for fault in _each_fault(error)]

    def check(self) -> None:
        """Raise the collected faults, if any."""
        if len(self.found) == 1:
            raise self.found[0]
        if self.found:
            raise ExceptionGroup("invalid parts", self.found)


def _each_fault(error: Exception) -> Iterator[SettingError]:
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from _each_fault(inner)
    elif isinstance(error, SettingError):
        yield error
    else:
        raise error


def read_keys(value: object, readers: Mapping[str, Callable[[object], Any]]) -> dict[str, Any]:
    """Read a map with fixed keys; a key without a value counts as unset."""
    if not isinstance(value, Mapping):
        raise SettingError(f"must be a map of {', '.join(readers)}, not {noun(value)}")
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
    """Return the fault of an unknown key, with a suggestion."""
    near = correction(key, known)
    hint = f"Did you mean {near!r}?" if near else f"Known keys: {', '.join(known)}."
    return SettingError("unknown key", hint)


def read_some_text(value: object) -> str:
    """Read a string that is not blank."""
    text = TEXT.read(value)
    if not text.strip():
        raise SettingError("must not be blank")
    return text


def read_pairs(
    value: object, read: Callable[[object], str], what: str
) -> tuple[tuple[str, str], ...]:
    """Read a map of arbitrary names, as pairs in the order written."""
    if not isinstance(value, Mapping):
        raise SettingError(f"must be a map of {what}, not {noun(value)}")
    if not value:
        raise SettingError(f"must be a map of {what}, and not empty")
    pairs: list[tuple[str, str]] = []
    faults = Faults()
    for name, item in value.items():
        with faults.at(str(name)):
            pairs.append((read_some_text(name), read(item)))
    faults.check()
    return tuple(pairs)


def read_list(value: object, read: Callable[[object], T], example: str) -> tuple[T, ...]:
    """Read a list of at least one item, without duplicates."""
    if not isinstance(value, list | tuple):
        raise SettingError(f"must be a list, not {noun(value)}", f"Example: `{example}`.")
    items: list[T] = []
    faults = Faults()
    for index, item in enumerate(value):
        with faults.at(index):
            items.append(read(item))
    faults.check()
    if not items:
        raise SettingError("must not be empty", f"Remove it, or add items: `{example}`.")
    check_distinct(items, "this item")
    return tuple(items)


def check_distinct(items: Sequence[object], what: str) -> None:
    """Raise the faults of items that equal an earlier one."""
    faults = Faults()
    for index, item in enumerate(items):
        if item in items[:index]:
            with faults.at(index):
                raise SettingError(f"{what} is a duplicate", "Remove one of them.")
    faults.check()
