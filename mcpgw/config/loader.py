"""Loader for gateway.yaml: merges the file, dotenv files and override variables into settings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from mcpgw.config.backend_parsing import BackendForms
from mcpgw.config.dotenv import parse_dotenv
from mcpgw.config.expansion import expand_home
from mcpgw.config.key_names import check_names
from mcpgw.config.overrides import Overridden, apply_overrides
from mcpgw.config.problems import ConfigError, Finding, Findings, Problem, dotted
from mcpgw.config.problems import Path as KeyPath
from mcpgw.config.schema import ALL_BACKENDS, BackendConfig, GatewayConfig
from mcpgw.config.server_names import NAME_RULE, usable_names, why_unusable
from mcpgw.config.value_types import noun
from mcpgw.state.permissions import exposure
from mcpgw.text.did_you_mean import correction


@attrs.frozen
class Loaded:
    """A valid configuration and its sources.

    Args:
      config: the settings.
      path: the gateway.yaml; None for the defaults.
      warnings: problems that do not prevent loading.
      watched: the files whose change requires a reload, as absolute paths; they may not exist.
      environ: the environment of the process, overridden by the dotenv files.
    """

    config: GatewayConfig
    path: Path | None = None
    warnings: tuple[Problem, ...] = ()
    watched: tuple[Path, ...] = ()
    environ: Mapping[str, str] = attrs.field(factory=dict, repr=False)


def load(path: Path | None, *, environ: Mapping[str, str]) -> Loaded:
    """Load a gateway.yaml; with None, only the override variables over the defaults.

    Args:
      path: the file.
      environ: the environment of the process; it is not changed.

    Raises:
      ConfigError: the configuration is not valid; it has all problems of the file.
    """
    text = "" if path is None else _read_text(path)
    data = {} if path is None else _parse(path, text)
    env_files = _env_files(data, environ)
    layered, env_problems = _layered(env_files, environ)
    overridden = apply_overrides(data, layered)
    found = Findings()
    config = _build(overridden.data, layered, found)
    files = (*(() if path is None else (path,)), *env_files)
    problems = [
        *(_exposed(file, fault) for file in files if (fault := exposure(file))),
        *env_problems,
        *overridden.problems,
        *_Locations(path, text, overridden).locate(found),
    ]
    if any(problem.level == "error" for problem in problems):
        raise ConfigError(problems)
    return Loaded(
        config=config,
        path=path,
        warnings=tuple(problems),
        watched=(*(() if path is None else (path.absolute(),)), *env_files),
        environ=layered,
    )


def _exposed(file: Path, fault: str) -> Problem:
    hint = "It decides which programs run: make it yours, and run chmod go-w on it."
    return Problem(str(file), None, "", f"the file {fault}", hint, "warning")


def places(environ: Mapping[str, str], cwd: Path) -> tuple[Path, ...]:
    """Return the default locations of gateway.yaml, in the order of the search."""
    return (
        cwd / "gateway.yaml",
        cwd / "config.yaml",
        Path(expand_home("~/.config/mcp-gateway/gateway.yaml", environ)),
        Path("/etc/mcp-gateway/gateway.yaml"),
    )


def find(environ: Mapping[str, str], cwd: Path) -> Path | None:
    """Return the first gateway.yaml in the default locations, or None.

    Many programs have a `config.yaml`: it counts only if it is a map with at least one known
    top-level key.
    """
    for place in places(environ, cwd):
        if _is_file(place) and (place.name == "gateway.yaml" or _is_ours(place)):
            return place
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _is_ours(path: Path) -> bool:
    from mcpgw.config.known_keys import KNOWN_KEYS
    from mcpgw.config.yamlfile import YamlSyntaxError, parse

    try:
        data = parse(path.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError, YamlSyntaxError):
        return False
    return isinstance(data, Mapping) and any(key in KNOWN_KEYS for key in data)


def _read_text(path: Path) -> str:
    name = str(path)
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        problem = Problem(name, None, "", "the file does not exist", "Check the path.")
    except IsADirectoryError:
        hint = "Specify the path of the gateway.yaml in it."
        problem = Problem(name, None, "", "this is a folder, not a file", hint)
    except PermissionError:
        problem = Problem(name, None, "", "permission denied", "Check the permissions of the file.")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = Problem(name, line, "", "the file is not valid UTF-8", "Save it as UTF-8.")
    except OSError as error:
        problem = Problem(name, None, "", f"the file cannot be read: {error.strerror}")
    raise ConfigError([problem])


def _parse(path: Path, text: str) -> Mapping[object, object]:
    from mcpgw.config.yamlfile import YamlSyntaxError, parse

    try:
        data = parse(text)
    except YamlSyntaxError as error:
        column = "" if error.column is None else f"column {error.column}: "
        raise ConfigError([Problem(str(path), error.line, "", column + error.message)]) from None
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        message = f"the top level of the file must be a map, not {noun(data)}"
        hint = "Start with 'backends:', and put names and settings below it."
        raise ConfigError([Problem(str(path), 1, "", message, hint)])
    return data


def _env_files(data: Mapping[object, object], environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the dotenv files; entries of a wrong type are reported when settings are read."""
    listed = data.get("env_files")
    names: list[object] = listed if isinstance(listed, list) else []
    return tuple(
        Path(expand_home(name, environ)).absolute() for name in names if isinstance(name, str)
    )


def _layered(
    files: Sequence[Path], environ: Mapping[str, str]
) -> tuple[Mapping[str, str], list[Problem]]:
    layered = dict(environ)
    problems: list[Problem] = []

    def warn(file: Path, line: int | None, message: str) -> None:
        problems.append(Problem(str(file), line, "", message, level="warning"))

    for file in files:
        try:
            text = file.read_bytes().decode("utf-8")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except UnicodeDecodeError:
            warn(file, None, "the file is not valid UTF-8; file skipped")
            continue
        except OSError as error:
            warn(file, None, f"the file cannot be read ({error.strerror}); file skipped")
            continue
        parsed = parse_dotenv(text)
        layered |= parsed.variables
        for line, message in parsed.faults:
            warn(file, line, message)
    return MappingProxyType(layered), problems


def _build(
    data: Mapping[object, object], environ: Mapping[str, str], found: Findings
) -> GatewayConfig:
    """Validate and convert the data; if `found` has errors, the result is not valid."""
    check_names(data, found)
    config = _structured(data, GatewayConfig, (), found) or GatewayConfig()
    raw_backends = data.get("backends")
    if raw_backends is not None and not isinstance(raw_backends, Mapping):
        found.error(
            ("backends",),
            f"must be a map of names to settings, not {noun(raw_backends)}",
            "Write each backend as 'name:' with its settings below it.",
        )
        raw_backends = None
    forms = BackendForms(environ, config.failsafe, found)
    backends: dict[str, BackendConfig] = {}
    names = usable_names([name for name in raw_backends or {} if isinstance(name, str)])
    for title, raw in (raw_backends or {}).items():
        if not isinstance(title, str):
            continue
        name = names[title]
        if name != title:
            found.warn(
                ("backends", title),
                f"{why_unusable(title)}; it is called {name!r} instead",
                NAME_RULE,
            )
        form = forms.prepare(title, raw)
        if form is None:
            continue
        if name != title:
            form = {"description": title, **form, "name": name}
        backend = _structured(form, BackendConfig, ("backends", title), found)
        if backend is not None:
            variables = MappingProxyType(forms.variables[title])
            backends[name] = attrs.evolve(backend, variables=variables)
    _check_references(config, names.values(), found)
    return attrs.evolve(config, backends=MappingProxyType(backends))


def _structured(data: Any, of: type[Any], path: KeyPath, found: Findings) -> Any:
    from mcpgw.config.structuring import faults, structure

    try:
        return structure(data, of)
    except ExceptionGroup as error:
        for key, fault in faults(error, path):
            found.error(key, fault.message, fault.hint, discreet=fault.discreet)
    return None


def _check_references(config: GatewayConfig, backends: Collection[str], found: Findings) -> None:
    """Warn of settings that name a backend or routing profile that is not configured."""

    def check(
        path: KeyPath, what: str, name: str, known: Collection[str], effect: str = ""
    ) -> None:
        if name not in known:
            near = correction(name, known)
            hint = f"Did you mean {near!r}?" if near is not None else ""
            found.warn(path, f"unknown {what} {name!r}{effect}", hint)

    meta = config.meta_mcp
    for index, name in enumerate(meta.warm_start):
        check(("meta_mcp", "warm_start", index), "backend", name, {*backends, ALL_BACKENDS})
    offered = {*backends, config.capabilities.name, "capabilities"}
    for index, tool in enumerate(meta.surfaced_tools):
        check(("meta_mcp", "surfaced_tools", index, "server"), "backend", tool.server, offered)
    profile = config.default_routing_profile
    if profile != GatewayConfig().default_routing_profile:
        effect = ", so all tools are allowed"
        check(
            ("default_routing_profile",),
            *("routing profile", profile, config.routing_profiles, effect),
        )


@attrs.frozen
class _Locations:
    """Locates findings: the line in the file, or the variable."""

    file: Path | None
    text: str = attrs.field(repr=False)
    overridden: Overridden

    def locate(self, found: Findings) -> list[Problem]:
        """Return the findings as problems, in the order of their lines."""
        findings = list(found)
        if not findings:
            return []
        from mcpgw.config.yamlfile import Lines

        lines = Lines.of(self.text)
        problems = [self._located(finding, lines) for finding in findings]
        return sorted(problems, key=lambda problem: problem.line or 0)

    def _located(self, finding: Finding, lines: Any) -> Problem:
        file, line = self._place(finding.path, lines)
        key = dotted(finding.path)
        from_variable = file in self.overridden.variables.values()
        message = (from_variable and finding.discreet) or finding.message
        return Problem(file, line, key, message, finding.hint, finding.level)

    def _place(self, path: KeyPath, lines: Any) -> tuple[str, int | None]:
        variables = self.overridden.variables
        for end in range(len(path), 0, -1):
            if path[:end] in variables:
                return variables[path[:end]], None
        if (line := lines.find(path)) is not None:
            return str(self.file), line
        for key, variable in variables.items():
            if key[: len(path)] == path:
                return variable, None
        for end in range(len(path) - 1, 0, -1):
            if (line := lines.find(path[:end])) is not None:
                return str(self.file), line
        return ("" if self.file is None else str(self.file)), None
