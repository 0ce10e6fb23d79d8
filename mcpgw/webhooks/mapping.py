"""Templates that map a payload and its headers to the type and data of an event.

Payloads are untrusted: no function here raises because of one, and inserted text is never parsed
for placeholders again.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

import attrs

from mcpgw.config.json_path import resolve

LONGEST_TYPE: Final = 200
"""Characters of an event's type."""
DEEPEST_TEMPLATE: Final = 20
"""Levels of nested templates."""

_PATH: Final = r"[A-Za-z0-9_$@:\-]+(?:\.[A-Za-z0-9_$@:\-]+|\[[0-9]{1,9}\])*"
_PLACE: Final = re.compile(rf"\{{({_PATH})(?:\|([^{{}}]*))?\}}")
_BARE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*(?:\.[A-Za-z0-9_$@\-]+)+")
_STEP: Final = re.compile(r"[^.\[\]]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_PRIVATE: Final = re.compile(r"authorization|cookie|token|secret|password|signature|api-?key")
"""Headers that may hold credentials; templates cannot read them."""


class Missing:
    """Marker for a value that does not exist."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


@attrs.frozen
class Place:
    """A placeholder: the path of a value, and a default for a missing one."""

    steps: tuple[str, ...]
    default: str | None = None

    @classmethod
    def of(cls, path: str, default: str | None = None) -> Place:
        """Parse a path such as `a.b[0].c` or `header.x-github-event`."""
        return cls(tuple(_STEP.findall(path)), default)

    def find(self, source: Source) -> object:
        """Return the value or `MISSING`; the default is ignored."""
        if self.steps[0] == "header" and len(self.steps) > 1:
            return source.header(".".join(self.steps[1:]))
        found: object = resolve(source.payload, self.steps, MISSING, digit_keys=True)
        return found


@attrs.frozen
class Source:
    """A delivery: its payload, and its headers by their names in lower case."""

    payload: object
    headers: Mapping[str, str] = attrs.field(factory=dict)

    def header(self, name: str) -> object:
        """Return the value of a header; `MISSING` also for headers that may hold credentials."""
        name = name.lower()
        if _PRIVATE.search(name):
            return MISSING
        return self.headers.get(name, MISSING)


@attrs.frozen
class Template:
    """A parsed template.

    `{a.b.0}` and `{a.b[0]}` refer to the payload, `{header.x-github-event}` to a header;
    `{a.b|text}` has a default for a value that is missing or null. Other braces are text.
    """

    parts: tuple[str | Place, ...]

    @classmethod
    def of(cls, text: str, *, bare: bool = False) -> Template:
        """Parse a template; anything that is not a placeholder is text.

        Args:
          text: the template.
          bare: whether a text that is only a path with a dot (`issue.title`) is a placeholder.
            It is one in `data`, but not in `event_type`, whose values often look like that.
        """
        return _template(text, bare)

    def value(self, source: Source) -> object:
        """Return the value of a lone placeholder, else the text; `MISSING` without a value."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Place):
            place = self.parts[0]
            found = place.find(source)
            if place.default is not None and (found is MISSING or found is None):
                return place.default
            return found
        return self.text(source)

    def text(self, source: Source) -> str | Missing:
        """Return the filled text, `MISSING` if a placeholder has neither value nor default."""
        pieces = []
        for part in self.parts:
            if isinstance(part, str):
                pieces.append(part)
                continue
            found = part.find(source)
            if found is MISSING or found is None:
                if part.default is None:
                    return MISSING
                found = part.default
            pieces.append(found if isinstance(found, str) else _json(found))
        return "".join(pieces)


def event_type(template: Template | None, fallback: str, source: Source) -> tuple[str, bool]:
    """Return the type of an event, and False if the template could not be filled.

    Without a template, or if a placeholder has no value (GitHub's `ping` has no `action`), the
    type is `fallback`. Control characters are removed and the length is limited.
    """
    if template is None:
        return fallback, True
    found = template.text(source)
    if isinstance(found, Missing):
        return fallback, False
    cleaned = _CONTROL.sub("", found).strip()[:LONGEST_TYPE]
    return (cleaned, True) if cleaned else (fallback, False)


def event_data(templates: Mapping[str, object], source: Source) -> object:
    """Return the data of an event: the filled templates, else the whole payload.

    Keys and list items without a value are left out, and so are maps and lists that become
    empty. Values other than strings are copied.
    """
    data = _fill(templates, source)
    return source.payload if data is MISSING or not data else data


def template_problem(value: object, depth: int = 0) -> str:
    """Return what is wrong with a template or a tree of templates, "" if nothing is."""
    if depth > DEEPEST_TEMPLATE:
        return f"templates must not be nested more than {DEEPEST_TEMPLATE} levels deep"
    if isinstance(value, str):
        for found in _PLACE.finditer(value):
            root, *rest = Place.of(found[1]).steps
            if root == "header" and rest and _PRIVATE.search(".".join(rest).lower()):
                return f"`{found[0]}` may hold a credential, which an event must not carry"
        return ""
    problems: Iterator[str] = iter(())
    if isinstance(value, Mapping):
        problems = (template_problem(each, depth + 1) for each in value.values())
    elif isinstance(value, list | tuple):
        problems = (template_problem(each, depth + 1) for each in value)
    return next((problem for problem in problems if problem), "")


def _fill(template: object, source: Source) -> object:
    if isinstance(template, str):
        return Template.of(template, bare=True).value(source)
    if isinstance(template, Mapping):
        filled = {str(key): _fill(each, source) for key, each in template.items()}
        kept = {key: each for key, each in filled.items() if each is not MISSING}
        return kept if kept or not template else MISSING
    if isinstance(template, list | tuple):
        items = [each for each in (_fill(each, source) for each in template) if each is not MISSING]
        return items if items or not template else MISSING
    return template


@functools.lru_cache(maxsize=1024)
def _template(text: str, bare: bool) -> Template:
    if bare and _BARE.fullmatch(text):
        return Template((Place.of(text),))
    parts: list[str | Place] = []
    end = 0
    for found in _PLACE.finditer(text):
        if found.start() > end:
            parts.append(text[end : found.start()])
        parts.append(Place.of(found[1], found[2]))
        end = found.end()
    if end < len(text) or not parts:
        parts.append(text[end:])
    return Template(tuple(parts))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
