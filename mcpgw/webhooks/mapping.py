"""From a payload to an event: templates that name places in JSON data and headers.

Payloads come from outside, so nothing in here raises on account of one, and text that was put
in is never read again for placeholders.
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

_PATH: Final = r"[A-Za-z0-9_$@:\-]+(?:\.[A-Za-z0-9_$@:\-]+|\[[0-9]{1,9}\])*"
_PLACE: Final = re.compile(rf"\{{({_PATH})(?:\|([^{{}}]*))?\}}")
_BARE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*(?:\.[A-Za-z0-9_$@\-]+)+")
_STEP: Final = re.compile(r"[^.\[\]]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_PRIVATE: Final = re.compile(r"authorization|cookie|token|secret|password|signature|api-?key")
"""Headers that hold credentials: no template gets them."""


class Missing:
    """That a place is not there."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


@attrs.frozen
class Place:
    """A placeholder: the way to a value, and what stands there where there is none."""

    steps: tuple[str, ...]
    default: str | None = None

    @classmethod
    def of(cls, path: str, default: str | None = None) -> Place:
        """Return the place that a path such as `a.b[0].c` or `header.x-github-event` names."""
        return cls(tuple(_STEP.findall(path)), default)

    def find(self, source: Source) -> object:
        """Return the value or `MISSING`; the default is not looked at."""
        if self.steps[0] == "header" and len(self.steps) > 1:
            return source.header(".".join(self.steps[1:]))
        found: object = resolve(source.payload, self.steps, MISSING, digit_keys=True)
        return found


@attrs.frozen
class Source:
    """What a delivery says: its payload, and its headers under their names in lower case."""

    payload: object
    headers: Mapping[str, str] = attrs.field(factory=dict)

    def header(self, name: str) -> object:
        """Return a header's text; `MISSING` also for those that hold credentials."""
        name = name.lower()
        if _PRIVATE.search(name):
            return MISSING
        return self.headers.get(name, MISSING)


@attrs.frozen
class Template:
    """A text with placeholders, taken apart.

    `{a.b.0}` and `{a.b[0]}` name a place in the payload, `{header.x-github-event}` a header,
    `{a.b|text}` gives a default for a place that is missing or null. Other braces are text.
    """

    parts: tuple[str | Place, ...]

    @classmethod
    def of(cls, text: str, *, bare: bool = False) -> Template:
        """Take a text apart. It never fails: what is no placeholder is text.

        Args:
          text: the template.
          bare: whether a text that is nothing but a path with a dot (`issue.title`) is read as
            one; it is in `data`, while an event's type often looks like that.
        """
        return _template(text, bare)

    def value(self, source: Source) -> object:
        """Return the value: of a lone placeholder as it is, else the text; or `MISSING`."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Place):
            place = self.parts[0]
            found = place.find(source)
            if place.default is not None and (found is MISSING or found is None):
                return place.default
            return found
        return self.text(source)

    def text(self, source: Source) -> str | Missing:
        """Return the text with everything put in, or `MISSING` where a place has nothing."""
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
    """Return the type of an event, and whether the template gave it.

    Where there is no template, or a place in it has no value (GitHub's `ping` has no `action`),
    the type is `fallback`. Control characters are taken out and the length is bounded.
    """
    if template is None:
        return fallback, True
    found = template.text(source)
    if isinstance(found, Missing):
        return fallback, False
    cleaned = _CONTROL.sub("", found).strip()[:LONGEST_TYPE]
    return (cleaned, True) if cleaned else (fallback, False)


def event_data(templates: Mapping[str, object], source: Source) -> object:
    """Return the data of an event: what the templates give, or else the whole payload.

    Keys and list items whose templates name a place that is missing are left out, and so is a
    mapping or list of which nothing is left. Values that are no text are taken as they are.
    """
    data = _fill(templates, source)
    return source.payload if data is MISSING or not data else data


def template_problem(value: object, depth: int = 0) -> str:
    """Return what is wrong with a template or a tree of them, "" where nothing is."""
    if depth > DEEPEST_TEMPLATE:
        return f"templates are nested more than {DEEPEST_TEMPLATE} deep"
    if isinstance(value, str):
        for found in _PLACE.finditer(value):
            root, *rest = Place.of(found[1]).steps
            if root == "header" and rest and _PRIVATE.search(".".join(rest).lower()):
                return f"`{found[0]}` holds a credential, which no event may carry"
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
