"""The files of a skill besides SKILL.md: which of them are taken, and their media types."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote

BESIDE: Final = ("SKILL.advanced.md", "reference.md", "README.md")
"""Texts in the folder of SKILL.md that are taken first, whether they are named or not."""
BELOW: Final = ("resources", "references")
"""Folders whose `*.md` files are taken first."""
IGNORED: Final = frozenset(
    {"node_modules", "__MACOSX", "__pycache__", ".git", ".hg", ".svn", ".venv", ".tox", ".nox"}
    | {".mypy_cache", ".pytest_cache", ".ruff_cache", ".cache", ".idea", ".vscode"}
)
"""Folders that never contain a skill, or files of one."""
CODE: Final = frozenset(
    {".py", ".js", ".mjs", ".ts", ".tsx", ".jsx", ".sh", ".bash", ".rb", ".pl", ".go", ".rs"}
    | {".java", ".c", ".h", ".cpp", ".css", ".xsd", ".svg", ".xml", ".lock", ".ps1", ".sql"}
)
"""Suffixes of code and data, which are not written for a model to follow."""
_TYPES: Final = {
    ".md": "text/markdown",
    ".txt": "text/plain",
    ".html": "text/html",
    ".css": "text/css",
    ".csv": "text/csv",
    ".py": "text/x-python",
    ".sh": "text/x-shellscript",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".ts": "text/x-typescript",
    ".json": "application/json",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".xml": "application/xml",
    ".xsd": "application/xml",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".pdf": "application/pdf",
    ".zip": "application/zip",
    ".ttf": "font/ttf",
    ".otf": "font/otf",
    ".woff2": "font/woff2",
}
_WORD: Final = re.compile(r"[A-Za-z0-9_.%@+~/-]+")
_LINK: Final = re.compile(r"\]\(\s*<?([^)<>\n]+?)>?\s*(?:\"[^\"]*\"\s*)?\)|`([^`\n]+)`")


def media_type(path: str, *, text: bool) -> str:
    """Return the media type of a file by its suffix.

    Args:
      path: the file's path in the skill.
      text: whether it is a text.
    """
    known = _TYPES.get(PurePosixPath(path).suffix.lower())
    if known is not None:
        return known
    return "text/plain" if text else "application/octet-stream"


def is_hidden(path: str) -> bool:
    """Return whether a file is hidden in its skill, such as `.env`, or in a folder to ignore."""
    parts = path.split("/")
    return any(part.startswith(".") or part in IGNORED for part in parts)


def is_first(path: str) -> bool:
    """Return whether a file is taken before others because of its name."""
    folder, _, name = path.rpartition("/")
    return path in BESIDE or (folder in BELOW and name.endswith(".md"))


def named_in(text: str, paths: Iterable[str]) -> list[str]:
    """Return the files that a text names: in links, code, or as a plain word.

    A file is named by its path, by the end of its path, or by its own name, if it has a suffix.

    Args:
      text: a text of the skill.
      paths: the paths of the skill's files.
    """
    words = {word.rstrip(".") for word in _WORD.findall(text)}
    words |= {part for found in _LINK.findall(text) for part in found if part}
    plain = {unquote(word.partition("#")[0]).strip().removeprefix("./") for word in words}
    ends = {word.rpartition("/")[2] for word in plain}
    return [
        path
        for path in paths
        if path in plain or ("." in PurePosixPath(path).name and PurePosixPath(path).name in ends)
    ]
