"""The registry of imported skills, skills.json; several processes may write it."""

from __future__ import annotations

import base64
import errno
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from mcpgw.skills.model import CodeBlock, Skill, SkillError, name_problem
from mcpgw.state.files import write_atomically
from mcpgw.state.folder import state_folder

VARIABLE: Final = "MCP_GATEWAY_SKILLS_REGISTRY"
FILE_NAME: Final = "skills.json"
SCHEMA: Final = 1
LARGEST: Final = 64 << 20
"""Greatest size of a registry, in bytes."""
LOCK_TIMEOUT: Final = 10.0
"""Seconds to wait for another writer."""

_TEXTS: Final = (
    "description", "version", "effort", "body", "source_path", "source_url", "content_hash",
)  # fmt: skip
_LISTS: Final = ("allowed_tools", "triggers", "keywords")


def registry_path(environ: Mapping[str, str], given: str | None = None) -> Path:
    """Return the path of the registry: `given`, else `VARIABLE`, else in the state folder.

    Args:
      environ: the environment variables.
      given: the value of `--registry`.
    """
    chosen = given or environ.get(VARIABLE)
    return Path(chosen).expanduser() if chosen else state_folder(environ) / FILE_NAME


class RegistryError(Exception):
    """The registry cannot be read or written. The file is unchanged."""


@attrs.frozen
class Registry:
    """The content of the file. Entries that cannot be read stay in the file."""

    path: Path
    skills: Mapping[str, Skill] = attrs.field(factory=dict)
    """By name, sorted."""
    broken: Mapping[str, str] = attrs.field(factory=dict)
    """Reasons by name, for entries that cannot be used."""
    document: Mapping[str, object] = attrs.field(factory=dict, repr=False, eq=False)
    """The whole JSON document, including keys unknown to this version."""


def read_registry(path: Path) -> Registry:
    """Read a registry; a missing file is an empty registry.

    Unknown keys are ignored; entries that cannot be used are in `broken`.

    Raises:
      RegistryError: the file exists but cannot be read or is not a registry.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return Registry(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RegistryError(f"{path}: the skills cannot be read: {reason}.") from error
    if len(data) > LARGEST:
        raise RegistryError(f"{path}: is larger than {LARGEST >> 20} MiB; is this a registry?")
    document = _document(path, data)
    skills: dict[str, Skill] = {}
    broken: dict[str, str] = {}
    entries = document["skills"]
    assert isinstance(entries, dict)
    for name, entry in sorted(entries.items()):
        try:
            skills[name] = _skill(name, entry)
        except SkillError as error:
            broken[name] = error.message
    return Registry(path, skills, broken, document)


def add_skills(path: Path, skills: tuple[Skill, ...]) -> tuple[str, ...]:
    """Add skills to a registry, replacing those of the same name.

    The file is locked and replaced atomically, so concurrent writers do not lose each other's
    changes. Entries and keys unknown to this version are kept.

    Returns:
      The names of the skills that were replaced.

    Raises:
      RegistryError: the file cannot be read or written, or another writer holds the lock.
    """

    def put(entries: dict[str, object]) -> tuple[str, ...]:
        known = tuple(skill.name for skill in skills if skill.name in entries)
        entries.update({skill.name: entry_of(skill) for skill in skills})
        return known

    return _change(path, put)


def remove_skill(path: Path, name: str) -> bool:
    """Remove a skill, or a broken entry, from a registry; return whether it existed.

    Raises:
      RegistryError: as for `add_skills`.
    """
    if name not in _entries(read_registry(path)):
        return False

    def drop(entries: dict[str, object]) -> tuple[str, ...]:
        return () if entries.pop(name, None) is None else (name,)

    return bool(_change(path, drop))


def entry_of(skill: Skill) -> dict[str, object]:
    """Return the registry entry of a skill; empty fields are left out."""
    fields: dict[str, object] = {
        "version": skill.version,
        "effort": skill.effort,
        **{key: list(getattr(skill, key)) for key in _LISTS},
        "body": skill.body,
        "code_blocks": [attrs.asdict(block) for block in skill.code_blocks],
        "extra": dict(skill.extra),
        "source_path": skill.source_path,
        "source_url": skill.source_url,
        "content_hash": skill.content_hash,
        "auxiliary_files": list(skill.files),
        "auxiliary_texts": dict(skill.auxiliary),
        "auxiliary_blobs": {
            path: base64.b64encode(data).decode() for path, data in skill.blobs.items()
        },
    }
    required = {"name": skill.name, "description": skill.description}
    return {**required, **{key: value for key, value in fields.items() if value}}


def _change(path: Path, change: Callable[[dict[str, object]], tuple[str, ...]]) -> tuple[str, ...]:
    target = Path(os.path.realpath(path))
    try:
        with _locked(target):
            found = read_registry(target)
            entries = _entries(found)
            answer = change(entries)
            document = {"schema": SCHEMA, **found.document, "skills": dict(sorted(entries.items()))}
            data = _written(document)
            if len(data) > LARGEST:
                raise RegistryError(f"{path}: would be larger than {LARGEST >> 20} MiB.")
            write_atomically(target, data, sync=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise RegistryError(f"{path}: the skills cannot be written: {reason}.") from error
    return answer


def _written(document: Mapping[str, object]) -> bytes:
    try:
        return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        # A broken entry contains a lone surrogate, which only an escape can represent.
        return json.dumps(document, indent=2).encode() + b"\n"


def _entries(registry: Registry) -> dict[str, object]:
    found = registry.document.get("skills", {})
    assert isinstance(found, dict)
    return dict(found)


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Lock out other writers. The lock belongs to the open file, so a crash releases it."""
    import fcntl

    for missing in reversed([target.parent, *target.parent.parents]):
        missing.mkdir(mode=0o700, exist_ok=True)
    lock = target.parent / f".{target.name}.lock"
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        end = time.monotonic() + LOCK_TIMEOUT
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise
            if time.monotonic() > end:
                raise RegistryError(
                    f"{target}: another process has held {lock.name} for {LOCK_TIMEOUT:.0f} s."
                    " Try again when it has finished."
                )
            time.sleep(0.02)
        yield
    finally:
        os.close(handle)


def _document(path: Path, data: bytes) -> dict[str, object]:
    advice = "Correct it or move it away; it is not overwritten."
    try:
        document = json.loads(data.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise RegistryError(f"{path}:{error.lineno}: invalid JSON: {error.msg}. {advice}") from None
    except (ValueError, RecursionError):
        raise RegistryError(f"{path}: invalid JSON. {advice}") from None
    if not isinstance(document, dict) or not isinstance(document.get("skills", {}), dict):
        raise RegistryError(f"{path}: must be a JSON object with an object 'skills'. {advice}")
    schema = document.get("schema", SCHEMA)
    if schema != SCHEMA or isinstance(schema, bool):
        raise RegistryError(
            f"{path}: 'schema' is {json.dumps(schema)[:40]}; this version supports {SCHEMA}."
            " A newer version wrote the file; update this one. The file is not overwritten."
        )
    document.setdefault("skills", {})
    return document


def _skill(name: str, entry: object) -> Skill:
    if not isinstance(entry, dict):
        raise SkillError(name, "the entry must be an object")
    fields: dict[str, Any] = {key: _text(name, entry, key) for key in _TEXTS}
    if not name or not name.isprintable() or not fields["description"]:
        raise SkillError(name, "a name and a description are required")
    if problem := name_problem(name):
        raise SkillError(name, f"'name' {problem}")
    extra = entry.get("extra") or {}
    if not isinstance(extra, dict):
        raise SkillError(name, "'extra' must be an object")
    return Skill(
        name=name,
        **fields,
        allowed_tools=_texts(name, entry, "allowed_tools"),
        triggers=_texts(name, entry, "triggers"),
        keywords=_texts(name, entry, "keywords"),
        code_blocks=_blocks(name, entry.get("code_blocks")),
        extra=extra,
        auxiliary=_auxiliary(name, entry.get("auxiliary_texts")),
        blobs=_blobs(name, entry.get("auxiliary_blobs")),
    )


def _text(name: str, entry: Mapping[str, object], key: str) -> str:
    value = entry.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or not _is_text(value):
        raise SkillError(name, f"'{key}' must be a string")
    return value


def _texts(name: str, entry: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = entry.get(key) or []
    if not isinstance(value, list):
        raise SkillError(name, f"'{key}' must be a list")
    items = {f"{key}[{index}]": item for index, item in enumerate(value)}
    return tuple(_text(name, items, each) for each in items)


def _blocks(name: str, value: object) -> tuple[CodeBlock, ...]:
    blocks = value or []
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise SkillError(name, "'code_blocks' must be a list of objects")
    return tuple(
        CodeBlock(_text(name, block, "lang"), _text(name, block, "content")) for block in blocks
    )


def _auxiliary(name: str, value: object, key: str = "auxiliary_texts") -> dict[str, str]:
    texts = value or {}
    if not isinstance(texts, dict):
        raise SkillError(name, f"'{key}' must be an object")
    return {file: _text(name, texts, file) for file in texts if _is_text(file)}


def _blobs(name: str, value: object) -> dict[str, bytes]:
    try:
        return {
            file: base64.b64decode(text, validate=True)
            for file, text in _auxiliary(name, value, "auxiliary_blobs").items()
        }
    except ValueError:
        raise SkillError(name, "'auxiliary_blobs' must be base64") from None


def _is_text(value: str) -> bool:
    """Return whether UTF-8 can encode a text; JSON may contain lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
