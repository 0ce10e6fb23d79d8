"""Skills and archives for tests."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path


def text_of(name: str, description: str = "Do a thing.", body: str = "# Title\n") -> str:
    """Return the text of a SKILL.md."""
    return f"---\nname: {name}\ndescription: {description}\n---\n{body}"


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files below a folder and return the folder."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def zipped(files: Mapping[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return buffer.getvalue()


def tarred(
    files: Mapping[str, str | bytes],
    *,
    mode: str = "w:gz",
    members: tuple[tarfile.TarInfo, ...] = (),
) -> bytes:
    """Return a tar archive with plain files, then further members without content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for path, text in files.items():
            data = text.encode() if isinstance(text, str) else text
            info = tarfile.TarInfo(path)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for member in members:
            archive.addfile(member)
    return buffer.getvalue()
