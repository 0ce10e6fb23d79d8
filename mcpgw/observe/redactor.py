"""The configured secrets of one source, kept out of every text that leaves the gateway."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs

from mcpgw.observe.redact import PLACEHOLDER, redact
from mcpgw.observe.secret_forms import SecretForms

ERROR_LIMIT: Final = 4_096
"""Characters of a foreign error text that are kept."""
MOST_PARTS: Final = 1_000
"""Values in the data of an error that are kept."""
REMEMBERED: Final = 256
"""Earlier secrets of a source, such as tokens that were renewed, that are still replaced."""

_MARGIN: Final = 512
"""Characters beyond a limit that are searched, so that a secret at the limit is seen whole."""
_LAST_WORD: Final = re.compile(r"\S{1,256}\Z")
_PLAIN: Final = frozenset(
    """anonymous application authenticated automatic available certificate chromium container
    critical database default delegated development disabled document documents enabled
    enterprise everyone everything external filesystem information integration interactive
    internal keyboard language localhost maintenance memory metadata none notification
    notifications optional password permissive placeholder plaintext postgres postgresql
    pre-production preview private production project protected public read-only read-write
    readonly readwrite redacted registry required restricted sandbox secondary security
    selenium session sessions standard stateless staging standalone storage streamable
    streamable-http structured temporary terminal training transport undefined unlimited
    unrestricted username warnings websocket workflow workspace""".split()  # noqa: SIM905 - a list would fill the page
)
"""Words of 8 and more letters that are common as settings, and in results."""


def counts(value: str) -> bool:
    """Return true if a value can be a secret that is replaced wherever it appears.

    Not below 6 characters; below 8 only with letters and digits; never a plain word of settings,
    such as `true`, `production` or `read-only`, a number of up to 7 digits, or the placeholder.
    """
    value = value.strip()
    if len(value) < 8:
        return len(value) >= 6 and any(map(str.isalpha, value)) and any(map(str.isdigit, value))
    return value.lower() not in _PLAIN and value not in PLACEHOLDER and len(set(value)) > 2


@attrs.define(eq=False, repr=False)
class Redactor:
    """Replaces the secrets of one source: a server of gateway.yaml, a login, a webhook.

    Args:
      secrets: values that are certainly secrets; they are replaced everywhere.
      suspects: values that may be none; they are replaced in errors and logs, but not in results,
        which may hold them for good reason.
      current: returns further secrets, such as tokens that are renewed from time to time.
    """

    secrets: tuple[str, ...] = ()
    suspects: tuple[str, ...] = ()
    current: Callable[[], Iterable[str]] | None = None
    _seen: dict[str, None] = attrs.field(factory=dict)
    _certain: SecretForms = attrs.field(factory=SecretForms)
    _all: SecretForms = attrs.field(factory=SecretForms)

    def __attrs_post_init__(self) -> None:
        self._compile()

    def __repr__(self) -> str:
        return f"<Redactor of {len(self.secrets) + len(self._seen)} secrets>"

    def __bool__(self) -> bool:
        """Return true if it knows any secret."""
        self._refresh()
        return bool(self._all)

    def result(self, value: Any) -> Any:
        """Return a JSON value without secrets in its texts and keys; the same object if none."""
        self._refresh()
        return self._certain.value(value) if self._certain else value

    def known(self, text: str) -> str:
        """Return a text in our own words without known secrets."""
        self._refresh()
        return self._all.text(text) if self._all else text

    def foreign(self, text: str, limit: int = ERROR_LIMIT) -> str:
        """Return a foreign text without known secrets and without what looks like one.

        It is cut to `limit` characters first, so that the time is bounded.
        """
        self._refresh()
        window = limit + _MARGIN + self._all.longest
        cut = len(text) > window
        if cut:
            # The start of a secret at the cut could no longer be recognised.
            text = self._all.cut_end(_LAST_WORD.sub("", text[:window]))
        text = redact(self._all.text(text))
        return text if len(text) <= limit and not cut else f"{text[: limit - 1]}…"

    def error(self, value: Any) -> Any:
        """Return the data of a foreign error like `foreign`; what is too large is left out."""
        left = MOST_PARTS
        room = 4 * ERROR_LIMIT

        def bounded(value: Any, depth: int) -> Any:
            nonlocal left, room
            left -= 1
            if isinstance(value, str):
                if room <= 0:
                    return "…"
                text = self.foreign(value, min(ERROR_LIMIT, room))
                room -= len(text)
                return text
            if not isinstance(value, dict | list):
                return value
            if depth == 0 or left <= 0:
                return "…"
            if isinstance(value, list):
                return [bounded(inner, depth - 1) for inner in value[: max(left, 0)]]
            kept: dict[str, Any] = {}
            for key, inner in value.items():
                if left <= 0:
                    break
                secret = isinstance(inner, str) and _names_secret(key)
                shown = PLACEHOLDER if secret else bounded(inner, depth - 1)
                kept[self.foreign(key, 200)] = shown
            return kept

        return bounded(value, 20)

    def _refresh(self) -> None:
        if self.current is not None:
            new = [each for each in self.current() if each and each not in self._seen]
            if new:
                self._seen |= dict.fromkeys(new)
                while len(self._seen) > REMEMBERED:
                    del self._seen[next(iter(self._seen))]
                self._compile()

    def _compile(self) -> None:
        certain = {each for each in (*self.secrets, *self._seen) if counts(each)}
        self._certain = SecretForms.of(certain)
        self._all = SecretForms.of({*certain, *filter(counts, self.suspects)})


def _names_secret(key: str) -> bool:
    return len(key) < 100 and PLACEHOLDER in redact(f"{key}=0123abcd")
