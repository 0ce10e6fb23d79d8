"""Writing of imported capabilities as pinned YAML files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import attrs

from mcpgw.capabilities.entries import is_utf8_path
from mcpgw.capabilities.pins import PinProblem, read_pin, with_pin
from mcpgw.openapi_import.loading import ImportProblem
from mcpgw.openapi_import.results import Conversion, Imported
from mcpgw.state.files import write_atomically

MARK = "# Generated from an OpenAPI document."


@attrs.frozen
class Written:
    """The files that were written."""

    files: tuple[Path, ...] = ()


def write(
    conversion: Conversion, folder: Path, *, dry_run: bool = False, overwrite: bool = False
) -> Written:
    """Write capabilities into a folder; nothing is written if one of the files must not be.

    Args:
      conversion: the capabilities.
      folder: the folder, which is created if it is missing.
      dry_run: whether to only check that all files could be written.
      overwrite: whether to replace files that were not generated or have been edited.

    Raises:
      ImportProblem: a file already exists, or cannot be written.
    """
    if not is_utf8_path(folder.resolve()):
        raise ImportProblem(f"the name of {folder} is not UTF-8; choose another folder")
    texts: dict[Path, bytes] = {}
    for each in conversion.capabilities:
        path = folder / f"{each.name}.yaml"
        texts[path] = rendered(each)
        if path.exists() and not overwrite and _is_edited(path):
            raise ImportProblem(
                f"{path} already exists and was not generated, or was edited since."
                " Use --overwrite to replace it."
            )
    if dry_run:
        return Written()
    try:
        for path, text in texts.items():
            write_atomically(path, text, mode=0o644)
    except OSError as error:
        raise ImportProblem(f"{error.filename or folder}: {error.strerror}") from None
    return Written(tuple(texts))


def _is_edited(path: Path) -> bool:
    """Return whether a file was not generated, or has been edited since."""
    try:
        data = path.read_bytes()
        pinned = read_pin(data)
    except (OSError, PinProblem):
        return True
    return MARK.encode() not in data or not pinned.pin or not pinned.holds


def rendered(each: Imported) -> bytes:
    """Return the contents of a capability's file, with its pin."""
    head = f"{MARK}\n# {each.method} {each.path}\n"
    return with_pin(f"{head}{to_yaml(each.document)}".encode())


def to_yaml(document: Any) -> str:
    """Return data as YAML in block style, with its keys in order."""
    from ruamel.yaml import YAML

    yaml: Any = YAML(typ="safe")
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.width = 100
    yaml.sort_base_mapping_type_on_output = False
    yaml.representer.ignore_aliases = lambda _: True
    out = io.StringIO()
    yaml.dump(document, out)
    return out.getvalue()
