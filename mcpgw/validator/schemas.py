"""A JSON Schema as rules look at it: references followed, alternatives together, places known.

Everything here is bounded, as schemas come from strangers and may refer to themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

import attrs

from mcpgw.validator.result import Key

MOST_ALTERNATIVES: Final = 50
MOST_REFERENCES: Final = 16
_COMBINED: Final = ("allOf", "anyOf", "oneOf")
_KINDS: Final[Mapping[type, str]] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}
NO_SCHEMA: Final[Mapping[str, Any]] = {}


def kind_of(value: object) -> str:
    """Return the JSON type of a value; an unknown one counts as text."""
    return _KINDS.get(type(value), "string")


@attrs.frozen
class Node:
    """A schema inside of a schema, with its place in the file."""

    value: Mapping[str, Any]
    key: Key
    root: Mapping[str, Any]
    base: Key

    @classmethod
    def top(cls, schema: Mapping[str, Any] | None, key: Key) -> Node:
        """Return the node of a whole schema that stands at `key`; none is an empty one."""
        value = NO_SCHEMA if schema is None else schema
        return cls(value, key, value, key)

    def child(self, *steps: str | int) -> Node | None:
        """Return the schema below, None where there is none."""
        value: Any = self.value
        for step in steps:
            if isinstance(step, int):
                value = value[step] if isinstance(value, list) and step < len(value) else None
            else:
                value = value.get(step) if isinstance(value, Mapping) else None
        if not isinstance(value, Mapping):
            return None
        return Node(value, (*self.key, *steps), self.root, self.base)

    def followed(self) -> Node:
        """Return what a `$ref` within the schema points to, or the node itself."""
        node = self
        for _ in range(MOST_REFERENCES):
            reference = node.value.get("$ref")
            if not isinstance(reference, str) or not reference.startswith("#"):
                return node
            steps = [
                unquote(part).replace("~1", "/").replace("~0", "~")
                for part in reference[1:].split("/")
                if part
            ]
            target = Node(self.root, self.base, self.root, self.base).child(*steps)
            if target is None:
                return node
            node = target
        return node

    def alternatives(self) -> Iterator[Node]:
        """Give the node and all that it is combined of, references followed."""
        waiting, seen = [self], set[Key]()
        while waiting and len(seen) < MOST_ALTERNATIVES:
            given = waiting.pop(0)
            for node in (given, given.followed()):
                if node.key in seen:
                    continue
                seen.add(node.key)
                yield node
                for name in _COMBINED:
                    parts = node.value.get(name)
                    for index in range(len(parts) if isinstance(parts, list) else 0):
                        if (part := node.child(name, index)) is not None:
                            waiting.append(part)

    def types(self) -> set[str]:
        """Return the JSON types that it allows, told or shown; empty where nothing says so."""
        found: set[str] = set()
        for node in self.alternatives():
            told = node.value.get("type")
            if isinstance(told, str):
                found.add(told)
            elif isinstance(told, list):
                found.update(each for each in told if isinstance(each, str))
            elif (shown := shown_type(node.value)) is not None:
                found.add(shown)
        return found

    def typed(self) -> bool:
        """Tell whether it says what is allowed: by a type, an enumeration or in other words."""
        return bool(self.types()) or any(
            name in node.value for node in self.alternatives() for name in ("enum", "const", "not")
        )

    def text(self, name: str) -> str:
        """Return a text of the schema, from where it refers to if it has none itself."""
        for node in self.alternatives():
            value = node.value.get(name)
            if isinstance(value, str) and value.strip():
                return value
        return ""

    def properties(self) -> dict[str, Node]:
        """Return the declared properties; a schema `true` or `false` is an empty one."""
        found: dict[str, Node] = {}
        for node in self.alternatives():
            declared = node.value.get("properties")
            for name in declared if isinstance(declared, Mapping) else ():
                inner = node.child("properties", name)
                if inner is None:
                    place = (*node.key, "properties", name)
                    inner = Node(NO_SCHEMA, place, self.root, self.base)
                found.setdefault(name, inner)
        return found

    def required(self) -> set[str]:
        """Return the names that must be given."""
        found: set[str] = set()
        for node in self.alternatives():
            names = node.value.get("required")
            if isinstance(names, list):
                found.update(name for name in names if isinstance(name, str))
        return found

    def items(self) -> Node | None:
        """Return the schema of a list's items."""
        for node in self.alternatives():
            if (inner := node.child("items")) is not None:
                return inner
        return None


def shown_type(schema: Mapping[str, Any]) -> str | None:
    """Return the type that a schema shows without saying `type`, None where it shows none."""
    values = schema.get("enum") if isinstance(schema.get("enum"), list) else []
    kinds = {kind_of(value) for value in values or []}
    if "const" in schema:
        kinds.add(kind_of(schema["const"]))
    kinds.discard("null")
    if kinds == {"integer", "number"}:
        return "number"
    if kinds:
        return kinds.pop() if len(kinds) == 1 else None
    for kind, names in _TELLING.items():
        if any(name in schema for name in names):
            return kind
    return None


_TELLING: Final[Mapping[str, tuple[str, ...]]] = {
    "object": ("properties", "additionalProperties", "patternProperties", "minProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
    "string": ("pattern", "minLength", "maxLength", "format", "contentEncoding"),
    "number": ("minimum", "maximum", "multipleOf", "exclusiveMinimum", "exclusiveMaximum"),
}
