"""Reading of the other documents that an OpenAPI document refers to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

LARGEST_FILE: Final = 5 * 1024 * 1024
"""Bytes of one document."""
MOST_FILES: Final = 3_000
LEVELS_UP: Final = 3
"""Folders above that of the document that its references may reach (`../common/x.yaml`)."""
SUFFIXES: Final = (".json", ".yaml", ".yml")

Read = Callable[[str], str]
"""Returns the text of the document at a URI; raises `ReadProblem`."""


class ReadProblem(ValueError):
    """A referenced document that cannot be read; the text is the reason, as a predicate."""


def local_reader(document: Path) -> Read:
    """Return a reader of the files around a document.

    Only JSON and YAML files are read, of the document's folder or at most `LEVELS_UP` folders
    above it, and none in hidden folders, so that a foreign document cannot pull other files of
    the user into the descriptions that a model reads.
    """
    folder = document.resolve().parent
    top = (folder, *folder.parents)[: LEVELS_UP + 1][-1]

    def read(uri: str) -> str:
        if not uri.startswith("file:"):
            raise ReadProblem("is not a local file and is not fetched")
        path = Path(unquote(urlsplit(uri).path)).resolve()
        if path.suffix.lower() not in SUFFIXES:
            raise ReadProblem("is not a JSON or YAML file and is not read")
        if not path.is_relative_to(top):
            raise ReadProblem("is too far outside of the document's folder and is not read")
        common = next(each for each in (folder, *folder.parents) if path.is_relative_to(each))
        if any(part.startswith(".") for part in path.relative_to(common).parts):
            raise ReadProblem("is hidden and is not read")
        try:
            if not path.is_file():
                raise ReadProblem("does not exist")
            if path.stat().st_size > LARGEST_FILE:
                raise ReadProblem(f"is larger than {LARGEST_FILE >> 20} MiB")
            return path.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError):
            raise ReadProblem("cannot be read") from None

    return read


def remote_reader(url: str, fetch: Callable[[str], bytes]) -> Read:
    """Return a reader of documents at the origin of a document.

    Args:
      url: URL of the document.
      fetch: fetches a URL under the address policy; raises `ReadProblem`.
    """
    own = urlsplit(url)

    def read(uri: str) -> str:
        parts = urlsplit(uri)
        if (parts.scheme, parts.netloc) != (own.scheme, own.netloc):
            raise ReadProblem("is at another origin and is not fetched")
        data = fetch(uri)
        if len(data) > LARGEST_FILE:
            raise ReadProblem(f"is larger than {LARGEST_FILE >> 20} MiB")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise ReadProblem("is not UTF-8 text") from None

    return read
