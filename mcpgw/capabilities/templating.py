"""Templates: strings and JSON with placeholders for a caller's inputs and an operator's secrets.

A template is parsed once. Inserted values are never parsed for placeholders again, so an argument
such as `{env.SECRET}` stays literal text.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

import attrs

from mcpgw.config.json_path import parse_path

SECRET_ROOTS: Final = ("env", "keychain")
_PLACE: Final = re.compile(
    r"\{(\+?)([A-Za-z_][A-Za-z0-9_\-]*(?:\.[A-Za-z0-9_\-]+|\[-?[0-9]{1,9}\])*)(?:\|([^{}]*))?\}"
)


class Missing:
    """Marker for a placeholder without a value."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


@attrs.frozen
class Placeholder:
    """`{name}`, `{name.part[0]}`, `{name|default}`, `{+name}`, `{env.NAME}`, `{keychain.NAME}`."""

    text: str
    path: str
    default: str | None = None
    raw: bool = False

    @property
    def root(self) -> str:
        """The name of the input, or the kind of secret."""
        return re.split(r"[.\[]", self.path, maxsplit=1)[0]

    @property
    def secret(self) -> str | None:
        """The reference to a secret, such as `env.NAME`; None for an input."""
        root, dot, _name = self.path.partition(".")
        return self.path if dot and root in SECRET_ROOTS else None


Part = str | Placeholder


class Values(Protocol):
    """Values of placeholders."""

    def input(self, placeholder: Placeholder) -> Any:
        """Return the value of an input, None for an explicit null, MISSING if it has none."""

    def secret(self, reference: str) -> str | Missing:
        """Return a secret, MISSING if it is not set."""


@attrs.frozen
class Inputs:
    """The caller's inputs, and a function that looks up secrets."""

    inputs: Mapping[str, Any]
    secrets: Callable[[str], str | Missing]

    def input(self, placeholder: Placeholder) -> Any:
        """Return the value of an input, its default, or MISSING; None is an explicit null."""
        root, rest = _split(placeholder.path)
        value = self.inputs.get(root, MISSING)
        if rest and not isinstance(value, Missing):
            value = parse_path(rest).pick(value, MISSING)
        if isinstance(value, Missing) and placeholder.default is not None:
            return placeholder.default
        return value

    def secret(self, reference: str) -> str | Missing:
        """Return a secret, MISSING if it is not set."""
        return self.secrets(reference)


def _split(path: str) -> tuple[str, str]:
    found = re.match(r"[A-Za-z0-9_\-]+", path)
    root = found[0] if found else path
    return root, path[len(root) :].removeprefix(".")


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> tuple[Part, ...]:
    """Parse a template; braces without a placeholder are text."""
    parts: list[Part] = []
    end = 0
    for found in _PLACE.finditer(text):
        if found.start() > end:
            parts.append(text[end : found.start()])
        parts.append(Placeholder(found[0], found[2], found[3], bool(found[1])))
        end = found.end()
    if end < len(text):
        parts.append(text[end:])
    return tuple(parts)


def placeholders(template: Any) -> Iterator[Placeholder]:
    """Yield the placeholders of a string, or of all strings (not keys) in a JSON value."""
    if isinstance(template, str):
        yield from (part for part in parse(template) if isinstance(part, Placeholder))
    elif isinstance(template, Mapping):
        for value in template.values():
            yield from placeholders(value)
    elif isinstance(template, (list, tuple)):
        for value in template:
            yield from placeholders(value)


def as_text(value: Any) -> str:
    """Return a string as it is, and any other value as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def fill_text(
    template: str, values: Values, encode: Callable[[Any, Placeholder], str] | None = None
) -> str | Missing:
    """Fill a string, or return MISSING if one of its placeholders has no value or is null.

    Args:
      template: the string.
      values: the values of placeholders.
      encode: returns the value of an input as text; by default `as_text`. Secrets are inserted as
        they are.
    """
    filled: list[str] = []
    for part in parse(template):
        if isinstance(part, str):
            filled.append(part)
            continue
        if (reference := part.secret) is not None:
            value: Any = values.secret(reference)
            if isinstance(value, Missing) and part.default is not None:
                value = part.default
            text = value
        else:
            value = values.input(part)
            if value is None:
                value = MISSING if part.default is None else part.default
            if isinstance(value, Missing):
                return MISSING
            text = as_text(value) if encode is None else encode(value, part)
        if isinstance(text, Missing):
            return MISSING
        filled.append(text)
    return "".join(filled)


def fill_value(template: str, values: Values) -> Any:
    """Fill a string; a lone placeholder of an input keeps the JSON type of its value."""
    if (placeholder := lone_input(template)) is not None:
        return values.input(placeholder)
    return fill_text(template, values)


def fill_given(template: str, values: Values) -> Any:
    """Fill a string as `fill_value` does, but with null as a missing value."""
    placeholder = lone_input(template)
    if placeholder is None:
        return fill_text(template, values)
    value = values.input(placeholder)
    if value is not None:
        return value
    return MISSING if placeholder.default is None else placeholder.default


def lone_input(template: Any) -> Placeholder | None:
    """Return the placeholder of a template that is nothing but one input, otherwise None."""
    parts = parse(template) if isinstance(template, str) else ()
    if len(parts) == 1 and isinstance(parts[0], Placeholder) and parts[0].secret is None:
        return parts[0]
    return None


Function = Callable[[Any, Values], Any]


@attrs.frozen
class Filler:
    """Fills JSON templates; `functions` evaluate maps with a single key such as `$each`."""

    functions: Mapping[str, Function] = attrs.field(factory=dict)

    def fill(self, template: Any, values: Values) -> Any:
        """Fill a JSON value, or return MISSING if nothing in it has a value.

        Keys and items without a value are left out, and so are maps and lists that become empty.
        """
        if isinstance(template, str):
            return fill_value(template, values)
        if isinstance(template, Mapping):
            if len(template) == 1:
                ((key, inner),) = template.items()
                if key in self.functions:
                    return self.functions[key](inner, values)
            filled = {
                key: value
                for key, inner in template.items()
                if not isinstance(value := self.fill(inner, values), Missing)
            }
            return MISSING if template and not filled else filled
        if isinstance(template, (list, tuple)):
            items = [
                value
                for inner in template
                if not isinstance(value := self.fill(inner, values), Missing)
            ]
            return MISSING if template and not items else items
        return template
