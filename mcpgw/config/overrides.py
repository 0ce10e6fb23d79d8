"""Settings that come from environment variables of the form `MCP_GATEWAY_SECTION__KEY`."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from mcpgw.config.environment import OVERRIDE_PREFIX
from mcpgw.config.problems import Path, Problem

_NESTED = "__"


@attrs.frozen
class Overridden:
    """Data with the variables laid over it, and which key each variable set."""

    data: Mapping[object, object] = attrs.field(repr=False)
    variables: Mapping[Path, str]
    problems: tuple[Problem, ...] = ()


def apply_overrides(data: Mapping[object, object], environ: Mapping[str, str]) -> Overridden:
    """Lay every override variable over the data of a file, and leave that data as it is.

    Names are lower-cased and `__` goes one map deeper; where a key of the data differs from
    that only in capitals, or has `-` or `.` for `_`, that key is meant. An empty value counts as
    not given. Values are read as `read_value` does.
    """
    variables: dict[Path, str] = {}
    problems: list[Problem] = []
    names = [name for name in environ if name.startswith(OVERRIDE_PREFIX) and _NESTED in name]
    for name in sorted(names):
        parts = name.removeprefix(OVERRIDE_PREFIX).lower().split(_NESTED)
        if not all(parts):
            message = "a name is missing beside '__'; the variable is ignored"
            problems.append(Problem(name, None, "", message, level="warning"))
            continue
        try:
            value = read_value(environ[name])
            path, data = _laid(data, tuple(parts), value)
        except ValueError as error:
            problems.append(Problem(name, None, ".".join(parts), str(error)))
            continue
        variables[path] = name
    return Overridden(data, variables, tuple(problems))


def read_value(text: str) -> object:
    """Read the value of an override variable.

    Text that begins with `[` or `{` is a YAML list or map (ValueError if it is malformed). Other
    text is a YAML scalar where it can be one (true, a number), else it is taken as it stands.
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


def _laid(
    data: Mapping[object, object], parts: tuple[str, ...], value: object
) -> tuple[Path, Mapping[object, object]]:
    key = _meant(data, parts[0])
    if len(parts) == 1:
        return (key,), {**data, key: value}
    inner = data.get(key)
    if inner is not None and not isinstance(inner, Mapping):
        raise ValueError(f"cannot set a key of {key!r}, which is no map in the file")
    path, laid = _laid(inner or {}, parts[1:], value)
    return (key, *path), {**data, key: laid}


def _meant(data: Mapping[object, object], part: str) -> str:
    if part in data:
        return part
    alike = [key for key in data if isinstance(key, str) and _plain(key) == part]
    return alike[0] if len(alike) == 1 else part


def _plain(key: str) -> str:
    return key.lower().replace("-", "_").replace(".", "_")
