"""Parser for `WWW-Authenticate` challenges (RFC 9110, section 11.6)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import attrs

_LONGEST: Final = 16 * 1024
_MOST_SKIPPED: Final = 64
"""Unusable pieces after which parsing ends, so that its time stays proportional to the length."""
_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME: Final = re.compile(rf"({_WORD})(?=[ \t]|,|$)")
_PARAM: Final = re.compile(
    rf"({_WORD})[ \t]*=[ \t]*(?:"
    r'"((?:[^"\\]|\\.)*)"'
    r"|'([^']*)'(?=[ \t]*(?:[,;]|$)|[ \t])"
    r'|([^\s=,"](?:[^\s,"]*[^\s,";])?)'
    r"|(?=[ \t]*(?:,|$)))"
)
"""A parameter. Besides the forms of the RFC (a token, or a string in double quotes), servers send
URLs without quotes, strings in single quotes, and nothing at all."""
_BLOB: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))")
_GAP: Final = re.compile(r"[ \t,;]*")
_PIECE: Final = re.compile(r"[^\s,]+|.", re.DOTALL)


@attrs.frozen
class Challenge:
    """The parameters of a Bearer challenge, all of which are optional."""

    resource_metadata: str | None = None
    scopes: tuple[str, ...] = ()
    error: str | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Challenge | None:
        """Return the Bearer challenge of a response, None if there is none.

        The parameters of several Bearer challenges are merged; the first value counts. Without
        one, the resource metadata of another scheme are used (RFC 9728, section 5.1).

        Args:
          headers: the response's headers, their names in lower case; several
            `www-authenticate` headers are joined by commas.
        """
        challenges = parse(headers.get("www-authenticate", ""))
        bearer = [params for scheme, params in challenges if scheme == "bearer"]
        others = [params for _, params in challenges if params.get("resource_metadata")]
        if not bearer and not others:
            return None
        merged: dict[str, str] = {}
        for params in bearer or others[:1]:
            merged = {**params, **merged}
        if not merged.get("resource_metadata") and others:
            merged["resource_metadata"] = others[0]["resource_metadata"]
        return cls(
            resource_metadata=merged.get("resource_metadata", "").strip() or None,
            scopes=tuple(dict.fromkeys(merged.get("scope", "").split())),
            error=merged.get("error"),
        )


def asks_for_login(status: int, challenge: Challenge | None) -> bool:
    """Return whether the answer to a request without a token asks for a login.

    That is 401, or 403 with a challenge that names the resource metadata.
    """
    named = challenge is not None and challenge.resource_metadata is not None
    return status == 401 or (status == 403 and named)


def parse(text: str) -> list[tuple[str, dict[str, str]]]:
    """Split a header into challenges: the scheme in lower case, and its parameters.

    What cannot be parsed is skipped. A word that follows an unquoted value without a comma belongs
    to that value, as in `scope=read write`.
    """
    challenges: list[tuple[str, dict[str, str]]] = []
    text = text[:_LONGEST]
    end, at = 0, _after(_GAP, text, 0)
    unquoted, skipped = "", 0
    while at < len(text) and skipped < _MOST_SKIPPED:
        separated = "," in text[end:at] or not challenges
        param = _PARAM.match(text, at)
        if param is not None and challenges:
            name, params = param[1].lower(), challenges[-1][1]
            unquoted = name if param[4] is not None and name not in params else ""
            params.setdefault(name, _value(param))
            end, at = param.end(), _after(_GAP, text, param.end())
            continue
        scheme = _SCHEME.match(text, at)
        if scheme is not None and (separated or _starts_challenge(text, scheme.end())):
            challenges.append((scheme[1].lower(), {}))
            unquoted = ""
            end, at = scheme.end(), _after(_GAP, text, scheme.end())
            # Skip a token68, as in `Negotiate abc==`.
            blob = _BLOB.match(text, at)
            if blob is not None and text[end:at].strip(" \t") == "" and at > end:
                end, at = blob.end(), _after(_GAP, text, blob.end())
            continue
        piece = _PIECE.match(text, at)
        assert piece is not None
        if unquoted and not separated:
            challenges[-1][1][unquoted] += f" {piece[0]}"
        end, at = piece.end(), _after(_GAP, text, piece.end())
        skipped += 1
    return challenges


def _value(param: re.Match[str]) -> str:
    if param[2] is not None:
        return re.sub(r"\\(.)", r"\1", param[2])
    return param[3] if param[3] is not None else param[4] or ""


def _starts_challenge(text: str, at: int) -> bool:
    """Return whether a word that no comma precedes is a scheme: a parameter follows it."""
    return _PARAM.match(text, _after(_GAP, text, at)) is not None and text[at : at + 1] != ","


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return at if match is None else match.end()
