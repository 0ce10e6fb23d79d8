"""Manifests: the lists of a backend, stored so that they are known before it is started."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from mcpgw.state.files import read_json, write_atomically

FORMAT: Final = 1
"""Version of the file format. Files of another version are ignored."""
KEPT: Final = 4
"""Manifests kept of one backend, each of another configuration: gateways that share a state
folder may have different ones."""

_LISTS: Final = ("tools", "resources", "resource_templates", "prompts")
_SERVER: Final = ("protocol_version", "server_info", "capabilities", "instructions")
_TEXTS: Final = ("backend", "fingerprint", "protocol_version", "instructions")
_MAPPINGS: Final = ("server_info", "capabilities")
_LONGEST_NAME: Final = 120


@attrs.frozen
class Manifest:
    """The answer of a backend to `initialize`, and its lists.

    Definitions are kept as the backend sent them, including unknown fields. `fingerprint`
    identifies the configuration that the backend was started with; `saved_at` is in Unix seconds.
    """

    backend: str
    fingerprint: str
    protocol_version: str
    server_info: Mapping[str, Any]
    capabilities: Mapping[str, Any]
    instructions: str
    tools: tuple[dict[str, Any], ...]
    resources: tuple[dict[str, Any], ...]
    resource_templates: tuple[dict[str, Any], ...]
    prompts: tuple[dict[str, Any], ...]
    saved_at: float

    def differs_from(self, other: Manifest) -> frozenset[str]:
        """Return the names of the lists that differ.

        These are `tools`, `resources`, `resource_templates` and `prompts` (their order counts),
        and `server` for the answer to `initialize`.
        """
        names = {name for name in _LISTS if getattr(self, name) != getattr(other, name)}
        if any(getattr(self, name) != getattr(other, name) for name in _SERVER):
            names.add("server")
        return frozenset(names)


@attrs.frozen
class ManifestStore:
    """Manifests in one folder, in a file for each backend and configuration.

    Several gateways may use one folder. It is created when the first manifest is saved.
    """

    folder: Path

    def load(self, backend: str, fingerprint: str) -> Manifest | None:
        """Return the manifest of a backend with this configuration.

        None if there is no file, or if it is damaged, of another version, or of another backend
        or configuration.
        """
        return self.load_vetted(backend, fingerprint)[0]

    def load_vetted(self, backend: str, fingerprint: str) -> tuple[Manifest | None, Any]:
        """Return the manifest as `load` does, and what was stored of its vetting, or None."""
        data = read_json(self._path(backend, fingerprint))
        manifest = _from_json(data) if isinstance(data, dict) else None
        if manifest is None or (manifest.backend, manifest.fingerprint) != (backend, fingerprint):
            return None, None
        return manifest, data.get("vetting") if isinstance(data, dict) else None

    def save(self, manifest: Manifest, vetting: Mapping[str, Any] | None = None) -> None:
        """Save a manifest in place of an older one, and remove the oldest beyond `KEPT`.

        Args:
          manifest: the lists as the backend has sent them.
          vetting: what is to be stored of their vetting.

        Raises:
          OSError: it could not be written, or is nested too deeply.
        """
        path = self._path(manifest.backend, manifest.fingerprint)
        content = {"format": FORMAT} | {
            field.name: getattr(manifest, field.name) for field in attrs.fields(Manifest)
        }
        content |= {name: dict(content[name]) for name in _MAPPINGS}
        if vetting is not None:
            content["vetting"] = dict(vetting)
        try:
            text = json.dumps(content, separators=(",", ":"))
        except RecursionError as error:
            raise OSError(
                f"the lists of server '{manifest.backend}' are nested too deeply to be saved"
            ) from error
        write_atomically(path, text.encode())
        others = [other for other in self._files(manifest.backend) if other.name != path.name]
        others.sort(key=_modified, reverse=True)
        for other in others[KEPT - 1 :]:
            # It is tried again at the next save; the manifest itself is written.
            with contextlib.suppress(OSError):
                other.unlink()

    def forget(self, backend: str) -> None:
        """Remove the manifests of a backend, under every configuration.

        Raises:
          OSError: a file could not be removed.
        """
        for path in self._files(backend):
            path.unlink(missing_ok=True)

    def _path(self, backend: str, fingerprint: str) -> Path:
        return self.folder / f"{_file_name(backend)}.{_short(fingerprint)}.json"

    def _files(self, backend: str) -> Iterator[Path]:
        # `_file_name` contains no dot, so files of other backends cannot match.
        own_name = re.compile(re.escape(_file_name(backend)) + r"\.[0-9a-f]{16}\.json")
        try:
            found = [path for path in self.folder.iterdir() if own_name.fullmatch(path.name)]
        except FileNotFoundError:
            return iter(())
        return iter(found)


def _from_json(data: Mapping[str, Any]) -> Manifest | None:
    """Return the manifest in a file's content; None if it does not have the right shape."""
    saved_at = data.get("saved_at")
    valid = (
        data.get("format") == FORMAT
        and all(isinstance(data.get(name), str) for name in _TEXTS)
        and all(isinstance(data.get(name), dict) for name in _MAPPINGS)
        and all(_is_list_of_objects(data.get(name)) for name in _LISTS)
        and isinstance(saved_at, int | float)
    )
    if not valid:
        return None
    fields = {name: data[name] for name in (*_TEXTS, *_MAPPINGS, "saved_at")}
    fields |= {name: tuple(data[name]) for name in _LISTS}
    return Manifest(**fields)


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


def _file_name(backend: str) -> str:
    """Return a file name that is unique to a backend on any file system.

    All but lower-case letters, digits, `_` and `-` is written as `%` and its bytes in hex, so
    `GitHub` and `github` differ even on a file system that ignores case.
    """
    raw = backend.encode("utf-8", "surrogatepass")
    safe = b"abcdefghijklmnopqrstuvwxyz0123456789_-"
    name = "".join(chr(byte) if byte in safe else f"%{byte:02x}" for byte in raw)
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:_LONGEST_NAME]}~{hashlib.sha256(raw).hexdigest()[:16]}"


def _short(fingerprint: str) -> str:
    """Return the 16 hex digits of a fingerprint that file names contain."""
    if re.match(r"[0-9a-f]{16}", fingerprint):
        return fingerprint[:16]
    return hashlib.sha256(fingerprint.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _modified(path: Path) -> float:
    """Return the modification time of a file; 0.0 if it does not exist."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
