"""Import of skills from a file, a folder, an archive or a URL."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import attrs

from mcpgw.skills.archives import LARGEST_ARCHIVE, is_archive, read_archive
from mcpgw.skills.folders import FolderFiles, read_regular
from mcpgw.skills.hashing import content_hash
from mcpgw.skills.loading import Gathered, gather
from mcpgw.skills.model import LARGEST, Skill, SkillError
from mcpgw.skills.parsing import parse_skill

Fetch = Callable[[str], Awaitable[bytes]]
"""Gets the content of a public http(s) URL; refuses private addresses and limits the size."""

LARGEST_FETCHED: Final = LARGEST_ARCHIVE
"""Greatest size of a response that a `Fetch` must accept, in bytes."""

_WEB_PAGE: Final = (b"<!doctype html", b"<html", b"<head")


def is_url(source: str) -> bool:
    """Return whether a source is an http(s) URL."""
    return source.lower().startswith(("http://", "https://"))


def read_source(path: Path) -> Gathered:
    """Read skills from a SKILL.md, a folder with one or more skills, or an archive.

    Auxiliary texts are read from folders and archives, not for a single file.

    Raises:
      SkillError: the source is missing or cannot be used as a whole.
    """
    full = Path(path).absolute()
    if full.is_dir():
        return gather(FolderFiles.of(full))
    if not full.exists():
        other = re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path))
        hint = "; only http and https URLs are supported" if other else ""
        raise SkillError(str(path), f"no such file or folder{hint}")
    data = read_regular(full, limit=LARGEST_ARCHIVE)
    return _from_bytes(data, str(full))


async def fetch_source(url: str, fetch: Fetch) -> Gathered:
    """Read skills from a SKILL.md or an archive on the web.

    The URL of a file's page at GitHub is replaced by that of the raw file. `source_url` is the
    URL without query and fragment.

    Args:
      url: an http or https URL.
      fetch: gets its content. Its exceptions are not caught.

    Raises:
      SkillError: the URL or the content cannot be used.
    """
    try:
        parts = urlsplit(_raw(url))
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SkillError(_without_user(url), "must be an http or https URL")
    if not url.isprintable() or " " in url:
        raise SkillError(url, "a URL must not contain spaces or control characters")
    if parts.username is not None or parts.password is not None:
        raise SkillError(
            _without_user(url),
            "a URL must not contain a user or password, because it is stored in the registry",
        )
    where = parts._replace(query="", fragment="").geturl()
    data = await fetch(parts._replace(fragment="").geturl())
    if not is_archive(data) and data.lstrip()[:20].lower().startswith(_WEB_PAGE):
        raise SkillError(where, "this is a web page; use the URL of the raw SKILL.md")
    found = _from_bytes(data, where)
    return attrs.evolve(
        found, skills=tuple(attrs.evolve(skill, source_url=where) for skill in found.skills)
    )


def _from_bytes(data: bytes, place: str) -> Gathered:
    if is_archive(data) or place.lower().endswith((".zip", ".tar", ".tar.gz", ".tgz")):
        return gather(read_archive(data, place))
    if len(data) > LARGEST:
        raise SkillError(place, f"is larger than {LARGEST >> 20} MiB")
    skill = parse_skill(data, place=place)
    return Gathered((_with_origin(skill, data, place),))


def _with_origin(skill: Skill, data: bytes, place: str) -> Skill:
    return attrs.evolve(skill, source_path=place, content_hash=content_hash(data, {}))


def _without_user(url: str) -> str:
    """Return a URL, even a malformed one, without credentials, for use in an error."""
    return re.sub(r"//[^/?#]*@", "//", url)


def _raw(url: str) -> str:
    """Return the URL of the raw file for the URL of a file's page at GitHub."""
    parts = urlsplit(url)
    names = parts.path.split("/")
    if parts.hostname == "github.com" and len(names) > 5 and names[3] == "blob":
        path = "/".join([*names[:3], *names[4:]])
        return f"https://raw.githubusercontent.com{path}"
    return url
