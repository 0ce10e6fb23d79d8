"""Redaction of credentials in logs, errors and reports."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Final

from mcpgw.observe.token_formats import SECRET_URLS, TOKENS

PLACEHOLDER: Final = "[redacted]"

# The group `secret` of each pattern is replaced. Redaction must take linear time for any text, and
# redacting twice must change nothing more. Hence the rules for all patterns:
# - an unbounded repetition is entered at most a few times for the same run of characters;
# - a secret is not followed by `-` or a word character, so that the remaining text does not start
#   with a token (`_START`) after the replacement;
# - a match does not depend on the text after it, and its remaining text contains no match.
_START: Final = r"(?:(?<![\w-])|(?<=\\[nrt]))"
"""The start of a word, also right after an escaped line end."""

_TOKEN: Final = rf"(?:{'|'.join(TOKENS)})[\w-]*"
_KEY: Final = (
    r"(?:passw(?:or)?d|passphrase|passcode|secret|token"
    r"|(?:api|access|private|signing|encryption|account|shared[_-]?access|subscription|master|auth)"
    r"[_-]?key)"
    # `API_KEY_PROD`, `SECRET_ACCESS_KEY`; not `TOKEN_COUNT`, `tokens`, `secretary`.
    r"(?:[_-](?!count|limit|type|name|ur[il]|file|path|endpoint|expir|santa|manager|store|version"
    r"|provider|length|size|budget|usage|scope|id\b)[a-z0-9]{1,16}){0,2}"
)
_PLAIN_WORD: Final = (
    r"(?:null|none|true|false|undefined|missing|required|invalid|expired|not|is|must|to|and|or"
    r"|for|option|flag|argument|value|if|when|with|\d{1,3})(?:[\s,;&.)}\]]|$)"
)
"""Words after `token:` or `--token` in messages that are not secrets."""
_REFERENCE: Final = r"\$\{"
"""The start of a reference to a variable, which is not a secret."""
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
    # An unknown scheme is redacted with the secret. A known one is kept, and never taken for the
    # secret itself, or a second pass would redact it.
    r"(?:(?:bearer|basic|digest|negotiate|token|api-?key)[ \t]+)?+"
    rf"(?!{_REFERENCE})(?P<secret>[^\s\"',;\\]{{6,}}(?:[ \t]+[^\s\"',;\\]+)?)"
)
_BEARER: Final = (
    r"(?:bearer|basic)[ \t]{1,3}"
    # A digit, or more letters than a word has: "basic authentication" is not a credential.
    r"(?P<secret>(?=[\w.~+/=-]*\d)[\w.~+/=-]{8,}|[\w.~+/=-]{24,})"
)
_JSON_IN_A_STRING: Final = (
    rf"{_KEY}\\{{1,3}}\"[ \t]{{0,4}}:[ \t]{{0,4}}\\{{1,3}}\"(?P<secret>[^\"\\\n]+)"
)
_ASSIGNMENT: Final = rf"{_KEY}[\"']?[ \t]{{0,4}}(?:=>|[=:])[ \t]{{0,4}}{_VALUE}"
_SHORT_NAME: Final = (
    # `PWD` is also the working folder. `pass: 3` is the result of a test.
    r"(?:(?<![a-z])pwd[\"']?[ \t]{0,4}[=:]|(?<![a-z])(?:pass|pw)[\"']?=)"
    rf"[ \t]{{0,4}}(?![\"']?(?:[/~.]|[a-z]:[\\/])){_VALUE}"
)
_SIGNED_URL: Final = (
    r"[?&;](?:sig|signature|x-(?:amz|goog)-(?:signature|credential)|auth|code|key)="
    r"(?P<secret>[^\s&\"'<>#\\]{8,})"
)
_COOKIE: Final = (
    r"(?:set-)?cookie\\{0,3}[\"']?[ \t]{0,4}[=:][ \t]{0,4}\\{0,3}[\"']?"
    rf"(?!{_REFERENCE})(?P<secret>[^\s=;,\"'\\]{{1,100}}=[^\r\n\"'\\]+)"
)
_OPTION: Final = rf"--(?:[a-z0-9]{{1,16}}-){{0,3}}{_KEY}(?:[\"'],[ \t]{{0,3}}|[ \t]{{1,3}}){_VALUE}"


def redact(text: str) -> str:
    """Replace credentials in a foreign text by `[redacted]`.

    Credentials are recognised by what they look like: bearer tokens and other
    `Authorization` headers, cookies, tokens of well-known services, JSON Web Tokens, private keys
    in PEM format, user and password in URLs, signatures in URLs, and values assigned to a password,
    secret, token or API key (`key=value`, `key: value`, `"key": "value"`, `--key value`).

    This is a second line of defence: `Redactor` knows the configured secrets.
    A second pass changes nothing, and the time is linear in the length of the text.
    """
    pieces = text.split(PLACEHOLDER)
    for pattern in _patterns():
        pieces = [part for piece in pieces for part in _without_secrets(pattern, piece)]
    return PLACEHOLDER.join(pieces)


@functools.cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    """Return the patterns, compiled on first use, because that would slow down the start."""
    exact = (_PRIVATE_KEY, _USER_OF_URL, *SECRET_URLS, rf"{_START}(?P<secret>{_TOKEN})")
    any_case = (
        *(_COOKIE, _AUTHORIZATION, _BEARER, _JSON_IN_A_STRING, _ASSIGNMENT, _OPTION),
        *(_SHORT_NAME, _SIGNED_URL),
    )
    return (
        *(re.compile(pattern, re.ASCII) for pattern in exact),
        *(re.compile(pattern, re.ASCII | re.IGNORECASE) for pattern in any_case),
    )


def _without_secrets(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    """Yield the parts of a text around the secrets that a pattern matches."""
    start = 0
    for match in pattern.finditer(text):
        first, end = match.span("secret")
        yield text[start:first]
        start = end
    yield text[start:]
