"""Parsing of capability files; reports all problems at once, each with its line and a hint."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from mcpgw.capabilities.model import Capability
from mcpgw.config.problems import ConfigError, Findings, Problem, dotted
from mcpgw.config.value_types import noun
from mcpgw.text.did_you_mean import correction

LARGEST: Final = 1_000_000
"""Largest file, in bytes."""
MOST_VALUES: Final = 50_000
DEEPEST: Final = 64
"""Levels of maps and lists within each other."""
SUFFIXES: Final = (".yaml", ".yml")
_RENAMED: Final = {
    "inputs": "schema.input",
    "parameters": "schema.input",
    "url": "providers.primary.config.base_url",
    "rate_limits": "rate_limit",
}

Key = tuple[str | int, ...]


@attrs.frozen
class StructuralProblem:
    """A finding of the rules CAP-001 to CAP-010, or of the parser (CAP-000)."""

    path: str
    line: int | None
    code: str
    severity: str
    message: str


def read_capability(path: Path, data: bytes) -> tuple[Capability, tuple[Problem, ...]]:
    """Parse a capability file and return the capability with warnings.

    Args:
      path: the file, for messages and as the default of the name.
      data: its contents.

    Raises:
      ConfigError: the file is invalid; with all problems, each with its line and key.
    """
    from mcpgw.config.yamlfile import Lines, YamlSyntaxError, parse

    if len(data) > LARGEST:
        raise ConfigError(
            [Problem(str(path), None, "", f"the file must not be larger than {LARGEST} bytes")]
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError([Problem(str(path), None, "", "the file must be UTF-8")]) from None
    try:
        document = parse(text)
    except YamlSyntaxError as error:
        raise ConfigError([Problem(str(path), error.line, "", error.message)]) from None
    if not isinstance(document, Mapping):
        hint = "Start it with 'name: ...'."
        message = f"must be a map of keys, not {noun(document)}"
        raise ConfigError([Problem(str(path), 1, "", message, hint)])
    found = Findings()
    capability = _capability(document, path, found)
    if capability is not None:
        from mcpgw.capabilities.validation import check

        check(capability, document, path, found)
    problems: list[Problem] = []
    if listed := list(found):
        lines = Lines.of(text)
        problems = [
            Problem(
                str(path),
                _line(lines, each.path),
                dotted(each.path),
                each.message,
                each.hint,
                each.level,
            )
            for each in listed
        ]
    if capability is None or any(each.level == "error" for each in problems):
        raise ConfigError(problems)
    return capability, tuple(problems)


def check_document(path: Path, document: Mapping[str, Any]) -> Capability:
    """Check the data of a capability file before it is written.

    Args:
      path: the file that it will become.
      document: its data.

    Raises:
      ConfigError: the data is invalid; with all problems, each with its key.
    """
    found = Findings()
    capability = _capability(document, path, found)
    if capability is not None:
        from mcpgw.capabilities.validation import check

        check(capability, document, path, found)
    problems = [
        Problem(str(path), None, dotted(each.path), each.message, each.hint, each.level)
        for each in found
    ]
    if capability is None or any(each.level == "error" for each in problems):
        raise ConfigError(problems)
    return capability


def structural_problems(path: Path, data: bytes | None = None) -> list[StructuralProblem]:
    """Return all errors and warnings of a file, for reports.

    Args:
      path: the file.
      data: its contents, if they have been read already.
    """
    try:
        data = path.read_bytes() if data is None else data
        _, problems = read_capability(path, data)
    except OSError as error:
        reason = error.strerror or "cannot be read"
        return [StructuralProblem(str(path), None, "CAP-000", "error", reason)]
    except ConfigError as error:
        problems = error.problems
    return [StructuralProblem(str(path), each.line, *_code(each), _text(each)) for each in problems]


def _code(problem: Problem) -> tuple[str, str]:
    code, colon, _ = problem.message.partition(": ")
    severity = "error" if problem.level == "error" else "warn"
    return (code if colon and code.startswith("CAP-") else "CAP-000"), severity


def _text(problem: Problem) -> str:
    message = problem.message
    if message.startswith("CAP-"):
        message = message.partition(": ")[2]
    head = f"{problem.key}: {message}" if problem.key else message
    return f"{head}. {problem.hint}" if problem.hint else head


def _line(lines: Any, path: Key) -> int | None:
    """Return the line of a key, or of its nearest ancestor in the file."""
    while path:
        line: int | None = lines.find(path)
        if line is not None:
            return line
        path = path[:-1]
    return 1


def _capability(document: Mapping[Any, Any], path: Path, found: Findings) -> Capability | None:
    from mcpgw.config.structuring import faults, structure

    if not _is_plain(document, found):
        return None
    if "backends" in document and "providers" not in document:
        message = "this is a gateway.yaml, not a capability file"
        found.error(("backends",), message, "`mcp-gateway doctor --config FILE` checks it.")
        return None
    data = dict(document)
    providers = data.pop("providers", None)
    flat = {**data, **_providers(providers, "providers" in document, data, found)}
    if not isinstance(flat.get("name"), str) or not flat.get("name"):
        flat["name"] = path.stem
    if isinstance(auth := flat.get("auth"), Mapping) and auth.get("type") == "oauth":
        flat["auth"] = {**auth, "type": "oauth2"}
    _unknown_keys(document, found)
    try:
        capability = structure(flat, Capability)
    except Exception as error:  # noqa: BLE001 - cattrs raises what the readers raise
        for key, fault in faults(error, ()):
            found.error(_place(key), fault.message, fault.hint)
        return None
    return capability


def _place(key: Key) -> Key:
    """Return the path of a key in the file, whose providers are one section."""
    if key[:1] in (("primary",), ("fallback",)):
        return ("providers", *key)
    return key


def _providers(
    providers: Any, given: bool, data: Mapping[str, Any], found: Findings
) -> dict[str, Any]:
    if not given and not data.get("webhooks"):
        hint = "Write `providers: {primary: {service: rest, config: {base_url: ...}}}`."
        found.error(("providers",), "CAP-005: must have at least one provider", hint)
        return {}
    if providers is None:
        return {}
    if not isinstance(providers, Mapping):
        found.error(("providers",), f"must be a map of names, not {noun(providers)}")
        return {}
    named = {k: v for k, v in providers.items() if k not in ("primary", "fallback")}
    fallback = providers.get("fallback", [])
    more = [fallback] if isinstance(fallback, Mapping) else fallback
    if not isinstance(more, list):
        found.error(("providers", "fallback"), f"must be a list, not {noun(fallback)}")
        more = []
    if "primary" not in providers and (providers or not data.get("webhooks")):
        found.error(("providers",), "CAP-005: should have a 'primary' provider")
    return {"primary": providers.get("primary"), "fallback": [*more, *named.values()]}


def _unknown_keys(document: Mapping[Any, Any], found: Findings) -> None:
    """Report unknown keys, each with a known one that was probably meant."""
    from mcpgw.capabilities.model import Provider

    top = {field.name for field in attrs.fields(Capability)} - {"primary", "fallback"}
    top.add("providers")
    for key in document:
        if key not in top and not str(key).startswith("x-"):
            _unknown((str(key),), top, found)
    for path, inner, cls in _sections(document, Capability, ()):
        if path[:1] == ("providers",):
            continue
        _unknown_in(path, inner, cls, found)
    providers = document.get("providers")
    for path, inner in _each_provider(providers) if isinstance(providers, Mapping) else ():
        _unknown_below(path, inner, Provider, found)


def _each_provider(providers: Mapping[Any, Any]) -> Iterator[tuple[Key, Mapping[Any, Any]]]:
    for name, value in providers.items():
        if isinstance(value, Mapping):
            yield ("providers", str(name)), value
        for index, item in enumerate(value) if isinstance(value, list) else ():
            if isinstance(item, Mapping):
                yield ("providers", str(name), index), item


def _sections(
    data: Mapping[Any, Any], cls: type, path: Key
) -> Iterator[tuple[Key, Mapping[Any, Any], type]]:
    for field in attrs.fields(cls):
        value = data.get(field.name)
        if "section" in field.metadata and isinstance(value, Mapping):
            yield (*path, field.name), value, field.metadata["section"]
        elif "named" in field.metadata and isinstance(value, Mapping):
            for name, inner in value.items():
                if isinstance(inner, Mapping):
                    yield (*path, field.name, str(name)), inner, field.metadata["named"]
        elif "listed" in field.metadata and isinstance(value, list):
            for index, inner in enumerate(value):
                if isinstance(inner, Mapping):
                    yield (*path, field.name, index), inner, field.metadata["listed"]


def _unknown_below(path: Key, data: Mapping[Any, Any], cls: type, found: Findings) -> None:
    """Report unknown keys of a section and of the sections within it."""
    _unknown_in(path, data, cls, found)
    for inside, value, section in _sections(data, cls, path):
        _unknown_below(inside, value, section, found)


def _unknown_in(path: Key, data: Mapping[Any, Any], cls: type, found: Findings) -> None:
    known = {field.name for field in attrs.fields(cls)}
    for key in data:
        if key not in known:
            _unknown((*path, str(key)), known, found)


def _unknown(path: Key, known: set[str], found: Findings) -> None:
    name = str(path[-1])
    meant = _RENAMED.get(name) if len(path) == 1 else None
    close = meant or correction(name, known)
    hint = f"Did you mean '{close}'?" if close else f"Known keys: {', '.join(sorted(known))}."
    found.error(path, "unknown key", hint)


_Place = tuple["_Place", str | int] | None
"""A path as a chain of its last key and the path before it."""


def _is_plain(document: object, found: Findings) -> bool:
    """Report values that JSON does not have; return False if the data is unbounded or too large."""
    left: list[tuple[_Place, int, object]] = [(None, 0, document)]
    for _ in range(MOST_VALUES):
        if not left:
            return True
        place, depth, value = left.pop()
        if depth > DEEPEST:
            found.error(_chain(place)[:2], "must not be nested too deeply, or contain itself")
            return False
        if value is None or isinstance(value, (str, bool, int)):
            continue
        if isinstance(value, Mapping):
            left += (((place, str(key)), depth + 1, inner) for key, inner in value.items())
        elif isinstance(value, list):
            left += (((place, index), depth + 1, inner) for index, inner in enumerate(value))
        elif not isinstance(value, float):
            found.error(_chain(place), f"must not be a {type(value).__name__}")
        elif not math.isfinite(value):
            found.error(_chain(place), "must be a finite number", "Put it in quotes.")
    found.error((), "the file has too many values")
    return False


def _chain(place: _Place) -> Key:
    keys: list[str | int] = []
    while place is not None:
        place, key = place
        keys.append(key)
    return tuple(reversed(keys))
