"""Answers of token endpoints: RFC 6749, section 5, and what providers send instead."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from mcpgw.oauth.errors import ErrorAnswer, Refused, Unreachable, origin_of, quoted
from mcpgw.oauth.metadata import text_of
from mcpgw.oauth.model import LONGEST_LIFETIME, Tokens

if TYPE_CHECKING:
    from mcpgw.oauth.fetch import Answer

_BEARER_TYPES: Final = frozenset({"", "bearer", "user", "bot"})
"""Token types that are sent as `Bearer`; the last two are Slack's, and some providers send none."""


def read_tokens(
    answer: Answer,
    endpoint: str,
    *,
    asked: tuple[str, ...],
    now: float,
    secrets: tuple[str | None, ...] = (),
) -> Tokens:
    """Return the tokens in an answer of a token endpoint.

    Providers differ from RFC 6749: Slack puts the token of a user into `authed_user`, GitHub and
    Slack send errors with a status of 200, `expires_in` may be a string or null, and `scope` may be
    a list, or separated by commas.

    Args:
      answer: the answer.
      endpoint: the URL of the token endpoint.
      asked: the requested scopes, which were granted if the answer lists none.
      now: the time in seconds since 1970.
      secrets: the secrets in the request, which messages must not contain.

    Raises:
      ErrorAnswer: the server refused the request.
      Unreachable: the server cannot answer now.
      Refused: the answer contains no usable token.
    """
    where = origin_of(endpoint)
    document = answer.body or {}
    found = _with_token(document)
    if not answer.ok or found is None:
        raise _failure(answer, where, secrets)
    access = text_of(found, "access_token") or ""
    if not access.isascii() or not access.isprintable() or " " in access:
        raise Refused(f"{where} sent an access token that is not valid in a header")
    kind = found.get("token_type")
    if isinstance(kind, str) and kind.lower() not in _BEARER_TYPES:
        raise Refused(f"{where} sent a token whose type must be Bearer, but is {quoted(kind)!r}")
    lifetime = _lifetime(found.get("expires_in"))
    scopes = _scopes(found.get("scope"), asked)
    return Tokens(
        access_token=access,
        refresh_token=text_of(found, "refresh_token"),
        obtained_at=now,
        expires_at=None if lifetime is None else now + lifetime,
        scopes=asked if scopes is None else scopes,
    )


def _with_token(document: Mapping[str, object]) -> Mapping[str, object] | None:
    """Return the object that has the access token, None without one."""
    user = document.get("authed_user")
    for each in (document, user):
        if isinstance(each, Mapping) and text_of(each, "access_token"):
            return each
    return None


def _failure(answer: Answer, where: str, secrets: tuple[str | None, ...]) -> Exception:
    document = answer.body or {}
    error, description = error_of(document, secrets)
    if error:
        return ErrorAnswer(error, where, description)
    if answer.status >= 500 or answer.status == 429:
        return Unreachable(f"{where} answered a token request with HTTP {answer.status}")
    if answer.ok:
        return Refused(f"{where} sent no access token")
    return ErrorAnswer(f"HTTP {answer.status}", where, description, status=answer.status)


def error_of(
    document: Mapping[str, object], secrets: tuple[str | None, ...] = ()
) -> tuple[str, str]:
    """Return the error code and the description of an answer, "" for what is missing.

    Meta sends an object as `error`, Okta `errorCode` and `errorSummary`.
    """
    error = document.get("error")
    if isinstance(error, Mapping):
        code, details = error.get("type") or error.get("code"), error.get("message")
        return quoted(str(code or "error"), secrets=secrets), quoted(details, secrets=secrets)
    code = error or document.get("errorCode")
    details = next(
        (
            document[key]
            for key in ("error_description", "errorSummary", "message")
            if isinstance(document.get(key), str)
        ),
        "",
    )
    return quoted(code, secrets=secrets), quoted(details, secrets=secrets)


def _scopes(value: object, asked: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the granted scopes, None if the answer lists none."""
    if isinstance(value, list):
        found = [item for item in value if isinstance(item, str) and item]
    elif isinstance(value, str):
        commas = any("," in scope for scope in asked)  # which RFC 6749 allows in a scope
        found = value.split() if commas else [each for each in re.split(r"[\s,]+", value) if each]
    else:
        return None
    return tuple(dict.fromkeys(found)) or None


def _lifetime(value: object) -> float | None:
    """Return `expires_in` in seconds, None if it is unknown.

    Some servers send a string. A token that has just been issued has not expired, so zero and
    negative numbers mean nothing.
    """
    try:
        lifetime = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return None
    if isinstance(value, bool) or not math.isfinite(lifetime) or lifetime <= 0:
        return None
    return min(lifetime, LONGEST_LIFETIME)
