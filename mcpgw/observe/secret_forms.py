"""Replacement of known secrets in texts, in every form in which a text may hold them.

A server that repeats a secret rarely does so byte for byte: it may be percent-encoded in a URL,
escaped in JSON, part of a base64 text, or folded over several lines.
"""

from __future__ import annotations

import base64
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any, Final

import attrs

from mcpgw.observe.redact import PLACEHOLDER

SHORTEST_LINE: Final = 16
"""Characters from which on one line of a secret of several lines is a secret by itself."""
MOST_DEPTH: Final = 200
"""Levels of a JSON value that are searched; what is deeper is replaced as a whole."""

_MOST_ESCAPED: Final = 4_096
"""Characters up to which a secret is also searched for in escaped form."""
_SAFE: Final = ("", "/", "!*'()", "-_.!~*'()", ";,/?:@&=+$-_.!~*'()#")
"""Characters that common percent encoders leave as they are."""
_ESCAPED_BY_OTHERS: Final = ("<>&", "<>&'+`", "<>&'/")
"""Characters that the JSON encoders of Go, .NET and PHP also escape."""
_BREAK: Final = re.compile(r"\n[ \t>|*#]*|\r\n?[ \t>|*#]*|\\[nr]|=\r?\n")
"""The end of a line, raw or escaped, with the marks that quotes and folds add to the next one. Each
alternative starts with a literal, so that the search is fast."""


def forms_of(secret: str) -> frozenset[str]:
    """Return the forms of a secret in texts: raw, percent-encoded, escaped, base64 and hex.

    A secret of several lines also has the forms of its long lines.
    """
    if not secret:
        return frozenset()
    lines = secret.splitlines()
    parts = {secret, secret.strip()}
    if len(lines) > 1:
        parts |= {line.strip() for line in lines if len(line.strip()) >= SHORTEST_LINE}
        parts = {part for part in parts if not part.startswith("-----") or part == secret.strip()}
    return frozenset(form for part in parts for form in _forms(part) if form)


def _forms(secret: str) -> Iterator[str]:
    yield secret
    raw = secret.encode("utf-8", "surrogatepass")
    yield from _base64(raw)
    yield raw.hex()
    yield raw.hex().upper()
    if (secret.isascii() and secret.isalnum()) or len(secret) > _MOST_ESCAPED:
        return
    import html
    from urllib.parse import quote, quote_plus

    for safe in _SAFE:
        encoded = quote(raw, safe=safe)
        yield from (encoded, _lower_escapes(encoded))
    yield from (quote_plus(raw), _lower_escapes(quote_plus(raw)), quote(quote(raw, safe="")))
    for ascii_only in (True, False):
        once = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        yield from (once, once.replace("/", "\\/"), json.dumps(once)[1:-1])
        for letters in _ESCAPED_BY_OTHERS:
            lower = "".join(f"\\u{ord(c):04x}" if c in letters else c for c in once)
            upper = "".join(f"\\u{ord(c):04X}" if c in letters else c for c in once)
            yield from (lower, upper, lower.replace("\\", "\\\\"))
            yield from (lower.replace('\\"', "\\u0022"), upper.replace('\\"', "\\u0022"))
    yield repr(secret)[1:-1]
    yield from (html.escape(secret), html.escape(secret).replace("&#x27;", "&#39;"))
    yield secret.replace("'", "'\"'\"'")


def _lower_escapes(encoded: str) -> str:
    return re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), encoded)


def _base64(raw: bytes) -> Iterator[str]:
    """Yield the base64 texts of the secret alone, and of its part at each of three alignments.

    Of a part only those characters are certain that the bytes around it do not change.
    """
    whole = base64.b64encode(raw).decode()
    for text in (whole, whole.rstrip("=")):
        yield from (text, text.replace("+", "-").replace("/", "_"))
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw).decode()
        part = encoded[(0, 2, 3)[before] : (before + len(raw)) * 8 // 6]
        if len(part) >= 8:
            yield from (part, part.replace("+", "-").replace("/", "_"))


@attrs.frozen(repr=False)
class SecretForms:
    """All forms of some secrets, for fast replacement. A second pass changes nothing.

    Args:
      forms: texts to replace, longest first.
      longest: the length of the longest form, in characters.
    """

    forms: tuple[str, ...] = ()
    _joined: tuple[str, ...] = ()
    """The forms without line breaks, for texts in which a secret is folded."""
    longest: int = 0
    _shortest: int = 0

    @classmethod
    def of(cls, secrets: Iterable[str]) -> SecretForms:
        """Return the forms of these secrets, whatever their length."""
        found = {form for secret in secrets for form in forms_of(secret)}
        # The placeholder must not be found in itself, or a second pass would change the text.
        found = {form for form in found if form not in PLACEHOLDER}
        if not found:
            return _NOTHING
        joined = {_BREAK.sub("", form) for form in found}
        ordered = sorted(found, key=lambda form: (-len(form), form))
        long_enough = (each for each in joined if len(each) >= 6 and each not in PLACEHOLDER)
        return cls(tuple(ordered), tuple(long_enough), len(ordered[0]), len(ordered[-1]))

    def __bool__(self) -> bool:
        """Return true if there is anything to replace."""
        return bool(self.forms)

    def text(self, text: str) -> str:
        """Return a text without the secrets; the same object if it holds none."""
        spans = self._spans(text) if len(text) >= self._shortest else None
        if not spans:
            return text
        spans.sort()
        parts: list[str] = []
        end = 0
        for first, last in spans:
            if first >= end:
                parts += (text[end:first], PLACEHOLDER)
            end = max(end, last)
        return "".join((*parts, text[end:]))

    def value(self, value: Any, depth: int = MOST_DEPTH) -> Any:
        """Return a JSON value without the secrets in its texts and keys.

        Values without a secret are returned as the same object.
        """
        if value.__class__ is str:
            return self.text(value)
        if not isinstance(value, Mapping | list | tuple):
            return value
        if depth == 0:
            return PLACEHOLDER
        if isinstance(value, Mapping):
            changed = {
                self.text(key) if isinstance(key, str) else key: self.value(inner, depth - 1)
                for key, inner in value.items()
            }
            same = len(changed) == len(value) and all(
                key in changed and changed[key] is inner for key, inner in value.items()
            )
            return value if same else changed
        items = [self.value(item, depth - 1) for item in value]
        return value if all(map(_is, items, value)) else items

    def cut_end(self, text: str) -> str:
        """Return a text that was cut off, without the start of a secret at its end."""
        tail = text[-self.longest :] if self.longest else ""
        most = 0
        for form in self._joined:
            for size in range(min(len(form) - 1, len(tail)), 3, -1):
                if size <= most:
                    break
                if tail.endswith(form[:size]):
                    most = size
        return text[: len(text) - most] + PLACEHOLDER if most else text

    def _spans(self, text: str) -> list[tuple[int, int]]:
        spans = [span for form in self.forms if form in text for span in _each(form, text)]
        if "\n" in text or "\\" in text or "\r" in text:
            spans += self._folded(text)
        return spans

    def _folded(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the places of secrets that have line breaks in their midst."""
        joined = _BREAK.sub("", text)
        found = [form for form in self._joined if form in joined]
        if not found:
            return
        kept: list[str] = []
        begins: list[int] = []
        end = 0
        for match in _BREAK.finditer(text):
            if match.start() > end:
                begins.append(end)
                kept.append(text[end : match.start()])
            end = match.end()
        begins.append(end)
        kept.append(text[end:])
        offsets = [0, *accumulate(map(len, kept))]

        def place(offset: int) -> int:
            piece = min(bisect_right(offsets, offset) - 1, len(begins) - 1)
            return begins[piece] + offset - offsets[piece]

        for form in found:
            for first, last in _each(form, joined):
                yield place(first), place(last - 1) + 1


_NOTHING: Final = SecretForms()


def _is(one: object, other: object) -> bool:
    return one is other


def _each(form: str, text: str) -> Iterator[tuple[int, int]]:
    start = text.find(form)
    while start >= 0:
        yield start, start + len(form)
        start = text.find(form, start + len(form))
