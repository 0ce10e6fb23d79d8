"""Blanking of credentials in text that people or programs will read: logs, errors, reports."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterator
from typing import Final

PLACEHOLDER: Final = "[redacted]"

# Each pattern cuts out its group `secret`. Text of any kind must take linear time, and what was
# cut once must stay as it is the second time. Hence the rules for all patterns:
# - a repetition without a bound is entered at most a few times for the same run of characters;
# - a cut ends where no `-` or word character follows, so that what comes after it does not turn
#   into the start of a token (`_START`) by standing alone;
# - a match does not depend on what comes after it, and none is found in what is kept of it.
_START: Final = r"(?:(?<![\w-])|(?<=\\[nrt]))"
"""The start of a word, also right after a line end that was written as an escape."""

_TOKEN: Final = "|".join(
    (
        r"sk-(?=[\w-]*\d)[\w-]{16,}",  # OpenAI, Anthropic and those that follow them
        r"[sr]k_(?:live|test)_\w{16,}[\w-]*",  # Stripe
        r"gh[pousr]_\w{16,}[\w-]*|github_pat_\w{16,}[\w-]*",
        r"glpat-[\w-]{16,}",
        r"(?:AKIA|ASIA)[0-9A-Z]{16}[\w-]*",  # AWS
        r"AIza[\w-]{30,}",  # Google
        r"xox[a-z]-[\w-]{8,}|xapp-[\w-]{8,}",  # Slack
        r"npm_\w{30,}[\w-]*|pypi-[\w-]{30,}|hf_\w{20,}[\w-]*",
        r"eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*){1,4}",  # JWT
    )
)
_KEY: Final = (
    r"(?:passw(?:or)?d|passphrase|passcode|secret|token"
    r"|(?:api|access|private|signing|encryption)[_-]?key)"
    # `API_KEY_PROD`, `SECRET_ACCESS_KEY`; not `TOKEN_COUNT`, `tokens`, `secretary`.
    r"(?:[_-](?!count|limit|type|name|ur[il]|file|path|endpoint|expir)[a-z0-9]{1,16}){0,2}"
)
_PLAIN_WORD: Final = (
    r"(?:null|none|true|false|undefined|missing|required|invalid|expired|not|is|must|to|and|or"
    r"|for|option|flag|argument|value|if|when|with|\d{1,3})(?:[\s,;&.)}\]]|$)"
)
"""What stands after `token:` or `--token` in messages, and is worth reading."""
_REFERENCE: Final = r"\$\{"
"""The start of a reference to a variable, which tells a reader more than a blank."""
_VALUE: Final = (
    rf"(?P<quote>[\"'])?(?!{_REFERENCE}|<)(?P<secret>(?(quote)(?:(?!(?P=quote))[^\\\n]|\\.)++"
    rf"|(?!{_PLAIN_WORD})(?:[^\s\"'\\,;&)}}\]>]|\\(?![nrt\"']))+))"
)
_PRIVATE_KEY: Final = (
    r"(?P<secret>-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:[\w+/=\s\\:,.()]++|-(?!-))*+(?:-----END [A-Z0-9 ]{0,40}-----[\w-]*)?)"
)
_USER_OF_URL: Final = r"://(?P<secret>[^\s/?#:@\"'<>]*:[^\s/?#\"'<>]*)@"
_AUTHORIZATION: Final = (
    r"authorization\\{0,3}[\"']?[ \t]{0,4}[=:][ \t]{0,4}\\{0,3}[\"']?"
    # A scheme that is not known goes with the secret. A known one stays, and is never taken
    # for the secret itself, or a second pass would cut it out.
    r"(?:(?:bearer|basic|digest|negotiate|token|api-?key)[ \t]+)?+"
    rf"(?!{_REFERENCE})(?P<secret>[^\s\"',;\\]{{6,}}(?:[ \t]+[^\s\"',;\\]+)?)"
)
_BEARER: Final = (
    r"(?:bearer|basic)[ \t]{1,3}"
    # A digit, or more letters than a word has: "basic authentication" is no credential.
    r"(?P<secret>(?=[\w.~+/=-]*\d)[\w.~+/=-]{8,}|[\w.~+/=-]{24,})"
)
_JSON_IN_A_STRING: Final = (
    rf"{_KEY}\\{{1,3}}\"[ \t]{{0,4}}:[ \t]{{0,4}}\\{{1,3}}\"(?P<secret>[^\"\\\n]+)"
)
_ASSIGNMENT: Final = rf"{_KEY}[\"']?[ \t]{{0,4}}(?:=>|[=:])[ \t]{{0,4}}{_VALUE}"
_OPTION: Final = rf"--(?:[a-z0-9]{{1,16}}-){{0,3}}{_KEY}(?:[\"'],[ \t]{{0,3}}|[ \t]{{1,3}}){_VALUE}"


def redact(text: str, secrets: Collection[str] = ()) -> str:
    """Return a text with `[redacted]` in place of credentials.

    These are the given values, and what looks like a credential: bearer tokens and other
    `Authorization` headers, the tokens of well-known services, JSON web tokens, private keys in
    PEM form, the user and password of a URL, and values that are assigned to a password, secret,
    token or API key (`key=value`, `key: value`, `"key": "value"`, `--key value`).

    It is the last net, not the first: a credential of no known shape is only found where it is
    given. A second pass changes nothing, and the time is linear in the length of the text.

    Args:
      text: any text.
      secrets: values to blank wherever they stand. So that text stays readable, values count
        from 8 characters on, and from 6 on where they have both letters and digits.
    """
    pieces = text.split(PLACEHOLDER)
    for secret in sorted({value for value in secrets if _counts(value)}, key=len, reverse=True):
        pieces = [part for piece in pieces for part in piece.split(secret)]
    for pattern in _patterns():
        pieces = [part for piece in pieces for part in _cut(pattern, piece)]
    return PLACEHOLDER.join(pieces)


@functools.cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    """Return the patterns, compiled once they are needed: that takes longer than some starts."""
    exact = (_PRIVATE_KEY, _USER_OF_URL, rf"{_START}(?P<secret>{_TOKEN})")
    any_case = (_AUTHORIZATION, _BEARER, _JSON_IN_A_STRING, _ASSIGNMENT, _OPTION)
    return (
        *(re.compile(pattern, re.ASCII) for pattern in exact),
        *(re.compile(pattern, re.ASCII | re.IGNORECASE) for pattern in any_case),
    )


def _counts(value: str) -> bool:
    """Tell whether a value is long enough to be a secret and not a number, flag or word."""
    if len(value) >= 8:
        return True
    return len(value) >= 6 and any(map(str.isalpha, value)) and any(map(str.isdigit, value))


def _cut(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    """Return what is left of a text around the secrets that a pattern finds."""
    start = 0
    for match in pattern.finditer(text):
        first, end = match.span("secret")
        yield text[start:first]
        start = end
    yield text[start:]
