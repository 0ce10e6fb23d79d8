"""Reading of skill files from zip and tar archives, in memory and within size limits."""

from __future__ import annotations

import gzip
import io
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Final, Protocol, cast

import attrs

from mcpgw.skills.files import IGNORED
from mcpgw.skills.model import LARGEST, SkillError, UnusableFile

LARGEST_ARCHIVE: Final = 20 << 20
"""Greatest size of an archive, in bytes."""
LARGEST_UNPACKED: Final = 100 << 20
"""Greatest unpacked size of an archive, in bytes."""
MOST_MEMBERS: Final = 5_000

_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_GZIP: Final = b"\x1f\x8b"
_OTHERS: Final = {
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"7z\xbc\xaf": "7z",
    b"Rar!": "RAR",
    b"\x28\xb5\x2f\xfd": "Zstandard",
}
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_ENTRY: Final = b"PK\x01\x02"


@attrs.frozen
class ArchiveFiles:
    """The files of an archive that can belong to skills, by path."""

    place: str
    contents: Mapping[str, bytes] = attrs.field(repr=False)

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of the files."""
        return tuple(self.contents)

    def read(self, path: str, *, root: str, limit: int) -> bytes:
        """Return a file's content."""
        data = self.contents[path]
        if len(data) > limit:
            raise UnusableFile(f"{self.place}/{path}", f"is larger than {limit >> 10} KiB")
        return data


def is_archive(data: bytes) -> bool:
    """Return whether bytes look like an archive, even one of an unsupported kind."""
    return data.startswith((*_ZIP, _GZIP, *_OTHERS)) or data[257:262] == b"ustar"


def read_archive(data: bytes, place: str) -> ArchiveFiles:
    """Read the texts of an archive: zip, tar or tar.gz.

    Raises:
      SkillError: the archive is of another kind, broken, too large when unpacked, or has too many
        members; or a member is a link or a device or its path leads out of the archive. The
        archive is then rejected as a whole.
    """
    if len(data) > LARGEST_ARCHIVE:
        raise SkillError(place, f"the archive is larger than {LARGEST_ARCHIVE >> 20} MiB")
    for magic, kind in _OTHERS.items():
        if data.startswith(magic):
            raise SkillError(place, f"{kind} archives are not supported; use zip, tar or tar.gz")
    try:
        members = _zip(data, place) if data.startswith(_ZIP) else _tar(data, place)
        found: dict[str, bytes] = {}
        for path, content in members:
            if path in found:
                raise SkillError(place, f"two members have the path {path[:80]!r}")
            found[path] = content
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        gzip.BadGzipFile,
        EOFError,
        OSError,
        struct.error,
        ValueError,
        OverflowError,
        IndexError,
        KeyError,
        NotImplementedError,
        RuntimeError,
        RecursionError,
    ) as error:  # the exceptions that the standard library raises for malformed archives
        if isinstance(error, SkillError):
            raise
        raise SkillError(
            place, f"the archive is broken: {str(error)[:120] or 'cut off'}"
        ) from error
    return ArchiveFiles(place, found)


def _zip(data: bytes, place: str) -> Iterator[tuple[str, bytes]]:
    # Counted first, because the standard library creates an object for each member.
    if data.count(_ENTRY) > MOST_MEMBERS:
        raise _too_many(place)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(info.file_size for info in archive.infolist()) > LARGEST_UNPACKED:
            raise _too_large(place)
        for info in archive.infolist():
            path = _normalised(info.orig_filename, place)
            kind = info.external_attr >> 28 if info.create_system == 3 else 0
            if kind not in (0, 0o4, 0o10):
                raise _special_member(path, place)
            if info.is_dir() or not _is_skill_file(path):
                continue
            if info.flag_bits & 1:
                raise SkillError(place, "the archive is encrypted; unpack it first")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise SkillError(place, "its compression method is not supported; use deflate")
            with archive.open(info) as file:
                yield path, file.read(LARGEST + 1)


def _tar(data: bytes, place: str) -> Iterator[tuple[str, bytes]]:
    raw = io.BytesIO(data)
    source: _Readable = gzip.GzipFile(fileobj=raw) if data.startswith(_GZIP) else raw
    bounded = _Bounded(source, place)
    with tarfile.open(fileobj=cast(BinaryIO, bounded), mode="r|", errorlevel=2) as archive:
        for count, member in enumerate(archive, 1):
            if count > MOST_MEMBERS:
                raise _too_many(place)
            path = _normalised(member.name, place)
            if not (member.isreg() or member.isdir()):
                raise _special_member(path, place)
            if member.isdir() or not _is_skill_file(path):
                continue
            if member.issparse():
                raise SkillError(place, f"{path[:80]!r} is a sparse file; pack it without -S")
            file = archive.extractfile(member)
            if file is not None:
                yield path, file.read(LARGEST + 1)


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


@attrs.define
class _Bounded:
    """A stream that unpacks no more than `left` bytes."""

    source: _Readable
    place: str
    left: int = LARGEST_UNPACKED

    def read(self, size: int) -> bytes:
        data = self.source.read(min(size, self.left + 1))
        self.left -= len(data)
        if self.left < 0:
            raise _too_large(self.place)
        return data


def _normalised(path: str, place: str) -> str:
    """Return a member's normalised path.

    Raises:
      SkillError: the path leads out of the archive or is not UTF-8.
    """
    if "\0" in path or "\\" in path or path.startswith("/") or _DRIVE.match(path):
        raise _outside(path, place)
    parts = path.split("/")
    if ".." in parts:
        raise _outside(path, place)
    try:
        path.encode()
    except UnicodeEncodeError:
        raise SkillError(place, f"the name {path[:80]!a} is not UTF-8") from None
    return "/".join(part for part in parts if part not in ("", "."))


def _is_skill_file(path: str) -> bool:
    return not any(part in IGNORED for part in path.split("/"))


def _outside(path: str, place: str) -> SkillError:
    return SkillError(place, f"Path traversal blocked: member {path[:80]!a}; nothing was imported")


def _special_member(path: str, place: str) -> SkillError:
    return SkillError(
        place, f"member {path[:80]!a} is a link or a device; a skill must have regular files only"
    )


def _too_large(place: str) -> SkillError:
    return SkillError(place, f"it unpacks to more than {LARGEST_UNPACKED >> 20} MiB")


def _too_many(place: str) -> SkillError:
    return SkillError(place, f"it has more than {MOST_MEMBERS} members; import a part of it")
