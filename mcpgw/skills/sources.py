"""Where skills are imported from: a file, a folder, an archive, or an address on the web."""

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
"""Gets the content of a public http(s) address; guards against private ones; has a limit."""

LARGEST_FETCHED: Final = LARGEST_ARCHIVE
"""Bytes that a `Fetch` may be asked for."""

_WEB_PAGE: Final = (b"<!doctype html", b"<html", b"<head")


def is_url(source: str) -> bool:
    """Tell whether a source is an address on the web."""
    return source.lower().startswith(("http://", "https://"))


def read_source(path: Path) -> Gathered:
    """Read the skills of a SKILL.md, a folder with one or many, or an archive.

    Of a file alone its text is taken; of a folder also the texts beside it.

    Raises:
      SkillError: there is nothing to read there, or it cannot be used as a whole.
    """
    full = Path(path).absolute()
    if full.is_dir():
        return gather(FolderFiles.of(full))
    if not full.exists():
        other = re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path))
        hint = "; of addresses only http and https are read" if other else ""
        raise SkillError(str(path), f"no such file or folder{hint}")
    data = read_regular(full, limit=LARGEST_ARCHIVE)
    return _from_bytes(data, str(full))


async def fetch_source(url: str, fetch: Fetch) -> Gathered:
    """Read the skills of a SKILL.md or an archive on the web.

    The address of a file's page at GitHub is taken for the file. The skills remember where
    they came from, without a user, a query or a fragment.

    Args:
      url: an http or https address.
      fetch: gets its content. What it raises goes through.

    Raises:
      SkillError: the address cannot be used, or what is there.
    """
    try:
        parts = urlsplit(_raw(url))
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SkillError(_without_user(url), "not an http or https address")
    if not url.isprintable() or " " in url:
        raise SkillError(url, "an address has no spaces or control characters")
    if parts.username is not None or parts.password is not None:
        raise SkillError(
            _without_user(url),
            "an address with a user or password is refused, since it would be written down",
        )
    where = parts._replace(query="", fragment="").geturl()
    data = await fetch(parts._replace(fragment="").geturl())
    if not is_archive(data) and data.lstrip()[:20].lower().startswith(_WEB_PAGE):
        raise SkillError(where, "this is a web page; give the address of the raw SKILL.md")
    found = _from_bytes(data, where)
    return attrs.evolve(
        found, skills=tuple(attrs.evolve(skill, source_url=where) for skill in found.skills)
    )


def _from_bytes(data: bytes, place: str) -> Gathered:
    if is_archive(data) or place.lower().endswith((".zip", ".tar", ".tar.gz", ".tgz")):
        return gather(read_archive(data, place))
    if len(data) > LARGEST:
        raise SkillError(place, f"it has more than {LARGEST >> 20} MiB")
    skill = parse_skill(data, place=place)
    return Gathered((_known(skill, data, place),))


def _known(skill: Skill, data: bytes, place: str) -> Skill:
    return attrs.evolve(skill, source_path=place, content_hash=content_hash(data, {}))


def _without_user(url: str) -> str:
    """Return an address, however broken, for an error that anyone may read."""
    return re.sub(r"//[^/?#]*@", "//", url)


def _raw(url: str) -> str:
    """Return the address of a file itself in place of that of its page at GitHub."""
    parts = urlsplit(url)
    names = parts.path.split("/")
    if parts.hostname == "github.com" and len(names) > 5 and names[3] == "blob":
        path = "/".join([*names[:3], *names[4:]])
        return f"https://raw.githubusercontent.com{path}"
    return url
