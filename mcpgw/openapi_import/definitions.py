"""`$defs` of a tool's schema: the components that it refers to, each once."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import attrs

from mcpgw.openapi_import.schemas import DEFINITIONS, MAPS, SCHEMAS, VALUES

LARGEST: Final = 250_000
"""Characters of a schema as JSON, far more than a model can use."""
FEWEST: Final = 5
"""Components that are kept in any case."""
DEEPEST: Final = 24
"""Levels up to which a component replaces its only reference."""
_SMALL: Final = frozenset({"type", "enum", "const", "format", "pattern", "title", "description"})
_SMALL_ENUM: Final = 12
"""Values of an enum that is repeated in place of each of its references."""

LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
"""Keywords whose value is a list of schemas."""
_IN_PLACE: Final = ("not", "if", "then", "else")
"""Keywords whose schema applies to the same value, beside those with lists."""

Lookup = Callable[[str], dict[str, Any]]


@attrs.define(eq=False)
class Definitions:
    """Adds `$defs` to schemas.

    Args:
      lookup: returns a component by its name.
      most: the most components of a schema; further ones allow any value.
    """

    lookup: Lookup
    most: int
    left_out: set[str] = attrs.field(factory=set)
    """Components that the last schema lacks."""
    _references: dict[str, tuple[tuple[str, bool], ...]] = attrs.field(factory=dict)

    def assembled(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Return a schema that contains the components that it refers to.

        A component with one reference, or a small one, replaces its references; the
        others are entries of `$defs`. Components that are many references away from the schema
        are left out until it is small enough.
        """
        self.left_out = set()
        if not any(references_in(schema)):
            return dict(schema)
        most = self.most
        while True:
            made = self._assembled(schema, most)
            if most <= FEWEST or len(json.dumps(made)) <= LARGEST:
                return made
            most //= 2

    def _assembled(self, schema: Mapping[str, Any], most: int) -> dict[str, Any]:
        counts, left_out = self._reachable(schema, most)
        self.left_out = left_out
        inline = {
            key
            for key, count in counts.items()
            if key not in left_out and (count == 1 or _is_small(self.lookup(key)))
        }
        return _Assembly(self.lookup, inline, left_out, self._loops(counts)).run(schema)

    def _of(self, key: str) -> tuple[tuple[str, bool], ...]:
        found = self._references.get(key)
        if found is None:
            found = self._references[key] = tuple(references_in(self.lookup(key)))
        return found

    def _reachable(self, schema: Mapping[str, Any], most: int) -> tuple[Counter[str], set[str]]:
        """Return how often each reachable component is referred to, and those over the limit."""
        counts: Counter[str] = Counter()
        left_out: set[str] = set()
        queue = deque(key for key, _ in references_in(schema))
        counts.update(queue)
        queue = deque(dict.fromkeys(queue))
        taken: set[str] = set()
        while queue:
            key = queue.popleft()
            if key in taken or key in left_out:
                continue
            if len(taken) >= most:
                left_out.add(key)
                continue
            taken.add(key)
            for inner, _ in self._of(key):
                counts[inner] += 1
                queue.append(inner)
        return counts, left_out

    def _loops(self, keys: Mapping[str, int]) -> set[tuple[str, str]]:
        """Return references that would apply a component to the same value again and again."""
        loops: set[tuple[str, str]] = set()
        done: set[str] = set()
        for start in keys:
            if start in done or not any(here for _, here in self._of(start)):
                continue
            trail = [(start, iter(self._of(start)))]
            on_trail = {start}
            while trail:
                key, rest = trail[-1]
                inner = next((each for each, here in rest if here), None)
                if inner is None:
                    trail.pop()
                    on_trail.discard(key)
                    done.add(key)
                elif inner in on_trail:
                    loops.add((key, inner))
                elif inner not in done:
                    trail.append((inner, iter(self._of(inner))))
                    on_trail.add(inner)
        return loops


def references_in(schema: Any, *, in_place: bool = True) -> Iterator[tuple[str, bool]]:
    """Yield the names in `$defs` that a schema refers to.

    Each comes with whether it applies to the same value as the schema itself.
    """
    if not isinstance(schema, Mapping):
        return
    reference = schema.get("$ref")
    if isinstance(reference, str):
        yield reference[len(DEFINITIONS) :], in_place
    for key, value in schema.items():
        same = in_place and key not in ("properties", "patternProperties", "prefixItems")
        if key in MAPS:
            for each in value.values():
                yield from references_in(each, in_place=same)
        elif key in LISTS:
            for each in value:
                yield from references_in(each, in_place=same)
        elif key in SCHEMAS or key == "not":
            yield from references_in(value, in_place=same and key in _IN_PLACE)


def _is_small(schema: Mapping[str, Any]) -> bool:
    return schema.keys() <= _SMALL and len(schema.get("enum", ())) <= _SMALL_ENUM


@attrs.define(eq=False)
class _Assembly:
    """One schema while its `$defs` are collected."""

    lookup: Lookup
    inline: set[str]
    left_out: set[str]
    loops: set[tuple[str, str]]
    entries: dict[str, Any] = attrs.field(factory=dict)
    waiting: list[str] = attrs.field(factory=list)

    def run(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = self._copy(schema, "", 0)
        while self.waiting:
            key = self.waiting.pop(0)
            if key not in self.entries:
                self.entries[key] = {}
                self.entries[key] = self._copy(self.lookup(key), key, 0)
        if self.entries:
            made["$defs"] = dict(sorted(self.entries.items()))
        return made

    def _copy(self, node: Any, within: str, depth: int) -> Any:
        """Copy a schema of the component `within`."""
        if isinstance(node, list):
            return [self._copy(each, within, depth + 1) for each in node]
        if not isinstance(node, Mapping):
            return node
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return {key: self._value(key, node[key], within, depth) for key in node}
        key = reference[len(DEFINITIONS) :]
        rest = {
            name: self._value(name, node[name], within, depth) for name in node if name != "$ref"
        }
        if key in self.left_out or (within, key) in self.loops:
            return rest
        if key in self.inline and depth < DEEPEST:
            whole = self._copy(self.lookup(key), key, depth)
            about = rest.get("description", "")
            if about.startswith("Default: ") and "description" in whole:
                rest["description"] = f"{whole['description']} {about}"
            return {**whole, **rest}
        self.waiting.append(key)
        return {"$ref": reference, **rest}

    def _value(self, key: str, value: Any, within: str, depth: int) -> Any:
        """Copy the value of a keyword."""
        if key in MAPS and isinstance(value, Mapping):
            return {name: self._copy(each, within, depth + 1) for name, each in value.items()}
        return value if key in VALUES else self._copy(value, within, depth + 1)
