"""Conversion of a backend as written in gateway.yaml to the plain data of a `BackendConfig`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from mcpgw.config.expansion import REFERENCE, expand, expand_home, malformed, split_command
from mcpgw.config.failsafe import FailsafeConfig
from mcpgw.config.problems import Findings, Path
from mcpgw.config.schema import BACKEND_FORM_KEYS
from mcpgw.config.value_types import noun
from mcpgw.config.wire_values import (
    header_fault,
    header_name_fault,
    url_fault,
    without_line_end,
)

_SCHEMES = {"http_url": ("http", "https"), "ws_url": ("ws", "wss"), "a2a_url": ("http", "https")}
_TRANSPORTS = ("command", *_SCHEMES)
_WIRE_HINT = "Correct it where it is set; the value is not shown here, since it may be a secret."
_ENV_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*")


@attrs.frozen
class BackendForms:
    """Parser for the backends of one file; problems are added to `found`."""

    environ: Mapping[str, str] = attrs.field(repr=False)
    failsafe: FailsafeConfig
    found: Findings
    variables: dict[str, dict[str, str]] = attrs.field(factory=dict, repr=False)
    """The variables that each backend refers to, with their values."""

    def prepare(self, name: str, raw: object) -> dict[str, object] | None:
        """Return the expanded settings of one backend, or None if they are not a map.

        `command` and `args` are joined to one list of words, and a partial failsafe section is
        merged with the global one. Values of a wrong type pass through; they are reported when
        the settings are read.
        """
        path: Path = ("backends", name)
        if raw is not None and not isinstance(raw, Mapping):
            self.found.error(
                path,
                f"must be a map of settings, not {noun(raw)}",
                "Set at least 'command' or 'http_url' below the name.",
            )
            return None
        form: dict[str, Any] = {key: item for key, item in (raw or {}).items() if item is not None}
        quiet = form.get("enabled") is False
        self._check_transport(form, path, quiet=quiet)
        used = self.variables[name] = {}
        expansion = _Expansion(self.environ, self.found, quiet, used)
        written: Mapping[Any, Any] = raw or {}
        self._expand(form, written, path, expansion)
        self._check_urls(form, written, path)
        if "command" in form:
            form["command"] = self._words(form, path, expansion)
        for field in attrs.fields(FailsafeConfig):
            partial = form.get(field.name)
            if isinstance(partial, Mapping):
                whole = attrs.asdict(getattr(self.failsafe, field.name))
                own = {key: item for key, item in partial.items() if item is not None}
                form[field.name] = {**whole, **own}
        for form_key in BACKEND_FORM_KEYS:
            form.pop(form_key.name, None)
        return {**form, "name": name}

    def _expand(
        self, form: dict[str, Any], written: Mapping[Any, Any], path: Path, expansion: _Expansion
    ) -> None:
        """Expand the references in the settings, and check the headers."""
        for key in ("cwd", *_SCHEMES):
            if isinstance(form.get(key), str):
                form[key] = expansion.text(form[key], (*path, key))
        for key in _SCHEMES:
            if isinstance(form.get(key), str):
                form[key] = without_line_end(form[key])
        if isinstance(form.get("cwd"), str):
            form["cwd"] = expand_home(form["cwd"], self.environ)
        for key in ("env", "headers"):
            if isinstance(form.get(key), dict):
                form[key] = expansion.map(form[key], (*path, key), drop=key == "env")
        if isinstance(form.get("headers"), dict):
            form["headers"] = self._headers(form["headers"], written["headers"], path)
        if isinstance(form.get("oauth"), dict):
            form["oauth"] = {
                key: without_line_end(expansion.secret(value, (*path, "oauth", str(key))))
                if isinstance(value, str)
                else value
                for key, value in form["oauth"].items()
            }

    def _check_transport(self, form: Mapping[str, Any], path: Path, *, quiet: bool) -> None:
        given = [key for key in _TRANSPORTS if form.get(key) not in (None, "", [])]
        if not given:
            self.found.error(
                path,
                "the backend has no transport",
                "Set 'command' (a program to start), 'http_url' or 'ws_url'.",
            )
        elif len(given) > 1:
            keys = " and ".join(map(repr, given))
            self.found.error(
                path, f"{keys} exclude each other", "Keep one, or define a backend for each."
            )
        elif given != ["command"]:
            for key in ("args", "cwd", "env", "watch", "stop_when_idle_for"):
                if key in form:
                    note = self.found.error if key == "stop_when_idle_for" else self.found.warn
                    note((*path, key), "is only valid with 'command'")
            if given == ["a2a_url"] and not quiet:
                message = f"backend {path[1]!r}: A2A agents are not supported by this version"
                self.found.warn((*path, given[0]), message)
        if form.get("passthrough", False) is not False:
            self.found.warn(
                (*path, "passthrough"),
                "is ignored: calls to this backend pass through all guards",
                "Remove the key.",
            )

    def _headers(
        self, headers: Mapping[Any, Any], written: Mapping[Any, Any], path: Path
    ) -> dict[Any, Any]:
        """Return the headers without line breaks at the ends of their values; check the rest."""
        path = (*path, "headers")
        kept = dict(headers)
        for name, value in headers.items():
            if not isinstance(name, str) or not isinstance(value, str) or "\0" in value:
                continue
            kept[name] = without_line_end(value)
            if fault := header_name_fault(name):
                self.found.error((*path, name), fault, "Use letters, digits and '-'.")
            elif fault := header_fault(kept[name]):
                self.found.error((*path, name), f"{_source(written[name])} {fault}", _WIRE_HINT)
        return kept

    def _check_urls(self, form: Mapping[str, Any], raw: Mapping[Any, Any], path: Path) -> None:
        for key, schemes in _SCHEMES.items():
            url = form.get(key)
            if isinstance(url, str) and "\0" not in url and (fault := url_fault(url)):
                self.found.error((*path, key), f"{_source(raw[key])} {fault}", _WIRE_HINT)
            elif isinstance(url, str) and url and not _is_url(url, schemes):
                hint = f"It must start with {' or '.join(f'{scheme}://' for scheme in schemes)}"
                self.found.error((*path, key), "is not a valid URL", f"{hint}, followed by a host.")

    def _words(self, form: Mapping[str, Any], path: Path, expansion: _Expansion) -> object:
        """Join `command` and `args`; values that are not strings stay, and are reported later."""
        command = form["command"]
        at = (*path, "command")
        if isinstance(command, str):
            try:
                command = split_command(command)
            except ValueError as error:
                self.found.error(
                    at, str(error), "Correct it, or write the command as a list of words."
                )
                return []
            if not command and form["command"]:
                self.found.error(at, "must not be blank")
        elif not isinstance(command, list):
            self.found.error(at, f"must be a string or a list of strings, not {noun(command)}")
            return []
        words = expansion.words(command, at)
        if isinstance(form["command"], str):  # as a shell does
            words = [self._at_home(word) for word in words]
        elif words:
            words[0] = self._at_home(words[0])
        if words and isinstance(words[0], str) and not words[0].strip():
            self.found.error(at, "the program to start must not be blank")
        args = form.get("args", [])
        if not isinstance(args, list):
            hint = "Put it in brackets: [...]." if isinstance(args, str) else ""
            self.found.error((*path, "args"), f"must be a list of strings, not {noun(args)}", hint)
            args = []
        for index, item in enumerate(args):
            if not isinstance(item, str):
                message = f"must be a string, not {noun(item)}"
                self.found.error((*path, "args", index), message, "Put it in quotes.")
        texts = [item for item in args if isinstance(item, str)]
        return [*words, *expansion.words(texts, (*path, "args"))]

    def _at_home(self, word: object) -> object:
        """Expand `~/` at the beginning of a word of a command."""
        if isinstance(word, str) and word.startswith("~/"):
            return expand_home(word, self.environ)
        return word


@attrs.frozen
class _Expansion:
    """Expansion of references; reports unset variables, once for each key and variable."""

    environ: Mapping[str, str]
    found: Findings
    quiet: bool
    used: dict[str, str] = attrs.field(repr=False)

    def text(self, text: str, path: Path) -> str:
        return self._expanded(text, path, " and counts as empty")[0]

    def secret(self, text: str, path: Path) -> str:
        """Expand text that may also be `env:NAME`, as in the examples of the reference."""
        if _ENV_REFERENCE.fullmatch(text):
            text = f"${{{text.removeprefix('env:')}}}"
        return self.text(text, path)

    def words(self, words: Sequence[object], path: Path) -> list[object]:
        return [self.text(word, path) if isinstance(word, str) else word for word in words]

    def map(self, entries: Mapping[object, object], path: Path, *, drop: bool) -> dict[str, object]:
        kept: dict[Any, object] = {}
        for name, text in entries.items():
            if not isinstance(text, str):
                kept[name] = text
                continue
            then = (
                ", so the entry is left out of the environment of the program"
                if drop
                else " and counts as empty"
            )
            value, whole = self._expanded(text, (*path, str(name)), then)
            if whole or not drop:
                kept[name] = value
            if _ENV_REFERENCE.fullmatch(text) and not self.quiet:
                message = "'env:' has no meaning here and is passed on unchanged"
                self.found.warn((*path, str(name)), message, "Use ${NAME} for a variable.")
        return kept

    def _expanded(self, text: str, path: Path, then: str) -> tuple[str, bool]:
        result = expand(text, self.environ)
        self.used.update(result.used)
        if not self.quiet:
            for variable in result.unset:
                self.found.warn(
                    path,
                    f"backend {path[1]!r}: the variable {variable} is not set{then}",
                    f"Set it, or add a default: ${{{variable}:-...}}.",
                )
            if malformed(text):
                message = (
                    "a '${' that is not of the form ${NAME} or ${NAME:-default} is not expanded"
                )
                self.found.warn(path, message)
        return result.text, not result.unset


def _source(written: str) -> str:
    """Return where a value comes from, in words that do not show it."""
    names = dict.fromkeys(match[1] for match in REFERENCE.finditer(written))
    return f"the value (with the variable {', '.join(names)})" if names else "the value"


def _is_url(url: str, schemes: tuple[str, ...]) -> bool:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False
