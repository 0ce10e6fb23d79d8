"""Overrides of settings by environment variables: `MCP_GATEWAY_SECTION__KEY`."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from mcpgw.config.environment import OVERRIDE_PREFIX
from mcpgw.config.problems import Path, Problem

_NESTED = "__"


@attrs.frozen
class Overridden:
    """Data with its overrides, and the variable that set each key."""

    data: Mapping[object, object] = attrs.field(repr=False)
    variables: Mapping[Path, str]
    problems: tuple[Problem, ...] = ()


def apply_overrides(data: Mapping[object, object], environ: Mapping[str, str]) -> Overridden:
    """Return a copy of the data with every override variable applied.

    Names are lower-cased, and `__` separates the levels of maps. If a key of the data differs
    from a name only in case, or has `-` or `.` instead of `_`, it is that key. An empty value
    counts as unset. `read_value` parses the values.
    """
    variables: dict[Path, str] = {}
    problems: list[Problem] = []
    names = [name for name in environ if name.startswith(OVERRIDE_PREFIX) and _NESTED in name]
    for name in sorted(names):
        parts = name.removeprefix(OVERRIDE_PREFIX).lower().split(_NESTED)
        if not all(parts):
            message = "a name is missing before or after '__'; variable ignored"
            problems.append(Problem(name, None, "", message, level="warning"))
            continue
        try:
            value = read_value(environ[name])
            path, data = _with_override(data, tuple(parts), value)
        except ValueError as error:
            problems.append(Problem(name, None, ".".join(parts), str(error)))
            continue
        variables[path] = name
    return Overridden(data, variables, tuple(problems))


def read_value(text: str) -> object:
    """Parse the value of an override variable.

    A value that starts with `[` or `{` is a YAML list or map. Any other value is a YAML scalar
    (true, a number) if it can be parsed as one, otherwise a string.

    Raises:
      ValueError: a malformed list or map.
    """
    from mcpgw.config.yamlfile import YamlSyntaxError, parse

    stripped = text.strip()
    if stripped.startswith(("[", "{")):
        return parse(stripped)
    try:
        value = parse(stripped)
    except YamlSyntaxError:
        return text
    return text if isinstance(value, dict | list) else value


def _with_override(
    data: Mapping[object, object], parts: tuple[str, ...], value: object
) -> tuple[Path, Mapping[object, object]]:
    key = _matching_key(data, parts[0])
    if len(parts) == 1:
        return (key,), {**data, key: value}
    inner = data.get(key)
    if inner is not None and not isinstance(inner, Mapping):
        raise ValueError(f"cannot set a key of {key!r}, which is not a map in the file")
    path, inner = _with_override(inner or {}, parts[1:], value)
    return (key, *path), {**data, key: inner}


def _matching_key(data: Mapping[object, object], part: str) -> str:
    if part in data:
        return part
    alike = [key for key in data if isinstance(key, str) and _plain(key) == part]
    return alike[0] if len(alike) == 1 else part


def _plain(key: str) -> str:
    return key.lower().replace("-", "_").replace(".", "_")
