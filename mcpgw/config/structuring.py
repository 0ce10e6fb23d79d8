"""Conversion of plain data to the schema by cattrs; every fault keeps its key."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from mcpgw.config.problems import Path
from mcpgw.config.value_types import SettingError, noun

if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")


def structure(data: object, of: type[T]) -> T:
    """Return an instance of a schema class, made from plain data.

    A value of None counts as unset. Unknown keys are ignored; `key_names.check_names` reports them.

    Raises:
      ExceptionGroup: values are not valid; `faults` lists them.
    """
    return _converter().structure(data, of)


def faults(error: Exception, path: Path) -> Iterator[tuple[Path, SettingError]]:
    """Yield each fault of a failed `structure`, with the path of its key below `path`.

    Any exception other than SettingError is a bug and is raised again.
    """
    from cattrs.errors import ClassValidationError

    if isinstance(error, ClassValidationError):
        noted, plain = error.group_exceptions()
        for inner, note in noted:
            yield from faults(inner, (*path, note.name))
        for inner in plain:
            yield from faults(inner, path)
    elif isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from faults(inner, path)
    elif isinstance(error, SettingError):
        yield (*path, *error.key), error
    else:
        raise error


@functools.cache
def _converter() -> Converter:
    from cattrs import Converter
    from cattrs.gen import make_dict_structure_fn, override

    def hook_of(cls: type[attrs.AttrsInstance]) -> Callable[[Any, Any], Any]:
        overrides: dict[str, Any] = {}
        for field in attrs.fields(cls):
            read = _reader(field.metadata, converter)
            overrides[field.name] = override(
                omit=True if {"each", "computed"} & field.metadata.keys() else None,
                struct_hook=read,
            )
        fill = make_dict_structure_fn(cls, converter, **overrides)

        def hook(value: object, to: Any) -> Any:
            if value is not None and not isinstance(value, Mapping):
                raise SettingError(f"must be a map, not {noun(value)}")
            given = {key: item for key, item in (value or {}).items() if item is not None}
            return fill(given, to)

        return hook

    converter = Converter(detailed_validation=True)
    converter.register_structure_hook_factory(attrs.has, hook_of)
    return converter


def _reader(metadata: Mapping[str, Any], converter: Converter) -> Callable[[Any, Any], Any] | None:
    """Return the reader of a field: that of its kind or of its section."""
    if "kind" in metadata:
        read = metadata["kind"].read
        return lambda value, _: read(value)
    if "section" in metadata:
        part = metadata["section"]
        return lambda value, _: converter.structure(value, part)
    if "named" in metadata:
        return lambda value, _: _named(value, metadata["named"], converter)
    if "listed" in metadata:
        return lambda value, _: _listed(value, metadata["listed"], converter)
    return None


def _named(value: object, of: type[T], converter: Converter) -> Mapping[str, T]:
    """Read a map of arbitrary names to sections; None below a name means the defaults."""
    if not isinstance(value, Mapping):
        raise SettingError(f"must be a map of names to settings, not {noun(value)}")
    return MappingProxyType(dict(_each(value.items(), of, converter)))


def _listed(value: object, of: type[T], converter: Converter) -> tuple[T, ...]:
    if not isinstance(value, list):
        raise SettingError(f"must be a list of maps, not {noun(value)}")
    return tuple(item for _, item in _each(enumerate(value), of, converter))


def _each(
    items: Iterable[tuple[Any, object]], of: type[T], converter: Converter
) -> Iterator[tuple[Any, T]]:
    """Read every item; raise the faults of all items together, each with its key."""
    found: list[Exception] = []
    for key, item in items:
        try:
            yield key, converter.structure(item, of)
        except Exception as error:  # noqa: BLE001  # cattrs raises what the readers raise
            found += [
                SettingError(fault.message, fault.hint, key=path, discreet=fault.discreet)
                for path, fault in faults(error, (key,))
            ]
    if found:
        raise ExceptionGroup("invalid entries", found)
