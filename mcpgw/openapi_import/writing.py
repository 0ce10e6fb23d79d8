"""Writing of imported capabilities as pinned YAML files."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

import attrs

from mcpgw.capabilities.entries import is_utf8_path
from mcpgw.capabilities.pins import PinProblem, read_pin, with_pin
from mcpgw.openapi_import.loading import ImportProblem
from mcpgw.openapi_import.results import Conversion, Imported
from mcpgw.openapi_import.yaml_text import to_yaml
from mcpgw.state.files import write_atomically

MARK: Final = "# Generated from an OpenAPI document."
_OPERATION: Final = re.compile(r"# ([A-Z]+ /.*)")
_SOURCE: Final = "# Source: "


@attrs.frozen
class Written:
    """The result of writing.

    Args:
      files: the files that were written.
      kept: files that were not replaced, since they were not generated or have been edited.
      stale: generated files of the same document whose operation no longer has this file, each
        with the reason.
    """

    files: tuple[Path, ...] = ()
    kept: tuple[Path, ...] = ()
    stale: tuple[tuple[Path, str], ...] = ()


def write(
    conversion: Conversion, folder: Path, *, dry_run: bool = False, overwrite: bool = False
) -> Written:
    """Write capabilities into a folder.

    Files that were not generated, or have been edited, are kept.

    Args:
      conversion: the capabilities.
      folder: the folder, which is created if it is missing.
      dry_run: whether to write nothing.
      overwrite: whether to replace files that were not generated or have been edited.

    Raises:
      ImportProblem: a file cannot be written.
    """
    if not is_utf8_path(folder.resolve()):
        raise ImportProblem(f"the name of {folder} is not UTF-8; choose another folder")
    written: list[Path] = []
    kept: list[Path] = []
    try:
        for each in conversion.capabilities:
            path = folder / f"{each.name}.yaml"
            if path.exists() and not overwrite and _is_edited(path):
                kept.append(path)
            else:
                written.append(path)
                if not dry_run:
                    write_atomically(path, rendered(each, conversion.source), mode=0o644)
    except OSError as error:
        raise ImportProblem(f"{error.filename or folder}: {error.strerror}") from None
    stale = tuple(_stale(conversion, folder, {*written, *kept}))
    return Written(() if dry_run else tuple(written), tuple(kept), stale)


def _stale(
    conversion: Conversion, folder: Path, current: Collection[Path]
) -> Iterator[tuple[Path, str]]:
    """Yield generated files that an earlier import of the same document has left."""
    names = {f"{each.method} {each.path}": each.name for each in conversion.capabilities}
    for path in sorted(folder.glob("*.yaml")) if folder.is_dir() else ():
        if path in current or (found := _origin(path)) is None:
            continue
        operation, source = found
        if source != conversion.source:
            continue
        if operation in names:
            yield path, f"{operation} is now {names[operation]}"
        elif operation not in conversion.operations:
            yield path, f"{operation} no longer exists"


def _origin(path: Path) -> tuple[str, str] | None:
    """Return the operation and the document of a generated file, None for other files."""
    try:
        with path.open("rb") as file:
            head = file.read(4096).decode("utf-8", "replace").splitlines()[:5]
    except OSError:
        return None
    if MARK not in head:
        return None
    operation = next((found[1] for line in head if (found := _OPERATION.fullmatch(line))), "")
    source = next((line[len(_SOURCE) :] for line in head if line.startswith(_SOURCE)), "")
    return (operation, source) if operation else None


def _is_edited(path: Path) -> bool:
    """Return whether a file was not generated, or has been edited since."""
    try:
        data = path.read_bytes()
        pinned = read_pin(data)
    except (OSError, PinProblem):
        return True
    return MARK.encode() not in data or not pinned.pin or not pinned.holds


def rendered(each: Imported, source: str = "") -> bytes:
    """Return the contents of a capability's file, with its pin."""
    head = f"{MARK}\n# {_line(f'{each.method} {each.path}')}\n"
    head += f"{_SOURCE}{_line(source)}\n" if source else ""
    return with_pin(f"{head}{to_yaml(each.document)}".encode())


def _line(text: str) -> str:
    """Return a text for a comment, which must be one line of printable characters."""
    return "".join(sign if sign.isprintable() else " " for sign in text)
