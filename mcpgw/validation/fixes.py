"""Automatic fixes of capability files: missing types and descriptions, names.

Comments and the order of keys are kept. A pinned file is changed only if its pin may be renewed.
"""

from __future__ import annotations

import difflib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from mcpgw.validation.rules import style_of, words_of


class CannotFix(ValueError):
    """A file cannot be fixed; the message has the reason."""


@attrs.frozen
class Fix:
    """A planned change of a file."""

    path: Path
    target: Path
    old: bytes
    new: bytes
    done: tuple[str, ...]

    def diff(self) -> str:
        """Return the change as a unified diff."""
        lines = difflib.unified_diff(
            self.old.decode("utf-8", "replace").splitlines(),
            self.new.decode("utf-8", "replace").splitlines(),
            str(self.path),
            str(self.target),
            lineterm="",
        )
        return "\n".join(lines)


def plan(path: Path, *, repin: bool = False) -> Fix | None:
    """Return the fix of a file, or None if there is nothing to fix.

    Args:
      path: the file.
      repin: whether a pinned file may be changed and pinned again.

    Raises:
      CannotFix: the file is pinned, does not match its pin, or cannot be read.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    from mcpgw.capabilities.pins import PinProblem, read_pin, with_pin

    try:
        old = path.read_bytes()
        pinned = read_pin(old)
        yaml: Any = YAML(typ="rt")
        yaml.preserve_quotes = True
        yaml.width = 4096
        document = yaml.load(old.decode("utf-8-sig"))
    except (
        OSError,
        UnicodeDecodeError,
        PinProblem,
        YAMLError,
        ValueError,
        RecursionError,
    ) as error:
        raise CannotFix(f"{path} cannot be read: {str(error)[:200]}") from None
    if not isinstance(document, Mapping):
        raise CannotFix(f"{path} must be a map")
    done: list[str] = []
    _add_types(document, done)
    target = _rename(document, path, done)
    if not done:
        return None
    if pinned.pin and not (repin and pinned.holds):
        reason = "is pinned; --repin renews the pin" if pinned.holds else "does not match its pin"
        raise CannotFix(f"{path} {reason}")
    out = io.StringIO()
    yaml.dump(document, out)
    new = out.getvalue().encode()
    return Fix(path, target, old, with_pin(new) if pinned.pin else new, tuple(done))


def apply(fix: Fix) -> None:
    """Write a fix.

    Raises:
      CannotFix: the new file name is taken, or the file cannot be written.
    """
    from mcpgw.state.files import write_atomically

    if fix.target != fix.path and fix.target.exists():
        raise CannotFix(f"{fix.target} already exists")
    try:
        write_atomically(fix.target, fix.new, mode=fix.path.stat().st_mode & 0o777)
        if fix.target != fix.path:
            fix.path.unlink()
    except OSError as error:
        raise CannotFix(f"{fix.target} cannot be written: {error.strerror}") from None


def _add_types(document: Mapping[str, Any], done: list[str]) -> None:
    schema = document.get("schema")
    given = schema.get("input") if isinstance(schema, Mapping) else None
    properties = given.get("properties") if isinstance(given, Mapping) else None
    for name, each in properties.items() if isinstance(properties, Mapping) else ():
        if not isinstance(each, Mapping):
            continue
        known = {"type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"} & each.keys()
        if not known:
            kind = _type_of(each.get("default"))
            each["type"] = kind  # type: ignore[index]
            done.append(f"{name}: type {kind}")
        if not each.get("description") and not each.get("enum"):
            words = " ".join(words_of(str(name))) or str(name)
            each["description"] = words.capitalize()  # type: ignore[index]
            done.append(f"{name}: description from its name (please review)")


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, list):
        return "array"
    return "object" if isinstance(value, Mapping) else "string"


def _rename(document: Mapping[str, Any], path: Path, done: list[str]) -> Path:
    name = document.get("name")
    if not isinstance(name, str) or style_of(name) in ("snake", "plain"):
        return path
    new_name = "_".join(words_of(name))
    if not new_name or new_name == name:
        return path
    document["name"] = new_name  # type: ignore[index]
    done.append(f"name: {new_name}")
    return path.with_name(f"{new_name}{path.suffix}") if path.stem == name else path
