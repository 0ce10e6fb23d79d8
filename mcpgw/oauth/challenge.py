"""Parser for `WWW-Authenticate` challenges (RFC 9110, section 11.6)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import attrs

_LONGEST: Final = 16 * 1024
_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME: Final = re.compile(rf"({_WORD})(?=[ \t]|,|$)")
_PARAM: Final = re.compile(rf'({_WORD})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_WORD}))')
_BLOB: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))")
_GAP: Final = re.compile(r"[ \t,]*")


@attrs.frozen
class Challenge:
    """The parameters of a Bearer challenge, all of which are optional."""

    resource_metadata: str | None = None
    scopes: tuple[str, ...] = ()
    error: str | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Challenge | None:
        """Return the first Bearer challenge of a response, None if there is none.

        Args:
          headers: the response's headers, their names in lower case; several
            `www-authenticate` headers are joined by commas.
        """
        for scheme, params in parse(headers.get("www-authenticate", "")):
            if scheme == "bearer":
                return cls(
                    resource_metadata=params.get("resource_metadata") or None,
                    scopes=tuple(dict.fromkeys(params.get("scope", "").split())),
                    error=params.get("error"),
                )
        return None


def parse(text: str) -> list[tuple[str, dict[str, str]]]:
    """Split a header into challenges: the scheme in lower case, and its parameters.

    Parsing stops at the first error; the challenges before it are returned.
    """
    challenges: list[tuple[str, dict[str, str]]] = []
    text = text[:_LONGEST]
    at = _after(_GAP, text, 0)
    while at < len(text):
        param = _PARAM.match(text, at)
        if param is not None and challenges:
            value = param[3] if param[2] is None else re.sub(r"\\(.)", r"\1", param[2])
            challenges[-1][1].setdefault(param[1].lower(), value)
            at = _after(_GAP, text, param.end())
            continue
        scheme = _SCHEME.match(text, at)
        if scheme is None:
            break
        challenges.append((scheme[1].lower(), {}))
        at = _after(_GAP, text, scheme.end())
        # Skip a token68, as in `Negotiate abc==`.
        if not _PARAM.match(text, at) and text[scheme.end() : at].strip(" \t") == "":
            blob = _BLOB.match(text, at)
            if blob is not None:
                at = _after(_GAP, text, blob.end())
    return challenges


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return at if match is None else match.end()
